"""Whether a key may make a request: one pure function of facts and the attempt. Nothing else decides it."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple
from uuid import UUID

from keys.addresses import Address
from keys.outcomes import Outcome
from keys.permissions import Grants, Permission

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Facts:
    """What is stored of a key and its merchant account, as far as a verdict depends on it."""

    key_id: UUID
    merchant_id: UUID
    key_status: str
    merchant_status: str
    mode: str
    grants: Grants
    expires_at: datetime | None
    allowed_networks: tuple[Network, ...]


class Attempt(NamedTuple):
    """What is asked: `required` is None where any usable key will do, `covered` False for unknown routes."""

    now: datetime
    address: Address | None
    merchant_id: UUID | None = None
    required: Permission | None = None
    covered: bool = True


def verdict(facts: Facts, attempt: Attempt) -> Outcome:  # noqa: PLR0911
    """The first outcome that applies, in the order of the closed list."""
    if attempt.merchant_id is not None and attempt.merchant_id != facts.merchant_id:
        return Outcome.MERCHANT_MISMATCH
    if facts.merchant_status != "enabled":
        return Outcome.MERCHANT_DISABLED
    if facts.key_status == "revoked":
        return Outcome.REVOKED
    if facts.key_status != "enabled":
        return Outcome.DISABLED
    if facts.expires_at is not None and facts.expires_at <= attempt.now:
        return Outcome.EXPIRED
    if facts.allowed_networks and not _within(attempt.address, facts.allowed_networks):
        return Outcome.NETWORK_NOT_ALLOWED
    if not attempt.covered or (attempt.required and not attempt.required.granted_by(facts.grants)):
        return Outcome.PERMISSION_DENIED
    return Outcome.VALID


def _within(address: Address | None, networks: tuple[Network, ...]) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address is not None and any(address in network for network in networks)
