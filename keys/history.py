"""Writing the history: who acts, and the row that commits with each change, at the end of its chain.

The head of a chain is locked from the moment a row joins it until the transaction ends. It is the last lock that a
transaction takes: rows of keys and accounts come first, and of several chains the one with the smaller id. Who takes
two steps in one transaction locks the rows of both before the first.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from keys import chain
from keys.chain import Head
from keys.identifiers import new_id
from keys.keyformat import scrub
from keys.models import ApiKey, HistoryEntry, HistoryHead, Merchant, User
from keys.models.history import Action, ActorKind
from keys.naming import clean_text, printable
from keys.states import MerchantStatus, Status, Transition

REASON_MAX = 500
# So many different names are looked up in a chain, and no more.
ACTORS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes a step, and from where. `name` is what the history shows, whatever becomes of the user."""

    name: str
    kind: ActorKind = ActorKind.PERSON
    user: User | None = None
    address: str | None = None
    user_agent: str = ""
    request_id: str = ""

    @classmethod
    def system(cls, name: str = "merchantadmin") -> "Actor":
        return cls(name=name, kind=ActorKind.SYSTEM)

    @classmethod
    def command(cls, name: str) -> "Actor":
        return cls(name=name, kind=ActorKind.COMMAND)


def compose(
    action: Action,
    *,
    actor: Actor,
    merchant: Merchant | None,
    key: ApiKey | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    at: datetime | None = None,
) -> HistoryEntry:
    """One row, not yet added. `at` is for rows made for the past (demo data, imports).

    `merchant` is None where the row is about the platform itself: its people and its settings.
    """
    return HistoryEntry(
        id=new_id(at),
        at=at or timezone.now(),
        action=action,
        merchant=merchant,
        key=key,
        actor_kind=actor.kind,
        actor_user=actor.user,
        actor_name=printable(actor.name, 160),
        before=_plain(before or {}),
        after=_plain(after or {}),
        reason=reason,
        address=actor.address,
        user_agent=printable(scrub(actor.user_agent), 300),
        request_id=printable(actor.request_id, 64),
    )


def compose_transition(
    transition: Transition,
    *,
    actor: Actor,
    merchant: Merchant,
    key: ApiKey | None = None,
    reason: str = "",
    at: datetime | None = None,
) -> HistoryEntry:
    """The row of a change of state, of `key` where it is given and else of the account itself."""
    return compose(
        arrival(transition.target),
        actor=actor,
        merchant=merchant,
        key=key,
        before={"status": transition.source.value},
        after={"status": transition.target.value},
        reason=reason,
        at=at,
    )


def arrival(status: Status) -> Action:
    """What the history calls the step into `status`."""
    subject = "merchant" if isinstance(status, MerchantStatus) else "key"
    return Action(f"{subject}.{status.value}")


def write(
    action: Action,
    *,
    actor: Actor,
    merchant: Merchant | None,
    key: ApiKey | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> HistoryEntry:
    """Add one row. Call it inside the transaction of the change that it tells of."""
    entry = compose(
        action, actor=actor, merchant=merchant, key=key, before=before, after=after, reason=reason
    )
    append([entry])
    return entry


def append(entries: Iterable[HistoryEntry]) -> None:
    """Add composed rows, in their order, each at the end of its chain. Call it inside the transaction of the change."""
    if not connection.in_atomic_block:
        raise TransactionManagementError(
            "A history row is written in the transaction of the change that it tells of."
        )
    entries = list(entries)
    heads = _locked_heads({entry.chain for entry in entries})
    for entry in entries:
        heads[entry.chain] = chain.join(entry, heads[entry.chain])
    HistoryEntry.objects.bulk_create(entries)
    _move_heads(heads.values())


def _locked_heads(of: Collection[UUID]) -> dict[UUID, Head]:
    """The ends of these chains, which are nobody else's to move until the transaction ends."""
    locked = HistoryHead.objects.select_for_update(no_key=True).filter(pk__in=of).order_by("pk")
    found = list(locked)
    if missing := set(of) - {head.chain for head in found}:
        begun = [HistoryHead(chain=each, hash=chain.NOTHING) for each in sorted(missing)]
        HistoryHead.objects.bulk_create(begun, ignore_conflicts=True)
        found = list(locked.all())
    return {head.chain: Head(head.chain, head.sequence, bytes(head.hash)) for head in found}


def _move_heads(heads: Iterable[Head]) -> None:
    """In one call of the driver: there may be hundreds of them."""
    chain_of = HistoryHead._meta.pk
    rows = [(head.sequence, head.hash, chain_of.get_db_prep_value(head.chain, connection)) for head in heads]
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE keys_historyhead SET sequence = %s, hash = %s WHERE chain = %s", rows)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, which have to come back from either database as they went in, or their hash would be another's."""
    kept: dict[str, Any] = json.loads(
        json.dumps(values), parse_float=_refuse_fraction, parse_constant=_refuse_fraction
    )
    return kept


def _refuse_fraction(text: str) -> None:
    raise TypeError(f"The history keeps no fractions, whose digits are not sure to come back: {text}")


def clean_reason(reason: str) -> str:
    """The reason that a person gives for a step; raises InvalidField."""
    return clean_text(reason, field="reason", label="Reason", maximum=REASON_MAX)


def head_of(of: UUID) -> Head:
    """The end of a chain as it is now; nobody has verified it."""
    stored = HistoryHead.objects.filter(pk=of).first()
    return Head(of, stored.sequence, bytes(stored.hash)) if stored else chain.start(of)


def actors(merchant: Merchant) -> list[str] | None:
    """The names of all who acted in an account's chain, in no order; None where there are more than ACTORS_MAX.

    The index of the actors is asked for one name after the other, so that it costs what the names are and not what
    they did.
    """
    merchant_id = Merchant._meta.pk.get_db_prep_value(merchant.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE found(name) AS (
              SELECT MIN(actor_name) FROM keys_historyentry WHERE merchant_id = %s
              UNION ALL
              SELECT (SELECT MIN(actor_name) FROM keys_historyentry WHERE merchant_id = %s AND actor_name > found.name)
              FROM found WHERE found.name IS NOT NULL
            )
            SELECT name FROM found WHERE name IS NOT NULL LIMIT %s
            """,
            [merchant_id, merchant_id, ACTORS_MAX + 1],
        )
        names = [name for (name,) in cursor.fetchall()]
    return names if len(names) <= ACTORS_MAX else None


def latest(*, key: ApiKey, action: Action | None = None) -> HistoryEntry | None:
    """The newest row of `key`, of one kind where `action` is given."""
    rows = HistoryEntry.objects.filter(key=key).order_by("-at", "-id")
    return (rows.filter(action=action) if action else rows).first()


def creation(*, key: ApiKey) -> HistoryEntry | None:
    """The row of the key's creation, which is looked for where it is: at the beginning."""
    return HistoryEntry.objects.filter(key=key, action=Action.KEY_CREATED).order_by("at", "id").first()


# They are recorded, and leave the key as it is.
WITHOUT_CHANGE = (Action.KEY_COPIED, Action.KEY_DUPLICATED)


def latest_change(*, key: ApiKey) -> HistoryEntry | None:
    """The newest row of `key` that tells of a change of the key itself, its creation included."""
    rows = HistoryEntry.objects.filter(key=key).exclude(action__in=WITHOUT_CHANGE)
    return rows.order_by("-at", "-id").first()
