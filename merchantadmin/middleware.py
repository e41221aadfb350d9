"""What every request for a page passes: it gets an id, no page is kept, and browsers are told what no page needs."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers

from keys.identifiers import REQUEST, encode, new_id
from merchantadmin import logs

# Of what a page could ask a browser for, only this is needed: keys are copied, and passkeys are made and used.
NEEDED = ("clipboard-write", "publickey-credentials-create", "publickey-credentials-get")
NOT_NEEDED = (
    "accelerometer", "autoplay", "browsing-topics", "camera", "clipboard-read", "display-capture",
    "encrypted-media", "fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "local-fonts", "magnetometer",
    "microphone", "midi", "payment", "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
PERMISSIONS_POLICY = ", ".join(
    [*(f"{name}=(self)" for name in NEEDED), *(f"{name}=()" for name in NOT_NEEDED)]
)


class RequestIdMiddleware:
    """Give each request an id of our own making; an id sent by the client is never trusted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.META["REQUEST_ID"] = request_id = encode(REQUEST, new_id())
        token = logs.request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            logs.request_id.reset(token)
        response["X-Request-Id"] = request_id
        return response


class BrowserPolicyMiddleware:
    """No page or file may be used by another site's page, or use what it has no need of: cameras, sensors, payment."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


class NoStoreMiddleware:
    """Have no page kept, by a browser or on the way to it.

    Anything less than `no-store`, and a browser shows a page again on Back, after signing out too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        add_never_cache_headers(response)
        return response
