"""What commands say of a merchant account and of an API key: the names of its fields, which scripts rely on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet

from keys import usage
from keys.identifiers import API_KEY, MERCHANT, encode
from keys.models import ApiKey, Merchant, User
from keys.naming import printable
from keys.states import ApiKeyStatus

Row = TypeVar("Row")

FIELD_TEXT_MAX = 2000


@dataclass(frozen=True, slots=True)
class Field(Generic[Row]):
    """One field of a record.

    `importance` is its rank for a place in a table on a terminal, where 1 is given one first; without, it has none.
    What `shrinks` is text that may be cut there.
    """

    name: str
    of: Callable[[Row], Any]
    meaning: str
    importance: int | None = None
    shrinks: bool = False

    @property
    def title(self) -> str:
        words = self.name.replace("_at", " (UTC)").replace("_", " ")
        return "ID" if words == "id" else words[0].upper() + words[1:]


def as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def as_plain(value: Any) -> str:
    """One cell of tab-separated text: no tab, no line end, nothing that a terminal would obey."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return " ".join(map(str, value))
        case dict():
            return " ".join(f"{name}={as_plain(each)}" for name, each in value.items())
    return printable(str(value), FIELD_TEXT_MAX)


def as_shown(value: Any) -> str:
    """The same for people."""
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{as_shown(each)} {name.replace('_', ' ')}" for name, each in value.items())
    return as_plain(value)


def _name(user: User | None) -> str | None:
    return user.display_name if user else None


def _origin(key: ApiKey) -> str | None:
    return encode(API_KEY, key.duplicated_from_id) if key.duplicated_from_id else None


def is_stored(key: ApiKey) -> bool:
    """Whether there is a text of this row of `key_rows`, which does not read it."""
    return bool(key.is_stored)  # type: ignore[attr-defined]


def _key_counts(merchant: Merchant) -> dict[str, int]:
    counted = ApiKey.objects.filter(merchant=merchant).order_by().values_list("status").annotate(Count("pk"))
    return dict.fromkeys(ApiKeyStatus.values, 0) | dict(counted)


def _requests(subject: Merchant | ApiKey) -> dict[str, int]:
    totals = usage.totals([subject.pk])[subject.pk]
    return {"succeeded": totals.succeeded, "failed": totals.failed}


MERCHANT_FIELDS: tuple[Field[Merchant], ...] = (
    Field("id", lambda merchant: merchant.public_id, "`mch_…`", importance=1),
    Field("name", lambda merchant: merchant.name, "Of the business", importance=3, shrinks=True),
    Field("status", lambda merchant: merchant.status, "`enabled` or `disabled`", importance=2),
    Field("website", lambda merchant: merchant.website, "May be empty", importance=5, shrinks=True),
    Field("created_at", lambda merchant: merchant.created_at, "A time", importance=4),
    Field(
        "created_by", lambda merchant: _name(merchant.created_by), "A person, or nothing where a command was"
    ),
    Field("revision", lambda merchant: merchant.revision, "Counts changes, for `update --revision`"),
)

KEY_FIELDS: tuple[Field[ApiKey], ...] = (
    Field("id", lambda key: key.public_id, "`key_…`", importance=1),
    Field(
        "name", lambda key: key.name, "Once among the keys in use of an account", importance=3, shrinks=True
    ),
    Field("status", lambda key: key.status, "`enabled`, `disabled` or `revoked`", importance=2),
    Field("mode", lambda key: key.mode, "`live` or `test`", importance=5),
    Field("merchant_id", lambda key: encode(MERCHANT, key.merchant_id), "`mch_…`"),
    Field(
        "merchant",
        lambda key: key.merchant.name,
        "The name of the merchant account",
        importance=4,
        shrinks=True,
    ),
    Field("masked", lambda key: key.masked, "The key, masked", importance=7),
    Field("description", lambda key: key.description, "May be empty"),
    Field("permissions", lambda key: [f"{name}:{access}" for name, access in key.grants.items()], "A list"),
    Field("allowed_networks", lambda key: key.allowed_networks.split(), "A list; empty allows any address"),
    Field("expires_at", lambda key: key.expires_at, "A time, or nothing where it does not expire"),
    Field("expired", lambda key: key.is_expired, "Whether its expiry date has passed"),
    Field("created_at", lambda key: key.created_at, "A time", importance=8),
    Field("created_by", lambda key: _name(key.created_by), "A person, or nothing where a command was"),
    Field(
        "last_used_at",
        lambda key: key.last_used_at,
        "A time, or nothing where it was never used",
        importance=6,
    ),
    Field("duplicated_from", _origin, "The ID of the key that it was duplicated from, or nothing"),
    Field("can_be_copied", is_stored, "Whether its text is stored"),
    Field("revision", lambda key: key.revision, "Counts changes, for `update --revision`"),
)

# A single record has these too: each costs a query.
MERCHANT_DETAILS: tuple[Field[Merchant], ...] = (
    Field("keys", _key_counts, "How many, by status"),
    Field("last_24_hours", _requests, "Requests: succeeded and failed"),
)
KEY_DETAILS: tuple[Field[ApiKey], ...] = (
    Field("last_24_hours", _requests, "Requests: succeeded and failed"),
)


def merchant_rows(merchants: QuerySet[Merchant]) -> QuerySet[Merchant]:
    """With all that MERCHANT_FIELDS tell, in one query."""
    return merchants.select_related("created_by")


def key_rows(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    """With all that KEY_FIELDS tell, in one query, and without what nobody is told."""
    stored = ExpressionWrapper(Q(secret_ciphertext__isnull=False), output_field=BooleanField())
    rows = keys.select_related("merchant", "created_by", "last_use").annotate(is_stored=stored)
    return rows.defer("digest", "secret_ciphertext")


def chosen(fields: Sequence[Field[Row]], names: Sequence[str]) -> list[Field[Row]]:
    """The fields with these names, in that order."""
    by_name = {field.name: field for field in fields}
    return [by_name[name] for name in names]
