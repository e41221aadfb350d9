"""Merchant accounts: found by words as in the console, disabled and enabled."""

from collections.abc import Mapping
from typing import Any, ClassVar

from keys import moves, search
from keys.access import Access
from keys.admin.cells import linked, list_of, moment, public_id, status
from keys.admin.filters import ColumnFilter
from keys.admin.steps import Offer, SteppingAdmin
from keys.console.keyset import Ordering
from keys.console.reading import Reading, Rows
from keys.states import MerchantStatus

BY_NAME = Ordering(("sort_name", "id"))


class StatusFilter(ColumnFilter):
    title = "status"
    parameter_name = "status"
    column = "status"
    choices_offered = MerchantStatus.choices

    def narrow(self, reading: Reading) -> Reading:
        """By the index of states and names, unless a search has named the rows."""
        if not self.value() or reading.few:
            return super().narrow(reading)
        return reading.along(reading.rows.filter(status=self.value()), BY_NAME)


class MerchantAdmin(SteppingAdmin):
    order = BY_NAME
    list_display = ("name", public_id, status, "website", moment("created_at"))
    list_filter = (StatusFilter,)
    search_help_text = "Beginnings of words of the name or the website, or an ID (mch_…)"
    readonly_fields: ClassVar[Any] = (
        public_id,
        "name",
        "website",
        status,
        moment("created_at"),
        linked("created_by"),
    )
    fields = readonly_fields
    offers = (
        Offer(
            moves.DISABLE_MERCHANT,
            done="disabled. Requests with any of the keys are refused from now on",
            consequence="Requests with any of the account's keys are refused with 401 from the next one on. "
            "The keys keep their own states, and the account can be enabled again.",
            otherwise="Only an enabled merchant account can be disabled.",
        ),
        Offer(
            moves.ENABLE_MERCHANT,
            done="enabled. Requests with the enabled keys are answered again",
            consequence="Requests with the account's enabled keys are answered again.",
            otherwise="Only a disabled merchant account can be enabled.",
        ),
    )

    def reach(self, access: Access) -> Rows:
        return access.merchants()

    def find(self, reading: Reading, text: str, access: Access) -> Reading:
        among = None if access.sees_everything else access.merchants().values("pk")
        return reading.among(search.find(text, among=among))

    def elsewhere(self, record: Any, access: Access) -> Mapping[str, str]:
        only = {"merchant": record.public_id}
        return {
            "API keys": list_of("apikey", **only),
            "Requests": list_of("requestlog", **only),
            "History": list_of("historyentry", **only),
            "Open in the console": record.get_absolute_url(),
        }
