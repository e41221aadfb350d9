"""The request that a proxy asks about: its method and path, as the merchant sent them.

Three places can tell: X-Original-Method and X-Original-URI (nginx), X-Forwarded-Method and X-Forwarded-Uri
(Caddy, Traefik), or the request's own method and the rest of the path after /v1/authorize (Envoy). A merchant
can send such headers too, and a proxy may hand them on beside its own, so all that tell must tell the same.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from keys.permissions import Catalogue, Need

HEADERS = (
    ("HTTP_X_ORIGINAL_METHOD", "HTTP_X_ORIGINAL_URI"),
    ("HTTP_X_FORWARDED_METHOD", "HTTP_X_FORWARDED_URI"),
)


class OriginalMissing(ValueError):
    """No place tells the method and the path, or one tells only half."""


class OriginalContradictory(ValueError):
    """Two places tell different things, or one tells two."""


class OriginalRequest(NamedTuple):
    """`path` is percent-encoded and has no query string. `decoded`: a server decoded it on the way."""

    method: str
    path: str
    decoded: bool = False

    def need(self, catalogue: Catalogue) -> Need | None:
        if self.decoded:
            return catalogue.need_of_decoded(self.method, unquote(self.path, errors="surrogateescape"))
        return catalogue.need(self.method, self.path)


def read(environ: Mapping[str, Any], *, suffix: str) -> OriginalRequest:
    """What the headers in `environ` tell, and the path after /v1/authorize, decoded, one character a byte (PEP 3333).

    Raises OriginalMissing or OriginalContradictory.
    """
    told = None
    for method_name, path_name in HEADERS:
        if method_name in environ or path_name in environ:
            found = _from_headers(environ, method_name, path_name)
            if told is not None and told != found:
                raise OriginalContradictory
            told = found
    if not suffix:
        if told is None:
            raise OriginalMissing
        return told
    own = OriginalRequest(environ["REQUEST_METHOD"], quote(suffix.encode("latin-1")), decoded=True)
    if told is None:
        return own
    if (told.method, unquote_to_bytes(told.path)) != (own.method, unquote_to_bytes(own.path)):
        raise OriginalContradictory
    return told


def _from_headers(environ: Mapping[str, Any], method_name: str, path_name: str) -> OriginalRequest:
    method, target = environ.get(method_name, "").strip(), environ.get(path_name, "").strip()
    if not method or not target:
        raise OriginalMissing
    # A header that came twice arrives joined by a comma, and each path begins with a slash.
    if ",/" in target.replace(" ", "") or "," in method:
        raise OriginalContradictory
    return OriginalRequest(method, target.partition("?")[0])
