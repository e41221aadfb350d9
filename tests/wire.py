"""Requests byte for byte as they stand, and all that comes back for them."""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from keys.identifiers import REQUEST, decode

PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """The id of the recorded request, as databases print it."""
        return str(decode(REQUEST, self.headers["x-request-id"]))


def connect(port: int) -> socket.socket:
    connected = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def exchange(port: int, *pieces: bytes, pause_seconds: float = 0, methods: Iterable[str] = ()) -> list[Reply]:
    """All replies until the server closes the connection, which it must; `methods` of the requests, where not GET."""
    with connect(port) as connected:
        try:
            for place, piece in enumerate(pieces):
                time.sleep(pause_seconds if place else 0)
                connected.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It has answered already, and reads no further.
        return parsed(received(connected), methods)


def received(connected: socket.socket, *, patience_seconds: float = 0) -> bytes:
    """All that comes until the end of the connection; or, with `patience_seconds`, until nothing comes for so long."""
    parts = []
    if patience_seconds:
        connected.settimeout(patience_seconds)
    try:
        while part := connected.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass  # It was closed while there was more to read.
    except TimeoutError:
        if not patience_seconds:
            raise
    return b"".join(parts)


def parsed(octets: bytes, methods: Iterable[str] = ()) -> list[Reply]:
    """The replies in what was received, one after another and nothing between them."""
    replies, asked = [], iter(methods)
    while octets:
        head, end, octets = octets.partition(b"\r\n\r\n")
        assert end, head
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status = line.split()[:2]
        assert version in {"HTTP/1.1", "HTTP/1.0"}, line
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        if int(status) >= 200:
            size = 0 if next(asked, "GET") == "HEAD" else int(headers.get("content-length", len(octets)))
            assert len(octets) >= size, "the body is not whole"
            replies.append(Reply(int(status), headers, octets[:size]))
            octets = octets[size:]
    return replies
