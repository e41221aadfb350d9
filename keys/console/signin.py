"""How people come in: allauth's sign-in, with sign-up closed."""

import logging
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import (
    ChangePasswordForm,
    LoginForm,
    ResetPasswordForm,
    ResetPasswordKeyForm,
    SetPasswordForm,
)
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from keys.console import attempts
from keys.console.actors import address_of
from keys.console.stepup import proved_recently
from keys.console.views import errors
from keys.console.wording import PlainWords

logger = logging.getLogger(__name__)

# Sessions are listed with an address: this stands for one that could not be told.
NO_ADDRESS = "0.0.0.0"  # noqa: S104


class SignInForm(PlainWords, LoginForm):
    """The link for a forgotten password stands on the page, where there is mail, and not in the field's help."""


class PasswordChangeForm(PlainWords, ChangePasswordForm):
    """Who has forgotten the password is told so at the sign-in, where there is mail."""


class FirstPasswordForm(PlainWords, SetPasswordForm):
    """For somebody who signs in from elsewhere."""


class ForgottenPasswordForm(PlainWords, ResetPasswordForm):
    """Asks where the link is to go."""


class NewPasswordForm(PlainWords, ResetPasswordKeyForm):
    """What such a link leads to."""


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by operators, never by a visitor."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": "Too many wrong codes. Wait five minutes, then try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """What the rate limits count by: proxies are believed as the history believes them, and no further."""
        return address_of(request) or NO_ADDRESS

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Say how long to wait, rather than only that it was too often."""
        key = self._get_login_attempts_cache_key(request, **credentials)
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError as error:
            response = errors.too_many_passwords(request, wait_seconds=attempts.wait_seconds(request, key))
            raise ImmediateHttpResponse(response) from error

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        return attempts.subject(request, credentials.get("username", ""))

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        attempts.remember_browser(request, response, user)
        return response

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """One rule for all: a sign-in of a moment ago is proof too."""
        request = context.request
        return not proved_recently(request, request.user)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, str]]:
        """One page asks for whatever this person has."""
        return [{"id": "confirm", "description": "Confirm", "url": reverse("account_reauthenticate")}]

    def get_reset_password_from_key_url(self, key: str) -> str:
        """At the address of the settings: what a request says of its host has no part in a letter."""
        user, _, token = key.partition("-")
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": user, "key": token})
        return f"{settings.PUBLIC_URL}{path}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Whether it went out makes no difference to who asked: they are not told who has an account."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException):
            logger.exception("The mail server did not take a letter")
