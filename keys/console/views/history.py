"""The history of a merchant account, of a key and of the platform itself: to look at, to export, to verify."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.views.generic import View

from keys import chain, history, integrity
from keys.chain import Finding, Head
from keys.console import exports, reading
from keys.console.history_filters import HistoryFilter, MerchantHistoryFilter
from keys.console.keyset import Ordering, count_up_to, place_of
from keys.console.tables import HistoryTable
from keys.console.views.access import ConsoleMixin
from keys.console.views.grid import PAGE_SIZE, GridView
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


# The order of a chain, and that of the times, which the indexes of the filters have.
IN_THE_CHAIN = Ordering(("sequence",))
BY_TIME = Ordering(("at", "id"))


@dataclass(frozen=True, slots=True)
class Search:
    """How far a page looked that had to look: through so many rows, as far as those of a moment; `onward` goes on."""

    rows: int
    reached: datetime
    onward: str  # `after` or `before`


class History:
    """Which rows, and by what they are filtered. First base of a grid and of its export."""

    request: HttpRequest

    def entries(self) -> QuerySet[HistoryEntry]:
        raise NotImplementedError

    def filters(self) -> HistoryFilter:
        return HistoryFilter(self.request.GET, queryset=self.entries(), request=self.request)

    @property
    def chain_id(self) -> UUID:
        """Which chain the rows belong to."""
        raise NotImplementedError


class HistoryView(History, GridView):
    """The grid, over rows that its subclasses name."""

    table_class = HistoryTable
    empty_template = "keys/_history_empty.html"
    noun = "event"
    exportable = True

    def find(self, filterset: HistoryFilter, ordering: Ordering) -> dict[str, Any]:
        """A page of what the filters leave, and how many rows that is or, where no index tells, how far it looked."""
        read = filterset.reading(ordering)
        if not read.looks_through:
            count, capped = count_up_to(read.within())
            return {"page": self.turned_to(read.page), "count": count, "capped": capped}
        page = read.page(size=PAGE_SIZE, **self.cursors)
        backwards = self.cursors["before"] and not self.cursors["after"]
        onward = page.previous_cursor if backwards else page.next_cursor
        found = {"page": page, "count": len(page.rows), "in_part": bool(onward or any(self.cursors.values()))}
        if onward and len(page.rows) < PAGE_SIZE:
            reached = place_of(onward, ordering, HistoryEntry)[0]
            found["search"] = Search(reading.STRETCH, reached, "before" if backwards else "after")
        return found

    def decorate(self, rows: list[HistoryEntry]) -> None:
        # Not joined: a planner that may begin with any of several tables may well begin with the wrong one.
        prefetch_related_objects(rows, "key")

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

    @property
    def chain_id(self) -> UUID:
        return self.account.pk

    def entries(self) -> QuerySet[HistoryEntry]:
        return self.access.history_of(self.account)

    def filters(self) -> MerchantHistoryFilter:
        return MerchantHistoryFilter(
            self.request.GET, queryset=self.entries(), request=self.request, merchant=self.account
        )


class MerchantHistoryView(MerchantHistory, HistoryView):
    tab = "history"
    template_name = "keys/history_list.html"

    def context(self) -> dict[str, Any]:
        return super().context() | self.header(self.account)


class KeyHistory(ConsoleMixin, View):
    """The rows of one key."""

    @cached_property
    def key(self) -> ApiKey:
        return get_object_or_404(self.access.keys().select_related("merchant"), pk=self.kwargs["pk"])

    @property
    def chain_id(self) -> UUID:
        return self.key.merchant_id

    def entries(self) -> QuerySet[HistoryEntry]:
        return self.access.history_of(self.key)


class KeyHistoryView(KeyHistory, HistoryView):
    template_name = "keys/apikey_history.html"

    def context(self) -> dict[str, Any]:
        return super().context() | {"key": self.key, "merchant": self.key.merchant}


class PlatformHistory(PeopleMixin, View):
    """The rows that belong to no account, for those who manage people."""

    chain_id = chain.PLATFORM

    def entries(self) -> QuerySet[HistoryEntry]:
        return self.access.history().filter(merchant=None)


class PlatformHistoryView(PlatformHistory, HistoryView):
    template_name = "keys/platform_history.html"


class HistoryExportView(History, View):
    """The rows that the grid shows, all pages of them, oldest first: a whole chain in its own order."""

    ordering = IN_THE_CHAIN

    def filename(self) -> str:
        raise NotImplementedError

    def get(self, request: HttpRequest, **_: Any) -> HttpResponseBase:
        filterset = self.filters()
        read = filterset.reading(BY_TIME if filterset.asked else self.ordering)
        return exports.export(
            read.page,
            values=values_of,
            columns=COLUMNS,
            name=f"history-{self.filename()}",
            as_json=request.GET.get("format") == "jsonl",
        )


class MerchantHistoryExportView(MerchantHistory, HistoryExportView):
    def filename(self) -> str:
        return self.account.public_id


class KeyHistoryExportView(KeyHistory, HistoryExportView):
    # The index of the key's own rows is by time.
    ordering = BY_TIME

    def filename(self) -> str:
        return self.key.public_id


class PlatformHistoryExportView(PlatformHistory, HistoryExportView):
    def filename(self) -> str:
        return chain.chain_name(chain.PLATFORM)
