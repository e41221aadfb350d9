"""How a list is read without reading the table: a bounded number of rows for each page, and none counted.

A reading starts with all rows in an order that an index has. What an index finds narrows the rows (`along`), what a
search has found names them (`among`), and anything else is looked for in one stretch after the other (`seeking`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from keys.console.keyset import BadCursor, Ordering, Page, paginate, seek
from keys.identifiers import first_id_at

PAGE_SIZE = 100
# How many rows a page looks through for what no index finds.
STRETCH = 20_000
# How many rows a search names at most.
FOUND = 200

Rows = QuerySet[Any]
Sieve = Callable[[Rows], Rows]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of `rows` those `since` a moment that `sieves` let through.

    `few` says that the rows are named by their ids, `truncated` that there are more than FOUND of them.
    """

    rows: Rows
    ordering: Ordering
    sieves: tuple[Sieve, ...] = ()
    since: datetime | None = None
    few: bool = False
    truncated: bool = False

    def along(self, rows: Rows, ordering: Ordering) -> "Reading":
        """Read `rows`, which an index finds in this order."""
        return replace(self, rows=rows, ordering=ordering)

    def among(self, ids: Sequence[Any]) -> "Reading":
        """Read the first FOUND of these."""
        rows = self.rows.filter(pk__in=ids[:FOUND])
        return replace(self, rows=rows, few=True, truncated=len(ids) > FOUND)

    def seeking(self, sieve: Sieve) -> "Reading":
        return replace(self, sieves=(*self.sieves, sieve))

    @property
    def looks_through(self) -> bool:
        """Whether there is something to look for that no index finds."""
        return bool(self.sieves) and not self.few

    def page(self, *, after: str, before: str) -> Page[Any]:
        """The page that these cursors ask for; the first one where they are broken."""
        try:
            return self._page(after=after, before=before)
        except BadCursor:
            return self._page(after="", before="")

    def _page(self, **cursors: str) -> Page[Any]:
        if self.looks_through:
            return seek(
                self.rows,
                self._sieved,
                self.ordering,
                size=PAGE_SIZE,
                stretch=STRETCH,
                until=self._recent(),
                **cursors,
            )
        rows = self._sieved(self._recent())
        return paginate(rows, self.ordering, size=PAGE_SIZE, few=self.few, **cursors)

    def _recent(self) -> Rows:
        """The rows since the moment, told by the column that their order begins with: ids begin with the time."""
        if self.since is None:
            return self.rows
        column = self.ordering.columns[0]
        least = first_id_at(self.since) if column == "id" else self.since
        return self.rows.filter(**{f"{column}__gte": least})

    def _sieved(self, rows: Rows) -> Rows:
        for sieve in self.sieves:
            rows = sieve(rows)
        return rows
