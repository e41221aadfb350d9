"""Re-encryption of second factors: their secrets are under KEYS_ENCRYPTION_KEYS too, and move with API keys."""

from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from django.db import transaction

from keys import vault
from keys.console.factors import NAMES
from keys.errors import SecretUnavailable
from keys.rotation import Tally

# Where in its data a factor keeps its secret. Of a passkey nothing secret is stored.
SECRETS: dict[str, str] = {Authenticator.Type.TOTP: "secret", Authenticator.Type.RECOVERY_CODES: "seed"}


def go_through(tally: Tally, *, rotate: bool) -> Iterator[str]:
    """Count each secret by the encryption key that it is under, and `rotate` older ones to the first of them.

    Yields a complaint for each that cannot be read. A factor is locked while it is changed: a recovery code that is
    used at that moment stays used.
    """
    found = Authenticator.objects.filter(type__in=SECRETS).order_by("pk")
    for pk in found.values_list("pk", flat=True):
        with transaction.atomic():
            factor = found.select_for_update(of=("self",)).select_related("user").filter(pk=pk).first()
            complaint = _taken(factor, tally, rotate=rotate) if factor else ""
        if complaint:
            yield complaint


def _taken(factor: Authenticator, tally: Tally, *, rotate: bool) -> str:
    name = SECRETS[factor.type]
    try:
        position = vault.text_sealed_with(factor.data[name])
    except SecretUnavailable:
        tally.unreadable += 1
        return f"The {NAMES[Authenticator.Type(factor.type)]} of {factor.user.username} cannot be decrypted."
    tally.by_position[position] += 1
    if rotate and position:
        factor.data[name] = vault.seal_text(vault.unseal_text(factor.data[name]))
        factor.save(update_fields=["data"])
        tally.rotated += 1
    return ""
