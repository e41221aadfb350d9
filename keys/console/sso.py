"""Single sign-on: who the OpenID Connect provider names comes in as the person that has that e-mail address here.

Nobody is made. The address must be one that the provider has verified, and that an active account here has; from
then on the account is found by the provider's own name for the person, whatever becomes of the address. The second
step is asked for as after a password.
"""

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import render

from keys.models import User

PROTOCOL = "openid_connect"
# What a sign-in at the provider is for when somebody only proves who they are: nobody is signed in by it.
PROOF = "redirect"


class SingleSignOnAdapter(DefaultSocialAccountAdapter):
    """Connects the provider's people with ours, at their first sign-in."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The provider of the settings, and no other: rows of a table open no door."""
        configured: Any = settings.SOCIALACCOUNT_PROVIDERS[PROTOCOL]["APPS"]
        apps = [SocialApp(provider=PROTOCOL, **app) for app in configured]
        return [
            app
            for app in apps
            if provider in {None, app.provider, app.provider_id} and client_id in {None, app.client_id}
        ]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.state.get("process") == PROOF:
            take_proof(request, sociallogin)
        elif not sociallogin.is_existing:
            person = known(verified_address(sociallogin.account.extra_data))
            if person is None:
                raise ImmediateHttpResponse(render(request, "account/sso_unknown.html", status=403))
            sociallogin.connect(request, person)


def take_proof(request: HttpRequest, sociallogin: SocialLogin) -> None:
    """Whoever is signed in here has just proved at the provider that it is them; anybody else has proved nothing."""
    if not sociallogin.is_existing or sociallogin.user != request.user:
        raise ImmediateHttpResponse(render(request, "account/sso_unknown.html", status=403))
    account = sociallogin.account
    record_authentication(
        request,
        request.user,
        "socialaccount",
        provider=account.provider,
        uid=account.uid,
        reauthenticated=True,
    )


def verified_address(claims: dict[str, Any]) -> str:
    """The e-mail address that the provider has verified, or nothing. Some providers write “true” as a word."""
    claims = claims.get("userinfo") or claims.get("id_token") or claims
    verified = claims.get("email_verified") in {True, "true"}
    return str(claims.get("email") or "") if verified else ""


def known(address: str) -> User | None:
    return User.objects.filter(email__iexact=address, is_active=True).first() if address else None
