"""Merchant accounts: the grid, the General tab, and its actions."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.generic import View

from keys import losses, merchants, proof
from keys.access import Step
from keys.console.actors import actor_of
from keys.console.filters import MerchantFilter
from keys.console.forms import MerchantEditForm, NewMerchantForm
from keys.console.tables import MerchantTable
from keys.console.views import refusal
from keys.console.views.access import ConsoleMixin
from keys.console.views.grid import GridView
from keys.errors import DomainError, StaleEdit
from keys.models import Merchant
from keys.states import ApiKeyStatus

EVENTS_SHOWN = 5


class MerchantListView(GridView):
    table_class = MerchantTable
    filterset_class = MerchantFilter
    template_name = "keys/merchant_list.html"
    empty_template = "keys/_merchants_empty.html"
    noun = "merchant account"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        only = self.access.only_merchant
        # To choose from one account there is nothing.
        return redirect(only) if only else super().get(request, *args, **kwargs)

    @property
    def few(self) -> bool:
        return not self.access.sees_everything

    def rows(self) -> QuerySet[Merchant]:
        return self.access.merchants()

    def decorate(self, rows: list[Merchant]) -> None:
        usages = self.access.usage(rows)
        enabled = dict(
            self.access.keys()
            .filter(merchant__in=[merchant.pk for merchant in rows], status_rank=3)
            .order_by()
            .values_list("merchant")
            .annotate(Count("pk"))
        )
        for merchant in rows:
            merchant.usage = usages[merchant.pk]  # type: ignore[attr-defined]
            merchant.enabled_keys = enabled.get(merchant.pk, 0)  # type: ignore[attr-defined]


class MerchantCreateView(ConsoleMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        self.access.require(Step.CREATE_MERCHANT)
        form = NewMerchantForm()
        del form.fields["same_name"]
        return self.page(request, form)

    def post(self, request: HttpRequest) -> HttpResponse:
        self.access.require(Step.CREATE_MERCHANT)
        form = NewMerchantForm(request.POST)
        if not form.is_valid():
            return self.page(request, form, status=422)
        merchant = merchants.create(
            name=form.cleaned_data["name"],
            website=form.cleaned_data["website"],
            actor=actor_of(request, self.user),
        )
        messages.success(request, f"Merchant account “{merchant.name}” created. It has no API keys yet.")
        return redirect("developers", merchant.pk)

    def page(self, request: HttpRequest, form: NewMerchantForm, status: int = 200) -> HttpResponse:
        return render(request, "keys/merchant_form.html", {"form": form}, status=status)


class MerchantPageMixin(ConsoleMixin):
    """A page of one merchant account, under its header and tabs."""

    tab = "general"

    def merchant(self, pk: UUID) -> Merchant:
        return get_object_or_404(self.access.merchants(), pk=pk)

    def header(self, merchant: Merchant) -> dict[str, Any]:
        statuses = dict(
            self.access.keys()
            .filter(merchant=merchant)
            .order_by()
            .values_list("status")
            .annotate(Count("pk"))
        )
        return {
            "merchant": merchant,
            "tab": self.tab,
            "may": self.access.steps(merchant),
            "key_count": sum(statuses.values()),
            "enabled_key_count": statuses.get(ApiKeyStatus.ENABLED, 0),
        }


class MerchantDetailView(MerchantPageMixin, View):
    """The General tab, whose part is the proof that a disabled account is refused; its POST is Save changes."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        merchant = self.merchant(pk)
        if self.wants_part:
            return refusal.part(request, proof.of_merchant(merchant))
        form = MerchantEditForm(
            initial={"name": merchant.name, "website": merchant.website, "revision": merchant.revision}
        )
        return self.page(request, merchant, form)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        merchant = self.merchant(pk)
        self.access.require(Step.CHANGE_MERCHANT, merchant)
        form = MerchantEditForm(request.POST)
        if not form.is_valid():
            return self.page(request, merchant, form, status=422)
        try:
            merchants.update(merchant=merchant, actor=actor_of(request, self.user), **form.cleaned_data)
        except StaleEdit as error:
            form.resubmit(error.revision)
            return self.page(request, merchant, form, status=409, conflict=error)
        messages.success(request, "Changes saved.")
        return redirect(merchant)

    def page(
        self,
        request: HttpRequest,
        merchant: Merchant,
        form: MerchantEditForm,
        status: int = 200,
        **extra: Any,
    ) -> HttpResponse:
        context = (
            self.header(merchant)
            | extra
            | {
                "form": form,
                "proof": proof.of_merchant(merchant),
                "loss": losses.last_24_hours(),
                "usage": self.access.usage([merchant])[merchant.pk],
                "events": self.access.history_of(merchant)
                .filter(key=None)
                .order_by("-at", "-id")[:EVENTS_SHOWN],
            }
        )
        return refusal.varied(render(request, "keys/merchant_detail.html", context, status=status))


class MerchantMoveView(MerchantPageMixin, View):
    http_method_names = ["post"]
    step: Step
    done: str
    undo: str

    def move(self, merchant: Merchant, request: HttpRequest) -> Merchant:
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        merchant = self.merchant(pk)
        self.access.require(self.step, merchant)
        try:
            self.move(merchant, request)
        except DomainError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, self.done, extra_tags=f"undo={reverse(self.undo, args=[pk])}")
        return redirect(merchant)


class MerchantDisableView(MerchantMoveView):
    step = Step.DISABLE_MERCHANT
    done = "Merchant account disabled. Requests with any of its keys are refused from now on."
    undo = "merchant-enable"

    def move(self, merchant: Merchant, request: HttpRequest) -> Merchant:
        actor, reason = actor_of(request, self.user), request.POST.get("reason", "")
        return merchants.disable(merchant=merchant, actor=actor, reason=reason)


class MerchantEnableView(MerchantMoveView):
    step = Step.ENABLE_MERCHANT
    done = "Merchant account enabled. Requests with its enabled keys are answered again."
    undo = "merchant-disable"

    def move(self, merchant: Merchant, request: HttpRequest) -> Merchant:
        return merchants.enable(merchant=merchant, actor=actor_of(request, self.user))
