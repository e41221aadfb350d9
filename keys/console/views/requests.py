"""The request log: what a merchant account's keys did, request by request."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import cached_property
from django.views.generic import View

from keys.console.filters import RequestFilter
from keys.console.keyset import unindexed
from keys.console.tables import RequestTable
from keys.console.views.access import ConsoleMixin
from keys.console.views.grid import GridView
from keys.console.views.merchants import MerchantPageMixin
from keys.models import Merchant, RequestLog
from keys.outcomes import Outcome


class RequestListView(MerchantPageMixin, GridView):
    tab = "requests"
    table_class = RequestTable
    filterset_class = RequestFilter
    template_name = "keys/request_list.html"
    empty_template = "keys/_requests_empty.html"
    noun = "request"

    @cached_property
    def account(self) -> Merchant:
        return self.merchant(self.kwargs["pk"])

    def rows(self) -> QuerySet[RequestLog]:
        rows = self.access.requests().select_related("key")
        if not self.request.GET.get("key"):
            return rows.filter(merchant=self.account)
        # The index of the key's own requests is the one to walk, not that of all the account's.
        return rows.alias(owner=unindexed("merchant")).filter(owner=self.account.pk)

    def grid_context(self) -> dict[str, Any]:
        return super().grid_context() | {"merchant": self.account}

    def context(self) -> dict[str, Any]:
        return self.header(self.account)


class RequestDetailView(ConsoleMixin, View):
    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        entry = get_object_or_404(self.access.requests().select_related("key", "merchant"), pk=pk)
        context = {
            "entry": entry,
            "merchant": entry.merchant,
            "key": entry.key,
            "outcome": Outcome(entry.outcome),
        }
        return render(request, "keys/request_detail.html", context)
