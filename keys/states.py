"""The states of merchant accounts and of API keys, and each step that leads from one to another: said here alone.

Pure. keys/lifecycle.py and keys/merchants.py take these steps; whoever offers one asks here whether it is possible.
The triggers of the database (keys/sql/guards.*.sql) keep to the same for API keys, whoever writes.
"""

from dataclasses import dataclass

from django.db.models import TextChoices


class MerchantStatus(TextChoices):
    ENABLED = "enabled", "Enabled"
    DISABLED = "disabled", "Disabled"

    @property
    def meaning(self) -> str:
        if self is MerchantStatus.ENABLED:
            return "Requests with this account's enabled keys are answered."
        return "Requests with any of this account's keys are refused with 401."


class ApiKeyStatus(TextChoices):
    ENABLED = "enabled", "Enabled"
    DISABLED = "disabled", "Disabled"
    REVOKED = "revoked", "Revoked"

    @property
    def meaning(self) -> str:
        return {
            ApiKeyStatus.ENABLED: "Requests with this key are answered.",
            ApiKeyStatus.DISABLED: "Requests with this key are refused with 401. It can be enabled again.",
            ApiKeyStatus.REVOKED: "Requests with this key are refused with 401, for ever.",
        }[self]


Status = MerchantStatus | ApiKeyStatus


@dataclass(frozen=True, slots=True)
class Transition:
    """A step that is possible in one state alone, and leads to another."""

    name: str
    source: Status
    target: Status

    def is_possible(self, status: str) -> bool:
        return status == self.source

    @property
    def is_final(self) -> bool:
        """Whether nothing leads on from where it leads."""
        return not any(each.source is self.target for each in (*MERCHANT_TRANSITIONS, *KEY_TRANSITIONS))


DISABLE_MERCHANT = Transition("disable", MerchantStatus.ENABLED, MerchantStatus.DISABLED)
ENABLE_MERCHANT = Transition("enable", MerchantStatus.DISABLED, MerchantStatus.ENABLED)
MERCHANT_TRANSITIONS = (DISABLE_MERCHANT, ENABLE_MERCHANT)

DISABLE_KEY = Transition("disable", ApiKeyStatus.ENABLED, ApiKeyStatus.DISABLED)
ENABLE_KEY = Transition("enable", ApiKeyStatus.DISABLED, ApiKeyStatus.ENABLED)
REVOKE_KEY = Transition("revoke", ApiKeyStatus.DISABLED, ApiKeyStatus.REVOKED)
KEY_TRANSITIONS = (DISABLE_KEY, ENABLE_KEY, REVOKE_KEY)
