"""Second factors: authenticator apps, passkeys and recovery codes, as allauth keeps them, in this product's terms."""

import base64
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.utils import is_mfa_enabled
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_htmx.http import HttpResponseClientRedirect
from qrcode.main import QRCode

from keys import history, vault
from keys.access import role_of
from keys.console.wording import WORDS, PlainWords
from keys.errors import SecretUnavailable
from keys.history import Actor, clean_reason
from keys.models import User
from keys.models.history import Action

PRODUCT = "Merchant Admin"
# As many as allauth makes: MFA_RECOVERY_CODE_COUNT.
RECOVERY_CODES = 10
# A code is right for its own half minute, the one before and the one after.
CODE_LIFE_SECONDS = 90
NAMES = {
    Authenticator.Type.TOTP: "authenticator app",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}
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


class FirstCodeForm(PlainWords, ActivateTOTPForm):
    """A code that shows that the app has been set up."""

    words = WORDS | {"code": ("Authenticator code", "Enter the code that the app shows.")}


class CodeForm(OneTimeMixin, PlainWords, AuthenticateForm):
    """The second step of signing in."""


class CodeAgainForm(OneTimeMixin, ReauthenticateForm):
    """A code as proof, later."""


class WellFormedMixin:
    """What claims to come from a passkey may be anything: all that cannot be read, or is not signed, is no passkey."""

    cleaned_data: dict[str, Any]

    def clean_credential(self) -> Any:
        if not isinstance(self.cleaned_data["credential"], dict):
            raise get_adapter().validation_error("incorrect_code")
        check = getattr(super(), "clean_credential", None)
        return refusing(check) if check else self.cleaned_data["credential"]


def refusing(check: Callable[[], Any]) -> Any:
    """The result of `check`, whose errors of any kind mean that there was no passkey."""
    try:
        return check()
    except ValidationError:
        raise
    except Exception as error:
        raise get_adapter().validation_error("incorrect_code") from error


class PasskeyForm(WellFormedMixin, AddWebAuthnForm):
    """A new passkey."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = refusing(super().clean)
        return cleaned


class PasskeySignInForm(WellFormedMixin, LoginWebAuthnForm):
    """A passkey instead of name and password."""


class PasskeyStepForm(WellFormedMixin, AuthenticateWebAuthnForm):
    """A passkey as the second step."""


class PasskeyAgainForm(WellFormedMixin, ReauthenticateWebAuthnForm):
    """A passkey as proof, later."""


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


def owes_second_factor(user: User) -> bool:
    """Whether this person may do nothing here until they have set one up."""
    if not settings.SECOND_FACTOR_REQUIRED:
        return False
    return role_of(user) is not None and not has_second_factor(user)


class RequiredFactorMiddleware:
    """Lets people who owe a second factor to the pages where they set it up or leave, and nowhere else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        elsewhere = not request.path.startswith(reverse("account_login").removesuffix("login/"))
        if elsewhere and isinstance(user, User) and owes_second_factor(user):
            there = reverse("second-factor-required")
            if request.headers.get("HX-Request"):
                return HttpResponseClientRedirect(there)
            return HttpResponseRedirect(there)
        return self.get_response(request)


@transaction.atomic
def reset(person: User, *, actor: Actor, reason: str = "") -> list[str]:
    """Remove every second factor of `person` and end their sessions; returns the names of what there was."""
    reason = clean_reason(reason)
    factors = Authenticator.objects.select_for_update().filter(user=person).order_by("type", "pk")
    removed = [NAMES[factor.type] for factor in factors]
    if not removed:
        return []
    Authenticator.objects.filter(user=person).delete()
    for session in UserSession.objects.filter(user=person):
        session.end()
    history.write(
        Action.PERSON_FACTORS_RESET,
        actor=actor,
        merchant=None,
        before={"person": person.username, "second factor": ", ".join(removed)},
        after={"person": person.username, "second factor": "none"},
        reason=reason,
    )
    return removed
