"""Copying a key: the only place where the console says a stored key in plain text."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.generic import View

from keys import lifecycle
from keys.access import Step
from keys.console.actors import actor_of
from keys.console.stepup import require_proof
from keys.console.views.access import ConsoleMixin
from keys.errors import DomainError


class ApiKeyCopyView(ConsoleMixin, View):
    """POST only, for those who signed in recently, never cached, and recorded in the history.

    The script of the page asks for JSON and puts the key on the clipboard; without it, the answer is a page that
    shows the key once.
    """

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = get_object_or_404(self.access.keys().select_related("merchant"), pk=pk)
        self.access.require(Step.COPY_KEY, key)
        wants_json = request.headers.get("Accept", "").startswith("application/json")
        require_proof(request, f"copy “{key.name}”", back=key.get_absolute_url())
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
