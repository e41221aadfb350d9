"""Leaving for the provider of single sign-on, and coming back without success."""

from typing import Any

from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import View
from requests import RequestException

# A link of our own, or an address that was typed. Other sites do not start sign-ins here.
FROM_HERE = {"same-origin", "none", ""}


class SingleSignOnView(View):
    """A link rather than a form: the policy lets forms lead nowhere but here, redirections included."""

    http_method_names = ["get"]

    def get(self, request: HttpRequest, provider_id: str) -> HttpResponse:
        if request.headers.get("Sec-Fetch-Site", "") not in FROM_HERE:
            return redirect("account_login")
        try:
            response: Any = openid_connect.login(request, provider_id)
        except (RequestException, KeyError):
            # It does not answer, or not as a provider does.
            return sign_in_failed(request)
        return response  # type: ignore[no-any-return]


def confirmed(request: HttpRequest) -> HttpResponse:
    """Where proof that was given beside a form ends: the form is in the other tab."""
    return render(request, "account/confirmed.html")


def sign_in_failed(request: HttpRequest) -> HttpResponse:
    return render(request, "socialaccount/authentication_error.html", status=401)
