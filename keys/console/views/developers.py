"""The Developers tab: the grid of a merchant account's API keys, and what can be done from a row."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.functional import cached_property
from django.views.generic import View

from keys import lifecycle, losses, usage
from keys.access import Access, Step
from keys.console.actors import actor_of
from keys.console.filters import ApiKeyFilter
from keys.console.tables import ApiKeyTable
from keys.console.views.access import ConsoleMixin, page_behind
from keys.console.views.grid import GridView
from keys.console.views.merchants import MerchantPageMixin
from keys.errors import DomainError
from keys.models import ApiKey, Merchant


def add_usage(keys: list[ApiKey], access: Access) -> None:
    """Add to each key what the grid shows of it: its figures, and what this person may do with it."""
    usages = access.usage(keys)
    for key in keys:
        key.usage = usages[key.pk]  # type: ignore[attr-defined]
        key.may = access.steps(key)  # type: ignore[attr-defined]


def links(merchant_id: UUID) -> dict[str, str]:
    """What the links of every row have in common: the request log, and the start of the window."""
    return {
        "log": reverse("request-list", args=[merchant_id]),
        "since": quote(usage.Window.last_24_hours().start.isoformat()),
    }


class DevelopersView(MerchantPageMixin, GridView):
    tab = "developers"
    table_class = ApiKeyTable
    filterset_class = ApiKeyFilter
    template_name = "keys/developers.html"
    empty_template = "keys/_apikeys_empty.html"
    noun = "API key"

    @cached_property
    def account(self) -> Merchant:
        return self.merchant(self.kwargs["pk"])

    def rows(self) -> QuerySet[ApiKey]:
        return self.access.keys().filter(merchant=self.account).select_related("last_use")

    def grid_context(self) -> dict[str, Any]:
        steps = self.access.steps(self.account)
        return super().grid_context() | links(self.account.pk) | {"merchant": self.account, "may": steps}

    def decorate(self, rows: list[ApiKey]) -> None:
        add_usage(rows, self.access)

    def context(self) -> dict[str, Any]:
        return self.header(self.account) | {"loss": losses.last_24_hours()}


class ApiKeyMoveView(ConsoleMixin, View):
    """Disable or enable: at once, with Undo in the message. From the grid it answers with the row alone."""

    http_method_names = ["post"]
    step: Step
    undo: str

    def move(self, key: ApiKey, request: HttpRequest) -> str:
        """Take the step; returns what to tell."""
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = get_object_or_404(self.access.keys().select_related("merchant"), pk=pk)
        self.access.require(self.step, key)
        try:
            told = self.move(key, request)
        except DomainError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, told, extra_tags=f"undo={reverse(self.undo, args=[pk])}")
        if self.htmx:
            return self.row(request, pk)
        return HttpResponseRedirect(self.next_page() or key.get_absolute_url())

    def row(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        key = self.access.keys().select_related("last_use").get(pk=pk)
        add_usage([key], self.access)
        return_to = page_behind(self.htmx) or reverse("developers", args=[key.merchant_id])
        context = {"record": key, "return_to": return_to} | links(key.merchant_id)
        return render(request, "keys/_apikey_row_changed.html", context)


class ApiKeyDisableView(ApiKeyMoveView):
    step = Step.DISABLE_KEY
    undo = "apikey-enable"

    def move(self, key: ApiKey, request: HttpRequest) -> str:
        recent = usage.last_hour(key.pk)
        lifecycle.disable(key=key, actor=actor_of(request, self.user), reason=request.POST.get("reason", ""))
        told = f"“{key.name}” disabled. Requests with it are refused from now on."
        return (
            f"{told} It made {recent:,} request{'' if recent == 1 else 's'} in the last hour."
            if recent
            else told
        )


class ApiKeyEnableView(ApiKeyMoveView):
    step = Step.ENABLE_KEY
    undo = "apikey-disable"

    def move(self, key: ApiKey, request: HttpRequest) -> str:
        lifecycle.enable(key=key, actor=actor_of(request, self.user))
        return f"“{key.name}” enabled. Requests with it are answered again."
