"""The lives of demo merchant accounts and API keys: rows as they are now, and the history that led there.

A life is told step by step, each step with its time and its actor, under the rules of `keys.lifecycle`: what is not
allowed there raises ValueError here. `save` then writes whole lives in bulk, by way of the same states.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import connection

from keys import chain, history, lifecycle, merchants, search, states
from keys.demo import tables
from keys.history import Actor
from keys.models import ApiKey, Change, HistoryEntry, HistoryHead, LastUse, Merchant, MerchantTerm, User
from keys.models.access import TeamRole
from keys.models.history import Action
from keys.models.verifier import ChangeKind
from keys.naming import fold
from keys.states import Transition

if TYPE_CHECKING:
    from django.db.models import Field

AT_ONCE = 5000


class Life:
    """Something from its creation on: as it is now, and all that has become of it, in that order."""

    def __init__(self, subject: Merchant | ApiKey, born: list[HistoryEntry], **about: Any) -> None:
        """`about` says of whom the history tells: `merchant`, and `key` where the subject is one."""
        self.subject, self.history, self._about = subject, born, about

    def _move(self, transition: Transition, *, at: datetime, **step: Any) -> None:
        if not transition.is_possible(self.subject.status):
            raise ValueError(f"{self.subject} is {self.subject.status}, not {transition.source}")
        self._join(history.compose_transition(transition, at=at, **self._about, **step))
        self.subject.status = transition.target.value

    def _add(self, action: Action, *, at: datetime, **entry: Any) -> None:
        self._join(history.compose(action, at=at, **self._about, **entry))

    def _join(self, entry: HistoryEntry) -> None:
        if entry.at < self.history[-1].at:
            raise ValueError(f"{entry.at} is before {self.history[-1].at}, the step before")
        self.history.append(entry)


class MerchantLife(Life):
    """A merchant account from its creation on."""

    def __init__(self, *, name: str, website: str, at: datetime, actor: Actor) -> None:
        self.merchant = merchants.compose(name=name, website=website, actor=actor, at=at)
        born = merchants.compose_creation(merchant=self.merchant, actor=actor)
        super().__init__(self.merchant, [born], merchant=self.merchant)
        # Who came into its team, as what, and when.
        self.members: list[tuple[User, TeamRole, datetime]] = []

    def update(self, *, at: datetime, actor: Actor, **changes: str) -> None:
        """Change the name, the website or both."""
        before = {field: getattr(self.merchant, field) for field in changes}
        for field, value in changes.items():
            setattr(self.merchant, field, value)
        self.merchant.sort_name = fold(self.merchant.name)
        self.merchant.revision += 1
        self._add(Action.MERCHANT_UPDATED, at=at, actor=actor, before=before, after=changes)

    def disable(self, *, at: datetime, actor: Actor, reason: str) -> None:
        self._move(states.DISABLE_MERCHANT, at=at, actor=actor, reason=reason)

    def enable(self, *, at: datetime, actor: Actor, reason: str) -> None:
        self._move(states.ENABLE_MERCHANT, at=at, actor=actor, reason=reason)

    def welcome(self, *, at: datetime, actor: Actor, role: TeamRole) -> None:
        """Have a person come into the team, whatever else has been told of the account already."""
        if actor.user is None or at < self.merchant.created_at:
            raise ValueError(f"{actor.name} cannot come into the team of {self.merchant} at {at}")
        facts = {"person": actor.user.username, "email": actor.user.email, "role": role.label}
        self.members.append((actor.user, role, at))
        self.history.append(
            history.compose(Action.PERSON_JOINED, actor=actor, merchant=self.merchant, after=facts, at=at)
        )


class KeyLife(Life):
    """An API key from its creation on, genuine: its secret verifies, unless it is revoked in the end."""

    def __init__(self, *, merchant: Merchant, at: datetime, actor: Actor, **presets: Any) -> None:
        """`presets` are those of `keys.lifecycle.create`."""
        self.key, _ = lifecycle.compose(merchant=merchant, at=at, actor=actor, **presets)
        born = lifecycle.compose_creation(key=self.key, actor=actor)
        # None where it was never used, or where requests will tell.
        self.last_used_at: datetime | None = None
        super().__init__(self.key, born, merchant=merchant, key=self.key)

    def duplicate(self, *, at: datetime, actor: Actor, name: str) -> "KeyLife":
        key = self.key
        return KeyLife(
            merchant=key.merchant,
            at=at,
            actor=actor,
            name=name,
            description=key.description,
            mode=key.mode,
            permissions=key.grants,
            expires_at=key.expires_at,
            allowed_networks=key.allowed_networks.split(),
            duplicated_from=key,
        )

    def update(self, *, at: datetime, actor: Actor, **changes: str) -> None:
        """Change the name, the description or both."""
        if self.key.is_revoked:
            raise ValueError(f"{self.key} is revoked and never changes again")
        before = {field: getattr(self.key, field) for field in changes}
        for field, value in changes.items():
            setattr(self.key, field, value)
        self.key.folded_name = fold(self.key.name)
        self.key.revision += 1
        self._add(Action.KEY_UPDATED, at=at, actor=actor, before=before, after=changes)

    def copy(self, *, at: datetime, actor: Actor) -> None:
        if self.key.is_revoked:
            raise ValueError(f"{self.key} is revoked; its text is destroyed")
        self._add(Action.KEY_COPIED, at=at, actor=actor)

    def disable(self, *, at: datetime, actor: Actor, reason: str) -> None:
        self._move(states.DISABLE_KEY, at=at, actor=actor, reason=reason)

    def enable(self, *, at: datetime, actor: Actor, reason: str) -> None:
        self._move(states.ENABLE_KEY, at=at, actor=actor, reason=reason)

    def revoke(self, *, at: datetime, actor: Actor, reason: str) -> None:
        self._move(states.REVOKE_KEY, at=at, actor=actor, reason=reason)


def save(accounts: Sequence[MerchantLife], keys: Sequence[KeyLife]) -> None:
    """Insert accounts that are new with all that they have: their keys, and the history of both."""
    _save_merchants(accounts)
    _save_keys(keys)
    _save_history([*accounts, *keys])


def _save_merchants(lives: Sequence[MerchantLife]) -> None:
    """Insert accounts, and the words by which they are found."""
    accounts = [life.merchant for life in lives]
    tables.insert_objects(Merchant, accounts)
    words = ((account.pk, term) for account in accounts for term in search.terms(account))
    tables.insert(MerchantTerm, ("merchant_id", "term"), words)
    # An account is inserted as it is now, and only an update would have told of it.
    columns = ("at", "subject_id", "status", "kind")
    tables.insert(Change, columns, ((*move, ChangeKind.MERCHANT) for move in _moves(lives)))


def _save_keys(lives: Sequence[KeyLife]) -> None:
    """Insert keys as Enabled, and move them to where they are now."""
    tables.insert_objects(ApiKey, map(_newborn, lives))
    ended = [life.key.pk for life in lives if not life.key.is_enabled]
    revoked = [life.key.pk for life in lives if life.key.is_revoked]
    for start in range(0, len(ended), AT_ONCE):
        ApiKey.objects.filter(pk__in=ended[start : start + AT_ONCE]).update(status="disabled")
    for start in range(0, len(revoked), AT_ONCE):
        ApiKey.objects.filter(pk__in=revoked[start : start + AT_ONCE]).update(
            status="revoked", secret_ciphertext=None
        )
    uses = ((life.key.pk, life.last_used_at) for life in lives if life.last_used_at)
    tables.insert(LastUse, ("key_id", "at"), uses)
    _date_changes(lives)


def _save_history(lives: Iterable[Life]) -> None:
    """Insert what happened in its order, each row at the end of its account's chain."""
    heads: dict[UUID, chain.Head] = {}
    entries = _in_order(lives)
    for entry in entries:
        heads[entry.chain] = chain.join(entry, heads.get(entry.chain) or chain.start(entry.chain))
    tables.insert_objects(HistoryEntry, entries)
    tables.insert(HistoryHead, chain.Head._fields, heads.values())


def _date_changes(lives: Sequence[KeyLife]) -> None:
    """The triggers take it that what they tell of happens now; the history knows better."""
    columns = ("at", "subject_id", "status")
    fields = [cast("Field[Any, Any]", Change._meta.get_field(name)) for name in columns]
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE keys_change SET at = %s WHERE subject_id = %s AND status = %s",
            list(tables.adapt(fields, _moves(lives))),
        )


def _moves(lives: Sequence[Life]) -> Iterator[tuple[datetime, UUID, str]]:
    """When those that are not enabled came to each of their states, in that order."""
    for life in lives:
        if not life.subject.is_enabled:
            yield from (
                (entry.at, life.subject.pk, entry.after["status"])
                for entry in life.history
                if "status" in entry.after
            )


def _newborn(life: KeyLife) -> ApiKey:
    """The key as it was when it was made: the database takes no other."""
    if life.key.is_enabled:
        return life.key
    key = copy(life.key)
    key.status = "enabled"
    return key


def _in_order(lives: Iterable[Life]) -> list[HistoryEntry]:
    return sorted((entry for life in lives for entry in life.history), key=lambda entry: (entry.at, entry.id))
