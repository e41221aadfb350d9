"""The WSGI application that granian serves: the gateway under /v1/, Django everywhere else."""

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchantadmin.settings")

django = get_wsgi_application()

from keys.gateway.http import PREFIX  # noqa: E402 - it has models, which Django loads above
from keys.gateway.processes import gateway  # noqa: E402

__all__ = ["application", "gateway"]

_BOUNDARY = re.compile(r';\s*(boundary=(?:"[^"]*"|[^\s;"]+))', re.IGNORECASE)


def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """The gateway, or Django, which reads forms and addresses as UTF-8 whatever charset a request claims.

    Django believes the claim before it can handle errors: `charset=hex` fails in the server itself, and others
    make text that no database can hold. A boundary is the only parameter that anything here has a use for.
    """
    if environ["PATH_INFO"].startswith(PREFIX):
        return gateway()(environ, start_response)
    content_type: str = environ.get("CONTENT_TYPE", "")
    if ";" in content_type:
        kind, boundary = content_type.partition(";")[0].strip(), _BOUNDARY.search(content_type)
        environ["CONTENT_TYPE"] = f"{kind}; {boundary[1]}" if boundary else kind
    return django(environ, start_response)
