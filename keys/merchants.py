"""The only place where merchant accounts change: create, rename, disable, enable."""

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


@transaction.atomic
def create(*, name: str, actor: Actor, website: str = "") -> Merchant:
    """Make an Enabled merchant account. Two accounts may share a name, as two companies may."""
    merchant = compose(name=name, actor=actor, website=website)
    merchant.save(force_insert=True)
    search.index([merchant])
    compose_creation(merchant=merchant, actor=actor).save(force_insert=True)
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
        Action.MERCHANT_CREATED, actor=actor, merchant=merchant, at=merchant.created_at,
        after={"name": merchant.name, "website": merchant.website},
    )


@transaction.atomic
def update(*, merchant: Merchant, name: str, website: str, revision: int, actor: Actor) -> Merchant:
    """Save name and website, if nobody saved since `revision` was read; raises StaleEdit otherwise."""
    after = {"name": clean_merchant_name(name), "website": clean_website(website)}
    current = Merchant.objects.select_for_update().get(pk=merchant.pk)
    before = {field: getattr(current, field) for field in after}
    if before == after:
        return current
    if current.revision != revision:
        entry = _latest(merchant, Action.MERCHANT_UPDATED)
        raise StaleEdit(
            f"{entry.actor_name if entry else 'Somebody'} saved this merchant account while you were editing it.",
            "Nothing of yours is saved yet. Compare, then save again to put yours in its place.",
            changes=before,
        )
    Merchant.objects.filter(pk=merchant.pk).update(
        **after, sort_name=fold(after["name"]), revision=F("revision") + 1
    )
    current = Merchant.objects.get(pk=merchant.pk)
    search.index([current])
    changed = [field for field in after if before[field] != after[field]]
    history.write(
        Action.MERCHANT_UPDATED, actor=actor, merchant=current,
        before={field: before[field] for field in changed}, after={field: after[field] for field in changed},
    )
    return current


def disable(*, merchant: Merchant, actor: Actor, reason: str = "") -> Merchant:
    """Refuse all the account's keys from the very next request on; the keys keep their own states."""
    return _move(merchant, MerchantStatus.ENABLED, MerchantStatus.DISABLED, Action.MERCHANT_DISABLED, actor, reason)


def enable(*, merchant: Merchant, actor: Actor, reason: str = "") -> Merchant:
    """Answer the account's enabled keys again."""
    return _move(merchant, MerchantStatus.DISABLED, MerchantStatus.ENABLED, Action.MERCHANT_ENABLED, actor, reason)


def clean_merchant_name(name: str) -> str:
    return clean_line(name, field="name", label="Name", maximum=NAME_MAX)


def clean_website(website: str) -> str:
    """A host name or an address without its scheme: `northwind.example`."""
    website = clean_line(website, field="website", label="Website", maximum=WEBSITE_MAX, required=False)
    website = website.removeprefix("https://").removeprefix("http://").rstrip("/")
    if website and (" " in website or "." not in website):
        raise InvalidField("website", f"“{website}” is not a website.", "Write it like northwind.example.")
    return website


@transaction.atomic
def _move(
    merchant: Merchant,
    source: MerchantStatus,
    target: MerchantStatus,
    action: Action,
    actor: Actor,
    reason: str,
) -> Merchant:
    moved = Merchant.objects.filter(pk=merchant.pk, status=source).update(status=target)
    current = Merchant.objects.get(pk=merchant.pk)
    if not moved:
        entry = _latest(merchant, action)
        by = f", by {entry.actor_name}" if entry else ""
        raise IllegalTransition(f"This merchant account is {target.label} already{by}.", "There is nothing left to do.")
    history.write(
        action, actor=actor, merchant=current,
        before={"status": source.value}, after={"status": target.value}, reason=reason,
    )
    return current


def _latest(merchant: Merchant, action: Action) -> HistoryEntry | None:
    return HistoryEntry.objects.filter(merchant=merchant, action=action).order_by("-at", "-id").first()
