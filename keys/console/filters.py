"""What the grids can be filtered by. The state of a filter is a form in the address; each filter in force is a pill."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, cast

import django_filters as filters
from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Left
from django.utils import timezone

from keys import people, search, usage
from keys.console.context import access_of
from keys.console.keyset import unindexed
from keys.identifiers import API_KEY, InvalidIdentifier, decode, first_id_at
from keys.keyformat import Mode
from keys.models import ApiKey, Membership, Merchant, RequestLog, User
from keys.models.access import PlatformRole
from keys.naming import printable
from keys.outcomes import Outcome
from keys.states import ApiKeyStatus, MerchantStatus

if TYPE_CHECKING:
    from django.http import QueryDict

SEARCH_MAX = 200


@dataclass(frozen=True, slots=True)
class Pill:
    """One filter in force, and the query string without it."""

    label: str
    value: str
    without: str


class GridFilter(filters.FilterSet):  # type: ignore[name-defined, misc]
    """A filter set that can name its filters in force.

    `truncated` says that a search found more than it shows, `few` that it names its rows by their ids.
    """

    # Set by a search that knows how many rows it found, so that nothing has to be counted again.
    found: int | None = None
    truncated = False
    few = False

    def known_count(self) -> int | None:
        """The number of rows, where the search alone decides it."""
        others = (value for name, value in self.form.cleaned_data.items() if name != "q")
        return self.found if self.is_valid() and not any(others) else None

    def pills(self) -> Iterator[Pill]:
        """The filters in force, and those of the address that make no sense: these are told, and not applied."""
        data = cast("QueryDict", self.data)
        for name, filter_ in self.filters.items():
            if name in self.form.errors:
                shown = f"“{printable(data.get(name, ''), 40)}” is not understood, and left out"
            elif (value := self.form.cleaned_data.get(name)) not in (None, ""):
                shown = self.shown(name, value)
            else:
                continue
            rest = data.copy()
            for parameter in (name, "after", "before"):
                rest.pop(parameter, None)
            yield Pill(filter_.label, shown, rest.urlencode())

    def shown(self, name: str, value: Any) -> str:
        choices = dict(getattr(self.form.fields[name], "choices", ()))
        if isinstance(value, datetime):
            return f"{_within_reach(value).astimezone(UTC):%-d %b %Y %H:%M} UTC"
        return str(choices.get(value, value))


def search_filter(placeholder: str, method: str) -> filters.CharFilter:
    widget = forms.TextInput(
        attrs={
            "type": "search",
            "placeholder": placeholder,
            "aria-label": placeholder,
            "autocomplete": "off",
            "spellcheck": "false",
            "maxlength": SEARCH_MAX,
            "data-search": "",
        }
    )
    return filters.CharFilter(method=method, label="Search", max_length=SEARCH_MAX, strip=True, widget=widget)


def choice_filter(label: str, choices: Any, **extra: Any) -> filters.ChoiceFilter:
    return filters.ChoiceFilter(
        label=label,
        choices=choices,
        empty_label=f"{label}: any",
        widget=forms.Select(attrs={"aria-label": label}),
        **extra,
    )


class MerchantFilter(GridFilter):
    q = search_filter("Search merchant accounts", "find")
    status = choice_filter("Status", MerchantStatus.choices, method="in_status")

    class Meta:
        model = Merchant
        fields: list[str] = []

    def find(self, queryset: QuerySet[Merchant], name: str, value: str) -> QuerySet[Merchant]:
        access = access_of(self.request)
        # Who has a few accounts finds those alone: others that match must not take their place among the found.
        among = None if access is None or access.sees_everything else access.merchants().values("pk")
        found = search.find(value, among=among)
        self.truncated = len(found) > search.FOUND
        self.found = min(len(found), search.FOUND)
        self.few = True
        return queryset.filter(pk__in=found[: search.FOUND])

    def in_status(self, queryset: QuerySet[Merchant], name: str, value: str) -> QuerySet[Merchant]:
        if self.few:
            return queryset.alias(state=unindexed("status")).filter(state=value)
        return queryset.filter(status=value)


LAST_USED = (
    ("day", "Last 24 hours"),
    ("week", "Last 7 days"),
    ("idle", "Not in 30 days"),
    ("never", "Never"),
)


class ApiKeyFilter(GridFilter):
    q = search_filter("Search keys", "find")
    status = choice_filter("Status", ApiKeyStatus.choices)
    mode = choice_filter("Mode", Mode.choices)
    last_used = choice_filter("Last used", LAST_USED, method="used")

    class Meta:
        model = ApiKey
        fields: list[str] = []

    def find(self, queryset: QuerySet[ApiKey], name: str, value: str) -> QuerySet[ApiKey]:
        return queryset.filter(search.key_like(value))

    def used(self, queryset: QuerySet[ApiKey], name: str, value: str) -> QuerySet[ApiKey]:
        now = timezone.now()
        return queryset.filter(
            {
                "day": usage.used_since(now - timedelta(hours=24)),
                "week": usage.used_since(now - timedelta(days=7)),
                "idle": usage.used_last_before(now - timedelta(days=30)),
                "never": Q(last_use=None),
            }[value]
        )


RESULTS = (
    ("succeeded", "Succeeded"),
    ("failed", "Failed"),
    ("4xx", "Failed with 4xx"),
    ("5xx", "Failed with 5xx"),
)


class RequestFilter(GridFilter):
    """Filters of one merchant account's request log. A span of time is a range of ids, which the index serves."""

    key = filters.CharFilter(label="Key", method="of_key", widget=forms.HiddenInput())
    result = choice_filter("Result", RESULTS, method="with_result")
    outcome = choice_filter(
        "Outcome", [choice for choice in Outcome.choices if choice[0] not in {"MALFORMED", "NOT_FOUND"}]
    )
    path = filters.CharFilter(
        label="Path",
        method="with_path",
        max_length=SEARCH_MAX,
        widget=forms.TextInput(
            attrs={
                "type": "search",
                "placeholder": "Path begins with…",
                "aria-label": "Path begins with",
                "data-search": "",
            }
        ),
    )
    since = filters.IsoDateTimeFilter(label="Since", method="from_time", widget=forms.HiddenInput())
    until = filters.IsoDateTimeFilter(label="Until", method="to_time", widget=forms.HiddenInput())

    class Meta:
        model = RequestLog
        fields: list[str] = []

    def shown(self, name: str, value: Any) -> str:
        if name == "key":
            key = self.key_named(value)
            return key.name if key else value
        return super().shown(name, value)

    def key_named(self, value: str) -> ApiKey | None:
        access = access_of(self.request)
        try:
            return access.keys().filter(pk=decode(API_KEY, value)).first() if access else None
        except InvalidIdentifier:
            return None

    def of_key(self, queryset: QuerySet[RequestLog], name: str, value: str) -> QuerySet[RequestLog]:
        try:
            return queryset.filter(key=decode(API_KEY, value))
        except InvalidIdentifier:
            return queryset.none()

    def with_result(self, queryset: QuerySet[RequestLog], name: str, value: str) -> QuerySet[RequestLog]:
        if value == "succeeded":
            return queryset.filter(status__lt=400)
        # Said of 5xx too: the index of the failed requests is for what is 400 or more, in these words.
        failed = queryset.filter(status__gte=400)
        return {
            "failed": failed,
            "4xx": failed.filter(status__lt=500),
            "5xx": failed.filter(status__gte=500),
        }[value]

    def with_path(self, queryset: QuerySet[RequestLog], name: str, value: str) -> QuerySet[RequestLog]:
        # SQLite's LIKE takes /V1 for /v1, which an API does not.
        return queryset.alias(beginning=Left("path", len(value))).filter(beginning=value)

    def from_time(self, queryset: QuerySet[RequestLog], name: str, value: datetime) -> QuerySet[RequestLog]:
        return queryset.filter(id__gte=_id_at(value))

    def to_time(self, queryset: QuerySet[RequestLog], name: str, value: datetime) -> QuerySet[RequestLog]:
        return queryset.filter(id__lt=_id_at(value))


