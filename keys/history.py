"""Writing the history: who acts, and the row that commits with each change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from keys.identifiers import new_id
from keys.models import ApiKey, HistoryEntry, Merchant, User
from keys.models.history import Action, ActorKind
from keys.naming import clean_text, printable

REASON_MAX = 500


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes a step, and from where. `name` is what the history shows, whatever becomes of the user."""

    name: str
    kind: ActorKind = ActorKind.PERSON
    user: User | None = None
    address: str | None = None
    user_agent: str = ""
    request_id: str = ""

    @classmethod
    def system(cls, name: str = "merchantadmin") -> "Actor":
        return cls(name=name, kind=ActorKind.SYSTEM)

    @classmethod
    def command(cls, name: str) -> "Actor":
        return cls(name=name, kind=ActorKind.COMMAND)


def compose(
    action: Action,
    *,
    actor: Actor,
    merchant: Merchant | None,
    key: ApiKey | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    at: datetime | None = None,
) -> HistoryEntry:
    """One row, not yet added. `at` is for rows made for the past (demo data, imports).

    `merchant` is None where the row is about the platform itself: its people and its settings.
    """
    return HistoryEntry(
        id=new_id(at),
        at=at or timezone.now(),
        action=action,
        merchant=merchant,
        key=key,
        actor_kind=actor.kind,
        actor_user=actor.user,
        actor_name=printable(actor.name, 160),
        before=before or {},
        after=after or {},
        reason=reason,
        address=actor.address,
        user_agent=printable(actor.user_agent, 300),
        request_id=printable(actor.request_id, 64),
    )


def write(
    action: Action,
    *,
    actor: Actor,
    merchant: Merchant | None,
    key: ApiKey | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> HistoryEntry:
    """Add one row. Call it inside the transaction of the change that it tells of."""
    entry = compose(
        action, actor=actor, merchant=merchant, key=key, before=before, after=after, reason=reason
    )
    entry.save(force_insert=True)
    return entry


def clean_reason(reason: str) -> str:
    """The reason that a person gives for a step; raises InvalidField."""
    return clean_text(reason, field="reason", label="Reason", maximum=REASON_MAX)


def latest(*, key: ApiKey, action: Action | None = None) -> HistoryEntry | None:
    """The newest row of `key`, of one kind where `action` is given."""
    rows = HistoryEntry.objects.filter(key=key).order_by("-at", "-id")
    return (rows.filter(action=action) if action else rows).first()


# They are recorded, and leave the key as it is.
WITHOUT_CHANGE = (Action.KEY_COPIED, Action.KEY_DUPLICATED)


def latest_change(*, key: ApiKey) -> HistoryEntry | None:
    """The newest row of `key` that tells of a change of the key itself, its creation included."""
    rows = HistoryEntry.objects.filter(key=key).exclude(action__in=WITHOUT_CHANGE)
    return rows.order_by("-at", "-id").first()
