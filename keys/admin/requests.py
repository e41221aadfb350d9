"""The request log of all merchant accounts, newest first. Rows are recorded by the gateway alone."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from keys.access import Access
from keys.admin.cells import linked, moment, public_id
from keys.admin.changelist import LookAdmin
from keys.admin.filters import ColumnFilter, Filter, KeyFilter, MerchantFilter, TimeFilter
from keys.console.keyset import Ordering, unindexed
from keys.console.reading import Reading, Rows
from keys.console.templatetags.console import milliseconds
from keys.identifiers import API_KEY, MERCHANT, REQUEST, InvalidIdentifier, decode
from keys.models import RequestLog
from keys.outcomes import Outcome

NEWEST_FIRST = Ordering(("id",), descending=True)


class ResultFilter(Filter):
    title = "result"
    parameter_name = "result"
    choices_offered = (("succeeded", "Succeeded"), ("failed", "Failed"), ("4xx", "4xx"), ("5xx", "5xx"))

    def sieve(self, rows: Rows) -> Rows:
        answered: Rows = rows.alias(answer=unindexed("status"))
        return answered.filter(
            {
                "succeeded": Q(answer__lt=400),
                "failed": Q(answer__gte=400),
                "4xx": Q(answer__gte=400, answer__lt=500),
                "5xx": Q(answer__gte=500),
            }[self.value() or ""]
        )

    def narrow(self, reading: Reading) -> Reading:
        """The failed requests of one key or account have an index of their own."""
        whose = {"key", "merchant"} & set(self.request.GET)
        if self.value() == "failed" and whose and not reading.few:
            return reading.along(reading.rows.filter(status__gte=400), reading.ordering)
        return super().narrow(reading)


class OutcomeFilter(ColumnFilter):
    title = "outcome"
    parameter_name = "outcome"
    column = "outcome"
    choices_offered = Outcome.choices


class AccountFilter(MerchantFilter):
    ordering = NEWEST_FIRST


class OneKeyFilter(KeyFilter):
    ordering = NEWEST_FIRST


@admin.display(description="status")
def answer(request: RequestLog) -> SafeString:
    result = "ok" if request.succeeded else "failed"
    return format_html('<span class="status-{}">{}</span>', result, request.status)


@admin.display(description="duration")
def duration(request: RequestLog) -> str:
    return milliseconds(request.duration_us)


class RequestLogAdmin(LookAdmin):
    order = NEWEST_FIRST
    list_related = ("key", "merchant")
    list_display = (
        moment("at", "time"), "method", "path", answer, "outcome", linked("key"), linked("merchant"), duration,
        "address",
    )  # fmt: skip
    list_filter = (ResultFilter, TimeFilter, OutcomeFilter, AccountFilter, OneKeyFilter)
    search_help_text = "An ID (req_…, key_… or mch_…), the beginning of the path, or a request id of the API"
    readonly_fields: ClassVar[Any] = (
        public_id, linked("key"), linked("merchant"), moment("at", "time"), "method", "path", answer, "outcome",
        duration, "address", "request_id",
    )  # fmt: skip
    fields = readonly_fields

    def reach(self, access: Access) -> Rows:
        return access.requests()

    def find(self, reading: Reading, text: str, access: Access) -> Reading:
        for prefix, column in ((REQUEST, "id"), (API_KEY, "key_id"), (MERCHANT, "merchant_id")):
            try:
                named = decode(prefix, text)
            except InvalidIdentifier:
                continue
            return reading.along(reading.rows.filter(**{column: named}), NEWEST_FIRST)
        return reading.seeking(
            # SQLite's LIKE takes /V1 for /v1, which an API does not.
            lambda rows: rows.alias(beginning=Left("path", len(text))).filter(
                Q(beginning=text) | Q(request_id=text)
            )
        )

    def elsewhere(self, record: Any, access: Access) -> Mapping[str, str]:
        return {"Open in the console": reverse("request-detail", args=[record.pk])}
