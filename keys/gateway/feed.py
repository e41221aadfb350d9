"""Hearing of changes on PostgreSQL, and for how long what is remembered may be relied upon.

A change writes a row of keys_change and wakes the listeners, in its own transaction. Whoever is woken reads the rows
that have committed since the last look, by comparing snapshots: so that nothing depends on a notification arriving, or
on changes committing in the order of their numbers. What a notification names is forgotten before that look: forgetting
too much is never wrong, and a round trip is most of the time that a disabled key has left.

The lease: what is remembered may be used until `bound` seconds after the *sending* of the last heartbeat that was
answered. A heartbeat reads the changes too, and moves the verifier's sign of life in the database, which therefore
never claims that a lease ended earlier than it did.
"""

import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

from keys.gateway.directory import Changed, Memory
from keys.gateway.link import Link, LinkBroken, Row
from keys.identifiers import new_id
from keys.models.verifier import ChangeKind

logger = logging.getLogger(__name__)

LISTEN = b"LISTEN keys_change"
SNAPSHOT = b"SELECT pg_current_snapshot()::text"
# Always one row: the snapshot, and the changes that it sees and the one before did not. Rows that were restored from
# another cluster have its numbers of transactions, and are no news, though the snapshot before cannot know them.
_SINCE = """
    SELECT seen.snapshot::text, c.id, c.kind, c.subject_id::text, encode(c.digest, 'hex')
    FROM (SELECT pg_current_snapshot() AS snapshot) AS seen
    LEFT JOIN keys_change c
      ON c.transaction >= $1::bigint AND NOT pg_visible_in_snapshot(c.transaction::text::xid8, $2::text::pg_snapshot)
     AND pg_visible_in_snapshot(c.transaction::text::xid8, seen.snapshot)
    ORDER BY c.id
"""
CHANGES = _SINCE.encode()
HEARTBEAT = f"""
    WITH beat AS (
      INSERT INTO keys_verifier (id, host, process, lease_ms, started_at, seen_at)
      VALUES ($3::uuid, $4, $5::integer, $6::integer, clock_timestamp(), clock_timestamp())
      ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), stopped_at = NULL
    ) {_SINCE}
""".encode()  # noqa: S608
ACKNOWLEDGE = b"""
    INSERT INTO keys_acknowledgement (change_id, verifier_id, at)
    SELECT unnest($1::bigint[]), $2::uuid, clock_timestamp() ON CONFLICT DO NOTHING
"""
# After a session that broke: what it missed was forgotten with everything else.
CATCH_UP = b"""
    INSERT INTO keys_acknowledgement (change_id, verifier_id, at)
    SELECT c.id, v.id, clock_timestamp()
    FROM keys_verifier v
    JOIN keys_change c
      ON c.transaction >= $1::bigint AND NOT pg_visible_in_snapshot(c.transaction::text::xid8, $2::text::pg_snapshot)
     AND pg_visible_in_snapshot(c.transaction::text::xid8, $3::text::pg_snapshot)
    WHERE v.id = $4::uuid
    ON CONFLICT DO NOTHING
"""
STOP = b"UPDATE keys_verifier SET stopped_at = clock_timestamp() WHERE id = $1::uuid"
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


