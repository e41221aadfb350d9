"""What a drain takes at once: lines of a spool file, read, checked and counted before any of them is written.

None of that needs the database, so it is done ahead: while one batch goes in, a thread prepares the next.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Self

from django.db import connection

from keys import spool
from keys.gateway import rollups
from keys.gateway.rollups import Increments

MIB = 1024 * 1024
# On SQLite everybody who writes waits until a batch is in, who disables a key among them; on PostgreSQL nobody does.
BATCH_BYTES = 16 * MIB if connection.vendor == "postgresql" else 2 * MIB
# A search keeps the interpreter to itself, and so whoever feeds the database waiting: rather many short ones.
PIECE_CHARACTERS = 128 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines of the file from `position` on, what they add to the rollups, and when each key was used last.

    Without `are_records`, some line may be none, and nothing is counted. `is_last`: the file had no more at that time.
    """

    position: int
    size_bytes: int
    is_last: bool
    text: str
    are_records: bool
    increments: Increments
    last_uses: dict[str, str]

    @property
    def end(self) -> int:
        return self.position + self.size_bytes


class Reader:
    """Reads a file batch by batch, ahead of who takes them, as long as its context lasts: the file must stay open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
        self._ahead: Future[Batch] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def batch(self, position: int) -> Batch:
        """What is there from this position on; what was read of another place is forgotten. Raises OSError."""
        ahead, self._ahead = self._ahead, None
        batch = ahead.result() if ahead else None
        if batch is None or batch.position != position:
            batch = read(self._descriptor, position)
        if not batch.is_last:
            self._ahead = self._thread.submit(read, self._descriptor, batch.end)
        return batch


def read(descriptor: int, position: int) -> Batch:
    octets = os.pread(descriptor, BATCH_BYTES, position)
    is_last = len(octets) < BATCH_BYTES
    whole = octets[: octets.rfind(b"\n") + 1]
    size = len(whole)
    if not whole and not is_last:
        # No line is as long as this. Its last byte is left to be counted, as one line, with what follows.
        size = len(octets) - 1
    # What is not UTF-8 becomes what is not printable, and so no record.
    return prepared(
        whole.decode(errors="surrogateescape"), position=position, size_bytes=size, is_last=is_last
    )


def prepared(text: str, *, position: int = 0, size_bytes: int = 0, is_last: bool = True) -> Batch:
    counted = _counted(text)
    are_records = len(counted) == text.count("\n") and _is_printable(text)
    if not are_records:
        counted = []
    return Batch(
        position=position,
        size_bytes=size_bytes,
        is_last=is_last,
        text=_by_holder(text, counted) if counted else text,
        are_records=are_records,
        increments=rollups.increments(Counter(map(itemgetter(0), counted))),
        last_uses=_last_uses(counted),
    )


def _counted(text: str) -> list[tuple[str, str]]:
    counted: list[tuple[str, str]] = []
    start = 0
    while start < len(text):
        end = text.find("\n", start + PIECE_CHARACTERS) + 1 or len(text)
        counted += spool.COUNTED.findall(text, start, end)
        start = end
    return counted


def _is_printable(text: str) -> bool:
    """Whether lines that are records hold nothing but what a page can show."""
    return text.isascii() or all(map(spool.is_printable, spool.LINE.findall(text)))


def _by_holder(text: str, counted: Iterable[tuple[str, str]]) -> str:
    """The same lines in the order of their merchant accounts and keys, which is that of the database's indexes."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line, (what, _) in zip(text.removesuffix("\n").split("\n"), counted, strict=True):
        lines[what].append(line)
    return "".join(f"{line}\n" for line in chain.from_iterable(lines[what] for what in sorted(lines)))


def _last_uses(counted: Iterable[tuple[str, str]]) -> dict[str, str]:
    """When each key was used last, as text: of what COUNTED found."""
    in_minutes: dict[str, str] = {}
    for what, rest in counted:
        if in_minutes.get(what, "") < rest:
            in_minutes[what] = rest
    last: dict[str, str] = {}
    for what, rest in in_minutes.items():
        _, key, _, _, minute = what.split("\t")
        at = f"{minute}{rest}"
        if last.get(key, "") < at:
            last[key] = at
    return last
