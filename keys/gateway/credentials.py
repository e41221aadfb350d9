"""Reading an API key from the headers of a request.

Three forms: `Authorization: Bearer <key>`, `X-API-Key: <key>`, and `Authorization: Basic` with the merchant
account's id as user name and the key as password (RFC 7617), or with the key as user name and no password.
Whatever is not exactly one of these, or says two different things, is malformed: nothing here guesses.
"""

import binascii
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from keys.identifiers import MERCHANT, InvalidIdentifier, decode
from keys.keyformat import LENGTH

# The longest honest header, Basic with an id and a key, has 110 characters.
HEADER_LENGTH_MAX = 512
BEARER_LENGTH = len("Bearer ") + LENGTH
# No merchant account has the nil UUID: who names an account that cannot exist names the wrong one.
NO_MERCHANT = UUID(int=0)


class MalformedCredential(ValueError):
    """The headers hold no API key that could exist. The message never repeats them."""


class Credential(NamedTuple):
    """What may be an API key, by its length, and the merchant account that its sender names; None where none is named.

    `key` is plain text, and stays in the functions between the header and the digest.
    """

    key: str
    merchant_id: UUID | None = None

    def __repr__(self) -> str:
        return f"<Credential of {self.merchant_id}>"


def read(authorization: str | None, api_key: str | None) -> Credential:
    """The credential in Authorization and X-API-Key (None: not sent); raises MalformedCredential."""
    if authorization is None:
        return Credential(_key(api_key or ""))
    if api_key is None and len(authorization) == BEARER_LENGTH and authorization[:7] == "Bearer ":
        # As almost everybody writes it.
        return Credential(authorization[7:])
    credential = _authorization(authorization)
    if api_key is not None and _key(api_key) != credential.key:
        raise MalformedCredential("two different keys")
    return credential


def _authorization(header: str) -> Credential:
    if len(header) > HEADER_LENGTH_MAX:
        raise MalformedCredential("too long")
    scheme, _, token = header.strip(" \t").partition(" ")
    scheme = scheme.lower()
    if scheme == "bearer":
        return Credential(_key(token.lstrip(" ")))
    if scheme == "basic":
        return _basic(token.lstrip(" "))
    raise MalformedCredential("unknown scheme")


def _basic(token: str) -> Credential:
    try:
        user, colon, password = binascii.a2b_base64(token, strict_mode=True).decode().partition(":")
    except ValueError:
        # Without its cause, which could quote the bytes.
        raise MalformedCredential("not base 64 of UTF-8") from None
    if not colon:
        raise MalformedCredential("no colon")
    if not password:
        return Credential(_key(user))
    # A user name may be anything, a key by mistake too: only what looks like an id is remembered.
    return Credential(_key(password), _merchant_id(user) if user.startswith(f"{MERCHANT}_") else NO_MERCHANT)


@lru_cache(maxsize=10_000)
def _merchant_id(user: str) -> UUID:
    try:
        return decode(MERCHANT, user)
    except InvalidIdentifier:
        return NO_MERCHANT


def _key(text: str) -> str:
    if len(text) != LENGTH:
        raise MalformedCredential("no API key")
    return text
