"""Confirming that it is you, on a page of its own: for what begins by opening an address."""

from allauth.core import ratelimit
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import View

from keys import addresses
from keys.console.factors import owes_second_factor
from keys.console.stepup import ProofForm
from keys.console.views import errors
from keys.console.views.access import ConsoleMixin


class ConfirmView(ConsoleMixin, View):
    """Leads back to the page that asked for proof."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(ProofForm(request=request, user=self.user), back=request.GET.get("next", ""))

    def post(self, request: HttpRequest) -> HttpResponse:
        if not ratelimit.consume(request, action="reauthenticate", user=self.user):
            return errors.too_many_requests(request)
        form = ProofForm(request.POST, request=request, user=self.user)
        if not form.is_valid():
            return self.page(form, back=request.POST.get("next", ""))
        return redirect(self.next_page() or settings.LOGIN_REDIRECT_URL)

    def page(self, form: ProofForm, *, back: str) -> HttpResponse:
        return render(self.request, "account/reauthenticate.html", {"proof": form, "back": back})


class SecondFactorRequiredView(ConsoleMixin, View):
    """Where people are led who have to set up a second factor first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not owes_second_factor(self.user):
            return redirect(settings.LOGIN_REDIRECT_URL)
        context = {"can_have_passkeys": addresses.parse(request.get_host()) is None}
        return render(request, "account/second_factor_required.html", context)
