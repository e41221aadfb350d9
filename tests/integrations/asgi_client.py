"""One request to an ASGI application, by a client that may go away before it is answered."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 10


# By name; or as they stand on the wire, so that one can come twice.
Headers = dict[str, str] | list[tuple[bytes, bytes]]


class Asked:
    """What an application was asked, and what it has sent so far."""

    def __init__(self, method: str, path: str, headers: Headers, **scope: Any) -> None:
        if isinstance(headers, dict):
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        path, _, query = path.partition("?")
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "client": ("192.0.2.1", 4711),
            "server": ("testserver", 80),
        } | scope
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.answering = asyncio.Event()
        self._told = False

    async def receive(self) -> dict[str, Any]:
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if self.gone.is_set():
            raise OSError("nobody listens")
        self.sent.append(message)
        if message.get("body"):
            self.answering.set()

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    def json(self) -> Any:
        return json.loads(self.body)


def ask(app: Any, method: str, path: str, headers: Headers | None = None, **scope: Any) -> Asked:
    """The answer of an application. What it raises is raised here."""

    async def story() -> Asked:
        request = Asked(method, path, headers or {}, **scope)
        await asyncio.wait_for(app(request.scope, request.receive, request.send), PATIENCE_SECONDS)
        return request

    return asyncio.run(story())


def leave(
    app: Any,
    path: str,
    headers: dict[str, str],
    *,
    once: Callable[[Asked], asyncio.Event],
    cancelled: bool = False,
) -> Asked:
    """Ask, and go away at the event `once`; `cancelled`: the server cancels what the application does for it."""

    async def story() -> Asked:
        request = Asked("GET", path, headers)
        working = asyncio.ensure_future(app(request.scope, request.receive, request.send))
        await asyncio.wait_for(once(request).wait(), PATIENCE_SECONDS)
        request.gone.set()
        if cancelled:
            working.cancel()
        await asyncio.wait([working], timeout=PATIENCE_SECONDS)
        assert working.done()
        if not working.cancelled():
            working.exception()
        return request

    return asyncio.run(story())
