"""Type-prefixed identifiers: UUIDv7 in the database, TypeID everywhere else (`mch_01jd9v3k7r…`).

Format: the TypeID specification 0.3, a lower-case prefix, an underscore, and the UUID in 26 characters of
Crockford's base 32. UUIDv7 (RFC 9562) starts with 48 bits of milliseconds since 1970, so ids sort by time of
creation.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import count
from secrets import randbits
from uuid import UUID

from typeid.codecs import base32
from uuid_utils.compat import uuid7

MERCHANT = "mch"
API_KEY = "key"
HISTORY = "hst"
REQUEST = "req"
MEMBERSHIP = "mbr"
INVITATION = "inv"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The first character holds three bits, the others five: more would not be a UUID.
SUFFIX_PATTERN = "[0-7][0-9a-hjkmnp-tv-z]{25}"


class InvalidIdentifier(ValueError):
    """The text is not an identifier of the type that was asked for."""


def new_id(at: datetime | None = None) -> UUID:
    """A fresh UUIDv7, for the moment `at` where rows are made for the past (demo data, imports)."""
    return uuid7() if at is None else uuid7(nanoseconds=_milliseconds(at) * 1_000_000)


def first_id_at(at: datetime) -> UUID:
    """The smallest UUIDv7 of the millisecond of `at`: bounds a range of ids by time."""
    return UUID(int=(_milliseconds(at) << 80) | (7 << 76) | (2 << 62))


def derived_id(at: datetime, source: bytes) -> UUID:
    """The id that `source` has at the moment `at`: the same for the same, a UUIDv7 with a digest for random bits."""
    bits = int.from_bytes(sha256(source).digest()[:10])
    return UUID(int=_milliseconds(at) << 80 | _versioned(bits))


def time_of(value: UUID) -> datetime:
    """The millisecond that a UUIDv7 was made for."""
    return _EPOCH + timedelta(milliseconds=value.int >> 80)


class RequestIds:
    """UUIDv7s for the requests that one process answers, each as text, at a fraction of what encoding one costs.

    Of the 80 bits after the time, the first 40 are drawn once, and the last 40 count on from where they were drawn (RFC
    9562, section 6.2): no two of a process are the same, and none of two processes, but by chance.
    """

    def __init__(self) -> None:
        self._node = _versioned(randbits(80)) >> 40
        self._next = count(randbits(39)).__next__
        self._block = -1
        self._hex = self._text = ""

    def new(self, millisecond: int) -> tuple[str, str]:
        """A fresh id of this millisecond since 1970: as 32 hexadecimal digits, and as `req_…`."""
        number = self._next() & 0xFFFFFFFFFF
        if number >> 20 != self._block:
            self._begin_block(number >> 20)
        low = number & 0xFFFFF
        return (
            f"{millisecond:012x}{self._hex}{low:05x}",
            f"{REQUEST}_{_time(millisecond)}{self._text}{_PAIRS[low >> 10]}{_PAIRS[low & 1023]}",
        )

    def _begin_block(self, block: int) -> None:
        """What the next million of ids have in common."""
        middle = self._node << 20 | block
        self._hex, self._text = f"{middle:015x}", _base32(middle, 12)
        self._block = block


_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


@lru_cache(maxsize=64)
def _time(millisecond: int) -> str:
    """The 48 bits of the time: the first ten characters of a TypeID's suffix."""
    return _base32(millisecond, 10)


def _base32(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))


def _versioned(bits: int) -> int:
    """80 bits with the version and the variant of a UUIDv7 in their places."""
    return bits & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62


def _milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970, without the rounding of a floating-point timestamp."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def encode(prefix: str, value: UUID) -> str:
    return f"{prefix}_{base32.encode(value.bytes)}"


def decode(prefix: str, text: str) -> UUID:
    """The UUID behind `text`; raises InvalidIdentifier for another type or a malformed one."""
    if not re.fullmatch(f"{prefix}_{SUFFIX_PATTERN}", text):
        raise InvalidIdentifier(f"{text[:60]!r} is not a {prefix}_ identifier")
    return UUID(bytes=bytes(base32.decode(text[len(prefix) + 1 :])))
