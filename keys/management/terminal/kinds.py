"""What the subcommands of `merchants` and `apikeys` share: the same steps, taken on another kind of thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from keys.console.keyset import Ordering
from keys.management.terminal import arguments, records, selection
from keys.management.terminal.exits import Exit, failure
from keys.management.terminal.operators import Operator
from keys.management.terminal.records import Field
from keys.management.terminal.selection import Options
from keys.models import ApiKey, Merchant

Row = TypeVar("Row", Merchant, ApiKey)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Row]):
    """Merchant accounts or API keys: how they are called, found and told of."""

    noun: str
    identifier: Callable[[str], UUID]
    fields: tuple[Field[Row], ...]
    details: tuple[Field[Row], ...]
    # A queryset with all that the fields need.
    told: Callable[[QuerySet[Row]], QuerySet[Row]]
    in_sight: Callable[[Operator], QuerySet[Row]]
    filters: tuple[str, ...]
    add_filters: Callable[[CommandParser], None]
    filtered: Callable[[Operator, QuerySet[Row], Options], QuerySet[Row]]
    ordering: Callable[[Options], Ordering]

    @property
    def all_fields(self) -> tuple[Field[Row], ...]:
        """Those of a list, and those of a single one."""
        return self.fields + self.details

    def counted(self, number: int) -> str:
        return f"{number:,} {self.noun}{'' if number == 1 else 's'}"

    def find(self, operator: Operator, pk: UUID) -> Row:
        """The one with this id, as far as this operator sees; raises what ends the command."""
        found = self.told(self.in_sight(operator)).filter(pk=pk).first()
        if found is None:
            raise failure(f"There is no {self.noun} with this ID.", Exit.NOT_FOUND)
        return found

    def named(self, row: Any) -> str:
        return f"“{row}” ({row.public_id})"


def _key_ordering(options: Options) -> Ordering:
    return selection.OF_ONE_MERCHANT if options["merchant"] else selection.NEWEST_FIRST


MERCHANTS: Kind[Merchant] = Kind(
    noun="merchant account",
    identifier=arguments.merchant_id,
    fields=records.MERCHANT_FIELDS,
    details=records.MERCHANT_DETAILS,
    told=records.merchant_rows,
    in_sight=lambda operator: operator.merchants(),
    filters=selection.MERCHANT_FILTERS,
    add_filters=selection.add_merchant_filters,
    filtered=selection.filtered_merchants,
    ordering=lambda _: selection.BY_NAME,
)
KEYS: Kind[ApiKey] = Kind(
    noun="API key",
    identifier=arguments.key_id,
    fields=records.KEY_FIELDS,
    details=records.KEY_DETAILS,
    told=records.key_rows,
    in_sight=lambda operator: operator.keys(),
    filters=selection.KEY_FILTERS,
    add_filters=selection.add_key_filters,
    filtered=selection.filtered_keys,
    ordering=_key_ordering,
)
