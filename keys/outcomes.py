"""The closed list of verification outcomes: the same words in JSON, request log, badges, metrics and docs."""

from django.db.models import TextChoices


class Outcome(TextChoices):
    """In order of precedence: a request gets the first failure that applies."""

    VALID = "VALID", "Valid"
    MALFORMED = "MALFORMED", "Malformed key"
    NOT_FOUND = "NOT_FOUND", "Unknown key"
    MERCHANT_MISMATCH = "MERCHANT_MISMATCH", "Wrong merchant"
    MERCHANT_DISABLED = "MERCHANT_DISABLED", "Merchant disabled"
    DISABLED = "DISABLED", "Key disabled"
    REVOKED = "REVOKED", "Key revoked"
    EXPIRED = "EXPIRED", "Key expired"
    NETWORK_NOT_ALLOWED = "NETWORK_NOT_ALLOWED", "Network not allowed"
    PERMISSION_DENIED = "PERMISSION_DENIED", "Permission denied"

    @property
    def http_status(self) -> int:
        """What the verifier answers: only the holder of a usable key learns more than 401."""
        if self is Outcome.VALID:
            return 200
        return 403 if self in {Outcome.NETWORK_NOT_ALLOWED, Outcome.PERMISSION_DENIED} else 401

    @property
    def meaning(self) -> str:
        return MEANINGS[self]


MEANINGS = {
    Outcome.VALID: "The key may make this request.",
    Outcome.MALFORMED: "What was sent is not an API key: its shape or its checksum is wrong.",
    Outcome.NOT_FOUND: "No API key like this was ever issued.",
    Outcome.MERCHANT_MISMATCH: "The key belongs to another merchant account than the one named.",
    Outcome.MERCHANT_DISABLED: "The merchant account is disabled, so all its keys are refused.",
    Outcome.DISABLED: "The key is disabled.",
    Outcome.REVOKED: "The key is revoked, for ever.",
    Outcome.EXPIRED: "The key's expiry date has passed.",
    Outcome.NETWORK_NOT_ALLOWED: "The request came from outside the key's allowed networks.",
    Outcome.PERMISSION_DENIED: "The key's permissions do not cover this request.",
}


class FailureCause(TextChoices):
    """Why a request failed, as the rollups count it. A request fails when its status is 400 or more."""

    MERCHANT_MISMATCH = "merchant_mismatch", "401 Wrong merchant"
    MERCHANT_DISABLED = "merchant_disabled", "401 Merchant disabled"
    DISABLED = "disabled", "401 Key disabled"
    REVOKED = "revoked", "401 Key revoked"
    EXPIRED = "expired", "401 Key expired"
    NETWORK_NOT_ALLOWED = "network_not_allowed", "403 Network not allowed"
    PERMISSION_DENIED = "permission_denied", "403 Permission denied"
    CLIENT_ERROR = "client_error", "4xx from the API"
    SERVER_ERROR = "server_error", "5xx from the API"

    @property
    def outcome(self) -> Outcome:
        """The outcome of the requests that failed for this cause."""
        answered = {FailureCause.CLIENT_ERROR, FailureCause.SERVER_ERROR}
        return Outcome.VALID if self in answered else Outcome(self.value.upper())


def failure_cause(outcome: str, status: int) -> FailureCause | None:
    """The cause to count, or None for a request that succeeded (a status below 400)."""
    if status < 400:
        return None
    if outcome == Outcome.VALID:
        return FailureCause.SERVER_ERROR if status >= 500 else FailureCause.CLIENT_ERROR
    return FailureCause(outcome.lower())
