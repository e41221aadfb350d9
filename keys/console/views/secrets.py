"""Copying a key: the only place where the console says a stored key in plain text."""

import time
from uuid import UUID

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.views.generic import View

from keys import lifecycle
from keys.console.actors import actor_of
from keys.console.views.access import ConsoleMixin
from keys.errors import DomainError
from keys.models import ApiKey, User


def signed_in_recently(request: HttpRequest, user: User) -> bool:
    """Whether this person gave proof of who they are, at the sign-in or since, within the time of the settings."""
    records = get_authentication_records(request, user)
    age_seconds = time.time() - max((record["at"] for record in records), default=0)
    return bool(age_seconds < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


class ApiKeyCopyView(ConsoleMixin, View):
    """POST only, for those who signed in recently, never cached, and recorded in the history.

    The script of the page asks for JSON and puts the key on the clipboard; without it, the answer is a page that
    shows the key once.
    """

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = get_object_or_404(ApiKey.objects.select_related("merchant"), pk=pk)
        wants_json = request.headers.get("Accept", "").startswith("application/json")
        if not signed_in_recently(request, self.user):
            return self.sign_in_again(request, key, wants_json=wants_json)
        try:
            secret = lifecycle.copy(key=key, actor=actor_of(request, self.user))
        except DomainError as error:
            if wants_json:
                return JsonResponse({"error": str(error)}, status=409)
            messages.error(request, str(error))
            return redirect(key)
        response: HttpResponse
        if wants_json:
            response = JsonResponse({"key": secret.reveal()})
        else:
            response = render(request, "keys/apikey_copy.html", {"key": key, "secret": secret})
        add_never_cache_headers(response)
        return response

    def sign_in_again(self, request: HttpRequest, key: ApiKey, *, wants_json: bool) -> HttpResponse:
        back = key.get_absolute_url()
        if wants_json and request.POST.get("page", "").startswith("/"):
            back = request.POST["page"]
        address = f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}"
        if wants_json:
            return JsonResponse({"sign_in": address}, status=403)
        messages.info(request, "Confirm that it is you, then copy the key again.")
        return redirect(address)
