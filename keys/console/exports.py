"""Rows as files: CSV and JSON lines, streamed a batch at a time, so that a million rows take the memory of a few.

Each batch is a short query of its own that goes on behind the last row. A cursor of the database would have to stay
open, with its transaction or its copy of the rows, for as long as somebody takes to download.
"""

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

from keys.console.keyset import Page

BATCH = 2000
# What a spreadsheet would take for a formula, wherever it comes from: a path, a reason, a user agent.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Values = dict[str, Any]


def export(
    page_at: Callable[..., Page[Any]],
    *,
    values: Callable[[Any], Values],
    columns: tuple[str, ...],
    name: str,
    as_json: bool,
) -> StreamingHttpResponse:
    """Rows as a file to be saved: those of all pages that `page_at` gives for a size and the cursor to go on from.

    `values` says what a row holds, in plain JSON values; CSV has `columns` of it.
    """
    batches = (list(map(values, batch)) for batch in in_batches(page_at))
    lines = json_lines(batches) if as_json else csv_lines(batches, columns)
    kind, suffix = ("application/jsonl", "jsonl") if as_json else ("text/csv", "csv")
    response = StreamingHttpResponse(lines, content_type=f"{kind}; charset=utf-8")
    filename = f"{name}-{timezone.now():%Y-%m-%d}.{suffix}"
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def in_batches(page_at: Callable[..., Page[Any]]) -> Iterator[list[Any]]:
    after = ""
    while True:
        page = page_at(size=BATCH, after=after)
        yield page.rows
        if not (after := page.next_cursor):
            return


def json_lines(batches: Iterator[list[Values]]) -> Iterator[str]:
    for batch in batches:
        yield "".join(f"{json.dumps(row, ensure_ascii=False, separators=(',', ':'))}\n" for row in batch)


def csv_lines(batches: Iterator[list[Values]], columns: tuple[str, ...]) -> Iterator[str]:
    buffer = _Buffer()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for batch in batches:
        writer.writerows([_cell(row[column]) for column in columns] for row in batch)
        yield buffer.taken()


def _cell(value: Any) -> Any:
    """`value` as text that a spreadsheet shows and does not compute."""
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


class _Buffer(list[str]):
    """What the CSV writer has written since it was asked last."""

    write = list.append

    def taken(self) -> str:
        text = "".join(self)
        self.clear()
        return text
