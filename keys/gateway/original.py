"""The request that a proxy asks about: its method and path, as the merchant sent them.

Three places can tell: X-Original-Method and X-Original-URI (nginx), X-Forwarded-Method and X-Forwarded-Uri
(Caddy, Traefik), or the request's own method and the rest of the path after /v1/authorize (Envoy). A merchant
can send such headers too, and a proxy may hand them on beside its own, so all that tell must tell the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from keys.permissions import Catalogue, Need

HEADERS = (
    ("HTTP_X_ORIGINAL_METHOD", "HTTP_X_ORIGINAL_URI"),
    ("HTTP_X_FORWARDED_METHOD", "HTTP_X_FORWARDED_URI"),
)


class OriginalMissing(ValueError):
    """No place tells the method and the path, or one tells only half."""


class OriginalContradictory(ValueError):
    """Two places tell different things, or one tells two."""


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """`path` is percent-encoded and has no query string. `decoded`: a server decoded it on the way."""

    method: str
    path: str
    decoded: bool = False

    def need(self, catalogue: Catalogue) -> Need | None:
        if self.decoded:
            return catalogue.need_of_decoded(self.method, unquote(self.path))
        return catalogue.need(self.method, self.path)


def read(*, meta: Mapping[str, Any], suffix: str) -> OriginalRequest:
    """What the headers in `meta` and the decoded path after /v1/authorize tell.

    Raises OriginalMissing or OriginalContradictory.
    """
    told = {_from_headers(meta, *names) for names in HEADERS if any(name in meta for name in names)}
    if len(told) > 1:
        raise OriginalContradictory
    if not suffix:
        if not told:
            raise OriginalMissing
        return told.pop()
    own = OriginalRequest(meta["REQUEST_METHOD"], quote(suffix, errors="replace"), decoded=True)
    if not told:
        return own
    original = told.pop()
    if (original.method, unquote(original.path)) != (own.method, unquote(own.path)):
        raise OriginalContradictory
    return original


def _from_headers(meta: Mapping[str, Any], method_name: str, path_name: str) -> OriginalRequest:
    method, target = meta.get(method_name, "").strip(), meta.get(path_name, "").strip()
    if not method or not target:
        raise OriginalMissing
    # A header that came twice arrives joined by a comma, and each path begins with a slash.
    if ",/" in target.replace(" ", "") or "," in method:
        raise OriginalContradictory
    return OriginalRequest(method, target.partition("?")[0])
