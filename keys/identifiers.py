"""Type-prefixed identifiers: UUIDv7 in the database, TypeID everywhere else (`mch_01jd9v3k7r…`).

Format: the TypeID specification 0.3, a lower-case prefix, an underscore, and the UUID in 26 characters of
Crockford's base 32. UUIDv7 (RFC 9562) starts with 48 bits of milliseconds since 1970, so ids sort by time of
creation.
"""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from typeid.codecs import base32
from uuid_utils.compat import uuid7

MERCHANT = "mch"
API_KEY = "key"
HISTORY = "hst"
REQUEST = "req"

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
