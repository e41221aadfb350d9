"""The only place where merchant accounts are made and changed: create, rename, disable, enable.

As in keys/lifecycle.py each step is atomic, names its actor and writes its history row in its own
transaction.
"""

import re
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from keys import history, search
from keys.errors import IllegalTransition, InvalidField, StaleEdit
from keys.history import Actor
from keys.identifiers import new_id
from keys.models import HistoryEntry, Merchant
from keys.models.history import Action
from keys.models.merchant import NAME_MAX, MerchantStatus
from keys.naming import clean_line, fold

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
    return _move(merchant, MerchantStatus.ENABLED, MerchantStatus.DISABLED, actor=actor, reason=reason)


def enable(*, merchant: Merchant, actor: Actor, reason: str = "") -> Merchant:
    """Answer the account's enabled keys again."""
    return _move(merchant, MerchantStatus.DISABLED, MerchantStatus.ENABLED, actor=actor, reason=reason)


def clean_merchant_name(name: str) -> str:
    return clean_line(name, field="name", label="Name", maximum=NAME_MAX)


def clean_website(website: str) -> str:
    """A host name, perhaps with a path, without its scheme: `northwind.example`."""
    website = clean_line(website, field="website", label="Website", maximum=WEBSITE_MAX, required=False)
    website = re.sub(r"^https?://", "", website, flags=re.IGNORECASE).rstrip("/")
    if website and not _WEBSITE.fullmatch(website):
        raise InvalidField("website", f"“{website}” is not a website.", "Write it like northwind.example.")
    return website


@transaction.atomic
def _move(
    merchant: Merchant, source: MerchantStatus, target: MerchantStatus, *, actor: Actor, reason: str
) -> Merchant:
    reason = history.clean_reason(reason)
    moved = Merchant.objects.filter(pk=merchant.pk, status=source).update(status=target)
    # Locked where the swap has failed, too: its explanation is of one moment.
    current = _locked(merchant)
    action = Action(f"merchant.{target.value}")
    if not moved:
        entry = _latest(merchant, action)
        by = f", by {entry.actor_name}" if entry else ""
        raise IllegalTransition(
            f"This merchant account is {target.label} already{by}.", "There is nothing left to do."
        )
    history.write(
        action,
        actor=actor,
        merchant=current,
        before={"status": source.value},
        after={"status": target.value},
        reason=reason,
    )
    return current


def _locked(merchant: Merchant) -> Merchant:
    """`merchant` as it is now; it stays so until the transaction ends."""
    return Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)


def _latest(merchant: Merchant, action: Action) -> HistoryEntry | None:
    return HistoryEntry.objects.filter(merchant=merchant, action=action).order_by("-at", "-id").first()
