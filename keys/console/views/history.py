"""The history of a merchant account, of a key and of the platform itself: to look at, to export, to verify."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.views.generic import View

from keys import chain, history, integrity
from keys.chain import Finding, Head
from keys.console import exports
from keys.console.filters import HistoryFilter, KeyHistoryFilter
from keys.console.keyset import Ordering
from keys.console.tables import HistoryTable
from keys.console.views.access import ConsoleMixin
from keys.console.views.grid import GridView
from keys.console.views.merchants import MerchantPageMixin
from keys.console.views.people import PeopleMixin
from keys.integrity import Verification
from keys.models import ApiKey, HistoryEntry, Merchant

# A longer chain is for the command: a person who waits for a page has verified so many in a second.
VERIFIED_MAX = 20_000
COLUMNS = (
    "sequence", "at", "action", "actor_kind", "actor_name", "key", "before", "after", "reason", "address",
    "user_agent", "request_id", "actor_user", "merchant", "id", "previous", "hash", "version",
)  # fmt: skip


def values_of(entry: HistoryEntry) -> dict[str, Any]:
    """A row as its hash is taken over it, and the hash: whoever has the file can verify it."""
    return chain.told(chain.row_of(entry)) | {"hash": bytes(entry.hash).hex()}


class HistoryView(GridView):
    """The grid, over rows that its subclasses name."""

    table_class = HistoryTable
    filterset_class = HistoryFilter
    empty_template = "keys/_history_empty.html"
    noun = "event"
    exportable = True

    def rows(self) -> QuerySet[HistoryEntry]:
        return self.entries().select_related("key")

    def entries(self) -> QuerySet[HistoryEntry]:
        raise NotImplementedError

    @property
    def chain_id(self) -> UUID:
        """Which chain the rows belong to."""
        raise NotImplementedError

    def context(self) -> dict[str, Any]:
        head = history.head_of(self.chain_id)
        asked = "verify" in self.request.GET
        return {
            "head": head,
            "head_line": integrity.exported(head),
            "chain_name": chain.chain_name(head.chain),
            "too_long": head.sequence > VERIFIED_MAX,
            "verified": verified(head) if asked and head.sequence <= VERIFIED_MAX else None,
        }


def verified(head: Head) -> dict[str, Any]:
    """What a look at the whole chain has found, here and now."""
    verification = Verification(only=head.chain)
    findings: list[Finding] = list(verification.findings())
    return {"rows": verification.rows, "findings": findings[:5], "number": len(findings)}


class MerchantHistory(MerchantPageMixin, View):
    """The rows of one account. Its keys' rows are among them."""

    @cached_property
    def account(self) -> Merchant:
        return self.merchant(self.kwargs["pk"])

    def entries(self) -> QuerySet[HistoryEntry]:
        return self.access.history().filter(merchant=self.account)


class MerchantHistoryView(MerchantHistory, HistoryView):
    tab = "history"
    template_name = "keys/history_list.html"

    @property
    def chain_id(self) -> UUID:
        return self.account.pk

    def context(self) -> dict[str, Any]:
        return super().context() | self.header(self.account)


class KeyHistory(ConsoleMixin, View):
    """The rows of one key."""

    @cached_property
    def key(self) -> ApiKey:
        return get_object_or_404(self.access.keys().select_related("merchant"), pk=self.kwargs["pk"])

    def entries(self) -> QuerySet[HistoryEntry]:
        return self.access.history().filter(key=self.key)


class KeyHistoryView(KeyHistory, HistoryView):
    filterset_class = KeyHistoryFilter
    template_name = "keys/apikey_history.html"

    @property
    def chain_id(self) -> UUID:
        return self.key.merchant_id

    def context(self) -> dict[str, Any]:
        return super().context() | {"key": self.key, "merchant": self.key.merchant}


class PlatformHistory(PeopleMixin, View):
    """The rows that belong to no account, for those who manage people."""

    def entries(self) -> QuerySet[HistoryEntry]:
        return self.access.history().filter(merchant=None)


class PlatformHistoryView(PlatformHistory, HistoryView):
    filterset_class = KeyHistoryFilter
    template_name = "keys/platform_history.html"

    @property
    def chain_id(self) -> UUID:
        return chain.PLATFORM


class HistoryExportView(View):
    """The rows that the grid shows, all pages of them, oldest first: the order of the chain."""

    filterset_class: type[KeyHistoryFilter] = KeyHistoryFilter
    ordering = Ordering(("sequence",))

    def entries(self) -> QuerySet[HistoryEntry]:
        raise NotImplementedError

    def filename(self) -> str:
        raise NotImplementedError

    def get(self, request: HttpRequest, **_: Any) -> HttpResponseBase:
        filterset = self.filterset_class(request.GET, queryset=self.entries(), request=request)
        return exports.export(
            filterset.qs,
            self.ordering,
            values=values_of,
            columns=COLUMNS,
            name=f"history-{self.filename()}",
            as_json=request.GET.get("format") == "jsonl",
        )


class MerchantHistoryExportView(MerchantHistory, HistoryExportView):
    filterset_class = HistoryFilter

    def filename(self) -> str:
        return self.account.public_id


class KeyHistoryExportView(KeyHistory, HistoryExportView):
    # The index of the key's own rows is by time.
    ordering = Ordering(("at", "id"))

    def filename(self) -> str:
        return self.key.public_id


class PlatformHistoryExportView(PlatformHistory, HistoryExportView):
    def filename(self) -> str:
        return chain.chain_name(chain.PLATFORM)
