"""The directory on SQLite: every request looks whether anything has been committed since the last one.

In WAL mode the first bytes of the file's `-shm` change with every commit, whoever makes it (the header of the
WAL-index, https://sqlite.org/walformat.html, by which SQLite itself decides whether its cache is good): comparing them
costs a tenth of a microsecond, and asking `PRAGMA data_version`, as is done where there is no such file, three. Where
something was committed, keys_change tells what has changed; most of the time nothing has that matters here, because
somebody has recorded requests.
"""

import mmap
import os
import sqlite3
import threading
from itertools import count
from pathlib import Path
from uuid import UUID

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
from keys.models.verifier import ChangeKind

_FIND = FIND.replace("%s", "?")
# The last one that was applied is read again: it is there still, or a backup has been restored in the meantime.
_CHANGES = "SELECT id, kind, subject_id, digest FROM keys_change WHERE id >= ? ORDER BY id"
_LAST = "SELECT coalesce(max(id), 0) FROM keys_change"
TIMEOUT_SECONDS = 1.0
# The header of the WAL-index stands there twice.
HEADERS_BYTES = 96
# Each WAL-index that was ever looked at, by device and inode. None is closed: that would release SQLite's own locks on
# the file, as POSIX has it.
_INDEXES: dict[tuple[int, int], mmap.mmap] = {}
_NUMBERS = count()


class SqliteDirectory:
    """Looks keys up in the file at `path`. Each thread has a connection of its own."""

    # What is remembered is compared at each request: it needs no lease.
    lease_seconds = None

    def __init__(self, path: str, *, cached_keys_max: int) -> None:
        self._path = path
        self._memory = Memory(cached_keys_max)
        self._holders = self._memory.holders
        self._applied = -1
        self._catching_up = threading.Lock()
        self._threads = threading.local()
        # The state of the database that the memory is of; never that of any database to begin with.
        self._seen: object = None
        self._commits: mmap.mmap | None = None
        # The connections of threads end with them, and the last one to end would take the WAL-index along.
        self._keeper: sqlite3.Connection | None = None

    @property
    def cached_keys(self) -> int:
        return len(self._holders)

    def find(self, key: str) -> Holder | None:
        digest = digest_of(key)
        if self._commits is None or self._commits[:HEADERS_BYTES] != self._seen:
            self._catch_up()
        holder = self._holders.get(digest)
        if holder is not None:
            return holder
        require_well_formed(key)
        generation = self._memory.generation
        try:
            row = self._cursor().execute(_FIND, (digest,)).fetchone()
        except sqlite3.Error as error:
            # A statement that failed between two rows would go on holding its lock.
            self._threads.cursor = None
            raise DirectoryUnavailable from error
        if row is None:
            return None
        holder = holder_of(row)
        self._memory.remember(digest, holder, generation)
        return holder

    def remembered(self, key: str) -> Holder | None:
        """None: whether what is remembered still holds, the file has to say."""
        return None

    def close(self) -> None:
        self._threads = threading.local()

    def _cursor(self) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor | None = getattr(self._threads, "cursor", None)
        if cursor is None:
            cursor = self._threads.cursor = self._connect().cursor()
            self._threads.number = next(_NUMBERS)
        return cursor

    def _connect(self) -> sqlite3.Connection:
        """A connection to a database that is there: none is made where there is none."""
        address = f"{Path(self._path).absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            address, uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _catch_up(self) -> None:
        """Forget what has changed. The state is read first: a change in between is seen by the next request."""
        try:
            cursor = self._cursor()
            state = self._state(cursor)
            with self._catching_up:
                if state != self._seen:
                    self._apply(cursor)
                    self._seen = state
        except (sqlite3.Error, ValueError) as error:
            raise DirectoryUnavailable from error

    def _apply(self, cursor: sqlite3.Cursor) -> None:
        if self._applied < 0:
            self._applied = cursor.execute(_LAST).fetchone()[0]
        rows = cursor.execute(_CHANGES, (self._applied,)).fetchall()
        if not self._applied or (rows and rows[0][0] == self._applied):
            changes = [_changed(row) for row in rows if row[0] > self._applied]
            if changes:
                self._memory.forget(changes)
                self._applied = changes[-1].id
        else:
            # Which one is the last is read before anything is forgotten: what comes later is still to be applied.
            last = cursor.execute(_LAST).fetchone()[0]
            self._memory.clear()
            self._applied = last

    def _state(self, cursor: sqlite3.Cursor) -> object:
        """What is different after every commit. Each connection has a `data_version` of its own."""
        if self._commits is None and cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            keeper = self._connect()
            # The file is there once something has been read.
            keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._keeper, self._commits = keeper, _commits(f"{self._path}-shm")
        if self._commits is not None:
            return self._commits[:HEADERS_BYTES]
        return self._threads.number, cursor.execute("PRAGMA data_version").fetchone()[0]


def _commits(path: str) -> mmap.mmap | None:
    """The WAL-index at `path`, or None where it cannot be mapped.

    SQLite neither removes nor shortens the file while a connection of ours is open.
    """
    try:
        status = Path(path).stat()
        place = status.st_dev, status.st_ino
        if place not in _INDEXES and status.st_size >= HEADERS_BYTES:
            _INDEXES[place] = mmap.mmap(os.open(path, os.O_RDONLY), HEADERS_BYTES, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    return _INDEXES.get(place)


def _changed(row: tuple[int, str, str | None, bytes | None]) -> Changed:
    number, kind, subject, digest = row
    return Changed(number, kind, UUID(subject) if subject and kind == ChangeKind.MERCHANT else None, digest)
