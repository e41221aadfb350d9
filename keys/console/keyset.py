"""Keyset pages: a cursor names the last row seen, so page 40,000 costs what page 1 costs.

A cursor is the row's ordering values as URL-safe base64 of a JSON list. It is not secret and not trusted: one that
does not fit the ordering is a BadCursor, and the grid starts from its first page.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Field, Func, Model, QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler

CURSOR_MAX = 1000
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

    def clauses(self) -> list[Any]:
        return [F(column).desc() if self.descending else F(column).asc() for column in self.columns]


class RowCompare(Func):
    """`(a, b, id) < (x, y, z)`: one comparison of rows, which both databases answer from an index on (a, b, id)."""

    output_field = BooleanField()

    def __init__(self, columns: Sequence[F], operator: str, values: Sequence[Value], **extra: Any) -> None:
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
    values = [getattr(row, column) for column in ordering.columns]
    return urlsafe_b64encode(json.dumps(values, cls=DjangoJSONEncoder).encode()).decode().rstrip("=")


def paginate(
    queryset: "QuerySet[Row]", ordering: Ordering, *, size: int, after: str = "", before: str = ""
) -> Page[Row]:
    """The page of `size` rows after or before a cursor, or the first one; raises BadCursor."""
    backwards = bool(before) and not after
    direction = ordering.reversed() if backwards else ordering
    rows = queryset.order_by(*direction.clauses())
    if cursor := after or before:
        rows = rows.filter(_beyond(cursor, direction, queryset.model))
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


def count_up_to(queryset: "QuerySet[Row]", maximum: int = COUNTED) -> tuple[int, bool]:
    """The number of rows, counted no further than `maximum`, and whether there are more."""
    counted = queryset.order_by()[: maximum + 1].count()
    return min(counted, maximum), counted > maximum


def _beyond(cursor: str, direction: Ordering, model: type[Model]) -> RowCompare:
    fields = [cast("Field[Any, Any]", model._meta.get_field(column)) for column in direction.columns]
    try:
        if len(cursor) > CURSOR_MAX:
            raise BadCursor("too long")
        raw = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(raw, list) or len(raw) != len(fields) or any(value is None for value in raw):
            raise BadCursor("not this ordering")
        values = [
            Value(field.to_python(value), output_field=field)
            for field, value in zip(fields, raw, strict=True)
        ]
    except (ValueError, TypeError, OverflowError, RecursionError, Base64Error, ValidationError) as error:
        raise BadCursor(cursor[:40]) from error
    if any("\0" in value.value for value in values if isinstance(value.value, str)):
        raise BadCursor("NUL")
    return RowCompare(
        [F(column) for column in direction.columns], "<" if direction.descending else ">", values
    )
