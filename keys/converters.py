"""Identifiers in addresses: an id that is malformed, or of another type, is an address that does not exist."""

from uuid import UUID

from keys.identifiers import (
    API_KEY,
    INVITATION,
    MEMBERSHIP,
    MERCHANT,
    REQUEST,
    SUFFIX_PATTERN,
    decode,
    encode,
)


class IdConverter:
    prefix: str
    regex: str

    def to_python(self, value: str) -> UUID:
        return decode(self.prefix, value)

    def to_url(self, value: UUID) -> str:
        return encode(self.prefix, value)


class MerchantIdConverter(IdConverter):
    prefix = MERCHANT
    regex = f"{MERCHANT}_{SUFFIX_PATTERN}"


class ApiKeyIdConverter(IdConverter):
    prefix = API_KEY
    regex = f"{API_KEY}_{SUFFIX_PATTERN}"


class RequestIdConverter(IdConverter):
    prefix = REQUEST
    regex = f"{REQUEST}_{SUFFIX_PATTERN}"


class MemberIdConverter(IdConverter):
    prefix = MEMBERSHIP
    regex = f"{MEMBERSHIP}_{SUFFIX_PATTERN}"


class InvitationIdConverter(IdConverter):
    prefix = INVITATION
    regex = f"{INVITATION}_{SUFFIX_PATTERN}"


class PersonConverter:
    """The number of a person, as far as a database can hold one."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)
