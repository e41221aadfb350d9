"""The chain of the history: each row carries the hash of the row before it and its own, over everything it says.

Here is what a row's hash is taken over, how a row joins its chain, and how a chain that was bent is told from one
that is whole. Every merchant account has a chain; the rows of none, about the platform itself, are another. The
encoding is described for others in docs/history.md, and never changes: another one would be another version.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from keys.identifiers import API_KEY, HISTORY, MERCHANT, encode

VERSION = 1
# What the first row of a chain has for the hash of the row before it.
NOTHING = bytes(32)
# The chain of the rows that belong to no merchant account.
PLATFORM = UUID(int=0)
# Of the rows of a chain whose hash is wrong, so many are kept to find out whether they changed places.
SUSPECTS_MAX = 64


class Row(NamedTuple):
    """A row of the history as the chain sees it: its fields are columns of the table, by their names."""

    id: UUID
    merchant_id: UUID | None
    key_id: UUID | None
    sequence: int
    chain_version: int
    previous_hash: bytes
    hash: bytes
    at: datetime
    action: str
    actor_kind: str
    actor_user_id: int | None
    actor_name: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str
    address: str | None
    user_agent: str
    request_id: str

    @property
    def chain(self) -> UUID:
        return self.merchant_id or PLATFORM


class Head(NamedTuple):
    """The end of a chain: the place of its last row, and that row's hash."""

    chain: UUID
    sequence: int
    hash: bytes


class KeptHead(Head):
    """A head that was exported earlier, and kept where nobody who writes to the database can reach it."""


def start(chain: UUID) -> Head:
    """The head of a chain without rows."""
    return Head(chain, 0, NOTHING)


def chain_name(chain: UUID) -> str:
    """`mch_…`, or `platform`."""
    return "platform" if chain == PLATFORM else _public(MERCHANT, chain)


def row_of(entry: object) -> Row:
    """The row that a model instance is going to be."""
    return Row._make(_columns(entry))


_columns = attrgetter(*Row._fields)


def told(row: Row) -> dict[str, Any]:
    """All that a row says, but for its own hash, in plain JSON values: what is hashed, and what is exported."""
    return {
        "action": row.action,
        "actor_kind": row.actor_kind,
        "actor_name": row.actor_name,
        "actor_user": row.actor_user_id,
        "address": _canonical_address(row.address) if row.address else None,
        "after": row.after,
        "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "before": row.before,
        "id": encode(HISTORY, row.id),
        "key": _public(API_KEY, row.key_id) if row.key_id else None,
        "merchant": _public(MERCHANT, row.merchant_id) if row.merchant_id else None,
        "previous": bytes(row.previous_hash).hex(),
        "reason": row.reason,
        "request_id": row.request_id,
        "sequence": row.sequence,
        "user_agent": row.user_agent,
        "version": row.chain_version,
    }


_canonical_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def hash_of(row: Row) -> bytes:
    """SHA-256 over the canonical JSON of what the row says."""
    # Raw SQL can leave what is no text at all; it has a hash too, and it is not the row's.
    return sha256(_canonical_json(told(row)).encode("utf-8", "surrogatepass")).digest()


def join(entry: Any, head: Head) -> Head:
    """Make `entry`, a model instance, the row after `head`; returns the head that it is from now on."""
    entry.sequence, entry.chain_version, entry.previous_hash = head.sequence + 1, VERSION, head.hash
    entry.hash = hash_of(row_of(entry))
    return Head(head.chain, entry.sequence, entry.hash)


@lru_cache(maxsize=4096)
def _public(prefix: str, value: UUID) -> str:
    return encode(prefix, value)


@lru_cache(maxsize=4096)
def _canonical_address(text: str) -> str:
    """One spelling of an address, whichever the database and the version of Python prefer."""
    address = ip_address(text)
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)


