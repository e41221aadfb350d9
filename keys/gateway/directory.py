"""Looking up a key by its digest: always in the database, so a change counts from the very next request."""

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from django.db import Error

from keys.models import ApiKey
from keys.permissions import Grants
from keys.verification import Facts


class DirectoryUnavailable(Exception):
    """The database did not answer, or not in words that make sense, so nothing is known of the key."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A key that exists: the facts that a verdict needs, and the names that people know it by."""

    facts: Facts
    key_name: str
    merchant_name: str


COLUMNS = (
    "id",
    "merchant_id",
    "status",
    "merchant__status",
    "mode",
    "permissions",
    "expires_at",
    "allowed_networks",
    "name",
    "merchant__name",
)


def find(digest: bytes) -> Holder | None:
    """The key with this digest, in one query; None where there is none. Raises DirectoryUnavailable."""
    try:
        row = ApiKey.objects.filter(digest=digest).values_list(*COLUMNS).first()
    except Error as error:
        raise DirectoryUnavailable from error
    if row is None:
        return None
    try:
        return _holder(row)
    except ValueError as error:
        # Written by hand, and not as the domain writes it: nothing is known for certain of this key.
        raise DirectoryUnavailable from error


def _holder(row: tuple[Any, ...]) -> Holder:
    key_id, merchant_id, key_status, merchant_status, mode, permissions, expires_at, networks, *names = row
    facts = Facts(
        key_id=key_id,
        merchant_id=merchant_id,
        key_status=key_status,
        merchant_status=merchant_status,
        mode=mode,
        grants=Grants.parse(permissions),
        expires_at=expires_at,
        allowed_networks=tuple(ip_network(network) for network in networks.split()),
    )
    return Holder(facts, *names)
