"""Asking several servers at once, each over one connection that never rests, and noting what each said when."""

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.errors import BenchError
from bench.gateway.asker import BYTES_AT_ONCE, is_whole
from bench.server import HOST

ACCEPTED, REFUSED = 200, 401


@dataclass(slots=True)
class Line:
    """One server's connection. Times are of the system's one clock, in nanoseconds."""

    socket: socket.socket
    received: bytes = b""
    accepted: int = 0
    # Refusals since the last acceptance.
    refused_in_a_row: int = 0
    last_accepted_ns: int = 0


@dataclass(slots=True)
class Press:
    """Sends the next request on a line as soon as the one before is answered."""

    lines: list[Line]
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    @classmethod
    def on(cls, ports: list[int]) -> "Press":
        press = cls([Line(socket.create_connection((HOST, port), timeout=10)) for port in ports])
        for line in press.lines:
            line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            press.selector.register(line.socket, selectors.EVENT_READ, line)
        return press

    def ask_until(self, request: bytes, done: Callable[[list[Line]], bool], *, within_seconds: float) -> None:
        """Ask this on every line until `done`; BenchError where it never is. All that was asked is answered then."""
        deadline = time.monotonic() + within_seconds
        waiting = len(self.lines)
        for line in self.lines:
            line.accepted = line.refused_in_a_row = line.last_accepted_ns = 0
            line.socket.sendall(request)
        while waiting:
            for key, _ in self.selector.select(timeout=within_seconds):
                if not self._answered(key.data):
                    continue
                if done(self.lines):
                    waiting -= 1
                else:
                    key.data.socket.sendall(request)
            if time.monotonic() > deadline:
                raise BenchError(f"the servers have not come to agree within {within_seconds:.0f} s")

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
        line.received = b""
        if status == ACCEPTED:
            line.accepted, line.refused_in_a_row = line.accepted + 1, 0
            line.last_accepted_ns = time.monotonic_ns()
        elif status == REFUSED:
            line.refused_in_a_row += 1
        else:
            raise BenchError(f"a server answered {status}")
        return True