class Feed:
    """A thread that keeps `memory` true, and `valid_until` (of the monotonic clock) with it."""

    def __init__(
        self, *, conninfo: str, memory: Memory, bound_seconds: float, added: Callable[[list[Changed]], None]
    ) -> None:
        self.valid_until = 0.0
        self.session = 0
        self._id = new_id()
        self._conninfo = conninfo
        self._memory = memory
        self._bound = bound_seconds
        self._added = added
        self._sign_of_life = (
            str(self._id).encode(),
            socket.gethostname()[:255].encode(),
            str(os.getpid()).encode(),
            str(round(bound_seconds * 1000)).encode(),
        )
        # What the changes that have been applied are visible in; none before the first session.
        self._snapshot = ""
        self._failures = 0
        self._stopped = threading.Event()
        self._stop_read, self._stop_write = os.pipe()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self, *, wait_seconds: float) -> None:
        """Begin to listen; returns when the first lease has begun, or after `wait_seconds`."""
        self._thread.start()
        self._started.wait(wait_seconds)

    def stop(self) -> None:
        """Stop listening, and say so to the database if it is there; returns when that is done."""
        if not self._stopped.is_set():
            # In this order: once it is told, the thread may close what wakes it.
            os.write(self._stop_write, b"!")
            self._stopped.set()
        self._thread.join(timeout=self._bound)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._hold_a_session()
                continue
            except LinkBroken as error:
                if self._failures == 0:
                    logger.warning("No changes are heard of: %s", error)
            except Exception:
                logger.exception("The feed of changes failed; it begins anew")
            self._wait([], RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)])
            self._failures += 1
        for end in (self._stop_read, self._stop_write):
            os.close(end)

    def _hold_a_session(self) -> None:
        """Listen until it is time to stop. Raises LinkBroken."""
        link = Link(self._conninfo, timeout=self._bound)
        try:
            self._listen(link)
            # From here on nothing is accepted unread, and then the database may know it.
            self.valid_until = 0.0
            link.query(STOP, [self._sign_of_life[0]], timeout=self._bound)
        finally:
            link.close()

    def _listen(self, link: Link) -> None:
        """One session: nothing that was remembered before it is believed in it."""
        link.execute(LISTEN, timeout=self._bound)
        # Whatever is read from here on, by whomever, is at least as new as this snapshot.
        snapshot = _text(link.query(SNAPSHOT, timeout=self._bound)[0])
        self._memory.clear()
        self.session += 1
        self._added([Changed(0, ChangeKind.KEYS)])
        if self._snapshot:
            missed = [*_since(self._snapshot), snapshot.encode(), self._sign_of_life[0]]
            link.query(CATCH_UP, missed, timeout=self._bound)
        self._snapshot = snapshot
        next_beat = 0.0
        while not self._stopped.is_set():
            now = time.monotonic()
            if now >= next_beat:
                self._apply(link, HEARTBEAT, self._sign_of_life)
                self.valid_until = now + self._bound
                next_beat = now + self._bound / 4
                self._failures = 0
                self._started.set()
            # One that came along with an answer is not seen by waiting: all that has come is looked at first.
            if payloads := link.notified():
                self._memory.forget([change for payload in payloads for change in _named(payload)])
                self._apply(link, CHANGES)
            else:
                self._wait([link.fileno()], next_beat - time.monotonic())

    def _wait(self, others: list[int], seconds: float) -> None:
        """Wait until one of `others` can be read, or it is time to stop, or so many seconds are over."""
        poller = select.poll()
        for descriptor in (self._stop_read, *others):
            poller.register(descriptor, select.POLLIN)
        poller.poll(max(0.0, seconds) * 1000)

    def _apply(self, link: Link, look: bytes, values: Sequence[bytes] = ()) -> None:
        """Look for changes, forget what they touch, and acknowledge them."""
        rows = link.query(look, [*_since(self._snapshot), *values], timeout=self._bound)
        changes = [_changed(row) for row in rows if row[1] is not None]
        if changes:
            self._memory.forget(changes)
            self._added(changes)
            numbers = "{" + ",".join(str(change.id) for change in changes) + "}"
            link.query(ACKNOWLEDGE, [numbers.encode(), self._sign_of_life[0]], timeout=self._bound)
        self._snapshot = _text(rows[0])


def _named(payload: bytes) -> Iterator[Changed]:
    """The change that a notification names. It need not name any, and anybody can send one."""
    kind, _, name = payload.decode(errors="replace").partition(":")
    with suppress(ValueError):
        if kind == ChangeKind.KEY:
            yield Changed(0, kind, digest=bytes.fromhex(name))
        elif kind == ChangeKind.MERCHANT:
            yield Changed(0, kind, UUID(name))


def _since(snapshot: str) -> list[bytes]:
    """The parameters of a look for what `snapshot` did not see; its first number is of the oldest that still ran."""
    return [snapshot.partition(":")[0].encode(), snapshot.encode()]


def _text(row: Row) -> str:
    return (row[0] or b"").decode()


def _changed(row: Row) -> Changed:
    _, number, kind, subject, digest = row
    return Changed(
        int(number or 0),
        (kind or b"").decode(),
        UUID(subject.decode()) if subject else None,
        bytes.fromhex(digest.decode()) if digest else None,
    )
