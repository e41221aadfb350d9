"""The WSGI application under /v1/, which the server asks before Django: docs/http-api.md describes its calls.

No middleware, no ORM, no view: what a request does not need, it does not pay for.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from keys.gateway import problems
from keys.gateway.answers import STATUS_LINES, Answer
from keys.gateway.calls import AUTHORIZE, Request, Verifier
from keys.gateway.directory import DirectoryUnavailable
from keys.identifiers import RequestIds

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

logger = logging.getLogger(__name__)

PREFIX = "/v1/"
NO_STORE = ("Cache-Control", "no-store")
Call = Callable[[Request], Answer]


class Gateway:
    """Answers whatever begins with /v1/."""

    def __init__(
        self, verifier: Verifier, *, calls: dict[str, Call] | None = None, ids: RequestIds | None = None
    ) -> None:
        self.verifier = verifier
        self._ids = ids or RequestIds()
        self._calls: dict[str, Call] = {
            "/v1/whoami": verifier.whoami,
            AUTHORIZE: verifier.authorize,
            **(calls or {}),
        }

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        at_ns = time.time_ns()
        request = Request(environ, at_ns, time.perf_counter_ns(), *self._ids.new(at_ns // 1_000_000))
        path = environ["PATH_INFO"]
        call = self._calls.get(path)
        if call is None:
            call = self.verifier.authorize if path.startswith(f"{AUTHORIZE}/") else nothing_here
        try:
            status, headers, body = call(request)
        except Exception as error:
            status, headers, body = failed(request, error)
        start_response(
            STATUS_LINES[status],
            [
                *headers,
                NO_STORE,
                ("X-Request-Id", request.id),
                ("Content-Length", str(len(body)) if body else "0"),
            ],
        )
        # A list: granian sends anything else piece by piece, at twice the price.
        return [body] if body and environ["REQUEST_METHOD"] != "HEAD" else []


def nothing_here(request: Request) -> Answer:
    return problems.document(problems.NOT_FOUND, request_id=request.id)


def failed(request: Request, error: Exception) -> Answer:
    """The answer where there is none, and what the log says of it."""
    of = {"request_id": request.id}
    if isinstance(error, DirectoryUnavailable):
        if error.__cause__ is not None:
            logger.error("A key could not be looked up: %s", error.__cause__, extra=of)
        return problems.document(problems.UNAVAILABLE, request_id=request.id)
    logger.error("A request to the gateway failed", exc_info=error, extra=of)
    return problems.document(problems.INTERNAL_ERROR, request_id=request.id)
