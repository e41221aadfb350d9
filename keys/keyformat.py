"""The format of an API key, and the only type that holds one in plain text.

`sk_live_` or `sk_test_`, 32 characters of base 62 from the system's random source (190 bits), and 6 of base
62 that are the CRC-32 of everything before them. The checksum lets a verifier refuse a mistyped key without a
look-up, and a secret scanner tell a key from a look-alike. docs/key-format.md is the public account.
"""

import hashlib
import logging
import re
import secrets
import string
import zlib
from typing import NoReturn

from django.db.models import TextChoices

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6
BODY_LENGTH = RANDOM_LENGTH + CHECKSUM_LENGTH
# So many characters are shown of each end of it.
SHOWN_LENGTH = 4
LENGTH = len("sk_live_") + BODY_LENGTH

# Of the token in the link of an invitation.
INVITATION_PREFIX = "join_"

PATTERN = re.compile(rf"sk_(live|test)_[0-9A-Za-z]{{{BODY_LENGTH}}}", re.ASCII)
# Broader than PATTERN on purpose: a key with a typing mistake, or run together with the word before it, is
# nearly a key, and is masked all the same. So are the credentials of HTTP Basic, which hold a key in base 64, and
# the tokens of invitations, which stand in addresses.
SCRUB_PATTERN = re.compile(
    r"(sk_(?:live|test)_[0-9A-Z]{0,4})[0-9A-Z]{8,}|(\bBasic\s+)[0-9A-Z+/_-]{16,}={0,2}"
    rf"|({INVITATION_PREFIX})[0-9A-Z_-]{{16,}}",
    re.ASCII | re.IGNORECASE,
)

MASK_DOTS = "••••••"


class Mode(TextChoices):
    LIVE = "live", "Live mode"
    TEST = "test", "Test mode"


class MalformedKey(ValueError):
    """The text is not an API key: wrong shape or wrong checksum. The message never repeats the text."""


def checksum(payload: str) -> str:
    """CRC-32 (ISO 3309, as in zlib) of `payload`, as six digits of base 62, most significant first."""
    number = zlib.crc32(payload.encode("ascii"))
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, remainder = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[remainder])
    return "".join(reversed(digits))


class PlaintextKey:
    """An API key in plain text. It prints as its mask, is never serialised, and tells only by `reveal()`."""

    __slots__ = ("_text", "mode")

    def __init__(self, text: str) -> None:
        match = PATTERN.fullmatch(text)
        if match is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
            raise MalformedKey("not an API key")
        self._text = text
        self.mode = Mode(match[1])

    @classmethod
    def generate(cls, mode: Mode) -> "PlaintextKey":
        payload = f"sk_{mode.value}_" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
        return cls(payload + checksum(payload))

    def reveal(self) -> str:
        return self._text

    @property
    def digest(self) -> bytes:
        """SHA-256, 32 bytes. 190 random bits need no slow hash: there is nothing to guess."""
        return hashlib.sha256(self._text.encode("ascii")).digest()

    @property
    def head(self) -> str:
        return self._text[-BODY_LENGTH:][:SHOWN_LENGTH]

    @property
    def tail(self) -> str:
        return self._text[-SHOWN_LENGTH:]

    @property
    def masked(self) -> str:
        return mask(self.mode, self.head, self.tail)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlaintextKey) and secrets.compare_digest(self._text, other._text)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<PlaintextKey {self.masked}>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key in plain text is never serialised")


def mask(mode: str, head: str, tail: str) -> str:
    return f"sk_{mode}_{head}{MASK_DOTS}{tail}"


def scrub(text: str) -> str:
    """`text` with everything that looks like an API key cut down to its first four characters."""
    return SCRUB_PATTERN.sub(lambda match: f"{match[match.lastindex or 0]}{MASK_DOTS}", text)


def holds_key(text: str) -> bool:
    """Whether an API key, whole and with the right checksum, is somewhere in `text`."""
    return any(
        checksum(match[0][:-CHECKSUM_LENGTH]) == match[0][-CHECKSUM_LENGTH:]
        for match in PATTERN.finditer(text)
    )


class ScrubFilter(logging.Filter):
    """Keeps API keys out of every log line, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = scrub(record.exc_text)
        if record.stack_info:
            record.stack_info = scrub(record.stack_info)
        try:
            message = record.getMessage()
        except Exception:
            # A log call with the wrong arguments must not break its caller.
            message = f"{record.msg} {record.args}"
        record.msg, record.args = scrub(message), ()
        return True
