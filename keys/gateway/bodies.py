"""The body of a request to the gateway: read no further than allowed, and understood as JSON in one way only.

JSON that two readers could read differently is refused: a member named twice, numbers that JSON does not have, halves
of characters. What is wrong is named, and never repeated: a body can hold a key.
"""

import json
import re
import threading
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NoReturn

from keys import addresses
from keys.addresses import Address

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]*)', re.IGNORECASE)
# A name like this is no secret; any other is not repeated.
_NAME = re.compile(r"[a-z_]{1,24}")
_MISSING = object()


# A thread that waits for a body cannot be called back: the server waits for it too. So only some of its threads may,
# and clients that send half a body, and no more, never take the last thread that verifies keys.
AT_ONCE = 4
TURN_SECONDS = 1.0
_turns = threading.Semaphore(AT_ONCE)


class BodyMalformed(ValueError):
    """The body is not what the call takes. The message is for whoever sent it."""


class BodyTooLarge(ValueError):
    """The body is larger than the call takes. The message says what it takes."""


class NoTurn(Exception):
    """As many bodies as may be are being waited for already. Nothing was read."""


class MediaTypeUnsupported(ValueError):
    """The body is of a kind, or in an encoding, that the call does not take. The message says which it takes."""


def read(environ: Mapping[str, Any], *, kinds: Collection[str], limit_bytes: int) -> bytes:
    """The whole body, of at most `limit_bytes`.

    Raises MediaTypeUnsupported, and what `whole` raises.
    """
    _require_kind(environ, kinds)
    return whole(environ, limit_bytes=limit_bytes)


def whole(environ: Mapping[str, Any], *, limit_bytes: int) -> bytes:
    """The body, of any kind. Raises BodyTooLarge, NoTurn, and BodyMalformed for one that is shorter than it says."""
    length = _length(environ)
    if length is None:
        # Only a server that knows where the body ends says so; of another, nothing more must be read.
        is_there = "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")
        body = _read(environ, limit_bytes + 1) if is_there else b""
    elif length > limit_bytes:
        raise BodyTooLarge(_most(limit_bytes))
    else:
        body = _read(environ, length)
        if len(body) < length:
            raise BodyMalformed("The body ends before its Content-Length.")
    if len(body) > limit_bytes:
        raise BodyTooLarge(_most(limit_bytes))
    return body


def _most(limit_bytes: int) -> str:
    return f"The most is {limit_bytes:,} bytes."


def _require_kind(environ: Mapping[str, Any], kinds: Collection[str]) -> None:
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.partition(";")[0].strip().lower() not in kinds:
        raise MediaTypeUnsupported(f"Send the body as Content-Type: {' or '.join(kinds)}.")
    charset = _CHARSET.search(content_type)
    if charset and charset[1].lower() not in {"utf-8", "utf8"}:
        raise MediaTypeUnsupported("Send the body in UTF-8.")
    if environ.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in {"", "identity"}:
        raise MediaTypeUnsupported("Send the body without a Content-Encoding.")


def _length(environ: Mapping[str, Any]) -> int | None:
    """Content-Length; None where there is none."""
    told = environ.get("CONTENT_LENGTH", "")
    if not told:
        return None
    if not told.isascii() or not told.isdigit() or len(told) > 18:
        raise BodyMalformed("Content-Length is not a number.")
    return int(told)


def _read(environ: Mapping[str, Any], size: int) -> bytes:
    """`size` bytes, or as many as there are."""
    if size == 0:
        return b""
    if not _turns.acquire(timeout=TURN_SECONDS):
        raise NoTurn
    stream, parts = environ["wsgi.input"], []
    try:
        while size > 0 and (part := stream.read(size)):
            parts.append(part)
            size -= len(part)
    except OSError as error:
        raise BodyMalformed("The body did not come to its end.") from error
    finally:
        _turns.release()
    return b"".join(parts)


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` is. Raises BodyMalformed."""
    try:
        found = _DECODER.decode(text.decode())
    except BodyMalformed:
        raise
    except UnicodeDecodeError:
        raise BodyMalformed("This is not UTF-8.") from None
    except json.JSONDecodeError as error:
        # Without its message, which could quote a piece.
        raise BodyMalformed(f"This is not JSON: look at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise BodyMalformed("This is nested too deeply.") from None
    except ValueError:
        raise BodyMalformed("A number is too long.") from None
    if not isinstance(found, dict):
        raise BodyMalformed("This must be a JSON object: { … }.")
    return found


def require_known(members: Mapping[str, Any], known: Collection[str]) -> None:
    for name in members:
        if name not in known:
            raise BodyMalformed(f"{_named(name)} is not known here; these are: {', '.join(known)}.")


def text(members: Mapping[str, Any], name: str) -> str:
    """A text that must be there, and not empty."""
    value = required(members, name)
    if not isinstance(value, str):
        raise BodyMalformed(f'"{name}" must be a text.')
    if not value:
        raise BodyMalformed(f'"{name}" is empty.')
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BodyMalformed(f'"{name}" holds half of a character.') from None
    return value


def address(members: Mapping[str, Any], name: str) -> Address | None:
    """An IP address, which may be left out."""
    if name not in members:
        return None
    found = _parsed(text(members, name))
    if found is None:
        raise BodyMalformed(f'"{name}" is no IP address.')
    return found


@lru_cache(maxsize=10_000)
def _parsed(text: str) -> Address | None:
    return addresses.parse(text)


def required(members: Mapping[str, Any], name: str) -> Any:
    value = members.get(name, _MISSING)
    if value is _MISSING:
        raise BodyMalformed(f'"{name}" is missing.')
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BodyMalformed(f"{_named(twice)} is there twice.")
    return members


def _named(name: str) -> str:
    return f'"{name}"' if _NAME.fullmatch(name) else "A member"


def _no_number(constant: str) -> NoReturn:
    raise BodyMalformed(f"{constant} is not a number in JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number)
