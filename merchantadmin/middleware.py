"""A request id for every request: in the answer, in the history and in the request log."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

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
