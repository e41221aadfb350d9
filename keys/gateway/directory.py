"""Looking up a key by its digest: what is found, how it is remembered, and how a change makes it forgotten.

What is remembered are facts, never verdicts. A directory for each database says when a memory may be used:
`sqlite.py`, where each request asks whether anything has changed, and `postgresql.py`, where changes are heard of.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_network
from typing import Protocol
from uuid import UUID

from keys import spool
from keys.gateway.answers import Answer
from keys.identifiers import API_KEY, MERCHANT, encode
from keys.keyformat import Mode, PlaintextKey
from keys.models.verifier import ChangeKind
from keys.permissions import Grants
from keys.states import ApiKeyStatus, MerchantStatus
from keys.verification import Facts, Network


class DirectoryUnavailable(Exception):
    """The database did not answer, or not in words that make sense, so nothing is known of the key."""


class Holder:
    """A key that exists: the facts that a verdict needs, and what is said of it so often that it is kept ready."""

    __slots__ = ("columns", "facts", "granted", "key_name", "merchant_name")

    def __init__(self, facts: Facts, key_name: str, merchant_name: str) -> None:
        self.facts = facts
        self.key_name = key_name
        self.merchant_name = merchant_name
        # Of every line in the spool, and of every permission that /v1/authorize gives.
        self.columns = spool.holder_columns(facts.key_id, facts.merchant_id)
        self.granted = Answer(
            200,
            (
                ("X-Merchant-Id", encode(MERCHANT, facts.merchant_id)),
                ("X-Key-Id", encode(API_KEY, facts.key_id)),
                ("X-Key-Mode", facts.mode),
                ("X-Key-Permissions", _text_of(facts.grants)),
            ),
        )


class Lookup(Protocol):
    """Where keys are looked up."""

    def find(self, key: str) -> Holder | None:
        """The holder of `key`, a text that may be anything; None for a key that was never issued.

        Raises MalformedKey, without a look-up, where the checksum is wrong, and DirectoryUnavailable.
        """


class Directory(Lookup, Protocol):
    """The look-up of a verifier, in the database and in memory."""

    def remembered(self, key: str) -> Holder | None:
        """The holder of `key` where it is known without waiting for anything; None says nothing of the key."""

    @property
    def cached_keys(self) -> int:
        """How many keys are remembered."""

    @property
    def lease_seconds(self) -> float | None:
        """For how much longer what is remembered may be used unheard; None where every request asks the database."""

    def close(self) -> None: ...


# All as text, which both databases and all their drivers write alike. `%s` stands for the digest.
FIND = """
    SELECT CAST(k.id AS text), CAST(k.merchant_id AS text), k.status, m.status, k.mode, k.permissions,
           CAST(k.expires_at AS text), k.allowed_networks, k.name, m.name
    FROM keys_apikey k JOIN keys_merchant m ON m.id = k.merchant_id
    WHERE k.digest = %s
"""


def digest_of(key: str) -> bytes:
    """SHA-256 of whatever was sent as a key. Raises UnicodeEncodeError, a ValueError, for a lone surrogate."""
    return sha256(key.encode()).digest()


def require_well_formed(key: str) -> None:
    """Raises MalformedKey. A digest that is known needs no such proof: its text is the very key."""
    PlaintextKey(key)


def holder_of(row: tuple[str | None, ...]) -> Holder:
    """The holder in a row of FIND. Raises DirectoryUnavailable where it was written by hand, and makes no sense."""
    try:
        key_id, merchant_id, key_status, merchant_status, mode, permissions, expires_at, networks, *names = (
            row
        )
        facts = Facts(
            key_id=UUID(str(key_id)),
            merchant_id=_merchant_id(str(merchant_id)),
            key_status=ApiKeyStatus(str(key_status)).value,
            merchant_status=MerchantStatus(str(merchant_status)).value,
            mode=Mode(str(mode)).value,
            grants=_grants(str(permissions)),
            expires_at=None if expires_at is None else _moment(str(expires_at)),
            allowed_networks=_networks(str(networks)),
        )
    except ValueError as error:
        raise DirectoryUnavailable from error
    return Holder(facts, str(names[0]), str(names[1]))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _networks(text: str) -> tuple[Network, ...]:
    networks = tuple(ip_network(network) for network in text.split())
    if text and not networks:
        # Blanks are no list of networks, and no list at all lets every address in.
        raise ValueError("no networks")
    return networks


@lru_cache(maxsize=10_000)
def _grants(text: str) -> Grants:
    return Grants.parse(text)


@lru_cache(maxsize=10_000)
def _text_of(grants: Grants) -> str:
    return str(grants)


@lru_cache(maxsize=10_000)
def _merchant_id(text: str) -> UUID:
    return UUID(text)


@dataclass(frozen=True, slots=True)
class Changed:
    """A row of keys_change: `digest` of the key, or `subject_id` of the merchant account, that is not as it was."""

    id: int
    kind: str
    subject_id: UUID | None = None
    digest: bytes | None = None


class Memory:
    """Holders by digest, at most `maximum`; the one that came first goes first.

    A holder that was read before a change, and is to be remembered after it, must not come in: whoever reads takes the
    `generation` before, and `remember` refuses where it has moved on.
    """

    def __init__(self, maximum: int) -> None:
        self.generation = 0
        self.holders: dict[bytes, Holder] = {}
        self._by_merchant: dict[UUID, set[bytes]] = {}
        self._maximum = maximum
        self._lock = threading.Lock()

    def remember(self, digest: bytes, holder: Holder, generation: int) -> None:
        with self._lock:
            if generation != self.generation:
                return
            if len(self.holders) >= self._maximum:
                self._drop(next(iter(self.holders)))
            self.holders[digest] = holder
            self._by_merchant.setdefault(holder.facts.merchant_id, set()).add(digest)

    def forget(self, changes: list[Changed]) -> None:
        """Forget whatever these changes touch."""
        with self._lock:
            self.generation += 1
            for change in changes:
                if change.kind == ChangeKind.MERCHANT and change.subject_id:
                    for digest in list(self._by_merchant.get(change.subject_id, ())):
                        self._drop(digest)
                elif change.digest:
                    self._drop(change.digest)

    def clear(self) -> None:
        with self._lock:
            self.generation += 1
            self.holders.clear()
            self._by_merchant.clear()

    def _drop(self, digest: bytes) -> None:
        holder = self.holders.pop(digest, None)
        if holder is not None:
            siblings = self._by_merchant[holder.facts.merchant_id]
            siblings.discard(digest)
            if not siblings:
                del self._by_merchant[holder.facts.merchant_id]
