"""API keys: what is stored of each, and what the database itself holds true of it.

Beyond the constraints below, triggers (keys/guards.py) keep the states, the immutable columns and the rows themselves.
"""

from datetime import datetime
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.urls import reverse
from django.utils import timezone

from keys.identifiers import API_KEY, encode, new_id
from keys.keyformat import Mode, mask
from keys.models.fields import FoldedField
from keys.models.merchant import Merchant
from keys.permissions import Grants
from keys.states import DISABLE_KEY, ENABLE_KEY, REVOKE_KEY, ApiKeyStatus

NAME_MAX = 80
DESCRIPTION_MAX = 500


class ApiKey(models.Model):
    """A merchant account's API key. Enabled on creation; Enabled ⇄ Disabled → Revoked; never deleted."""

    Status = ApiKeyStatus

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="api_keys", db_index=False)
    name = models.CharField("key name", max_length=NAME_MAX)
    folded_name = FoldedField(max_length=2 * NAME_MAX, editable=False)
    description = models.TextField(max_length=DESCRIPTION_MAX, blank=True)
    mode = models.CharField(max_length=4, choices=Mode.choices)
    # `payments:write reports:read`: see keys.permissions.Grants.
    permissions = models.TextField(blank=True)
    status = models.CharField(max_length=8, choices=ApiKeyStatus.choices, default=ApiKeyStatus.ENABLED)
    # Larger is earlier on the grid, so that the grid's whole order is descending and one index serves it.
    status_rank = models.GeneratedField(
        expression=Case(
            When(status="enabled", then=Value(3)), When(status="disabled", then=Value(2)), default=Value(1)
        ),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    head = models.CharField(max_length=4, editable=False)
    tail = models.CharField(max_length=4, editable=False)
    secret_ciphertext = models.TextField(null=True, editable=False)  # noqa: DJ001 - NULL means that there is none
    expires_at = models.DateTimeField(null=True, blank=True)
    # CIDR networks separated by spaces; none means anywhere.
    allowed_networks = models.TextField(blank=True)
    duplicated_from = models.ForeignKey(
        "self", models.PROTECT, null=True, editable=False, related_name="duplicates", db_index=False
    )
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        verbose_name = "API key"
        permissions = [
            ("copy_apikey", "Can copy the text of an API key"),
            ("duplicate_apikey", "Can duplicate an API key"),
            ("disable_apikey", "Can disable an API key"),
            ("enable_apikey", "Can enable an API key"),
            ("revoke_apikey", "Can revoke an API key"),
            ("rotate_encryption", "Can re-encrypt the texts of all API keys"),
            ("handle_strong_apikey", "Can create, duplicate and copy live keys with restricted permissions"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="apikey_has_a_name"),
            models.CheckConstraint(
                condition=Q(status__in=ApiKeyStatus.values), name="apikey_status_is_known"
            ),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="apikey_mode_is_known"),
            models.CheckConstraint(
                condition=~Q(status="revoked") | Q(secret_ciphertext__isnull=True),
                name="apikey_revoked_has_no_secret",
            ),
            models.UniqueConstraint(
                "merchant", "folded_name", condition=~Q(status="revoked"), name="apikey_name_once_in_use"
            ),
        ]
        indexes = [
            models.Index(
                "merchant",
                F("status_rank").desc(),
                F("created_at").desc(),
                F("id").desc(),
                name="apikey_grid",
            ),
            models.Index(fields=["created_at", "id"], name="apikey_by_age"),
            # For who looks for a key without knowing whose it is: by its name, or by the mask in somebody's log.
            models.Index(fields=["folded_name", "id"], name="apikey_by_name"),
            models.Index(fields=["head", "tail"], name="apikey_by_mask"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("apikey-detail", args=[self.id])

    @property
    def public_id(self) -> str:
        return encode(API_KEY, self.id)

    @property
    def masked(self) -> str:
        return mask(self.mode, self.head, self.tail)

    @property
    def last_used_at(self) -> datetime | None:
        """Of another table: who shows many keys reads it with them, as `last_use`."""
        use = getattr(self, "last_use", None)
        return use.at if use else None

    @cached_property
    def grants(self) -> Grants:
        return Grants.parse(self.permissions)

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.allowed_networks.split())

    @property
    def is_enabled(self) -> bool:
        return self.status == ApiKeyStatus.ENABLED

    @property
    def is_disabled(self) -> bool:
        return self.status == ApiKeyStatus.DISABLED

    @property
    def is_revoked(self) -> bool:
        return self.status == ApiKeyStatus.REVOKED

    @property
    def can_be_disabled(self) -> bool:
        return DISABLE_KEY.is_possible(self.status)

    @property
    def can_be_enabled(self) -> bool:
        return ENABLE_KEY.is_possible(self.status)

    @property
    def can_be_revoked(self) -> bool:
        return REVOKE_KEY.is_possible(self.status)

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def can_be_copied(self) -> bool:
        return self.secret_ciphertext is not None
