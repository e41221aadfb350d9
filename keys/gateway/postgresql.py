"""The directory on PostgreSQL: what is remembered is used while the feed of changes is heard; else every request reads.

Where the database cannot be reached either, nothing is known of any key. Then one thread at a time goes on trying, and
all others say so at once: waiting would help nobody.
"""

import threading
import time
from contextlib import suppress

from keys.gateway.directory import (
    FIND,
    Changed,
    DirectoryUnavailable,
    Holder,
    Memory,
    digest_of,
    holder_of,
    require_well_formed,
)
from keys.gateway.feed import Feed
from keys.gateway.known import Allowance, KnownDigests
from keys.gateway.link import Link, LinkBroken
from keys.models.verifier import ChangeKind

_FIND = FIND.replace("%s", "decode($1, 'hex')").encode()
TIMEOUT_SECONDS = 1.0
# How long after a failure only one thread tries again.
AWAY_SECONDS = 0.5
# Keys that do not exist are looked for this often a second; beyond, what the feed has told is believed.
UNKNOWN_PER_SECOND = 200


class PostgresDirectory:
    """Looks keys up in the database at `conninfo`. Each thread has a connection of its own."""

    def __init__(self, conninfo: str, *, bound_seconds: float, cached_keys_max: int) -> None:
        self._conninfo = conninfo
        self._memory = Memory(cached_keys_max)
        self._known = KnownDigests(conninfo)
        self._unknown = Allowance(UNKNOWN_PER_SECOND)
        self._feed = Feed(
            conninfo=conninfo, memory=self._memory, bound_seconds=bound_seconds, added=self._told
        )
        self._threads = threading.local()
        self._timeout = min(TIMEOUT_SECONDS, bound_seconds)
        # 0 while the database answers.
        self._away_until = 0.0
        self._trying = threading.Lock()
        self._feed.start(wait_seconds=bound_seconds)

    @property
    def lease_seconds(self) -> float:
        """For how much longer what is remembered may be used."""
        return max(0.0, self._feed.valid_until - time.monotonic())

    @property
    def cached_keys(self) -> int:
        return len(self._memory.holders)

    def find(self, key: str) -> Holder | None:
        digest = digest_of(key)
        holder = self._memory.holders.get(digest)
        # The clock is read last: a holder that was there while the lease ran was true.
        heard = time.monotonic() < self._feed.valid_until
        if holder is not None and heard:
            return holder
        require_well_formed(key)
        if heard and self._known.lacks(digest) and not self._unknown.take():
            return None
        return self._read(digest)

    def remembered(self, key: str) -> Holder | None:
        holder = self._memory.holders.get(digest_of(key))
        return holder if time.monotonic() < self._feed.valid_until else None

    def close(self) -> None:
        self._feed.stop()
        self._known.close()
        # Closes the connections of all threads; one that still has a key to find makes a new one.
        self._threads = threading.local()

    def _read(self, digest: bytes) -> Holder | None:
        if not self._away_until:
            return self._fetch(digest)
        if time.monotonic() < self._away_until or not self._trying.acquire(blocking=False):
            raise DirectoryUnavailable
        try:
            return self._fetch(digest)
        finally:
            self._trying.release()

    def _fetch(self, digest: bytes) -> Holder | None:
        generation = self._memory.generation
        try:
            rows = self._query(digest)
        except LinkBroken as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise DirectoryUnavailable from error
        self._away_until = 0.0
        if not rows:
            return None
        holder = holder_of(tuple(value if value is None else value.decode() for value in rows[0]))
        self._memory.remember(digest, holder, generation)
        return holder

    def _query(self, digest: bytes) -> list[tuple[bytes | None, ...]]:
        link: Link | None = getattr(self._threads, "link", None)
        deadline = time.monotonic() + self._timeout
        if link is not None and link.is_open:
            # A server that was restarted in between is seen only by asking; one more try, on a new connection.
            with suppress(LinkBroken):
                return link.query(_FIND, [digest.hex().encode()], timeout=self._timeout)
            if time.monotonic() > deadline - self._timeout / 2:
                raise LinkBroken("no answer in time")
        self._threads.link = link = Link(self._conninfo, timeout=deadline - time.monotonic())
        return link.query(_FIND, [digest.hex().encode()], timeout=deadline - time.monotonic())

    def _told(self, changes: list[Changed]) -> None:
        """New keys are among the changes; the feed's thread calls this."""
        if any(change.kind == ChangeKind.KEYS for change in changes):
            self._known.read_anew()
        self._known.add(change.digest for change in changes if change.digest)
