"""The directory on SQLite: every request asks the database whether anything has changed since the last one.

`PRAGMA data_version` answers that without reading a page. Where it has moved, keys_change tells what has changed; most
of the time nothing has that matters here, because somebody has recorded requests.
"""

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


class SqliteDirectory:
    """Looks keys up in the file at `path`. Each thread has a connection of its own."""

    def __init__(self, path: str, *, cached_keys_max: int) -> None:
        self._path = path
        self._memory = Memory(cached_keys_max)
        self._applied = -1
        self._applying = threading.Lock()
        self._threads = threading.local()

    def find(self, key: str) -> Holder | None:
        digest = digest_of(key)
        try:
            cursor = self._threads.cursor
        except AttributeError:
            cursor = self._connect()
        try:
            if cursor.execute("PRAGMA data_version").fetchone()[0] != self._threads.version:
                self._catch_up(cursor)
            holder = self._memory.holders.get(digest)
            if holder is not None:
                return holder
            require_well_formed(key)
            generation = self._memory.generation
            row = cursor.execute(_FIND, (digest,)).fetchone()
        except sqlite3.Error as error:
            raise DirectoryUnavailable from error
        if row is None:
            return None
        holder = holder_of(row)
        self._memory.remember(digest, holder, generation)
        return holder

    def close(self) -> None:
        self._threads = threading.local()

    def _connect(self) -> sqlite3.Cursor:
        try:
            connection = sqlite3.connect(
                self._path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA query_only = ON")
            cursor = connection.cursor()
            self._catch_up(cursor)
        except sqlite3.Error as error:
            raise DirectoryUnavailable from error
        self._threads.cursor = cursor
        return cursor

    def _catch_up(self, cursor: sqlite3.Cursor) -> None:
        """Forget what has changed. The version is read first: a change in between is seen by the next request."""
        version = cursor.execute("PRAGMA data_version").fetchone()[0]
        with self._applying:
            if self._applied < 0:
                self._applied = cursor.execute("SELECT coalesce(max(id), 0) FROM keys_change").fetchone()[0]
            rows = cursor.execute(_CHANGES, (self._applied,)).fetchall()
            if rows:
                self._memory.forget([_changed(row) for row in rows])
                self._applied = rows[-1][0]
        self._threads.version = version


def _changed(row: tuple[int, str, str | None, bytes | None]) -> Changed:
    number, kind, subject, digest = row
    return Changed(number, kind, UUID(subject) if subject and kind == ChangeKind.MERCHANT else None, digest)
