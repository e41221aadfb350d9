"""For any ASGI application: a middleware that lets nobody past without an API key, and records how they were answered.

    app = ApiKeyMiddleware(app, permission="payments:write")

Inside, `scope["state"]["api_key"]` is a VerifiedKey. django.setup() has to come first.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from keys.gateway.answers import Answer
from keys.gateway.http import NO_STORE
from keys.gateway.integrations.visits import ABANDONED, FAILED, Visit, requirement

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

READ_HEADERS = {
    b"authorization": "HTTP_AUTHORIZATION",
    b"x-api-key": "HTTP_X_API_KEY",
    b"x-forwarded-for": "HTTP_X_FORWARDED_FOR",
}
POLICY_VIOLATION = 1008


class ApiKeyMiddleware:
    """Wraps an application whose every request needs a permission, what the route says, or else any usable key."""

    def __init__(self, app: Application, *, permission: str | None = None, by_route: bool = False) -> None:
        self._app = app
        self._requirement = requirement(permission, by_route=by_route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            # Nothing here could say how it went: it is turned away before it opens, which servers answer with 403.
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            raise ValueError(f"Only HTTP is verified here, not {scope['type']}.")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(environ_of(scope), method=scope["method"], path=path_of(scope))
        exchange = _Exchange(visit, receive, send)
        try:
            refused = await visit.check_soon(self._requirement(scope["method"], scope["path"]))
            if refused:
                await exchange.refuse(refused, with_body=scope["method"] != "HEAD")
            else:
                state = {**scope.get("state", {}), "api_key": visit.key}
                await self._app({**scope, "state": state}, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(error)
            raise
        exchange.end()


class _Exchange:
    """What an application and its server say to each other, watched for how it ends."""

    def __init__(self, visit: Visit, receive: Receive, send: Send) -> None:
        self._visit = visit
        self._receive = receive
        self._send = send
        self._status = FAILED
        self._own_id = ""
        self._is_abandoned = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._is_abandoned = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": self._with_id(message.get("headers", ()))}
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            # Written down before the end of the answer goes out.
            self.end()
        try:
            await self._send(message)
        except OSError:
            # That is how a server says that nobody listens any more.
            self._is_abandoned = True
            raise

    async def refuse(self, answer: Answer, *, with_body: bool) -> None:
        headers = [*answer.headers, NO_STORE, ("Content-Length", str(len(answer.body)))]
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": answer.body if with_body else b""})

    def end(self, error: BaseException | None = None) -> None:
        """Record how it ended. An answer that has no end, because of an error, is one that nobody has got whole."""
        status = FAILED if error else self._status
        if self._is_abandoned or isinstance(error, asyncio.CancelledError):
            status = ABANDONED
        self._visit.finish(status, request_id=self._own_id)

    def _with_id(self, headers: Any) -> list[tuple[bytes, bytes]]:
        """The headers, with the id in the request log unless the application has given one of its own."""
        listed = list(headers)
        for name, value in listed:
            if name.lower() == b"x-request-id":
                self._own_id = value.decode("latin-1")
                return listed
        return [*listed, (b"x-request-id", self._visit.id.encode())]


def environ_of(scope: Scope) -> dict[str, str]:
    """What is read of a request, as WSGI names it. A header that comes twice is joined, as WSGI servers do."""
    environ: dict[str, str] = {}
    if scope.get("client"):
        environ["REMOTE_ADDR"] = scope["client"][0]
    for name, value in scope["headers"]:
        wanted = READ_HEADERS.get(name.lower())
        if wanted:
            text = value.decode("latin-1")
            environ[wanted] = f"{environ[wanted]},{text}" if wanted in environ else text
    return environ


def path_of(scope: Scope) -> str:
    """The path as it was sent, where the server tells; percent-encoded, without its query string."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return quote(scope["path"], errors="surrogatepass")
    return raw.partition(b"?")[0].decode("latin-1")
