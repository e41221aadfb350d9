"""Keyset pages: a cursor names the last row seen, so page 40,000 costs what page 1 costs.

A cursor is the row's ordering values as URL-safe base64 of a JSON list. It is not secret and not trusted: one that
is not exactly what a row of this ordering could have is a BadCursor, and the grid starts from its first page.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Field, Func, GeneratedField, Model, QuerySet, Value
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler

# The longest folded name is 240 characters of up to four bytes each, and base64 adds a third.
CURSOR_MAX = 1500
COUNTED = 1000

Row = TypeVar("Row", bound=Model)


class BadCursor(ValueError):
    """The text is not a cursor of this ordering."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """Columns in order of weight, all in one direction, the last of them unique; an index should match them."""

    columns: tuple[str, ...]
    descending: bool = False

    def reversed(self) -> "Ordering":
        return Ordering(self.columns, not self.descending)

    def expressions(self, *, few: bool = False) -> "list[F | Coalesce]":
        return [unindexed(column) if few else F(column) for column in self.columns]

    def clauses(self, *, few: bool = False) -> list[Any]:
        return [each.desc() if self.descending else each.asc() for each in self.expressions(few=few)]


def unindexed(column: str) -> Coalesce:
    """The value of `column`, as an expression that no index serves.

    Of a few rows that are found by their ids, a planner that knows only averages would rather look for them
    along the index of the order: for accounts whose names begin with z, through a million others.
    """
    return Coalesce(F(column), F(column))


class RowCompare(Func):
    """`(a, b, id) < (x, y, z)`: one comparison of rows, which both databases answer from an index on (a, b, id)."""

    output_field = BooleanField()

    def __init__(
        self, columns: "Sequence[F | Coalesce]", operator: str, values: Sequence[Value], **extra: Any
    ) -> None:
        self.operator = operator
        super().__init__(*columns, *values, **extra)

    def as_sql(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, list[Any]]:
        parts = [compiler.compile(expression) for expression in self.source_expressions]
        middle = len(parts) // 2
        left, right = (", ".join(sql for sql, _ in half) for half in (parts[:middle], parts[middle:]))
        return f"({left}) {self.operator} ({right})", [value for _, values in parts for value in values]


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of rows, and the cursors of its neighbours (empty where there is none)."""

    rows: list[Row]
    next_cursor: str
    previous_cursor: str


def cursor_for(row: Model, ordering: Ordering) -> str:
    return _encode([getattr(row, column) for column in ordering.columns])


