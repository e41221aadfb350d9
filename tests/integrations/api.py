"""The API of a platform, as a Django project: each view is one way of answering, or of asking for a key."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from keys.gateway.integrations.django import require_api_key
from keys.gateway.integrations.visits import VerifiedKey


def told(key: VerifiedKey | None) -> dict[str, str] | None:
    if key is None:
        return None
    return {
        "merchant_id": key.merchant_id,
        "merchant_name": key.merchant_name,
        "key_id": key.key_id,
        "key_name": key.key_name,
        "mode": key.mode,
        "permissions": str(key.permissions),
    }


def public(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"key": told(request.api_key)})


@require_api_key()
def anybody(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"key": told(request.api_key)})


@require_api_key("payments:write")
def charge(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"key": told(request.api_key)}, status=201)


@require_api_key("payments:read")
def answer(request: HttpRequest, status: int) -> HttpResponse:
    """Answers with this status; 404 and 500 as Django's own views do, by an exception."""
    if status == 404:
        raise Http404
    if status == 500:
        raise RuntimeError("the API broke")
    return HttpResponse(status=status)


@require_api_key("payments:write")
@require_api_key("refunds:read")
@require_api_key("refunds:write")
def nested(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@require_api_key(by_route=True)
def routed(request: HttpRequest, rest: str = "") -> HttpResponse:
    return HttpResponse()


@require_api_key("payments:read")
def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"one "
        if "break" in request.GET:
            raise RuntimeError("the API broke")
        yield b"two"

    return StreamingHttpResponse(parts(), status=206)


@require_api_key("payments:read")
def file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


@require_api_key("payments:read")
async def stream_soon(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        if "break" in request.GET:
            raise RuntimeError("the API broke")
        if "wait" in request.GET:
            await asyncio.Event().wait()
        yield b"two"

    return StreamingHttpResponse(parts())


# Set as soon as a view waits for ever.
waiting = asyncio.Event()


@require_api_key("payments:write")
async def charge_soon(request: HttpRequest) -> JsonResponse:
    if "wait" in request.GET:
        waiting.set()
        await asyncio.Event().wait()
    return JsonResponse({"key": told(request.api_key)}, status=201)


@method_decorator(require_api_key("payments:read"), name="dispatch")
class Payments(View):
    def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse({"key": told(request.api_key)})

    @method_decorator(require_api_key("payouts:write"))
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


@method_decorator(require_api_key("payments:read"), name="dispatch")
class PaymentsSoon(View):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse({"key": told(request.api_key)})

    @method_decorator(require_api_key("payouts:write"))
    async def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


urlpatterns = [
    path("public", public),
    path("anybody", anybody),
    path("charge", charge),
    path("charge-soon", charge_soon),
    path("answer/<int:status>", answer),
    path("nested", nested),
    path("v1/<path:rest>", routed),
    path("stream", stream),
    path("stream-soon", stream_soon),
    path("file", file),
    path("payments", Payments.as_view()),
    path("payments-soon", PaymentsSoon.as_view()),
]
