"""The only place where merchant accounts are made and changed: create, rename, disable, enable.

As in keys/lifecycle.py each step is atomic, names its actor and writes its history row in its own
transaction.
"""

import re
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from keys import history, search, states
from keys.errors import IllegalTransition, InvalidField, StaleEdit
from keys.history import Actor
from keys.identifiers import new_id
from keys.models import HistoryEntry, Merchant
from keys.models.history import Action
from keys.models.merchant import NAME_MAX
from keys.naming import clean_line, fold
from keys.states import Transition

WEBSITE_MAX = 200
_WEBSITE = re.compile(r"[^\s/?#@:.]+(\.[^\s/?#@:.]+)+(:\d{1,5})?([/?#]\S*)?")


@transaction.atomic
def create(*, name: str, actor: Actor, website: str = "") -> Merchant:
    """Make an Enabled merchant account. Two accounts may share a name, as two companies may."""
    merchant = compose(name=name, actor=actor, website=website)
    merchant.save(force_insert=True)
    search.index([merchant])
    history.append([compose_creation(merchant=merchant, actor=actor)])
    return merchant


def compose(*, name: str, actor: Actor, website: str = "", at: datetime | None = None) -> Merchant:
    """The account that `create` inserts, not yet inserted. `at` is for the past (demo data, imports)."""
    merchant = Merchant(
        id=new_id(at),
        name=clean_merchant_name(name),
        website=clean_website(website),
        created_at=at or timezone.now(),
        created_by=actor.user,
    )
    merchant.sort_name = fold(merchant.name)
    return merchant


def compose_creation(*, merchant: Merchant, actor: Actor) -> HistoryEntry:
    """What the history says of a new merchant account."""
    return history.compose(
        Action.MERCHANT_CREATED,
        actor=actor,
        merchant=merchant,
        at=merchant.created_at,
        after={"name": merchant.name, "website": merchant.website},
    )


@transaction.atomic
def update(*, merchant: Merchant, name: str, website: str, revision: int, actor: Actor) -> Merchant:
    """Save name and website, if nobody saved since `revision` was read; raises StaleEdit otherwise."""
    after = {"name": clean_merchant_name(name), "website": clean_website(website)}
    current = _locked(merchant)
    before = {field: getattr(current, field) for field in after}
    if before == after:
        return current
    if current.revision != revision:
        entry = _latest(merchant, Action.MERCHANT_UPDATED)
        who = entry.actor_name if entry else "Somebody"
        raise StaleEdit(
            f"{who} saved this merchant account while you were editing it.",
            "Nothing of yours is saved yet. Compare, then save again to put yours in its place.",
            changes=before,
            revision=current.revision,
        )
    Merchant.objects.filter(pk=merchant.pk).update(
        **after, sort_name=fold(after["name"]), revision=F("revision") + 1
    )
    current = Merchant.objects.get(pk=merchant.pk)
    search.index([current])
    changed = [field for field in after if before[field] != after[field]]
    history.write(
        Action.MERCHANT_UPDATED,
        actor=actor,
        merchant=current,
        before={field: before[field] for field in changed},
        after={field: after[field] for field in changed},
    )
    return current


def disable(*, merchant: Merchant, actor: Actor, reason: str = "") -> Merchant:
    """Refuse all the account's keys from the very next request on; the keys keep their own states."""
    return move(merchant=merchant, transition=states.DISABLE_MERCHANT, actor=actor, reason=reason)


def enable(*, merchant: Merchant, actor: Actor, reason: str = "") -> Merchant:
    """Answer the account's enabled keys again."""
    return move(merchant=merchant, transition=states.ENABLE_MERCHANT, actor=actor, reason=reason)


@transaction.atomic
def move(*, merchant: Merchant, transition: Transition, actor: Actor, reason: str = "") -> Merchant:
    """Take a transition by name; raises IllegalTransition where the account is not in the state that it leads from."""
    reason = history.clean_reason(reason)
    before = Merchant.objects.filter(pk=merchant.pk, status=transition.source)
    moved = before.update(status=transition.target)
    # Locked where the swap has failed, too: its explanation is of one moment.
    current = _locked(merchant)
    if not moved:
        entry = _latest(merchant, history.arrival(transition.target))
        by = f", by {entry.actor_name}" if entry else ""
        raise IllegalTransition(
            f"This merchant account is {transition.target.label} already{by}.", "There is nothing left to do."
        )
    history.append([history.compose_transition(transition, actor=actor, merchant=current, reason=reason)])
    return current


@transaction.atomic
def move_many(
    *, accounts: Collection[Merchant], transition: Transition, actor: Actor, reason: str = ""
) -> set[UUID]:
    """Take a transition with all of `accounts` that are in the state that it leads from; returns their ids.

    The rows are locked in the order of their ids, until the transaction ends: a few hundred are enough at a time.
    """
    reason = history.clean_reason(reason)
    found = Merchant.objects.filter(pk__in=[each.pk for each in accounts], status=transition.source)
    ready = list(found.select_for_update(no_key=True).only("pk").order_by("pk"))
    moved = {each.pk for each in ready}
    Merchant.objects.filter(pk__in=moved).update(status=transition.target)
    history.append(
        history.compose_transition(transition, actor=actor, merchant=each, reason=reason) for each in ready
    )
    return moved


def clean_merchant_name(name: str) -> str:
    return clean_line(name, field="name", label="Name", maximum=NAME_MAX)


def clean_website(website: str) -> str:
    """A host name, perhaps with a path, without its scheme: `northwind.example`."""
    website = clean_line(website, field="website", label="Website", maximum=WEBSITE_MAX, required=False)
    website = re.sub(r"^https?://", "", website, flags=re.IGNORECASE).rstrip("/")
    if website and not _WEBSITE.fullmatch(website):
        raise InvalidField("website", f"“{website}” is not a website.", "Write it like northwind.example.")
    return website


def _locked(merchant: Merchant) -> Merchant:
    """`merchant` as it is now; it stays so until the transaction ends."""
    return Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)


def _latest(merchant: Merchant, action: Action) -> HistoryEntry | None:
    return HistoryEntry.objects.filter(merchant=merchant, action=action).order_by("-at", "-id").first()
