"""Second factors: authenticator apps, passkeys and recovery codes, as allauth keeps them, in this product's terms."""

import base64
import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import cache
from django.utils.html import format_html
from django.utils.safestring import SafeString
from qrcode.main import QRCode

from keys import vault
from keys.errors import SecretUnavailable
from keys.models import User

PRODUCT = "Merchant Admin"
# As many as allauth makes: MFA_RECOVERY_CODE_COUNT.
RECOVERY_CODES = 10
# A code is right for its own half minute, the one before and the one after.
CODE_LIFE_SECONDS = 90
FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]

logger = logging.getLogger(__name__)


class FactorAdapter(DefaultMFAAdapter):
    """What allauth asks about second factors. Their secrets are encrypted as API keys are."""

    def get_totp_issuer(self) -> str:
        return PRODUCT

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return super().get_public_key_credential_rp_entity() | {"name": PRODUCT}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {count + 1}"

    def build_totp_svg(self, url: str) -> SafeString:
        """A picture without colours or styles of its own, so that no exception has to be made for it."""
        code: Any = QRCode(border=2)
        code.add_data(url)
        rows = code.get_matrix()
        squares = "".join(
            f"M{column} {row}h1v1h-1z"
            for row, cells in enumerate(rows)
            for column, is_dark in enumerate(cells)
            if is_dark
        )
        return format_html(
            '<svg class="qr" viewBox="0 0 {0} {0}" role="img" aria-label="QR code"><path d="{1}"/></svg>',
            len(rows),
            squares,
        )

    def encrypt(self, text: str) -> str:
        return vault.seal_text(text)

    def decrypt(self, encrypted_text: str) -> str:
        """The secret, or another that nobody has: without the right encryption key no code is the right one."""
        try:
            return vault.unseal_text(encrypted_text)
        except SecretUnavailable:
            logger.exception("A second factor cannot be checked")
            return base64.b32encode(secrets.token_bytes(20)).decode()


class OneTimeMixin:
    """A code of an authenticator app is taken once, for as long as it would be right."""

    authenticator: Authenticator

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if self.authenticator.type == Authenticator.Type.TOTP:
            used = f"totp-used:{self.authenticator.pk}:{code.strip()}"
            if not cache.add(used, True, timeout=CODE_LIFE_SECONDS):
                raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(OneTimeMixin, AuthenticateForm):
    """The second step of signing in."""


class CodeAgainForm(OneTimeMixin, ReauthenticateForm):
    """A code as proof, later."""


@dataclass(slots=True)
class Security:
    """How one person signs in, for their profile."""

    totp: Authenticator | None = None
    recovery_codes: Authenticator | None = None
    passkeys: list[Authenticator] = field(default_factory=list)

    @classmethod
    def of(cls, user: User) -> "Security":
        security = cls()
        for authenticator in Authenticator.objects.filter(user=user).order_by("created_at", "pk"):
            match authenticator.type:
                case Authenticator.Type.TOTP:
                    security.totp = authenticator
                case Authenticator.Type.RECOVERY_CODES:
                    security.recovery_codes = authenticator
                case Authenticator.Type.WEBAUTHN:
                    security.passkeys.append(authenticator)
        return security

    @property
    def codes_left(self) -> int:
        """How many recovery codes are unused; they are counted without being decrypted."""
        if not self.recovery_codes:
            return 0
        used: int = self.recovery_codes.data["used_mask"]
        return RECOVERY_CODES - used.bit_count()


def has_second_factor(user: User) -> bool:
    return bool(is_mfa_enabled(user, FACTORS))
