"""Which merchant accounts and API keys a command is about: its filters, as arguments and as querysets."""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.core.management.base import CommandParser
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from keys import search, usage
from keys.console.keyset import Ordering, paginate
from keys.keyformat import Mode
from keys.management.terminal import moments
from keys.management.terminal.arguments import merchant_id
from keys.management.terminal.exits import usage_error
from keys.management.terminal.operators import Operator
from keys.models import ApiKey, Merchant
from keys.states import ApiKeyStatus, MerchantStatus

Row = TypeVar("Row", bound=Model)
Options = dict[str, Any]

BATCH = 500
BY_AGE = Ordering(("created_at", "id"))
NEWEST_FIRST = BY_AGE.reversed()
# As on the console's grids, where an index serves each.
OF_ONE_MERCHANT = Ordering(("status_rank", "created_at", "id"), descending=True)
BY_NAME = Ordering(("sort_name", "id"))

MERCHANT_FILTERS = ("status", "search", "created_since", "created_before")
KEY_FILTERS = (
    *MERCHANT_FILTERS,
    "merchant",
    "mode",
    "used_since",
    "unused_since",
    "never_used",
    "expired",
    "expires_before",
)


def add_merchant_filters(parser: CommandParser) -> None:
    _add_common_filters(parser, MerchantStatus.values, "words of the name or website, or the ID")


def add_key_filters(parser: CommandParser) -> None:
    _add_common_filters(
        parser, ApiKeyStatus.values, "part of the name or description, the ID, or the masked key"
    )
    add = parser.add_argument
    add("--merchant", type=merchant_id, metavar="ID", help="of this merchant account")
    add("--mode", choices=Mode.values, help="of this mode")
    add("--used-since", type=moments.past, metavar="WHEN", help="last used then or later")
    add("--unused-since", type=moments.past, metavar="WHEN", help="made before then, and not used since")
    add("--never-used", action="store_true", help="never used at all")
    add("--expired", action="store_true", help="whose expiry date has passed")
    add("--expires-before", type=moments.any_moment, metavar="WHEN", help="whose expiry date is earlier")


def _add_common_filters(parser: CommandParser, statuses: list[str], searched: str) -> None:
    add = parser.add_argument
    add("--status", choices=statuses, help="in this status")
    add("--search", metavar="TEXT", help=searched)
    add("--created-since", type=moments.past, metavar="WHEN", help=f"made then or later: {moments.FORMS}")
    add("--created-before", type=moments.past, metavar="WHEN", help="made earlier")


def is_filtered(options: Options, filters: tuple[str, ...]) -> bool:
    return any(options[name] not in (None, False) for name in filters)


def filtered_merchants(
    operator: Operator, merchants: QuerySet[Merchant], options: Options
) -> QuerySet[Merchant]:
    """Raises a usage error for words that more accounts have than a search finds."""
    merchants = merchants.filter(_common(options))
    if (text := options["search"]) is None:
        return merchants
    found = search.find(text, among=operator.searched())
    if len(found) > search.FOUND:
        raise usage_error(f"More than {search.FOUND} merchant accounts are found: search for more words.")
    return merchants.filter(pk__in=found)


def filtered_keys(operator: Operator, keys: QuerySet[ApiKey], options: Options) -> QuerySet[ApiKey]:
    match = _common(options)
    if options["merchant"] is not None:
        match &= Q(merchant=options["merchant"])
    if options["mode"] is not None:
        match &= Q(mode=options["mode"])
    if options["search"] is not None:
        match &= search.key_like(options["search"])
    return keys.filter(match & _used(options) & _expiring(options))


def _common(options: Options) -> Q:
    match = Q()
    if options["status"] is not None:
        match &= Q(status=options["status"])
    if options["created_since"] is not None:
        match &= Q(created_at__gte=options["created_since"])
    if options["created_before"] is not None:
        match &= Q(created_at__lt=options["created_before"])
    return match


def _used(options: Options) -> Q:
    match = Q()
    if (since := options["used_since"]) is not None:
        match &= Q(usage.used_since(since))
    if (since := options["unused_since"]) is not None:
        # A key that was made yesterday has had no time to be used.
        match &= Q(created_at__lt=since) & ~Q(usage.used_since(since))
    if options["never_used"]:
        match &= Q(last_use=None)
    return match


def _expiring(options: Options) -> Q:
    match = Q()
    if options["expired"]:
        match &= Q(expires_at__lte=timezone.now())
    if (before := options["expires_before"]) is not None:
        match &= Q(expires_at__lt=before)
    return match


def in_batches(rows: QuerySet[Row], ordering: Ordering) -> Iterator[Row]:
    """All rows, read by keyset: each query is short, and whoever pauses in between holds up nobody."""
    for batch in batches(rows, ordering, size=BATCH):
        yield from batch


def batches(rows: QuerySet[Row], ordering: Ordering, *, size: int) -> Iterator[list[Row]]:
    """The same, as many at a time."""
    after = ""
    while True:
        page = paginate(rows, ordering, size=size, after=after)
        if page.rows:
            yield page.rows
        if not (after := page.next_cursor):
            return
