"""The floor: a WSGI application that does nothing, so that its speed is the server's own."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse


def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return (b"",)
