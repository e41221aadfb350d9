"""The history: who did what to which merchant account, API key or person. Rows are only ever added."""

from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone

from keys.chain import PLATFORM, VERSION, chain_name
from keys.identifiers import HISTORY, encode, new_id
from keys.models.apikey import ApiKey
from keys.models.merchant import Merchant


class Action(models.TextChoices):
    """Everything that history records."""

    MERCHANT_CREATED = "merchant.created", "Merchant account created"
    MERCHANT_UPDATED = "merchant.updated", "Merchant account changed"
    MERCHANT_DISABLED = "merchant.disabled", "Merchant account disabled"
    MERCHANT_ENABLED = "merchant.enabled", "Merchant account enabled"
    KEY_CREATED = "key.created", "Created"
    KEY_DUPLICATED = "key.duplicated", "Duplicated"
    KEY_UPDATED = "key.updated", "Changed"
    KEY_DISABLED = "key.disabled", "Disabled"
    KEY_ENABLED = "key.enabled", "Enabled"
    KEY_REVOKED = "key.revoked", "Revoked"
    KEY_COPIED = "key.copied", "Key copied"
    PERSON_INVITED = "person.invited", "Person invited"
    PERSON_UNINVITED = "person.uninvited", "Invitation withdrawn"
    PERSON_JOINED = "person.joined", "Invitation accepted"
    PERSON_ROLE_CHANGED = "person.role_changed", "Role changed"
    PERSON_DEACTIVATED = "person.deactivated", "Person deactivated"
    PERSON_REACTIVATED = "person.reactivated", "Person reactivated"
    PERSON_REMOVED = "person.removed", "Person removed"
    PERSON_EMAIL_CHANGED = "person.email_changed", "E-mail address changed"
    PERSON_FACTORS_RESET = "person.factors_reset", "Second factor reset"
    SECRETS_ROTATED = "secrets.rotated", "Encryption rotated"


class ActorKind(models.TextChoices):
    PERSON = "person", "Person"
    COMMAND = "command", "Command"
    SYSTEM = "system", "System"


class HistoryEntry(models.Model):
    """One change or one copy of a secret, written in the transaction of the change itself."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # None where a row is about the platform itself: its people and its settings.
    merchant = models.ForeignKey(Merchant, models.PROTECT, null=True, related_name="history", db_index=False)
    key = models.ForeignKey(ApiKey, models.PROTECT, null=True, related_name="history", db_index=False)
    at = models.DateTimeField(default=timezone.now)
    action = models.CharField(max_length=24, choices=Action.choices)
    actor_kind = models.CharField(max_length=8, choices=ActorKind.choices)
    actor_user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    # The name at that moment: people are renamed and leave.
    actor_name = models.CharField(max_length=160)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    # The row's place in its chain, the hash of the row before it, and its own (keys/chain.py).
    sequence = models.PositiveBigIntegerField(editable=False)
    chain_version = models.PositiveSmallIntegerField(default=VERSION, db_default=VERSION, editable=False)
    previous_hash = models.BinaryField(max_length=32, editable=False)
    hash = models.BinaryField(max_length=32, editable=False)

    class Meta:
        verbose_name_plural = "history"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__in=Action.values), name="history_action_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(actor_kind__in=ActorKind.values), name="history_actor_is_known"
            ),
            models.UniqueConstraint(fields=["merchant", "sequence"], name="history_place_once"),
            models.UniqueConstraint(
                fields=["sequence"],
                condition=models.Q(merchant=None),
                name="history_platform_place_once",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-at", "-id"], name="history_by_merchant"),
            models.Index(fields=["key", "-at", "-id"], name="history_by_key"),
            # Filters of a long chain: what is rare in it is found without reading the rest.
            models.Index(fields=["merchant", "action", "-at", "-id"], name="history_by_action"),
            models.Index(fields=["merchant", "actor_name", "-at", "-id"], name="history_by_actor"),
            models.Index(
                fields=["-at", "-id"], condition=models.Q(merchant=None), name="history_of_the_platform"
            ),
            # What happened to the account itself, among all that happened to its keys.
            models.Index(
                fields=["merchant", "-at", "-id"], condition=models.Q(key=None), name="history_without_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.actor_name}"

    @property
    def chain(self) -> UUID:
        return self.merchant_id or PLATFORM

    @property
    def public_id(self) -> str:
        return encode(HISTORY, self.id)


class HistoryHead(models.Model):
    """The end of a chain. Its row is locked while a row is added, so that those who write come one after the other."""

    # The merchant account, or PLATFORM of keys/chain.py.
    chain = models.UUIDField(primary_key=True, editable=False)
    sequence = models.PositiveBigIntegerField(default=0, editable=False)
    hash = models.BinaryField(max_length=32, editable=False)

    def __str__(self) -> str:
        return f"{chain_name(self.chain)}, row {self.sequence:,}"
