"""For Django: a middleware that records how each request with an API key was answered, and a decorator for views.

    MIDDLEWARE = ["keys.gateway.integrations.django.ApiKeyMiddleware", …]

    @require_api_key("payments:write")
    def charge(request):
        request.api_key.merchant_id

An asynchronous view is decorated in the same way, and never waits for the database in the event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isawaitable
from typing import Any
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from keys.gateway.answers import Answer
from keys.gateway.http import NO_STORE
from keys.gateway.integrations.visits import ABANDONED, FAILED, Requirement, Visit, requirement

# Where a request keeps its visit. No header that a client sends gets a name like this.
VISIT = "merchantadmin.visit"
View = Callable[..., Any]
GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class ApiKeyMiddleware:
    """Records how a request was answered, if a view has asked for its key. Only what stands inside it is seen."""

    sync_capable = True
    async_capable = True
    required: Requirement | None = None

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response: Any = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        visit = begin(request)
        return self._answer_soon(request, visit) if self._is_async else self._answer(request, visit)

    def _answer(self, request: HttpRequest, visit: Visit) -> HttpResponseBase:
        try:
            refused = check(request, self.required) if self.required else None
            response = _response(refused) if refused else self.get_response(request)
        except BaseException:
            visit.finish(FAILED)
            raise
        return _watched(response, visit)

    async def _answer_soon(self, request: HttpRequest, visit: Visit) -> HttpResponseBase:
        try:
            refused = await check_soon(request, self.required) if self.required else None
            response = _response(refused) if refused else await self.get_response(request)
        except asyncio.CancelledError:
            visit.finish(ABANDONED)
            raise
        except BaseException:
            visit.finish(FAILED)
            raise
        return _watched(response, visit)


class ApiKeyByRouteMiddleware(ApiKeyMiddleware):
    """The same, and no request goes past without a key that may do what the catalogue's route says."""

    required = staticmethod(requirement(by_route=True))


def require_api_key(permission: str | None = None, *, by_route: bool = False) -> Callable[[View], View]:
    """Let a view be called only with an API key that has `permission`, or what the route table says of the request.

    With neither, any usable key will do. Whoever has none is answered 401, 403 or 503 with a problem document. In the
    view `request.api_key` is a VerifiedKey. Raises ValueError at once for a permission that the catalogue lacks.
    """
    required = requirement(permission, by_route=by_route)

    def decorate(view: View) -> View:
        @wraps(view)
        async def asynchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            refused = await check_soon(request, required)
            if refused:
                return _response(refused)
            response = view(request, *args, **kwargs)
            return await response if isawaitable(response) else response

        @wraps(view)
        def synchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if _is_in_event_loop():
                # `dispatch` of a class with asynchronous handlers: whoever calls it here awaits what it returns.
                return asynchronous(request, *args, **kwargs)
            refused = check(request, required)
            return _response(refused) if refused else view(request, *args, **kwargs)

        return asynchronous if iscoroutinefunction(view) else synchronous

    return decorate


def begin(request: HttpRequest) -> Visit:
    """The visit of a request that has just arrived."""
    request.META[VISIT] = visit = Visit(request.META, method=request.method or "", path=quote(request.path))
    _tell(request, visit)
    return visit


def visit_of(request: HttpRequest) -> Visit:
    visit: Visit | None = request.META.get(VISIT)
    if visit is None:
        raise ImproperlyConfigured(
            "MIDDLEWARE lacks keys.gateway.integrations.django.ApiKeyMiddleware, which records what keys are used for."
        )
    return visit


def check(request: HttpRequest, required: Requirement) -> Answer | None:
    """What to answer a request whose key may not do what is required; None where it may."""
    visit = visit_of(request)
    refused = visit.check(required(request.method or "", request.path))
    _tell(request, visit)
    return refused


async def check_soon(request: HttpRequest, required: Requirement) -> Answer | None:
    visit = visit_of(request)
    refused = await visit.check_soon(required(request.method or "", request.path))
    _tell(request, visit)
    return refused


def _tell(request: HttpRequest, visit: Visit) -> None:
    request.api_key = visit.key  # type: ignore[attr-defined]


def _response(refused: Answer) -> HttpResponse:
    return HttpResponse(refused.body, status=refused.status, headers=dict([*refused.headers, NO_STORE]))


def _watched(response: HttpResponseBase, visit: Visit) -> HttpResponseBase:
    """Record the response: now, or if it is streamed, when it has come to its end."""
    if not visit.is_checked:
        return response
    own_id = response.headers.get("X-Request-Id", "")
    if not own_id:
        response.headers["X-Request-Id"] = visit.id
    if isinstance(response, StreamingHttpResponse):
        _Stream(response, visit, own_id)
    else:
        visit.finish(response.status_code, request_id=own_id)
    return response


class _Stream:
    """A response that is sent piece by piece, watched until it ends or is closed: not every server does both."""

    def __init__(self, response: StreamingHttpResponse, visit: Visit, own_id: str) -> None:
        self._response = response
        self._visit = visit
        self._own_id = own_id
        self._has_begun = False
        self._close = response.close
        response.close = self.close  # type: ignore[method-assign]
        # The server sends a file by itself, and would not if it were watched.
        if getattr(response, "file_to_stream", None) is None:
            parts: Any = response.streaming_content
            response.streaming_content = self._parts_soon(parts) if response.is_async else self._parts(parts)

    def close(self) -> None:
        # What has begun and not ended by now was cut short.
        self._finish(ABANDONED if self._has_begun else self._response.status_code)
        self._close()

    def _parts(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        with self._until_the_end():
            yield from parts

    async def _parts_soon(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with self._until_the_end():
            async for part in parts:
                yield part

    @contextmanager
    def _until_the_end(self) -> Iterator[None]:
        self._has_begun = True
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._finish(ABANDONED)
            raise
        except BaseException:
            self._finish(FAILED)
            raise
        self._finish(self._response.status_code)

    def _finish(self, status: int) -> None:
        self._visit.finish(status, request_id=self._own_id)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