def _encode(values: list[Any]) -> str:
    text = json.dumps(values, default=_exactly, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _exactly(value: datetime | UUID) -> str:
    """Django's own encoder cuts moments to milliseconds: rows of the same one would be left out or come twice."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def paginate(
    queryset: "QuerySet[Row]",
    ordering: Ordering,
    *,
    size: int,
    after: str = "",
    before: str = "",
    few: bool = False,
) -> Page[Row]:
    """The page of `size` rows after or before a cursor, or the first one; raises BadCursor.

    `few` says that the rows are found by their ids: they are sorted, and no index is walked for their order.
    """
    backwards = bool(before) and not after
    direction = ordering.reversed() if backwards else ordering
    rows = queryset.order_by(*direction.clauses(few=few))
    if cursor := after or before:
        rows = rows.filter(_beyond(cursor, direction, queryset.model, few=few))
    found = list(rows[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    has_next = bool(found) if backwards else more
    has_previous = more if backwards else bool(cursor)
    return Page(
        rows=found,
        next_cursor=cursor_for(found[-1], ordering) if found and has_next else "",
        previous_cursor=cursor_for(found[0], ordering) if found and has_previous else "",
    )


def seek(
    rows: "QuerySet[Row]",
    sieve: "Callable[[QuerySet[Row]], QuerySet[Row]]",
    ordering: Ordering,
    *,
    size: int,
    stretch: int,
    until: "QuerySet[Row] | None" = None,
    after: str = "",
    before: str = "",
) -> Page[Row]:
    """A page of what `sieve` lets through, from among the next `stretch` of `rows` and no further; raises BadCursor.

    For what no index finds. Where the stretch holds less than a page and is not the last, the cursor leads on from
    its end: each page costs no more than its stretch, and who goes on misses nothing. `until`, where given, are the
    rows as far as they are of interest; a stretch that ends among them needs no other bound, and of two bounds
    SQLite may choose the wider one.
    """
    backwards = bool(before) and not after
    direction = ordering.reversed() if backwards else ordering
    wanted = rows if until is None else until
    ahead = wanted.order_by(*direction.clauses())
    if cursor := after or before:
        ahead = ahead.filter(_beyond(cursor, direction, rows.model, few=False))
    ends = list(ahead.values_list(*ordering.columns)[stretch - 1 : stretch + 1])
    if len(ends) < 2:
        return paginate(sieve(wanted), ordering, size=size, after=after, before=before)
    end = _encode(list(ends[0]))
    within = sieve(rows).filter(_not_beyond(end, direction, rows.model))
    page = paginate(within, ordering, size=size, after=after, before=before)
    if backwards:
        return replace(page, previous_cursor=page.previous_cursor or end)
    return replace(page, next_cursor=page.next_cursor or end)


def place_of(cursor: str, ordering: Ordering, model: type[Model]) -> list[Any]:
    """The ordering values of the row that a cursor names; raises BadCursor."""
    try:
        return _decode(cursor, [_stored_field(model, column) for column in ordering.columns])
    except (ValueError, TypeError, OverflowError, RecursionError, Base64Error, ValidationError) as error:
        raise BadCursor(cursor[:40]) from error


def count_up_to(queryset: "QuerySet[Row]", maximum: int = COUNTED) -> tuple[int, bool]:
    """The number of rows, counted no further than `maximum`, and whether there are more."""
    counted = queryset.order_by()[: maximum + 1].count()
    return min(counted, maximum), counted > maximum


def _beyond(cursor: str, direction: Ordering, model: type[Model], *, few: bool) -> RowCompare:
    return _compared(cursor, direction, "<" if direction.descending else ">", model, few=few)


def _not_beyond(cursor: str, direction: Ordering, model: type[Model]) -> RowCompare:
    return _compared(cursor, direction, ">=" if direction.descending else "<=", model, few=False)


def _compared(
    cursor: str, direction: Ordering, operator: str, model: type[Model], *, few: bool
) -> RowCompare:
    fields = [_stored_field(model, column) for column in direction.columns]
    values = place_of(cursor, direction, model)
    return RowCompare(
        direction.expressions(few=few),
        operator,
        [Value(value, output_field=field) for field, value in zip(fields, values, strict=True)],
    )


def _stored_field(model: type[Model], column: str) -> "Field[Any, Any]":
    field = cast("Field[Any, Any]", model._meta.get_field(column))
    return cast("Field[Any, Any]", field.output_field) if isinstance(field, GeneratedField) else field


def _decode(cursor: str, fields: "list[Field[Any, Any]]") -> list[Any]:
    """The values in a cursor; raises for anything that `cursor_for` could not have written for such fields."""
    if len(cursor) > CURSOR_MAX:
        raise BadCursor("too long")
    raw = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    if not isinstance(raw, list):
        raise BadCursor("not a list")
    values = [field.clean(item, None) for field, item in zip(fields, raw, strict=True)]
    if _encode(values) != cursor or any(map(_is_impossible, values)):
        raise BadCursor("not this ordering")
    return values


def _is_impossible(value: Any) -> bool:
    """What no row can hold, and what some databases cannot even be asked about."""
    if isinstance(value, datetime):
        return value.utcoffset() != timedelta(0)
    return value is None or (isinstance(value, str) and "\0" in value)
