"""A connection to PostgreSQL on which nothing waits longer than it is told to.

psycopg's own connection waits for an answer for as long as the network pretends to be there. A verifier must know after
a second that it will not get one, so this drives libpq itself (psycopg.pq), and gives up a connection that was late.
"""

import select
import time
from collections.abc import Iterator, Sequence

from psycopg import pq
from psycopg.errors import Error as PsycopgError

Row = tuple[bytes | None, ...]
_ROWS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class LinkBroken(Exception):
    """The database did not answer, in time or at all. The link is closed."""


class Link:
    """One connection; for one thread at a time. Times are seconds."""

    def __init__(self, conninfo: str, *, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._prepared: set[bytes] = set()
        self._waiter = select.poll()
        try:
            self._pg = pq.PGconn.connect_start(conninfo.encode())
            self._connect(deadline)
            self._pg.nonblocking = 1
        except PsycopgError as error:
            raise LinkBroken(str(error)) from error
        self._waiter.register(self._pg.socket, select.POLLIN)

    def _connect(self, deadline: float) -> None:
        while True:
            status = self._pg.connect_poll()
            if status == pq.PollingStatus.OK:
                return
            if status == pq.PollingStatus.FAILED:
                raise LinkBroken(self._pg.error_message.decode(errors="replace").strip())
            poller = select.poll()
            reading = status == pq.PollingStatus.READING
            poller.register(self._pg.socket, select.POLLIN if reading else select.POLLOUT)
            if not poller.poll(_milliseconds(deadline)):
                self.close()
                raise LinkBroken("no connection in time")

    @property
    def is_open(self) -> bool:
        return self._pg.status == pq.ConnStatus.OK

    def fileno(self) -> int:
        return self._pg.socket

    def close(self) -> None:
        self._pg.finish()

    def query(self, sql: bytes, values: Sequence[bytes | None] = (), *, timeout: float) -> list[Row]:
        """The rows, as text, of one statement, which is prepared at its first use. Raises LinkBroken."""
        deadline = time.monotonic() + timeout
        try:
            if sql not in self._prepared:
                self._pg.send_prepare(_name(sql), sql)
                self._result(deadline)
                self._prepared.add(sql)
            self._pg.send_query_prepared(_name(sql), values)
            return self._result(deadline)
        except PsycopgError as error:
            self.close()
            raise LinkBroken(str(error)) from error
        except LinkBroken:
            self.close()
            raise

    def execute(self, sql: bytes, *, timeout: float) -> None:
        """One statement that is not worth preparing, or cannot be (LISTEN). Raises LinkBroken."""
        try:
            self._pg.send_query(sql)
            self._result(time.monotonic() + timeout)
        except PsycopgError as error:
            self.close()
            raise LinkBroken(str(error)) from error
        except LinkBroken:
            self.close()
            raise

    def notified(self) -> list[bytes]:
        """What the notifications say that have come; it takes all of them. Raises LinkBroken."""
        try:
            self._pg.consume_input()
        except PsycopgError as error:
            self.close()
            raise LinkBroken(str(error)) from error
        payloads = []
        while notification := self._pg.notifies():
            payloads.append(notification.extra)
        return payloads

    def _result(self, deadline: float) -> list[Row]:
        self._send(deadline)
        rows: list[Row] = []
        while True:
            while self._pg.is_busy():
                if not self._waiter.poll(_milliseconds(deadline)):
                    raise LinkBroken("no answer in time")
                self._pg.consume_input()
            result = self._pg.get_result()
            if result is None:
                return rows
            if result.status not in _ROWS:
                raise LinkBroken(result.error_message.decode(errors="replace").strip())
            rows.extend(_rows(result))

    def _send(self, deadline: float) -> None:
        while self._pg.flush():
            poller = select.poll()
            poller.register(self._pg.socket, select.POLLOUT)
            if not poller.poll(_milliseconds(deadline)):
                raise LinkBroken("nothing taken in time")


def _rows(result: pq.abc.PGresult) -> Iterator[Row]:
    columns = range(result.nfields)
    for row in range(result.ntuples):
        yield tuple(result.get_value(row, column) for column in columns)


def _name(sql: bytes) -> bytes:
    return b"merchantadmin_%x" % (hash(sql) & 0xFFFFFFFFFFFFFFFF)


def _milliseconds(deadline: float) -> int:
    return max(0, int((deadline - time.monotonic()) * 1000) + 1)
