"""API keys: found by name, id or mask; disabled, enabled and revoked as in the console. Never their text."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from keys import moves, search
from keys.access import Access
from keys.admin.cells import linked, list_of, mode, moment, public_id, status
from keys.admin.filters import ColumnFilter, Filter, MerchantFilter
from keys.admin.steps import Offer, SteppingAdmin
from keys.console.forms import RevokeForm
from keys.console.keyset import Ordering
from keys.console.reading import FOUND, Reading, Rows
from keys.identifiers import API_KEY, MERCHANT, InvalidIdentifier, decode
from keys.keyformat import MalformedKey, Mode, PlaintextKey
from keys.models import ApiKey
from keys.naming import fold
from keys.states import ApiKeyStatus

NEWEST_FIRST = Ordering(("created_at", "id"), descending=True)
# As on the console's grid of one account.
BY_STATUS = Ordering(("status_rank", "created_at", "id"), descending=True)
_LAST = "\U0010ffff"


class StatusFilter(ColumnFilter):
    title = "status"
    parameter_name = "status"
    column = "status"
    choices_offered = ApiKeyStatus.choices


class ModeFilter(ColumnFilter):
    title = "mode"
    parameter_name = "mode"
    column = "mode"
    choices_offered = Mode.choices


class ExpiredFilter(Filter):
    title = "expiry"
    parameter_name = "expired"
    choices_offered = (("yes", "Expired"), ("no", "Not expired"), ("soon", "Expires within 30 days"))

    def sieve(self, rows: Rows) -> Rows:
        now = timezone.now()
        return rows.filter(
            {
                "yes": Q(expires_at__lte=now),
                "no": Q(expires_at=None) | Q(expires_at__gt=now),
                "soon": Q(expires_at__gt=now, expires_at__lte=now + timedelta(days=30)),
            }[self.value() or ""]
        )


class AccountFilter(MerchantFilter):
    ordering = BY_STATUS


@admin.display(description="key")
def masked(key: ApiKey) -> SafeString:
    return format_html("<code>{}</code>", key.masked)


@admin.display(description="allowed networks")
def networks(key: ApiKey) -> str:
    return key.allowed_networks or "Anywhere"


class ApiKeyAdmin(SteppingAdmin):
    order = NEWEST_FIRST
    list_related = ("merchant",)
    list_display = (
        "name", linked("merchant"), masked, mode, status, moment("expires_at", "expires"),
        moment("last_used_at", "last used", "Never"), moment("created_at"),
    )  # fmt: skip
    list_filter = (StatusFilter, ModeFilter, ExpiredFilter, AccountFilter)
    search_help_text = "The beginning of the name, an ID (key_… or mch_…), or the key as it is masked"
    readonly_fields: ClassVar[Any] = (
        public_id, linked("merchant"), "name", "description", masked, mode, "permissions", status,
        moment("expires_at", "expires", "Never"), networks, linked("duplicated_from"), moment("created_at"),
        linked("created_by"), moment("last_used_at", "last used", "Never"),
    )  # fmt: skip
    fields = readonly_fields
    offers = (
        Offer(
            moves.DISABLE_KEY,
            done="disabled. Requests are refused from now on",
            consequence="Requests are refused with 401 from the next one on. A disabled key can be enabled again.",
            otherwise="Only an enabled API key can be disabled.",
        ),
        Offer(
            moves.ENABLE_KEY,
            done="enabled. Requests are answered again",
            consequence="Requests are answered again.",
            otherwise="Only a disabled API key can be enabled.",
        ),
        Offer(
            moves.REVOKE_KEY,
            done="revoked. It stays as a record",
            consequence="Once revoked, every request with it is refused for ever. Its text is destroyed. The key stays "
            "as a record, and nobody can bring it back.",
            otherwise="Only a disabled API key can be revoked: disabling it first shows what depends on it.",
            form=lambda sent, key: RevokeForm(sent, key=key),
        ),
    )

    def reach(self, access: Access) -> Rows:
        # The last use is joined: a key without one is a row all the same, so that no planner can begin there.
        return access.keys().select_related("last_use").defer("digest", "secret_ciphertext")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """A whole key that is searched for is found by its digest, and does not stay in the address."""
        try:
            secret = PlaintextKey(request.GET.get("q", "").strip())
        except MalformedKey:
            return super().changelist_view(request, extra_context)
        key = self.get_queryset(request).filter(digest=secret.digest).first()
        return redirect(list_of("apikey", q=key.public_id if key else secret.masked))

    def find(self, reading: Reading, text: str, access: Access) -> Reading:
        try:
            return reading.among([decode(API_KEY, text)])
        except InvalidIdentifier:
            pass
        try:
            return reading.along(reading.rows.filter(merchant=decode(MERCHANT, text)), BY_STATUS)
        except InvalidIdentifier:
            pass
        found = (
            access.keys().filter(search.masked_like(text)) if text.startswith(MASKS) else named(text, access)
        )
        return reading.among(list(found.values_list("pk", flat=True)[: FOUND + 1]))

    def elsewhere(self, record: Any, access: Access) -> Mapping[str, str]:
        only = {"key": record.public_id}
        return {
            "Requests": list_of("requestlog", **only),
            "History": list_of("historyentry", **only),
            "Open in the console": record.get_absolute_url(),
        }


MASKS = tuple(f"sk_{mode}_" for mode in Mode.values)


def named(text: str, access: Access) -> Rows:
    """Keys whose names begin with `text`, whatever its case and accents."""
    folded = fold(text)
    if not folded:
        return access.keys().none()
    return (
        access.keys()
        .filter(folded_name__gte=folded, folded_name__lt=folded + _LAST)
        .order_by("folded_name", "id")
    )