ROLES = (*PlatformRole.choices, ("team", "In teams alone"), ("none", "No role, no team"))
NAMES = ("username", "email", "first_name", "last_name")


class PersonFilter(GridFilter):
    q = search_filter("Search people", "find")
    role = choice_filter("Role", ROLES, method="with_role")
    status = choice_filter(
        "Status", (("active", "Active"), ("deactivated", "Deactivated")), method="in_status"
    )

    class Meta:
        model = User
        fields: list[str] = []

    def find(self, queryset: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        """Each word typed is the beginning of a name or of the address."""
        for word in value.split()[:6]:
            queryset = queryset.filter(reduce(or_, (Q(**{f"{each}__istartswith": word}) for each in NAMES)))
        return queryset

    def with_role(self, queryset: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        if value in PlatformRole.values:
            return queryset.filter(people.having(PlatformRole(value)))
        in_team = Exists(Membership.objects.filter(user=OuterRef("pk")))
        anywhere = reduce(or_, map(people.having, PlatformRole))
        return queryset.exclude(anywhere).filter(in_team if value == "team" else ~in_team)

    def in_status(self, queryset: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        return queryset.filter(is_active=value == "active")


def _id_at(value: datetime) -> Any:
    return first_id_at(_within_reach(value))


def _within_reach(value: datetime) -> datetime:
    """`value`, or the nearest moment that ids can tell."""
    return min(max(value, datetime(1970, 1, 1, tzinfo=UTC)), datetime(9999, 12, 31, tzinfo=UTC))
