"""A merchant's server on the wire: requests byte for byte as given, one after another on one connection."""

import json
import secrets
import socket
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import Any, Self

from tests.gateways.api import TRACE, Seen

Headers = Iterable[tuple[str, str]]
PATIENCE_SECONDS = 30


def bearer(key: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {key}")]


def basic(user: str, password: str) -> list[tuple[str, str]]:
    return [("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())]


def x_api_key(key: str) -> list[tuple[str, str]]:
    return [("X-API-Key", key)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `trace` is the mark by which the API knows the request again."""

    status: int
    headers: HTTPMessage
    body: bytes
    trace: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON in the body."""
        return json.loads(self.body)

    @property
    def seen(self) -> Seen:
        """The API's account of the request, which must have reached it."""
        assert self.status == 200, (self.status, self.body)
        account = self.document
        return Seen(
            account["method"], account["target"], tuple(map(tuple, account["headers"])), account["body_size"]
        )


class Client:
    """One connection, kept open from request to request; `source` is the address that it comes from."""

    def __init__(self, port: int, *, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=PATIENCE_SECONDS, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.socket.close()

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send one request and read its answer."""
        length = [("Content-Length", str(len(body)))] if body else []
        trace = self.send_head(method, target, [*headers, *length], body)
        return self.receive(method, trace)

    def send_head(self, method: str, target: str, headers: Headers, beginning: bytes = b"") -> str:
        """Send the request line, the headers and the beginning of the body together; returns the trace."""
        trace = secrets.token_hex(8)
        lines = [f"{method} {target} HTTP/1.1", "Host: api.example.com", f"{TRACE}: {trace}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + beginning)
        return trace

    def receive(self, method: str, trace: str = "") -> Answer:
        with HTTPResponse(self.socket, method=method) as response:
            response.begin()
            return Answer(response.status, response.headers, response.read(), trace)


def ask(port: int, method: str, target: str, headers: Headers = (), *, source: str = "127.0.0.1") -> Answer:
    """One request on a connection of its own."""
    with Client(port, source=source) as client:
        return client.ask(method, target, headers)
