"""API keys: create, duplicate, the key's own page, and its end."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.generic import View

from keys import history, lifecycle, losses, proof, usage
from keys.access import Step
from keys.console.actors import actor_of
from keys.console.forms import ApiKeyEditForm, ApiKeyForm, RevokeForm, presets_of
from keys.console.stepup import require_proof
from keys.console.views import refusal
from keys.console.views.access import ConsoleMixin
from keys.errors import AlreadyCreated, DomainError, NotAllowed, StaleEdit
from keys.keyformat import Mode
from keys.models import ApiKey, Merchant
from keys.permissions import Access, catalogue
from keys.states import ApiKeyStatus

EVENTS_SHOWN = 5


class ApiKeyCreateView(ConsoleMixin, View):
    """New API key. The answer to the POST shows the key: that page has no address that could be opened again."""

    def subject(self, pk: UUID) -> tuple[Merchant, ApiKey | None]:
        """The merchant account of the new key, and the key that it is a duplicate of."""
        merchant = get_object_or_404(self.access.merchants(), pk=pk)
        self.access.require(Step.CREATE_KEY, merchant)
        return merchant, None

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        merchant, origin = self.subject(pk)
        form = self.form(merchant, initial=presets_of(origin) if origin else None)
        return self.page(request, merchant, origin, form)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        merchant, origin = self.subject(pk)
        form = self.form(merchant, request.POST)
        if not form.is_valid():
            return self.page(request, merchant, origin, form, status=422)
        values = form.values()
        if error := self.may_not_create(merchant, values):
            form.refuse(error)
            return self.page(request, merchant, origin, form, status=403)
        if values["mode"] == Mode.LIVE.value:
            require_proof(request, "create a live key", back=reverse("developers", args=[merchant.pk]))
        try:
            key, secret = lifecycle.create(
                merchant=merchant, duplicated_from=origin, actor=actor_of(request, self.user), **values
            )
        except AlreadyCreated as error:
            messages.info(request, str(error))
            return redirect("apikey-detail", values["key_id"])
        except DomainError as error:
            form.refuse(error)
            return self.page(request, merchant, origin, form, status=422)
        context = {"merchant": merchant, "key": key, "secret": secret, "origin": origin}
        response = render(request, "keys/apikey_created.html", context)
        add_never_cache_headers(response)
        return response

    def may_not_create(self, merchant: Merchant, values: dict[str, Any]) -> NotAllowed | None:
        """Told in the form, which may ask for more than this person may have, and is not lost over it."""
        try:
            self.access.require_new_key(merchant, mode=values["mode"], permissions=values["permissions"])
        except NotAllowed as error:
            return error
        return None

    def form(self, merchant: Merchant, data: Any = None, initial: Any = None) -> ApiKeyForm:
        strong = self.access.may(Step.HANDLE_STRONG_KEY, merchant)
        return ApiKeyForm(data, initial=initial, user=self.user, strong=strong)

    def page(
        self,
        request: HttpRequest,
        merchant: Merchant,
        origin: ApiKey | None,
        form: ApiKeyForm,
        status: int = 200,
    ) -> HttpResponse:
        known = catalogue()
        context = {
            "merchant": merchant,
            "origin": origin,
            "form": form,
            "presets": known.presets,
            "lost": [name for name in origin.grants if name not in known.resources] if origin else [],
        }
        response = render(request, "keys/apikey_form.html", context, status=status)
        # Back to a form that was sent must fetch a fresh one, or it would send the old submission again.
        add_never_cache_headers(response)
        return response


class ApiKeyDuplicateView(ApiKeyCreateView):
    """The same form, with every preset of another key."""

    def subject(self, pk: UUID) -> tuple[Merchant, ApiKey | None]:
        origin = get_object_or_404(self.access.keys().select_related("merchant"), pk=pk)
        self.access.require(Step.DUPLICATE_KEY, origin)
        return origin.merchant, origin


class ApiKeyPageMixin(ConsoleMixin):
    def key(self, pk: UUID) -> ApiKey:
        keys = self.access.keys().select_related("merchant", "duplicated_from", "last_use")
        return get_object_or_404(keys, pk=pk)

    def page(
        self, request: HttpRequest, key: ApiKey, form: ApiKeyEditForm, status: int = 200, **extra: Any
    ) -> HttpResponse:
        events = list(self.access.history_of(key).order_by("-at", "-id")[: EVENTS_SHOWN + 1])
        context = {
            "key": key,
            "merchant": key.merchant,
            "may": self.access.steps(key),
            "form": form,
            "proof": proof.of_key(key),
            "loss": losses.last_24_hours(),
            "usage": self.access.usage([key])[key.pk],
            "last_hour": usage.last_hour(key.pk),
            "status": ApiKeyStatus(key.status),
            "permissions": permission_rows(key),
            "created": history.creation(key=key),
            "events": events[:EVENTS_SHOWN],
            "more_events": len(events) > EVENTS_SHOWN,
            "latest": history.latest_change(key=key),
            "revoke_form": RevokeForm(key=key),
        }
        return refusal.varied(render(request, "keys/apikey_detail.html", context | extra, status=status))


class ApiKeyDetailView(ApiKeyPageMixin, View):
    """The key's page, whose part is the proof that the key is refused; its POST is Save changes."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = self.key(pk)
        if self.wants_part:
            return refusal.part(request, proof.of_key(key))
        initial = {"name": key.name, "description": key.description, "revision": key.revision}
        return self.page(request, key, ApiKeyEditForm(initial=initial))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = self.key(pk)
        self.access.require(Step.CHANGE_KEY, key)
        form = ApiKeyEditForm(request.POST)
        if not form.is_valid():
            return self.page(request, key, form, status=422)
        try:
            lifecycle.update(key=key, actor=actor_of(request, self.user), **form.cleaned_data)
        except StaleEdit as error:
            form.resubmit(error.revision)
            return self.page(request, key, form, status=409, conflict=error)
        except DomainError as error:
            form.refuse(error)
            return self.page(request, key, form, status=422)
        messages.success(request, "Changes saved.")
        return redirect(key)


