"""How people come in: allauth's sign-in, with sign-up closed."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.http import HttpRequest
from django.urls import reverse

from keys.console.actors import address_of
from keys.console.stepup import proved_recently

# Sessions are listed with an address: this stands for one that could not be told.
NO_ADDRESS = "0.0.0.0"  # noqa: S104


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by operators, never by a visitor."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """What the rate limits count by: proxies are believed as the history believes them, and no further."""
        return address_of(request) or NO_ADDRESS

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """One rule for all: a sign-in of a moment ago is proof too."""
        request = context.request
        return not proved_recently(request, request.user)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, str]]:
        """One page asks for whatever this person has."""
        return [{"id": "confirm", "description": "Confirm", "url": reverse("account_reauthenticate")}]
