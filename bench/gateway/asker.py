"""One connection that asks one thing after the other and knows what came back: slower than wrk, and more attentive."""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from bench.errors import BenchError
from bench.server import HOST

BYTES_AT_ONCE = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    request_id: str
    sent_ns: int
    answered_ns: int


class Asker:
    """Speaks HTTP/1.1 over one connection; OSError for what no answer came to. Times are of the system's one clock."""

    def __init__(self, port: int, *, timeout_seconds: float = 10) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Asker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, request: bytes) -> Answer:
        sent_ns = time.monotonic_ns()
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        while not is_whole(received, end):
            received += self._receive()
        return Answer(int(received[9:12]), request_id(received[:end]), sent_ns, time.monotonic_ns())

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bytes:
        if data := self._socket.recv(BYTES_AT_ONCE):
            return data
        raise ConnectionError("the server closed the connection")


def is_whole(received: bytes, end: int) -> bool:
    """Whether the answer, the head of which ends at `end`, has arrived with all of its body."""
    head = received[:end]
    if header(head, b"\r\ntransfer-encoding:") == b"chunked":
        return received[end:].endswith(b"\r\n0\r\n\r\n")
    return len(received) >= end + 4 + int(header(head, b"\r\ncontent-length:") or 0)


def request_id(head: bytes) -> str:
    return header(head, b"\r\nx-request-id:").decode()


def header(head: bytes, name: bytes) -> bytes:
    """The value of the header that begins with `name`: a line break, the name in lower case, a colon."""
    place = head.lower().find(name)
    if place < 0:
        return b""
    return head[place + len(name) :].partition(b"\r\n")[0].strip()


def expect(port: int, requests: Iterable[bytes], *, status: int) -> int:
    """Ask everything once; returns how much it was. BenchError for an answer with another status."""
    count = 0
    with Asker(port) as asker:
        for request in requests:
            answer = asker.ask(request)
            if answer.status != status:
                raise BenchError(f"a request was answered {answer.status}, not {status}")
            count += 1
    return count
