"""Verifying the history as it is stored: every row of every chain, against its own hash, its neighbours and the heads.

Rows, heads and the heads that somebody has kept are read side by side, in the order of their chains, so that what is
held in memory grows with what is wrong and not with what there is. All of it is of one moment: what is written while
it is read is not looked at.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from heapq import merge
from itertools import chain as concatenation
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection, transaction

from keys import chain
from keys.chain import PLATFORM, Finding, Head, Inspection, KeptHead, Kind, Row
from keys.identifiers import MERCHANT, InvalidIdentifier, decode
from keys.models import HistoryEntry, HistoryHead

if TYPE_CHECKING:
    from django.db.models import QuerySet

AT_ONCE = 2000

_chain_of = attrgetter("chain")


class BadHeads(ValueError):
    """The text is not what `exported` writes."""


class Verification:
    """One look at all chains, or at the chain `only`. Says when it is through how much it has seen.

    `kept` are heads that were exported earlier, in the order of their chains; `advance` is told of rows, and `ended`
    of the last row of each chain.
    """

    def __init__(
        self,
        *,
        only: UUID | None = None,
        kept: Iterable[KeptHead] = (),
        advance: Callable[[int], None] = lambda rows: None,
        ended: Callable[[Head], None] = lambda head: None,
    ) -> None:
        self.rows = self.chains = 0
        self._only, self._kept = only, kept
        self._advance, self._ended = advance, ended
        self._now: Inspection | None = None

    def findings(self) -> Iterator[Finding]:
        with _one_moment():
            parts: list[Iterable[Any]] = [self._kept, _heads(self._only), _rows(self._only)]
            try:
                for of, items in groupby(merge(*parts, key=_chain_of), key=_chain_of):
                    self.chains += 1
                    yield from self._inspect(of, items)
            except (ValueError, TypeError, OverflowError) as error:
                if isinstance(error, BadHeads):
                    raise
                yield self._unreadable()
        self._advance(self.rows % AT_ONCE)

    def _inspect(self, of: UUID, items: "Iterator[KeptHead | Head | Row]") -> Iterator[Finding]:
        """One chain: the kept heads of it come first, then the database's, then the rows."""
        head: Head | None = None
        self._now = inspection = Inspection(of)
        for item in items:
            if isinstance(item, Row):
                yield from inspection.look(item)
                self.rows += 1
                if not self.rows % AT_ONCE:
                    self._advance(AT_ONCE)
            elif isinstance(item, KeptHead):
                inspection.keep(item)
            else:
                head = item
        yield from inspection.end(head)
        self._ended(inspection.head)

    def _unreadable(self) -> Finding:
        """On SQLite, a column can hold what no value of its kind looks like: neither row nor id can be told."""
        before = self._now.head if self._now else chain.start(PLATFORM)
        detail = "one of the rows from here on cannot be read at all; they were not looked at."
        return Finding(Kind.EDITED, before.chain, before.sequence + 1, before.sequence + 1, None, detail)


def exported(head: Head) -> str:
    """A head as a line of JSON, for somebody to keep."""
    return json.dumps(
        {"chain": chain.chain_name(head.chain), "sequence": head.sequence, "hash": head.hash.hex()}
    )


def read_heads(lines: Iterable[str], *, only: UUID | None = None) -> Iterator[KeptHead]:
    """The heads that `exported` wrote, one at a time; raises BadHeads, also where they are out of order."""
    before = UUID(int=0)
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            head = KeptHead(chain_named(said["chain"]), said["sequence"], bytes.fromhex(said["hash"]))
        except (ValueError, KeyError, TypeError) as error:
            raise BadHeads(f"Line {number} is not the head of a chain.") from error
        if not isinstance(head.sequence, int) or len(head.hash) != len(chain.NOTHING) or head.chain < before:
            raise BadHeads(f"Line {number} is not as it was exported.")
        before = head.chain
        if only is None or head.chain == only:
            yield head


def chain_named(name: str) -> UUID:
    """The chain that `chain.chain_name` calls so; raises BadHeads."""
    try:
        return PLATFORM if name == chain.chain_name(PLATFORM) else decode(MERCHANT, name)
    except InvalidIdentifier as error:
        raise BadHeads(f"“{name[:40]}” is no chain: mch_… names one, and platform.") from error


def _rows(only: UUID | None) -> Iterator[Row]:
    """The rows of all chains, or of one, in their order, the platform's first; a few are in memory at a time."""
    # In the order of an index, in these words: nothing is sorted, and so nothing is gathered first.
    rows = HistoryEntry.objects.order_by("sequence")
    of_platform = rows.filter(merchant=None)
    if only is not None:
        found = [of_platform if only == PLATFORM else rows.filter(merchant=only)]
    else:
        of_merchants = rows.exclude(merchant=None).order_by("merchant_id", "sequence")
        found = [of_platform, of_merchants]
    return concatenation.from_iterable(map(_streamed, found))


def _streamed(rows: "QuerySet[HistoryEntry]") -> Iterator[Row]:
    values: Iterator[Any] = rows.values_list(*Row._fields).iterator(chunk_size=AT_ONCE)
    return map(Row._make, values)


def _heads(only: UUID | None) -> Iterator[Head]:
    heads = HistoryHead.objects.order_by("chain")
    found = heads if only is None else heads.filter(chain=only)
    values: Iterator[Any] = found.values_list(*Head._fields).iterator(chunk_size=AT_ONCE)
    return (Head(of, sequence, bytes(hash_)) for of, sequence, hash_ in values)


@contextmanager
def _one_moment() -> Iterator[None]:
    """All that is read is of one moment, and nobody who writes waits for it.

    On SQLite a transaction of Django's own would take the one lock of those who write.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
