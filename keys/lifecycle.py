"""The only place where the state of API keys changes. (keys/merchants.py is the same for merchant accounts.)

Each step is atomic, names its actor, and writes its history row in its own transaction. A change of state is one
conditional UPDATE (compare and swap): of two people at once one succeeds, and the other is told what happened.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from keys import history, vault
from keys.errors import AlreadyCreated, IllegalTransition, InvalidField, SecretUnavailable, StaleEdit
from keys.history import Actor
from keys.identifiers import new_id
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, HistoryEntry, Merchant
from keys.models.apikey import DESCRIPTION_MAX, NAME_MAX, ApiKeyStatus
from keys.models.history import Action
from keys.naming import clean_line, clean_text, fold
from keys.permissions import catalogue

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
    if ApiKey.objects.filter(pk=key.pk).exists():
        raise AlreadyCreated("This API key was created already.", "Copy it from its page.")
    _insert(key)
    for entry in compose_creation(key=key, actor=actor):
        entry.save(force_insert=True)
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
        raise InvalidField("expires_at", "The expiry date has passed already.", "Choose a later one, or none.")
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
                Action.KEY_DUPLICATED, actor=actor, merchant=origin.merchant, key=origin, at=key.created_at,
                after={"duplicate": key.public_id, "name": key.name},
            )
        )
    created = history.compose(
        Action.KEY_CREATED, actor=actor, merchant=key.merchant, key=key, at=key.created_at, after=after
    )
    return [*entries, created]


def duplicate(*, key: ApiKey, actor: Actor, name: str = "") -> tuple[ApiKey, PlaintextKey]:
    """Make a new key with every preset of `key`; an expiry that has passed is refused rather than dropped."""
    return create(
        merchant=key.merchant,
        name=name or free_copy_name(key),
        description=key.description,
        mode=key.mode,
        permissions=key.grants,
        expires_at=key.expires_at,
        allowed_networks=key.allowed_networks.split(),
        duplicated_from=key,
        actor=actor,
    )


@transaction.atomic
def update(*, key: ApiKey, name: str, description: str, revision: int, actor: Actor) -> ApiKey:
    """Save a new name and description, if nobody saved since `revision` was read; raises StaleEdit otherwise."""
    name, description = clean_key_name(name), clean_description(description)
    current = ApiKey.objects.select_for_update().get(pk=key.pk)
    if current.is_revoked:
        raise IllegalTransition("This API key is revoked and never changes again.", "Duplicate it to go on.")
    after = {"name": name, "description": description}
    before = {field: getattr(current, field) for field in after}
    if before == after:
        return current
    if current.revision != revision:
        entry = history.latest(key=key, action=Action.KEY_UPDATED)
        raise StaleEdit(
            f"{entry.actor_name if entry else 'Somebody'} saved this key while you were editing it.",
            "Nothing of yours is saved yet. Compare, then save again to put yours in its place.",
            changes=before,
        )
    changed = [field for field in after if before[field] != after[field]]
    try:
        with transaction.atomic():
            saved = ApiKey.objects.filter(pk=key.pk, revision=revision).update(
                name=name, folded_name=fold(name), description=description, revision=F("revision") + 1
            )
    except IntegrityError as error:
        raise _name_taken(name) from error
    if not saved:  # pragma: no cover - the row is locked, or SQLite's only writer is us
        raise IllegalTransition("This API key changed at the same moment.", "Try again.")
    history.write(
        Action.KEY_UPDATED, actor=actor, merchant=current.merchant, key=current,
        before={field: before[field] for field in changed}, after={field: after[field] for field in changed},
    )
    return ApiKey.objects.get(pk=key.pk)


def disable(*, key: ApiKey, actor: Actor, reason: str = "") -> ApiKey:
    """Enabled → Disabled: the very next request is refused."""
    return _move(key, ApiKeyStatus.ENABLED, ApiKeyStatus.DISABLED, Action.KEY_DISABLED, actor, reason)


def enable(*, key: ApiKey, actor: Actor, reason: str = "") -> ApiKey:
    """Disabled → Enabled."""
    return _move(key, ApiKeyStatus.DISABLED, ApiKeyStatus.ENABLED, Action.KEY_ENABLED, actor, reason)


def revoke(*, key: ApiKey, actor: Actor, reason: str = "") -> ApiKey:
    """Disabled → Revoked, for ever; the stored ciphertext is destroyed in the same statement."""
    return _move(
        key, ApiKeyStatus.DISABLED, ApiKeyStatus.REVOKED, Action.KEY_REVOKED, actor, reason, secret_ciphertext=None
    )


@transaction.atomic
def copy(*, key: ApiKey, actor: Actor) -> PlaintextKey:
    """The key in plain text, recorded in the history; raises SecretUnavailable."""
    current = ApiKey.objects.select_related("merchant").get(pk=key.pk)
    if current.is_revoked:
        raise SecretUnavailable("This API key is revoked; its text is destroyed.", "Duplicate it to get a new key.")
    secret = vault.unseal(current.secret_ciphertext, digest=bytes(current.digest))
    history.write(Action.KEY_COPIED, actor=actor, merchant=current.merchant, key=current)
    return secret


def clean_key_name(name: str) -> str:
    name = clean_line(name, field="name", label="Key name", maximum=NAME_MAX)
    return name


def clean_description(description: str) -> str:
    return clean_text(description, field="description", label="Description", maximum=DESCRIPTION_MAX)


def clean_networks(networks: Iterable[str]) -> list[str]:
    """Networks in canonical CIDR form, each once, in the order given; raises InvalidField."""
    cleaned = []
    for text in networks:
        try:
            cleaned.append(str(ip_network(text.strip(), strict=False)))
        except ValueError as error:
            raise InvalidField(
                "allowed_networks", f"“{text[:60]}” is not a network.", "Write it like 203.0.113.0/24 or 2001:db8::/32."
            ) from error
    if len(cleaned) > NETWORKS_MAX:
        raise InvalidField("allowed_networks", f"{NETWORKS_MAX} networks are the most for a key.")
    return list(dict.fromkeys(cleaned))


def free_copy_name(key: ApiKey) -> str:
    """“Checkout (copy)”, “Checkout (copy 2)” …: the first such name that no key in use has."""
    taken = set(
        ApiKey.objects.filter(merchant=key.merchant_id)
        .exclude(status=ApiKeyStatus.REVOKED)
        .values_list("folded_name", flat=True)
    )
    number = 1
    while True:
        suffix = " (copy)" if number == 1 else f" (copy {number})"
        name = key.name[: NAME_MAX - len(suffix)].rstrip() + suffix
        if fold(name) not in taken:
            return name
        number += 1


def _insert(key: ApiKey) -> None:
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError as error:
        if ApiKey.objects.filter(pk=key.pk).exists():
            raise AlreadyCreated("This API key was created already.", "Copy it from its page.") from error
        raise _name_taken(key.name) from error


def _name_taken(name: str) -> InvalidField:
    return InvalidField(
        "name", f"This merchant account already has an API key called “{name}”.", "Choose another name."
    )


@transaction.atomic
def _move(
    key: ApiKey,
    source: ApiKeyStatus,
    target: ApiKeyStatus,
    action: Action,
    actor: Actor,
    reason: str,
    **columns: Any,
) -> ApiKey:
    moved = ApiKey.objects.filter(pk=key.pk, status=source).update(status=target, **columns)
    current = ApiKey.objects.select_related("merchant").get(pk=key.pk)
    if not moved:
        raise _illegal(current, target)
    history.write(
        action, actor=actor, merchant=current.merchant, key=current,
        before={"status": source.value}, after={"status": target.value}, reason=reason,
    )
    return current


def _illegal(key: ApiKey, target: ApiKeyStatus) -> IllegalTransition:
    """Why `key` cannot become `target`, who brought it to where it is, and what to do."""
    status = ApiKeyStatus(key.status)
    entry = history.latest(key=key, action=Action(f"key.{status.value}")) if status.value != "enabled" else (
        history.latest(key=key, action=Action.KEY_ENABLED)
    )
    by = f", by {entry.actor_name}" if entry else ""
    if status is ApiKeyStatus.REVOKED:
        return IllegalTransition(
            f"This API key was revoked{by}. Revoked is final.", "Duplicate it to get a new key with the same presets."
        )
    if status is target:
        return IllegalTransition(f"This API key is {status.label} already{by}.", "There is nothing left to do.")
    return IllegalTransition("Only a disabled API key can be revoked.", "Disable it first, then revoke it.")
