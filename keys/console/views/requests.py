"""The request log: what a merchant account's keys did, request by request."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.functional import cached_property
from django.views.generic import View

from keys.console import exports
from keys.console.filters import RequestFilter
from keys.console.keyset import paginate, unindexed
from keys.console.tables import RequestTable
from keys.console.views.access import ConsoleMixin
from keys.console.views.grid import GridView
from keys.console.views.merchants import MerchantPageMixin
from keys.identifiers import API_KEY, encode
from keys.models import Merchant, RequestLog
from keys.outcomes import Outcome

COLUMNS = ("id", "at", "method", "path", "status", "outcome", "duration_us", "key", "address", "request_id")


def values_of(entry: RequestLog) -> dict[str, Any]:
    return {
        "id": entry.public_id,
        "at": entry.at.isoformat(timespec="microseconds"),
        "method": entry.method,
        "path": entry.path,
        "status": entry.status,
        "outcome": entry.outcome,
        "duration_us": entry.duration_us,
        "key": encode(API_KEY, entry.key_id),
        "address": entry.address,
        "request_id": entry.request_id,
    }


class MerchantRequests(MerchantPageMixin, View):
    """The requests of one account."""

    @cached_property
    def account(self) -> Merchant:
        return self.merchant(self.kwargs["pk"])

    def entries(self) -> QuerySet[RequestLog]:
        rows = self.access.requests()
        if not self.request.GET.get("key"):
            return rows.filter(merchant=self.account)
        # The index of the key's own requests is the one to walk, not that of all the account's.
        return rows.alias(owner=unindexed("merchant")).filter(owner=self.account.pk)


class RequestListView(MerchantRequests, GridView):
    tab = "requests"
    table_class = RequestTable
    filterset_class = RequestFilter
    template_name = "keys/request_list.html"
    empty_template = "keys/_requests_empty.html"
    noun = "request"
    exportable = True

    def rows(self) -> QuerySet[RequestLog]:
        return self.entries().select_related("key")

    def grid_context(self) -> dict[str, Any]:
        return super().grid_context() | {"merchant": self.account}

    def context(self) -> dict[str, Any]:
        return self.header(self.account)


class RequestExportView(MerchantRequests, View):
    """The requests that the grid shows, all pages of them, in its order."""

    def get(self, request: HttpRequest, **_: Any) -> HttpResponseBase:
        filterset = RequestFilter(request.GET, queryset=self.entries(), request=request)
        sort = RequestTable.sort_named(request.GET.get("sort", ""))
        return exports.export(
            partial(paginate, filterset.qs, RequestTable.orderings[sort]),
            values=values_of,
            columns=COLUMNS,
            name=f"requests-{self.account.public_id}",
            as_json=request.GET.get("format") == "jsonl",
        )


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
