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


# Method and target as they are told, and whether a server decoded the target on the way.
Told = tuple[str, str, bool]


class OriginalRequest(NamedTuple):
    """`path` is percent-encoded and has no query string."""

    method: str
    path: str
    need: Need | None


def read(environ: Mapping[str, Any], *, suffix: str) -> Told:
    """What the headers in `environ` tell, and the path after /v1/authorize, decoded, one character a byte (PEP 3333).

    Raises OriginalMissing or OriginalContradictory.
    """
    told: Told | None = None
    for method_name, target_name in HEADERS:
        method, target = environ.get(method_name), environ.get(target_name)
        if method is not None or target is not None:
            if not method or not target:
                raise OriginalMissing
            if told is not None and _stripped(told) != _stripped((method, target, False)):
                raise OriginalContradictory
            told = (method, target, False)
    if not suffix:
        if told is None:
            raise OriginalMissing
        return told
    own_method, own_target = environ["REQUEST_METHOD"], quote(suffix.encode("latin-1"))
    if told is None:
        return own_method, own_target, True
    method, path = _stripped(told)
    if (method, unquote_to_bytes(path)) != (own_method, unquote_to_bytes(own_target)):
        raise OriginalContradictory
    return told


def understood(told: Told, catalogue: Catalogue) -> OriginalRequest:
    """The request that is told of, and what it needs. Raises OriginalMissing or OriginalContradictory."""
    method, path = _stripped(told)
    if told[2]:
        need = catalogue.need_of_decoded(method, unquote(path, errors="surrogateescape"))
    else:
        need = catalogue.need(method, path)
    return OriginalRequest(method, path, need)


def _stripped(told: Told) -> tuple[str, str]:
    """Method and path."""
    method, target, decoded = told
    if decoded:
        return method, target
    # What HTTP takes for white space and no more: a path that ends in another kind of it is another path.
    method, target = method.strip(" \t"), target.strip(" \t")
    if not method or not target:
        raise OriginalMissing
    # A header that came twice arrives joined by a comma, and each path begins with a slash.
    if ",/" in target.replace(" ", "") or "," in method:
        raise OriginalContradictory
    return method, target.partition("?")[0]
