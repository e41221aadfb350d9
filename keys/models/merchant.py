"""Merchant accounts, and the words by which they are found."""

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from keys.identifiers import MERCHANT, encode, new_id
from keys.models.fields import FoldedField
from keys.states import DISABLE_MERCHANT, ENABLE_MERCHANT, MerchantStatus

NAME_MAX = 120
TERM_MAX = 60


class Merchant(models.Model):
    """A business that takes payments through the platform. Never deleted once it has a key or a history."""

    Status = MerchantStatus

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=NAME_MAX)
    # The folded name: case and accents do not matter for the order, and both databases sort it by code point.
    sort_name = FoldedField(max_length=2 * NAME_MAX, editable=False)
    website = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=8, choices=MerchantStatus.choices, default=MerchantStatus.ENABLED)
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        verbose_name = "merchant account"
        permissions = [
            ("disable_merchant", "Can disable a merchant account"),
            ("enable_merchant", "Can enable a merchant account"),
        ]
        constraints = [
            models.CheckConstraint(condition=~models.Q(name=""), name="merchant_has_a_name"),
            models.CheckConstraint(
                condition=models.Q(status__in=MerchantStatus.values), name="merchant_status_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["sort_name", "id"], name="merchant_by_name"),
            models.Index(fields=["created_at", "id"], name="merchant_by_age"),
            models.Index(fields=["status", "sort_name", "id"], name="merchant_status_name"),
            models.Index(fields=["status", "created_at", "id"], name="merchant_status_age"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("merchant-detail", args=[self.id])

    @property
    def public_id(self) -> str:
        return encode(MERCHANT, self.id)

    @property
    def is_enabled(self) -> bool:
        return self.status == MerchantStatus.ENABLED

    @property
    def can_be_disabled(self) -> bool:
        return DISABLE_MERCHANT.is_possible(self.status)

    @property
    def can_be_enabled(self) -> bool:
        return ENABLE_MERCHANT.is_possible(self.status)


class MerchantTerm(models.Model):
    """One folded word of a merchant account's name or website: `keys.search` writes and reads them."""

    id = models.BigAutoField(primary_key=True)
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="terms", db_index=False)
    term = FoldedField(max_length=TERM_MAX)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merchant", "term"], name="merchant_term_once")]
        indexes = [models.Index(fields=["term", "merchant"], name="merchant_by_term")]

    def __str__(self) -> str:
        return str(self.term)
