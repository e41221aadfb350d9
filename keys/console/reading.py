"""How a list is read without reading the table: a bounded number of rows for each page, and none counted.

A reading starts with all rows in an order that an index has. What an index finds narrows the rows (`along`), what a
search has found names them (`among`), and anything else is looked for in one stretch after the other (`seeking`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from keys.console.keyset import BadCursor, Ordering, Page, paginate, seek, unindexed
from keys.identifiers import first_id_at

# How many rows a page looks through for what no index finds.
STRETCH = 20_000
# How many rows a search names at most.
FOUND = 200

Rows = QuerySet[Any]
Sieve = Callable[[Rows], Rows]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of `rows` those `since` a moment and before `until` that `sieves` let through.

    `few` says that the rows are named by their ids, `truncated` that there are more than FOUND of them.
    """

    rows: Rows
    ordering: Ordering
    sieves: tuple[Sieve, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
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

    def within(self) -> Rows:
        """The rows of the time asked for, whatever the sieves say of them."""
        return self._bounded(self._bounded(self.rows, "since"), "until")

    def page(self, *, size: int, after: str = "", before: str = "") -> Page[Any]:
        """The page that these cursors ask for; the first one where they are broken."""
        try:
            return self._page(size, after=after, before=before)
        except BadCursor:
            return self._page(size, after="", before="")

    def _page(self, size: int, *, after: str, before: str) -> Page[Any]:
        backwards = bool(before) and not after
        from_the_newest = self.ordering.descending != backwards
        near, far = ("until", "since") if from_the_newest else ("since", "until")
        # A cursor lies on the near side, and bounds it already: of two bounds SQLite may choose the wider one.
        rows = self._bounded(self.rows, near, by_index=not (after or before))
        wanted = self._bounded(rows, far)
        if self.looks_through:
            return seek(
                rows,
                self._sieved,
                self.ordering,
                size=size,
                stretch=STRETCH,
                until=wanted,
                after=after,
                before=before,
            )
        return paginate(
            self._sieved(wanted), self.ordering, size=size, few=self.few, after=after, before=before
        )

    def _bounded(self, rows: Rows, side: str, *, by_index: bool = True) -> Rows:
        """The rows on this side of the moment, told by the column that their order begins with."""
        moment: datetime | None = getattr(self, side)
        if moment is None:
            return rows
        column = self.ordering.columns[0]
        # Ids begin with the time.
        bound = first_id_at(moment) if column == "id" else moment
        comparison = "gte" if side == "since" else "lt"
        if by_index:
            return rows.filter(**{f"{column}__{comparison}": bound})
        bounded: Rows = rows.alias(place=unindexed(column)).filter(**{f"place__{comparison}": bound})
        return bounded

    def _sieved(self, rows: Rows) -> Rows:
        for sieve in self.sieves:
            rows = sieve(rows)
        return rows
