"""How people come in: allauth's sign-in, with sign-up closed."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by operators, never by a visitor."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
