"""The access logs of the proxies in front, in JSON: each line becomes the report of a finished request.

docs/gateways.md describes the lines, and docs/gateways/nginx.conf and Caddyfile write them. The id in a line is that of
the verdict, so that the report corrects what the verifier recorded (keys.gateway.reports).
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from keys import addresses
from keys.gateway import bodies, reports
from keys.gateway.bodies import BodyMalformed
from keys.gateway.reports import Report, Window

FORMATS = ("auto", "nginx", "caddy")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotImported(ValueError):
    """The line tells of no request with a known key, or not in a way that is understood. The message says which."""


def read(line: bytes, *, form: str, window: Window) -> Report:
    """The request that a line tells of. Raises NotImported."""
    try:
        # A path may hold any bytes, and nginx writes them as they are.
        told = bodies.json_object(line.decode(errors="replace").encode())
    except BodyMalformed:
        raise NotImported("no JSON") from None
    is_caddys = isinstance(told.get("request"), dict)
    if form == "caddy" or (form == "auto" and is_caddys):
        told = _caddy(told)
    for name, meaning in (("request_id", "of no verdict"), ("key_id", "refused, or without a key")):
        if not told.get(name):
            raise NotImported(meaning)
    try:
        return reports.read(_members(told), window)
    except BodyMalformed as error:
        raise NotImported(str(error)) from None


def _caddy(told: Mapping[str, Any]) -> dict[str, Any]:
    """A line of Caddy under the names that nginx has."""
    request, headers = told.get("request"), told.get("resp_headers")
    if not isinstance(request, dict) or not isinstance(headers, dict):
        raise NotImported("no line of Caddy's access log")
    return {
        "time": told.get("ts"),
        "request_id": _first(headers, "X-Request-Id"),
        "key_id": _first(headers, "X-Key-Id"),
        "method": request.get("method"),
        "uri": request.get("uri"),
        "status": told.get("status"),
        "duration": told.get("duration"),
        "client": request.get("client_ip") or request.get("remote_ip"),
    }


def _first(headers: Mapping[str, Any], name: str) -> Any:
    values = headers.get(name)
    return values[0] if isinstance(values, list) and values else None


def _members(told: Mapping[str, Any]) -> dict[str, Any]:
    """The report that the line makes; what is no number or text stays as it is, and is refused there."""
    duration = told.get("duration")
    members = {
        "id": told["request_id"],
        "key": told["key_id"],
        "method": told.get("method"),
        "path": told.get("uri"),
        "status": told.get("status"),
        "duration_ms": duration * 1000 if _is_number(duration) else duration,
    }
    came = _came_at(told.get("time"), duration)
    if came is not None:
        members["at"] = came
    client = told.get("client")
    if isinstance(client, str) and addresses.parse(client):
        members["address"] = client
    return members


def _came_at(answered: Any, duration: Any) -> str | None:
    """When the request came: a log has the time of the answer. It matters only for ids that are not ours."""
    if not _is_number(answered) or not _is_number(duration):
        return None
    try:
        return (_EPOCH + timedelta(seconds=answered - duration)).isoformat()
    except OverflowError:
        return None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
