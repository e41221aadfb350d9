"""The WSGI application that granian serves: the gateway under /v1/, Django everywhere else."""

import os
import re
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchantadmin.settings")

django = get_wsgi_application()

from keys.gateway import bodies  # noqa: E402
from keys.gateway.bodies import BodyMalformed, BodyTooLarge, NoTurn  # noqa: E402
from keys.gateway.http import PREFIX  # noqa: E402 - it has models, which Django loads above
from keys.gateway.processes import gateway  # noqa: E402

__all__ = ["application", "gateway"]

_BOUNDARY = re.compile(r';\s*(boundary=(?:"[^"]*"|[^\s;"]+))', re.IGNORECASE)
# More than Django takes in a form (DATA_UPLOAD_MAX_MEMORY_SIZE), so that its own page says what is too large.
BODY_BYTES_MAX = 1024 * 1024


def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """The gateway, or Django, which reads forms and addresses as UTF-8 whatever charset a request claims.

    Django believes the claim before it can handle errors: `charset=hex` fails in the server itself, and others
    make text that no database can hold. A boundary is the only parameter that anything here has a use for.

    Nor does Django wait for a body that is still on its way: it gets one whole, or is not asked.
    """
    if environ["PATH_INFO"].startswith(PREFIX):
        return gateway()(environ, start_response)
    try:
        body = bodies.whole(environ, limit_bytes=BODY_BYTES_MAX)
    except (BodyMalformed, BodyTooLarge, NoTurn) as error:
        return _unread(error, start_response)
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    content_type: str = environ.get("CONTENT_TYPE", "")
    if ";" in content_type:
        kind, boundary = content_type.partition(";")[0].strip(), _BOUNDARY.search(content_type)
        environ["CONTENT_TYPE"] = f"{kind}; {boundary[1]}" if boundary else kind
    return django(environ, start_response)


def _unread(error: Exception, start_response: "StartResponse") -> Iterable[bytes]:
    """The answer to a body that nobody has read: plain text, since there is no page without Django."""
    if isinstance(error, NoTurn):
        status, text = (
            "503 Service Unavailable",
            b"Too many forms are on their way. Please send this one again.",
        )
    elif isinstance(error, BodyTooLarge):
        status, text = "413 Content Too Large", b"This is more than any form here takes."
    else:
        status, text = "400 Bad Request", str(error).encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
    if isinstance(error, NoTurn):
        headers.append(("Retry-After", "1"))
    start_response(status, headers)
    return [text]