class Kind(StrEnum):
    """What can have been done to a chain."""

    EDITED = "edited"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT_OFF = "cut off"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a chain is not what was written: rows `sequence` to `last`, and what it looks like."""

    kind: Kind
    chain: UUID
    sequence: int
    last: int
    entry_id: UUID | None
    detail: str

    @property
    def place(self) -> str:
        return (
            f"row {self.sequence:,}"
            if self.sequence == self.last
            else f"rows {self.sequence:,} to {self.last:,}"
        )

    def __str__(self) -> str:
        return f"{chain_name(self.chain)}: {self.place} {self.kind}: {self.detail}"


class Inspection:
    """Looks at one chain row by row, in the order of their places; remembers little more than the last one.

    `keep` takes, beforehand, heads from outside; `end` compares the last row with the head that the database has.
    """

    def __init__(self, chain: UUID) -> None:
        self.chain = chain
        self.head = start(chain)
        self._kept: dict[int, bytes] = {}
        self._last_id: UUID | None = None
        # Whether the last row was told of already: what follows from that is not told again.
        self._told = False
        self._suspects: list[Row] = []

    def keep(self, head: KeptHead) -> None:
        self._kept[head.sequence] = head.hash

    def look(self, row: Row) -> Iterator[Finding]:
        expected = self.head.sequence + 1
        if row.sequence < expected:
            yield self._finding(Kind.INSERTED, row.sequence, row.id, "another row has this place.")
            return
        sound = _is_sound(row)
        if row.sequence > expected:
            yield self._finding(Kind.REMOVED, expected, None, "missing.", last=row.sequence - 1)
        elif sound and bytes(row.previous_hash) != self.head.hash and not self._told:
            yield self._broken_link(row)
        self.head = Head(self.chain, row.sequence, bytes(row.hash))
        self._last_id, self._told = row.id, not sound
        if not sound:
            self._suspects.append(row)
            if len(self._suspects) > SUSPECTS_MAX:
                yield from self._judge()
        kept = self._kept.pop(row.sequence, None)
        if kept is not None and kept != self.head.hash:
            yield self._finding(
                Kind.EDITED, row.sequence, row.id, "this is not the row that the kept head names: it, or one "
                "before it, was written anew.",
            )  # fmt: skip

    def end(self, head: Head | None) -> Iterator[Finding]:
        """After the last row: what only the heads can tell."""
        yield from self._judge()
        last = self.head.sequence
        for sequence in sorted(self._kept):
            if sequence > last:
                yield self._finding(
                    Kind.CUT_OFF, last + 1, None, "the kept head names a later row.", last=sequence
                )
        if head is None:
            if last:
                yield self._finding(Kind.HEAD, last, self._last_id, "the chain has no head.")
        elif head.sequence > last:
            yield self._finding(Kind.CUT_OFF, last + 1, None, "missing at the end.", last=head.sequence)
        elif head.sequence < last:
            detail = "added without moving the head of the chain."
            yield self._finding(Kind.INSERTED, head.sequence + 1, None, detail, last=last)
        elif head.hash != self.head.hash and not self._told:
            detail = "the head of the chain names another row."
            yield self._finding(Kind.EDITED, last, self._last_id, detail)

    def _broken_link(self, row: Row) -> Finding:
        """A row that is sound itself was written after another row than the one before it now."""
        if row.sequence == 1:
            return self._finding(Kind.EDITED, 1, row.id, "the first row names a row before it.")
        detail = f"row {row.sequence:,} was written after another row than this one."
        return self._finding(Kind.EDITED, row.sequence - 1, self._last_id, detail)

    def _judge(self) -> Iterator[Finding]:
        """Tell rows that changed places from rows that changed."""
        suspect_places = [row.sequence for row in self._suspects]
        for row in self._suspects:
            places = (row.sequence - 1, row.sequence + 1, *suspect_places)
            origin = next((place for place in places if _is_sound(row._replace(sequence=place))), None)
            if origin is None:
                yield self._finding(Kind.EDITED, row.sequence, row.id, "it does not say what was written.")
            else:
                detail = f"it was written as row {origin:,}."
                yield self._finding(Kind.REORDERED, row.sequence, row.id, detail)
        self._suspects.clear()

    def _finding(
        self, kind: Kind, sequence: int, entry_id: UUID | None, detail: str, *, last: int | None = None
    ) -> Finding:
        return Finding(kind, self.chain, sequence, last or sequence, entry_id, detail)


def _is_sound(row: Row) -> bool:
    """Whether the row's hash is that of what it says, in an encoding that is known."""
    try:
        return row.chain_version == VERSION and bytes(row.hash) == hash_of(row)
    except (TypeError, ValueError, AttributeError):
        # A column holds what the product cannot have written there.
        return False
