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
_CHANGES = "SELECT id, kind, subject_id, digest FROM keys_change WHERE id > ? ORDER BY id"
TIMEOUT_SECONDS = 1.0
# The header of the WAL-index stands there twice.
HEADERS_BYTES = 96


class SqliteDirectory:
    """Looks keys up in the file at `path`. Each thread has a connection of its own."""

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

    lease_seconds = None

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
            raise DirectoryUnavailable from error
        if row is None:
            return None
        holder = holder_of(row)
        self._memory.remember(digest, holder, generation)
        return holder

    def close(self) -> None:
        self._threads = threading.local()

    def _cursor(self) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor | None = getattr(self._threads, "cursor", None)
        if cursor is None:
            connection = sqlite3.connect(
                self._path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA query_only = ON")
            cursor = self._threads.cursor = connection.cursor()
        return cursor

    def _catch_up(self) -> None:
        """Forget what has changed. The state is read first: a change in between is seen by the next request."""
        try:
            cursor = self._cursor()
            state = self._state(cursor)
            with self._catching_up:
                if state == self._seen:
                    return
                if self._applied < 0:
                    self._applied = cursor.execute("SELECT coalesce(max(id), 0) FROM keys_change").fetchone()[
                        0
                    ]
                rows = cursor.execute(_CHANGES, (self._applied,)).fetchall()
                if rows:
                    self._memory.forget([_changed(row) for row in rows])
                    self._applied = rows[-1][0]
                self._seen = state
        except sqlite3.Error as error:
            raise DirectoryUnavailable from error

    def _state(self, cursor: sqlite3.Cursor) -> object:
        """What is different after every commit. Each thread's connection has a `data_version` of its own."""
        if self._commits is None:
            self._commits = _commits(self._path, cursor)
        if self._commits is not None:
            return self._commits[:HEADERS_BYTES]
        return threading.get_ident(), cursor.execute("PRAGMA data_version").fetchone()[0]


def _commits(path: str, cursor: sqlite3.Cursor) -> mmap.mmap | None:
    """The WAL-index of the database at `path`, or None where it has none.

    Its descriptor stays open for as long as the process lives: closing it would release SQLite's own locks on the file,
    as POSIX has it. SQLite, in turn, neither removes nor shortens the file while a connection of ours is open.
    """
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return None
    # The file is there once something has been read.
    cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        descriptor = os.open(f"{path}-shm", os.O_RDONLY)
        return mmap.mmap(descriptor, HEADERS_BYTES, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None


def _changed(row: tuple[int, str, str | None, bytes | None]) -> Changed:
    number, kind, subject, digest = row
    return Changed(number, kind, UUID(subject) if subject and kind == ChangeKind.MERCHANT else None, digest)
