"""Step-up: what can do harm asks for proof of who is there, unless proof was given a short while ago.

A view calls `require_proof`. Without recent proof the answer is a page, or for htmx a dialog, that holds everything
that was sent and asks for a password, a code or a passkey beside it. Sending that page sends the whole request anew,
now with the proof: nothing is kept on the server, and nothing is done that a person has not just asked for.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.core import ratelimit
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.auth import begin_authentication
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from allauth.socialaccount.models import SocialAccount
from django import forms
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget

from keys.console.factors import CodeAgainForm, PasskeyAgainForm
from keys.console.sso import PROOF
from keys.console.views import errors
from keys.console.views.access import own_page, page_behind
from keys.models import User

PREFIX = "proof"
# What is typed into a form and must not be written into a page again.
SECRET_WORDS = ("password", "credential")


class ProofRequired(Exception):
    """This step needs recent proof. `purpose` completes “Confirm that it is you to …”; `back` is where Cancel leads."""

    def __init__(self, purpose: str, *, back: str) -> None:
        super().__init__(purpose)
        self.purpose = purpose
        self.back = back


def proved_recently(request: HttpRequest, user: User) -> bool:
    """Whether this person gave proof of who they are, at the sign-in or since, within the time of the settings."""
    records = get_authentication_records(request, user)
    age_seconds = time.time() - max((record["at"] for record in records), default=0)
    return bool(age_seconds < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


def require_proof(request: HttpRequest, purpose: str, *, back: str = "") -> None:
    """Go on only with recent proof. Call it when the object is found and the form is valid, before anything is done."""
    if not isinstance(request.user, User) or not proved_recently(request, request.user):
        raise ProofRequired(purpose, back=back)


def proof_required(purpose: str, *, back: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for a view function, or a method of a view, that has nothing to look at before."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            request = next(argument for argument in args if isinstance(argument, HttpRequest))
            require_proof(request, purpose, back=resolve_url(back) if back else "")
            return view(*args, **kwargs)

        return guarded

    return decorate


class ProofForm(forms.Form):
    """One of a password, a code or a passkey's answer; only those that this person has are asked for."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    code = forms.CharField(
        required=False,
        max_length=64,
        help_text="From your authenticator app, or one of your recovery codes.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "off"}),
    )
    credential = forms.CharField(required=False, max_length=16_384, widget=forms.HiddenInput)

    def __init__(self, *args: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self.request = request
        self.user = user
        types = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
        # A form that travels stays where it is: the provider is visited beside it.
        back = reverse("account_confirmed") if self.prefix else request.GET.get("next") or reverse("profile")
        self.providers = providers_of(request, user, back=back)
        self.has_passkey = Authenticator.Type.WEBAUTHN in types
        if not user.has_usable_password():
            del self.fields["password"]
        if not types - {Authenticator.Type.WEBAUTHN}:
            del self.fields["code"]
        if not self.has_passkey:
            del self.fields["credential"]

    @property
    def is_possible(self) -> bool:
        return bool(self.fields)

    def passkey_options(self) -> dict[str, Any]:
        """What the browser is to ask the passkey for; the challenge is kept in the session until it is answered."""
        options: dict[str, Any] = begin_authentication(self.user)
        return options

    def clean(self) -> dict[str, Any]:
        """Check the first proof that was given, and write it down."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        if credential := given.get("credential"):
            self._check(PasskeyAgainForm, "credential", credential, on=None)
        elif code := given.get("code"):
            self._check(CodeAgainForm, "code", code.replace(" ", ""), on="code")
        elif password := given.get("password"):
            if not get_adapter(self.request).reauthenticate(self.user, password):
                self.add_error("password", "That is not your password.")
            else:
                reauthenticate_by_password(self.request)
        elif not self.errors:
            self.add_error(
                next((field.name for field in self.visible_fields()), None), "Give proof that it is you."
            )
        return self.cleaned_data

    def _check(self, form_class: type[forms.Form], name: str, value: str, *, on: str | None) -> None:
        form = form_class({name: value}, user=self.user)  # type: ignore[call-arg]
        if form.is_valid():
            form.save()  # type: ignore[attr-defined]
        else:
            self.add_error(on, [error for told in form.errors.values() for error in told])


def providers_of(request: HttpRequest, user: User, *, back: str) -> list[tuple[str, str]]:
    """Where this person can sign in anew to prove who they are: names, and addresses that come back to a page."""
    offered = get_social_adapter(request).list_providers(request)
    if not offered:
        return []
    connected = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
    return [
        (each.name, each.get_login_url(request, process=PROOF, next=back, auth_params="prompt=login"))
        for each in offered
        if each.app.provider_id in connected
    ]


class StepUpMiddleware:
    """Takes the proof that a request brings along, and answers a view that asks for proof."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        """Here the form is known to come from the console itself: the check against forged requests is over."""
        brings_proof = request.method == "POST" and any(
            name.startswith(f"{PREFIX}-") for name in request.POST
        )
        if not brings_proof or not isinstance(request.user, User):
            return None
        if not ratelimit.consume(request, action="reauthenticate", user=request.user):
            return errors.too_many_requests(request)
        form = ProofForm(request.POST, request=request, user=request.user, prefix=PREFIX)
        try:
            if not form.is_valid():
                request.refused_proof = form  # type: ignore[attr-defined]
        except ImmediateHttpResponse as refused:
            response: HttpResponse = refused.response
            return response
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, ReauthenticationRequired):
            exception = ProofRequired("go on", back=reverse("profile"))
        if not isinstance(exception, ProofRequired):
            return None
        if not isinstance(request.user, User):
            return redirect_to_login(request.get_full_path())
        return ask(request, request.user, exception)


def ask(request: HttpRequest, user: User, required: ProofRequired) -> HttpResponse:
    """The question, in the form that whoever asked can show: a script, htmx, or a browser alone."""
    htmx = request.htmx  # type: ignore[attr-defined]
    if request.headers.get("Accept", "").startswith("application/json"):
        return JsonResponse(
            {"sign_in": confirm_address(own_page(request, "page") or required.back)}, status=403
        )
    if request.method != "POST":
        address = confirm_address(page_behind(htmx) if htmx else request.get_full_path())
        return HttpResponseClientRedirect(address) if htmx else redirect(address)
    form = getattr(request, "refused_proof", None) or ProofForm(request=request, user=user, prefix=PREFIX)
    sent = kept(request)
    if htmx and not own_page(request, "next"):
        sent = [pair for pair in sent if pair[0] != "next"] + [("next", page_behind(htmx))]
    context = {"proof": form, "purpose": required.purpose, "back": required.back, "sent": sent}
    response: HttpResponse
    if htmx and not htmx.boosted:
        response = render(request, "account/_step_up_dialog.html", context, status=422)
        response = reswap(retarget(response, "#step-up"), "innerHTML")
    else:
        response = render(request, "account/step_up.html", context, status=403)
    add_never_cache_headers(response)
    return response


def kept(request: HttpRequest) -> list[tuple[str, str]]:
    """What was sent, for the page to send again: without earlier proof, and without what nobody may read there."""
    return [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name != "csrfmiddlewaretoken"
        and not name.startswith(f"{PREFIX}-")
        and not any(word in name for word in SECRET_WORDS)
    ]


def confirm_address(back: str) -> str:
    return f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}"
