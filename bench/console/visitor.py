"""The real server in a process of its own, and a person who has signed in to it over one connection."""

import http.client
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from bench.errors import BenchError
from bench.installation import Installation
from bench.server import HOST, free_port, running

TIMEOUT_SECONDS = 120
# The server closes a connection that nobody has used for half a minute.
IDLE_SECONDS = 10
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(slots=True)
class Visitor:
    connection: http.client.HTTPConnection
    cookies: SimpleCookie = field(default_factory=SimpleCookie)
    answered_at: float = 0.0

    def get(self, path: str) -> str:
        return self._ask("GET", path)[1]

    def time(self, path: str) -> tuple[float, int]:
        """Seconds from the request to the last byte of the answer, and its size in bytes."""
        if time.perf_counter() - self.answered_at > IDLE_SECONDS:
            # The server may be about to close the connection; opening one is no part of a page's time.
            self.connection.close()
            self.connection.connect()
        began = time.perf_counter()
        self.connection.request("GET", path, headers=self._headers())
        response = self.connection.getresponse()
        body = response.read()
        self.answered_at = time.perf_counter()
        seconds = self.answered_at - began
        if response.status != 200:
            raise BenchError(f"{path} answered {response.status}")
        return seconds, len(body)

    def sign_in(self, *, name: str, password: str) -> None:
        token = TOKEN.search(self.get("/accounts/login/"))
        if token is None:
            raise BenchError("the sign-in page has no form")
        form = {"csrfmiddlewaretoken": token[1], "login": name, "password": password}
        status, _ = self._ask("POST", "/accounts/login/", urlencode(form))
        if status != 302:
            raise BenchError(f"signing in answered {status}")

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                self.cookies.load(value)
        return response.status, response.read().decode()

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        return {"Cookie": cookies} if cookies else {}


@contextmanager
def serving(installation: Installation) -> Iterator[Visitor]:
    """The installation's server for as long as the context lasts, and an operator who has signed in to it."""
    port = free_port()
    command = [sys.executable, "manage.py", "serve"]
    with running(command, environment=installation.environment | {"PORT": str(port)}, port=port):
        visitor = Visitor(http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS))
        visitor.sign_in(name=installation.operator, password=installation.password)
        yield visitor
