"""The history of everything: rows that are only ever added, here to be looked at."""

import json
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html
from django.utils.safestring import SafeString

from keys.access import Access
from keys.admin.cells import NOTHING, linked, list_of, moment, public_id
from keys.admin.changelist import LookAdmin, access_for
from keys.admin.filters import ColumnFilter, KeyFilter, MerchantFilter, TimeFilter
from keys.console.keyset import Ordering
from keys.console.reading import Reading, Rows
from keys.identifiers import API_KEY, HISTORY, MERCHANT, InvalidIdentifier, decode
from keys.models import HistoryEntry
from keys.models.history import Action, ActorKind

NEWEST_FIRST = Ordering(("id",), descending=True)
# As the indexes of one account and of one key have it.
LATEST_FIRST = Ordering(("at", "id"), descending=True)


class ActionFilter(ColumnFilter):
    title = "action"
    parameter_name = "action"
    column = "action"
    choices_offered = Action.choices


class KindFilter(ColumnFilter):
    title = "kind of actor"
    parameter_name = "kind"
    column = "actor_kind"
    choices_offered = ActorKind.choices


class AccountFilter(MerchantFilter):
    ordering = LATEST_FIRST


class OneKeyFilter(KeyFilter):
    ordering = LATEST_FIRST


class ActorFilter(ColumnFilter):
    """What one person did, by their number; links lead to it."""

    title = "actor"
    parameter_name = "actor"
    column = "actor_user_id"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        number = self.value() or ""
        # As many digits as a 64-bit number has at most.
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            return []
        rows = access_for(request).history().filter(actor_user=int(number))
        # Not `first()`, which would put all that somebody ever did in order.
        name = next(iter(rows.values_list("actor_name", flat=True)[:1]), f"Person {number}")
        return [(number, name)]

    def stored(self) -> int:
        return int(self.value() or "")


@admin.display(description="actor")
def actor(entry: HistoryEntry) -> SafeString | str:
    if entry.actor_user_id is None:
        return f"{entry.actor_name} ({entry.get_actor_kind_display()})"
    address = list_of("historyentry", actor=str(entry.actor_user_id))
    return format_html('<a href="{}">{}</a>', address, entry.actor_name)


def told(name: str) -> Any:
    """What the row says of the state before or after, as it is stored."""

    @admin.display(description=name)
    def column(entry: HistoryEntry) -> SafeString | str:
        facts = getattr(entry, name)
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text) if facts else NOTHING

    return column


class HistoryEntryAdmin(LookAdmin):
    order = NEWEST_FIRST
    list_related = ("merchant", "key")
    list_display = (
        moment("at", "time"), "action", actor, linked("merchant"), linked("key"), "reason", "address",
    )  # fmt: skip
    list_filter = (ActionFilter, KindFilter, TimeFilter, ActorFilter, AccountFilter, OneKeyFilter)
    search_help_text = "An ID (hst_…, key_… or mch_…), or a part of the actor's name or of the reason"
    readonly_fields: ClassVar[Any] = (
        public_id, moment("at", "time"), "action", actor, linked("merchant"), linked("key"), told("before"),
        told("after"), "reason", "address", "user_agent", "request_id", "sequence",
    )  # fmt: skip
    fields = readonly_fields

    def reach(self, access: Access) -> Rows:
        return access.history()

    def find(self, reading: Reading, text: str, access: Access) -> Reading:
        for prefix, column, ordering in (
            (HISTORY, "id", NEWEST_FIRST),
            (API_KEY, "key_id", LATEST_FIRST),
            (MERCHANT, "merchant_id", LATEST_FIRST),
        ):
            try:
                named = decode(prefix, text)
            except InvalidIdentifier:
                continue
            return reading.along(reading.rows.filter(**{column: named}), ordering)
        return reading.seeking(
            lambda rows: rows.filter(Q(actor_name__icontains=text) | Q(reason__icontains=text))
        )
