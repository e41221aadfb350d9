"""The only place where API keys are made and changed. (keys/merchants.py is the same for merchant accounts.)

Each step is atomic, names its actor, and writes its history row in its own transaction. A change of state
is one conditional UPDATE (compare and swap): of two people at once one succeeds, and the other is told what
happened. A key's row is locked while its history is written, so that the history is in the order of the
events.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from ipaddress import ip_network
from itertools import count
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from keys import history, states, vault
from keys.errors import AlreadyCreated, IllegalTransition, InvalidField, SecretUnavailable, StaleEdit
from keys.history import Actor
from keys.identifiers import new_id
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, HistoryEntry, Merchant
from keys.models.apikey import DESCRIPTION_MAX, NAME_MAX
from keys.models.history import Action
from keys.naming import clean_line, clean_text, fold
from keys.permissions import catalogue
from keys.states import ApiKeyStatus, Status, Transition

NETWORKS_MAX = 50


@transaction.atomic
def create(
    *,
    merchant: Merchant,
    name: str,
    mode: str,
    permissions: Mapping[str, str],
    actor: Actor,
    description: str = "",
    expires_at: datetime | None = None,
    allowed_networks: Iterable[str] = (),
    duplicated_from: ApiKey | None = None,
    key_id: UUID | None = None,
) -> tuple[ApiKey, PlaintextKey]:
    """Make an Enabled key; returns it with its plain text, which exists nowhere else.

    `key_id`, where given, makes the step idempotent: the second call with the same one raises AlreadyCreated.
    Raises InvalidField for a value that cannot be accepted.
    """
    key, secret = compose(
        merchant=merchant,
        name=name,
        mode=mode,
        permissions=permissions,
        actor=actor,
        description=description,
        expires_at=expires_at,
        allowed_networks=allowed_networks,
        duplicated_from=duplicated_from,
        key_id=key_id,
    )
    _insert(key)
    history.append(compose_creation(key=key, actor=actor))
    return key, secret


def compose(
    *,
    merchant: Merchant,
    name: str,
    mode: str,
    permissions: Mapping[str, str],
    actor: Actor,
    description: str = "",
    expires_at: datetime | None = None,
    allowed_networks: Iterable[str] = (),
    duplicated_from: ApiKey | None = None,
    key_id: UUID | None = None,
    at: datetime | None = None,
) -> tuple[ApiKey, PlaintextKey]:
    """The key that `create` inserts, not yet inserted. `at` is for the past (demo data, imports)."""
    created_at = at or timezone.now()
    name = clean_key_name(name)
    if mode not in Mode.values:
        raise InvalidField("mode", "Choose Live mode or Test mode.")
    if expires_at is not None and expires_at <= created_at:
        raise InvalidField(
            "expires_at", "The expiry date has passed already.", "Choose a later one, or none."
        )
    try:
        grants = catalogue().validated(permissions)
    except ValueError as error:
        raise InvalidField("permissions", str(error)) from error
    secret = PlaintextKey.generate(Mode(mode))
    key = ApiKey(
        id=key_id or new_id(at),
        merchant=merchant,
        name=name,
        folded_name=fold(name),
        description=clean_description(description),
        mode=mode,
        permissions=str(grants),
        digest=secret.digest,
        head=secret.head,
        tail=secret.tail,
        secret_ciphertext=vault.seal(secret),
        expires_at=expires_at,
        allowed_networks=" ".join(clean_networks(allowed_networks)),
        duplicated_from=duplicated_from,
        created_at=created_at,
        created_by=actor.user,
    )
    return key, secret


def compose_creation(*, key: ApiKey, actor: Actor) -> list[HistoryEntry]:
    """What the history says of a new key: on its own page, and on that of the key it was duplicated from."""
    after = {
        "name": key.name,
        "description": key.description,
        "mode": key.mode,
        "permissions": key.permissions,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "allowed_networks": key.allowed_networks,
    }
    entries = []
    if (origin := key.duplicated_from) is not None:
        after["duplicated_from"] = origin.public_id
        entries.append(
            history.compose(
                Action.KEY_DUPLICATED,
                actor=actor,
                merchant=origin.merchant,
                key=origin,
                at=key.created_at,
                after={"duplicate": key.public_id, "name": key.name},
            )
        )
    created = history.compose(
        Action.KEY_CREATED, actor=actor, merchant=key.merchant, key=key, at=key.created_at, after=after
    )
    return [*entries, created]


@transaction.atomic
def duplicate(*, key: ApiKey, actor: Actor, name: str = "") -> tuple[ApiKey, PlaintextKey]:
    """Make a new key with every preset of `key`; an expiry that has passed is refused rather than dropped."""
    origin = _locked(key)
    return create(
        merchant=origin.merchant,
        name=name or free_copy_name(origin),
        description=origin.description,
        mode=origin.mode,
        permissions=origin.grants,
        expires_at=origin.expires_at,
        allowed_networks=origin.allowed_networks.split(),
        duplicated_from=origin,
        actor=actor,
    )


@transaction.atomic
def update(*, key: ApiKey, name: str, description: str, revision: int, actor: Actor) -> ApiKey:
    """Save name and description, if nobody saved since `revision` was read; raises StaleEdit otherwise."""
    after = {"name": clean_key_name(name), "description": clean_description(description)}
    current = _locked(key)
    if current.is_revoked:
        raise _illegal(current, ApiKeyStatus.REVOKED)
    before = {field: getattr(current, field) for field in after}
    if before == after:
        return current
    if current.revision != revision:
        entry = history.latest(key=key, action=Action.KEY_UPDATED)
        raise StaleEdit(
            f"{entry.actor_name if entry else 'Somebody'} saved this key while you were editing it.",
            "Nothing of yours is saved yet. Compare, then save again to put yours in its place.",
            changes=before,
            revision=current.revision,
        )
    try:
        with transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(
                **after, folded_name=fold(after["name"]), revision=F("revision") + 1
            )
    except IntegrityError as error:
        raise _name_taken(after["name"]) from error
    changed = [field for field in after if before[field] != after[field]]
    history.write(
        Action.KEY_UPDATED,
        actor=actor,
        merchant=current.merchant,
        key=current,
        before={field: before[field] for field in changed},
        after={field: after[field] for field in changed},
    )
    return ApiKey.objects.select_related("merchant").get(pk=key.pk)


def disable(*, key: ApiKey, actor: Actor, reason: str = "") -> ApiKey:
    """Enabled → Disabled: the very next request is refused."""
    return move(key=key, transition=states.DISABLE_KEY, actor=actor, reason=reason)


def enable(*, key: ApiKey, actor: Actor, reason: str = "") -> ApiKey:
    """Disabled → Enabled."""
    return move(key=key, transition=states.ENABLE_KEY, actor=actor, reason=reason)


def revoke(*, key: ApiKey, actor: Actor, reason: str = "") -> ApiKey:
    """Disabled → Revoked, for ever; the stored ciphertext is destroyed in the same statement."""
    return move(key=key, transition=states.REVOKE_KEY, actor=actor, reason=reason)


@transaction.atomic
def move(*, key: ApiKey, transition: Transition, actor: Actor, reason: str = "") -> ApiKey:
    """Take a transition by name; raises IllegalTransition where the key is not in the state that it leads from."""
    reason = history.clean_reason(reason)
    before = ApiKey.objects.filter(pk=key.pk, status=transition.source)
    moved = before.update(**_columns(transition))
    # Locked where the swap has failed, too: its explanation is of one moment.
    current = _locked(key)
    if not moved:
        raise _illegal(current, transition.target)
    history.append(
        [
            history.compose_transition(
                transition, actor=actor, merchant=current.merchant, key=current, reason=reason
            )
        ]
    )
    return current


@transaction.atomic
def move_many(
    *, keys: Collection[ApiKey], transition: Transition, actor: Actor, reason: str = ""
) -> set[UUID]:
    """Take a transition with all of `keys` that are in the state that it leads from; returns their ids.

    The rows are locked in the order of their ids, until the transaction ends: a few hundred are enough at a time.
    """
    reason = history.clean_reason(reason)
    found = ApiKey.objects.filter(pk__in=[key.pk for key in keys], status=transition.source)
    ready = list(
        found.select_for_update(of=("self",), no_key=True)
        .select_related("merchant")
        .only("merchant__id")
        .order_by("pk")
    )
    moved = {key.pk for key in ready}
    ApiKey.objects.filter(pk__in=moved).update(**_columns(transition))
    history.append(
        history.compose_transition(transition, actor=actor, merchant=key.merchant, key=key, reason=reason)
        for key in ready
    )
    return moved


@transaction.atomic
def copy(*, key: ApiKey, actor: Actor) -> PlaintextKey:
    """The key in plain text, recorded in the history; raises SecretUnavailable."""
    current = _locked(key)
    if current.is_revoked:
        raise SecretUnavailable(
            "This API key is revoked; its text is destroyed.", "Duplicate it to get a new key."
        )
    secret = vault.unseal(current.secret_ciphertext, digest=bytes(current.digest))
    history.write(Action.KEY_COPIED, actor=actor, merchant=current.merchant, key=current)
    return secret


def clean_key_name(name: str) -> str:
    return clean_line(name, field="name", label="Key name", maximum=NAME_MAX)


def clean_description(description: str) -> str:
    return clean_text(description, field="description", label="Description", maximum=DESCRIPTION_MAX)


def clean_networks(networks: Iterable[str]) -> list[str]:
    """Networks in canonical CIDR form, each once, in the order given; raises InvalidField."""
    cleaned = []
    for text in networks:
        try:
            network = ip_network(text.strip(), strict=False)
            if getattr(network.network_address, "scope_id", None):
                # `fe80::1%eth0`: the zone means something on one machine only, and may hold any text.
                raise ValueError("a network with a zone")  # noqa: TRY301
            cleaned.append(str(network))
        except ValueError as error:
            raise InvalidField(
                "allowed_networks",
                f"“{text[:60]}” is not a network.",
                "Write it like 203.0.113.0/24 or 2001:db8::/32.",
            ) from error
    if len(cleaned) > NETWORKS_MAX:
        raise InvalidField("allowed_networks", f"{NETWORKS_MAX} networks are the most for a key.")
    return list(dict.fromkeys(cleaned))


def free_copy_name(key: ApiKey) -> str:
    """“Checkout (copy)”, “Checkout (copy 2)” …: the first such name that no key in use has."""
    in_use = ApiKey.objects.filter(merchant=key.merchant_id).exclude(status=ApiKeyStatus.REVOKED)
    for first in count(1, 20):
        names = [_copy_name(key.name, number) for number in range(first, first + 20)]
        taken = set(
            in_use.filter(folded_name__in=list(map(fold, names))).values_list("folded_name", flat=True)
        )
        if free := [name for name in names if fold(name) not in taken]:
            return free[0]
    raise AssertionError("there is always another number")


def _copy_name(name: str, number: int) -> str:
    suffix = " (copy)" if number == 1 else f" (copy {number})"
    return name[: NAME_MAX - len(suffix)].rstrip(" \u200d") + suffix


def _locked(key: ApiKey) -> ApiKey:
    """`key` as it is now, with its merchant account; it stays so until the transaction ends.

    On SQLite the transaction itself is the lock: it has begun with BEGIN IMMEDIATE.
    """
    keys = ApiKey.objects.select_for_update(of=("self",), no_key=True).select_related("merchant")
    return keys.get(pk=key.pk)


def _insert(key: ApiKey) -> None:
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError as error:
        twin = ApiKey.objects.filter(pk=key.pk).first()
        if twin is None:
            raise _name_taken(key.name) from error
        advice = "Copy it from its page." if twin.can_be_copied else "Its page has all but the key itself."
        raise AlreadyCreated("This API key was created already.", advice) from error


def _name_taken(name: str) -> InvalidField:
    return InvalidField(
        "name", f"This merchant account already has an API key called “{name}”.", "Choose another name."
    )


def _columns(transition: Transition) -> dict[str, Any]:
    """What a key has from then on: in the statement that revokes it, the stored ciphertext is destroyed."""
    gone = {"secret_ciphertext": None} if transition is states.REVOKE_KEY else {}
    return {"status": transition.target, **gone}


def _illegal(key: ApiKey, target: Status) -> IllegalTransition:
    """Why `key` cannot become `target`, who brought it to where it is, and what to do."""
    status = ApiKeyStatus(key.status)
    entry = history.latest(key=key, action=history.arrival(status))
    by = f", by {entry.actor_name}" if entry else ""
    if status is ApiKeyStatus.REVOKED:
        return IllegalTransition(
            f"This API key was revoked{by}. Revoked is final.",
            "Duplicate it to get a new key with the same presets.",
        )
    if status is target:
        return IllegalTransition(
            f"This API key is {status.label} already{by}.", "There is nothing left to do."
        )
    again = f" This one was enabled again{by}." if entry else ""
    return IllegalTransition(
        f"Only a disabled API key can be revoked.{again}", "Disable it first, then revoke it."
    )