class ApiKeyRevokeView(ApiKeyPageMixin, View):
    """The end of a key: the typed name is checked here, whatever the dialog did."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = self.key(pk)
        self.access.require(Step.REVOKE_KEY, key)
        return self.confirmation(request, key, RevokeForm(key=key))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = self.key(pk)
        self.access.require(Step.REVOKE_KEY, key)
        form = RevokeForm(request.POST, key=key)
        # Whatever the key's state is here, it may be another a moment later: no key is revoked without its name.
        if not form.is_valid():
            return self.confirmation(request, key, form, status=422)
        require_proof(request, f"revoke “{key.name}”", back=key.get_absolute_url())
        try:
            lifecycle.revoke(key=key, actor=actor_of(request, self.user), reason=form.cleaned_data["reason"])
        except DomainError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"“{key.name}” revoked. It stays on the grid as a record.")
        return redirect(key)

    def confirmation(
        self, request: HttpRequest, key: ApiKey, form: RevokeForm, status: int = 200
    ) -> HttpResponse:
        context = {
            "key": key,
            "merchant": key.merchant,
            "usage": self.access.usage([key])[key.pk],
            "revoke_form": form,
        }
        return render(request, "keys/apikey_revoke.html", context, status=status)


def permission_rows(key: ApiKey) -> list[tuple[str, Access]]:
    """Each resource of the catalogue with the key's access; then what the catalogue no longer knows."""
    resources = catalogue().resources
    rows = [(resource.label, key.grants.get(name, Access.NONE)) for name, resource in resources.items()]
    return rows + [
        (f"{name} (not in the catalogue)", access)
        for name, access in key.grants.items()
        if name not in resources
    ]
