"""Records on the standard output: tables on a terminal, tab-separated text elsewhere, JSON lines where asked for.

All of them come as they are read: a million rows take no more memory than a few hundred.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TextIO, TypeVar, cast

from django.core.management.base import OutputWrapper
from rich.cells import cell_len, set_cell_size
from rich.console import COLOR_SYSTEMS, Console
from rich.text import Text

from keys.demo.progress import ProgressReport
from keys.management.terminal.records import Field, as_json, as_plain, as_shown, chosen
from keys.naming import printable

Row = TypeVar("Row")

# The widths of a table's columns are those of its first rows.
MEASURED_ROWS = 200
NARROWEST, WIDEST = 12, 48
MOMENT_WIDTH = len("2026-01-31 10:00")
GAP = "  "
# From how many on the progress is shown.
LONG_WORK = 200
STATUS_STYLES = {"enabled": "green", "disabled": "yellow", "revoked": "red"}


class Output:
    """Where records go. `as_json` decides the form, and else whether `file` is a terminal."""

    def __init__(
        self, file: TextIO | OutputWrapper, *, as_json: bool = False, no_color: bool = False
    ) -> None:
        self._file = file
        self._as_json = as_json
        self._console = Console(
            file=cast("TextIO", file), highlight=False, markup=False, emoji=False, no_color=no_color or None
        )
        self.notes = Console(
            stderr=True, highlight=False, markup=False, emoji=False, no_color=no_color or None
        )

    @property
    def is_json(self) -> bool:
        return self._as_json

    @property
    def is_table(self) -> bool:
        return self._console.is_terminal and not self._as_json

    def rows(self, rows: Iterable[Row], fields: Sequence[Field[Row]]) -> int:
        """Write many records; returns how many there were."""
        if self.is_table:
            return self._table(iter(rows), fields)
        count = 0
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last one is the result
            values = {field.name: field.of(row) for field in fields}
            self._line(_json(values) if self._as_json else "\t".join(map(as_plain, values.values())))
        return count

    def record(
        self, row: Row, fields: Sequence[Field[Row]], *, only: Sequence[str] | None = None, **more: str
    ) -> None:
        """Write one record, field by field; those that are named in `only` as a row of values."""
        if only and not self._as_json:
            self.rows([row], chosen(fields, only))
            return
        fields = chosen(fields, only) if only else fields
        values = {field.name: field.of(row) for field in fields} | more
        if self._as_json:
            self._line(_json(values))
        elif self.is_table:
            width = max(len(field.title) for field in fields)
            for field in fields:
                self._console.print(self._labelled(field, values[field.name], width), soft_wrap=True)
        else:
            for name, value in values.items():
                self._line(f"{name}\t{as_plain(value)}")

    def say(self, sentence: str) -> None:
        """The result in words, where no JSON was asked for."""
        if not self._as_json:
            self._console.print(Text(printable(sentence, len(sentence))), soft_wrap=True)

    def secret(self, text: str) -> None:
        """An API key, alone on its line, for whoever reads the standard output."""
        self._line(text)

    @contextmanager
    def progress(self, doing: str, total: int) -> Iterator[Callable[[int], None]]:
        """How far long work is, on the standard error; short work says nothing."""
        if total < LONG_WORK:
            yield lambda number: None
            return
        with ProgressReport(cast("TextIO", self.notes.file)) as report:
            report.step(doing, total)
            yield report.advance

    def note(self, sentence: str) -> None:
        """Something beside the result, on the standard error."""
        self.notes.print(Text(printable(sentence, len(sentence))), soft_wrap=True)

    def _labelled(self, field: Field[Any], value: Any, width: int) -> Text:
        label = (f"{field.title:<{width}}  ", "bold")
        return Text.assemble(label, (as_shown(value), _style(field, value)))

    def _line(self, text: str) -> None:
        self._file.write(f"{text}\n")

    def _table(self, rows: Iterator[Row], fields: Sequence[Field[Row]]) -> int:
        count, columns = 0, list[Column[Row]]()
        while batch := list(islice(rows, MEASURED_ROWS)):
            columns = columns or fitting(
                [Column.measured(field, batch) for field in fields], self._console.width
            )
            if not count:
                self._line(
                    GAP.join(self._painted(column.fit(column.field.title), "bold") for column in columns)
                )
            for row in batch:
                self._line(GAP.join(self._cell(column, row) for column in columns))
            count += len(batch)
        return count

    def _cell(self, column: "Column[Row]", row: Row) -> str:
        value = column.field.of(row)
        return self._painted(column.fit(as_shown(value)), _style(column.field, value))

    def _painted(self, text: str, style: str) -> str:
        """`text` in `style`, as far as this terminal has colours."""
        if not style:
            return text
        known = self._console.get_style(style)
        shown = known.without_color if self._console.no_color else known
        return shown.render(text, color_system=COLOR_SYSTEMS.get(self._console.color_system or ""))


@dataclass(slots=True)
class Column(Generic[Row]):
    """A field in a table: how wide it is, and how narrow it may become."""

    field: Field[Row]
    width: int
    narrowest: int

    @classmethod
    def measured(cls, field: Field[Row], rows: Iterable[Row]) -> "Column[Row]":
        natural = max(cell_len(text) for text in (field.title, *(as_shown(field.of(row)) for row in rows)))
        if field.name.endswith("_at"):
            natural = max(natural, MOMENT_WIDTH)
        width = min(natural, WIDEST)
        return cls(field, width, min(width, NARROWEST) if field.shrinks else width)

    def fit(self, text: str) -> str:
        """`text` in exactly the width of the column, with an ellipsis where it is cut."""
        if text.isascii():
            return text.ljust(self.width) if len(text) <= self.width else f"{text[: self.width - 1]}…"
        if cell_len(text) <= self.width:
            return set_cell_size(text, self.width)
        return f"{set_cell_size(text, self.width - 1)}…"


def fitting(columns: Sequence[Column[Row]], width: int) -> list[Column[Row]]:
    """The most important columns that fit into `width`, in their order, those of text as wide as is left for them."""
    left, kept = width + len(GAP), list[Column[Row]]()
    for column in sorted(columns, key=lambda column: column.field.importance or 0):
        if kept and column.narrowest + len(GAP) > left:
            break
        kept.append(column)
        left -= column.narrowest + len(GAP)
    for column in kept:
        grown = min(column.width, column.narrowest + max(left, 0))
        left -= grown - column.narrowest
        column.width = grown
    return [column for column in columns if column in kept]


def _json(values: dict[str, Any]) -> str:
    return json.dumps({name: as_json(value) for name, value in values.items()}, ensure_ascii=False)


def _style(field: Field[Any], value: Any) -> str:
    return STATUS_STYLES.get(str(value), "") if field.name == "status" else ""
