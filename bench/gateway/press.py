"""Asking several servers at once, each over a few connections at a steady pace, and noting what each said when."""

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.errors import BenchError
from bench.gateway.asker import BYTES_AT_ONCE, is_whole
from bench.server import HOST

ACCEPTED, REFUSED = 200, 401
# A connection is asked this often at most: a machine that is busy to its limit would be measured, not the product.
PACE_NS = 1_000_000


@dataclass(slots=True)
class Line:
    """A connection to one of the servers. Times are of the system's one clock, in nanoseconds."""

    socket: socket.socket
    received: bytes = b""
    accepted: int = 0
    # Refusals since the last acceptance.
    refused_in_a_row: int = 0
    last_accepted_ns: int = 0
    # When it may be asked again; None while an answer is awaited.
    next_ns: int | None = 0
    asked_ns: int = 0


@dataclass(slots=True)
class Press:
    """Sends the next request on a line when the one before is answered and the pace allows it."""

    lines: list[Line]
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    @classmethod
    def on(cls, ports: list[int], *, connections: int) -> "Press":
        """So many connections to each of `ports`."""
        press = cls(
            [
                Line(socket.create_connection((HOST, port), timeout=10))
                for port in ports
                for _ in range(connections)
            ]
        )
        for line in press.lines:
            line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            press.selector.register(line.socket, selectors.EVENT_READ, line)
        return press

    def ask_until(self, request: bytes, done: Callable[[list[Line]], bool], *, within_seconds: float) -> None:
        """Ask this on every line until `done`; BenchError where it never is. All that was asked is answered then."""
        deadline_ns = time.monotonic_ns() + round(within_seconds * 1e9)
        for line in self.lines:
            line.accepted = line.refused_in_a_row = line.last_accepted_ns = line.next_ns = 0
        ended = False
        while not ended or any(line.next_ns is None for line in self.lines):
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                raise BenchError(f"the servers have not come to agree within {within_seconds:.0f} s")
            if not ended:
                self._ask_those_due(request, now_ns)
            for key, _ in self.selector.select(self._pause_seconds(now_ns)):
                if self._answered(key.data):
                    ended = ended or done(self.lines)

    def _ask_those_due(self, request: bytes, now_ns: int) -> None:
        for line in self.lines:
            if line.next_ns is not None and line.next_ns <= now_ns:
                line.asked_ns, line.next_ns = now_ns, None
                line.socket.sendall(request)

    def _pause_seconds(self, now_ns: int) -> float:
        """Until the next line may be asked, or a moment where all are waited for."""
        due = [line.next_ns for line in self.lines if line.next_ns is not None]
        return max(0, min(due, default=now_ns + PACE_NS) - now_ns) / 1e9

    def close(self) -> None:
        self.selector.close()
        for line in self.lines:
            line.socket.close()

    def _answered(self, line: Line) -> bool:
        """Read what there is; whether the answer is whole."""
        data = line.socket.recv(BYTES_AT_ONCE)
        if not data:
            raise BenchError("a server closed its connection")
        line.received += data
        end = line.received.find(b"\r\n\r\n")
        if end < 0 or not is_whole(line.received, end):
            return False
        status = int(line.received[9:12])
        line.received, line.next_ns = b"", line.asked_ns + PACE_NS
        if status == ACCEPTED:
            line.accepted, line.refused_in_a_row = line.accepted + 1, 0
            line.last_accepted_ns = time.monotonic_ns()
        elif status == REFUSED:
            line.refused_in_a_row += 1
        else:
            raise BenchError(f"a server answered {status}")
        return True
