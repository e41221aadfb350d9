"""The real server in a process of its own, and a person who has signed in to it over one connection."""

import http.client
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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
STOCK_ADMIN = "bench.stock_admin.wsgi:application"
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

    def sign_in(self, page: str, credentials: Mapping[str, str]) -> None:
        """Fill in the form of the sign-in page at `page`: `credentials` are its fields."""
        token = TOKEN.search(self.get(page))
        if token is None:
            raise BenchError("the sign-in page has no form")
        status, _ = self._ask("POST", page, urlencode({"csrfmiddlewaretoken": token[1], **credentials}))
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
    with _visited([sys.executable, "manage.py", "serve"], installation) as visitor:
        visitor.sign_in(
            "/accounts/login/", {"login": installation.operator, "password": installation.password}
        )
        yield visitor


@contextmanager
def serving_stock_admin(installation: Installation) -> Iterator[Visitor]:
    """The same data in the Django admin of bench.stock_admin, behind the same server."""
    with _visited([sys.executable, "-m", "bench.launch", STOCK_ADMIN], installation) as visitor:
        visitor.sign_in(
            "/admin/login/?next=/admin/",
            {"username": installation.operator, "password": installation.password},
        )
        yield visitor


@contextmanager
def _visited(command: Sequence[str], installation: Installation) -> Iterator[Visitor]:
    port = free_port()
    with running(command, environment=installation.environment | {"PORT": str(port)}, port=port):
        yield Visitor(http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS))
