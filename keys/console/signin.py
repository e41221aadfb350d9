"""How people come in: allauth's sign-in, with sign-up closed."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from keys.console.actors import address_of


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by operators, never by a visitor."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """What the rate limits count by: proxies are believed as the history believes them, and no further."""
        return address_of(request) or "unknown"
