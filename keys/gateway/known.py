"""All the keys there are, eight bytes of each digest: for saying that there is none, without asking the database.

Anybody can make up keys with a right checksum, as many as they like, and each would cost a look-up. Keys are never
deleted, so that what is here once stays true; eight bytes that happen to agree cost one look-up more.
"""

import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from keys.gateway.link import Link, LinkBroken

CHUNK = b"""
    SELECT encode(digest, 'hex') FROM keys_apikey WHERE digest > decode($1, 'hex') ORDER BY digest LIMIT 20000
"""
TIMEOUT_SECONDS = 10.0
AGAIN_SECONDS = 0.2
# New keys are few; before they are many enough to be slow, everything is read anew.
ADDED_MAX = 50_000


class KnownDigests:
    """Read in the background; until that is done, nothing is known to be unknown."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        # What was read, sorted, and what was added since that began: one thing, so that nobody sees half of it renewed.
        self._known: tuple[array[int], set[int]] | None = None
        self._added: set[int] = set()
        self._lock = threading.Lock()
        self._wanted = 0
        self._reading = False
        self._closed = threading.Event()

    def lacks(self, digest: bytes) -> bool:
        """Whether certainly no key has this digest."""
        known = self._known
        if known is None:
            return False
        heads, added = known
        head = int.from_bytes(digest[:8])
        place = bisect_left(heads, head)
        return not (place < len(heads) and heads[place] == head) and head not in added

    def add(self, digests: Iterable[bytes]) -> None:
        self._added.update(int.from_bytes(digest[:8]) for digest in digests)
        if len(self._added) > ADDED_MAX:
            self.read_anew()

    def read_anew(self) -> None:
        """Forget everything, and begin to read all digests. What is added from now on is kept."""
        with self._lock:
            self._wanted += 1
            self._known = None
            if self._reading or self._closed.is_set():
                return
            self._reading = True
        threading.Thread(target=self._read_until_wanted, name="known-digests", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _read_until_wanted(self) -> None:
        while True:
            with self._lock:
                wanted = self._wanted
                added = self._added = set()
            found = self._read()
            with self._lock:
                done = found is not None and wanted == self._wanted
                if found is not None and done:
                    self._known = (found, added)
                if done or self._closed.is_set():
                    self._reading = False
                    return
            # Asked for anew in between, or the database did not answer: until it does, nothing is known.
            self._closed.wait(AGAIN_SECONDS)

    def _read(self) -> "array[int] | None":
        found = array("Q")
        last = b""
        try:
            link = Link(self._conninfo, timeout=TIMEOUT_SECONDS)
            try:
                while rows := link.query(CHUNK, [last], timeout=TIMEOUT_SECONDS):
                    found.extend(int(row[0][:16], 16) for row in rows if row[0])
                    last = rows[-1][0] or b""
            finally:
                link.close()
        except LinkBroken:
            return None
        return found


class Allowance:
    """So many a second, and no more at once. Not exact between threads, and need not be."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = per_second
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
