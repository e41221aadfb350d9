"""What every request for a page passes: it gets an id, and no page is kept."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers

from keys.identifiers import REQUEST, encode, new_id


class RequestIdMiddleware:
    """Give each request an id of our own making; an id sent by the client is never trusted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.META["REQUEST_ID"] = request_id = encode(REQUEST, new_id())
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
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
