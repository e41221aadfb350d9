"""A person's own e-mail address: asking for another, and confirming it by the link that was sent there."""

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.generic import View

from keys.access import Step
from keys.console import email_change
from keys.console.people_forms import OwnEmailForm
from keys.console.stepup import require_proof
from keys.console.views import errors
from keys.console.views.access import ConsoleMixin
from keys.errors import InvalidField, NotAllowed


class EmailView(ConsoleMixin, View):
    """Where no mail is sent nothing can be confirmed: an address is for administrators to change then."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, OwnEmailForm(person=self.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        if not self.is_possible:
            raise NotAllowed("You may not change your e-mail address here.", "Ask an administrator.")
        form = OwnEmailForm(request.POST, person=self.user)
        if not form.is_valid():
            return self.page(request, form, status=422)
        require_proof(request, "change your e-mail address", back=reverse("profile"))
        if not ratelimit.consume(request, action="manage_email", user=self.user):
            return errors.too_many_requests(request)
        email = form.cleaned_data["email"]
        if settings.EMAIL_HOST:
            email_change.ask(request, self.user, email)
            messages.success(request, f"Open the link that was sent to {email}: the address changes then.")
            return redirect("profile")
        try:
            email_change.change(request, self.user, email, by=self.user)
        except InvalidField as error:
            form.refuse(error)
            return self.page(request, form, status=422)
        messages.success(request, "E-mail address saved.")
        return redirect("profile")

    @property
    def is_possible(self) -> bool:
        return bool(settings.EMAIL_HOST) or self.access.may(Step.MANAGE_PEOPLE)

    def page(self, request: HttpRequest, form: OwnEmailForm, status: int = 200) -> HttpResponse:
        context = {"form": form, "is_possible": self.is_possible}
        return render(request, "account/email_change.html", context, status=status)


class EmailConfirmView(ConsoleMixin, View):
    """To open the link changes nothing: programs that look at mail open links too."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        email = email_change.asked_for(token, self.user)
        return self.page(request, email, status=200 if email else 404)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        email = email_change.asked_for(token, self.user)
        if email is None:
            return self.page(request, None, status=404)
        try:
            email_change.change(request, self.user, email, by=self.user)
        except InvalidField:
            return self.page(request, None, status=409)
        messages.success(request, f"Your e-mail address is {email} now.")
        return redirect("profile")

    def page(self, request: HttpRequest, email: str | None, status: int) -> HttpResponse:
        return render(request, "account/email_confirm.html", {"email": email}, status=status)
