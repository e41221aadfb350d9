"""What a history can be filtered by, and how the rows that fit are found without reading the whole chain.

A filter that an index knows is a path: its rows are there in their order. Of several paths the shortest is taken, and
what the others ask for is looked for along it, a stretch at a time (keys/console/reading.py).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import cached_property, partial
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from keys import history
from keys.console import reading
from keys.console.context import access_of
from keys.console.filters import SEARCH_MAX, GridFilter, choice_filter
from keys.console.keyset import Ordering, count_up_to, unindexed
from keys.console.reading import Reading
from keys.identifiers import API_KEY, InvalidIdentifier, decode
from keys.models import ApiKey, HistoryEntry, Merchant
from keys.models.history import Action
from keys.naming import fold
from keys.usage import DAY

Rows = QuerySet[HistoryEntry]


def text_filter(label: str, placeholder: str, method: str, **attributes: str) -> filters.CharFilter:
    attrs = {"type": "search", "placeholder": placeholder, "aria-label": placeholder} | attributes
    widget = forms.TextInput(attrs=attrs)
    return filters.CharFilter(label=label, method=method, max_length=SEARCH_MAX, widget=widget)


class DayInput(forms.DateInput):
    """A browser complains of a value that is no day."""

    input_type = "date"

    def format_value(self, value: Any) -> str | None:
        text = super().format_value(value)
        try:
            return date.fromisoformat(text).isoformat() if text else None
        except ValueError:
            return None


def day_filter(label: str, comparison: str) -> filters.DateFilter:
    widget = DayInput(attrs={"aria-label": f"{label}, a day in UTC"}, format="%Y-%m-%d")
    return filters.DateFilter(label=label, field_name="at", lookup_expr=f"date__{comparison}", widget=widget)


class HistoryForm(forms.Form):
    """Who did what to which key, and when; a history that lacks one of them goes without."""

    field_order = ("actor", "key", "action", "since", "until")


class HistoryFilter(GridFilter):
    """Filters of one key's history, or of the platform's. Days are whole ones, in UTC."""

    queryset: Rows
    actor = text_filter("By", "Person or command", "by_actor", **{"data-search": ""})
    action = choice_filter("Action", Action.choices, method="with_action")
    since = day_filter("From", "gte")
    until = day_filter("To", "lte")

    class Meta:
        model = HistoryEntry
        form = HistoryForm
        fields: list[str] = []

    def shown(self, name: str, value: Any) -> str:
        return f"{value:%-d %b %Y}" if isinstance(value, date) else super().shown(name, value)

    @cached_property
    def asked(self) -> dict[str, Any]:
        """What is asked for, as far as it makes sense."""
        self.form.is_valid()
        return {name: value for name, value in self.form.cleaned_data.items() if value not in (None, "")}

    def reading(self, ordering: Ordering) -> Reading:
        """How to read the rows that fit, in an order that begins with their time."""
        sought = dict(self.asked)
        since, until = sought.pop("since", None), sought.pop("until", None)
        read = Reading(self.queryset, ordering, since=_beginning(since), until=_end(until))
        ways = {
            name: replace(read, rows=rows)
            for name, value in sought.items()
            if (rows := self.path(name, value)) is not None
        }
        if ways:
            shortest = min(ways, key=lambda name: _length(ways[name])) if len(ways) > 1 else next(iter(ways))
            read = ways[shortest]
            del sought[shortest]
        for name, value in sought.items():
            read = read.seeking(partial(self._sieve, name, value))
        return read

    def _sieve(self, name: str, value: Any, rows: Rows) -> Rows:
        kept: Rows = self.filters[name].filter(rows, value)
        return kept

    def path(self, name: str, value: Any) -> Rows | None:
        """The rows that the filter leaves where an index has them in the order of their times; None where none has."""
        return None

    def actors_like(self, text: str) -> list[str] | None:
        """The names that contain `text`, of those who acted here; None where they are not known."""
        return None

    # No index is to be used for what is looked for along another, whatever the planner thinks of one.

    def by_actor(self, queryset: Rows, name: str, value: str) -> Rows:
        rows = queryset.alias(by=unindexed("actor_name"))
        names = self.actors_like(value)
        return rows.filter(by__icontains=value) if names is None else rows.filter(by__in=names)

    def with_action(self, queryset: Rows, name: str, value: str) -> Rows:
        return queryset.alias(done=unindexed("action")).filter(done=value)


class MerchantHistoryFilter(HistoryFilter):
    """Filters of a merchant account's history, which can be long."""

    key = text_filter("Key", "Key name or ID", "of_key")

    def __init__(self, *args: Any, merchant: Merchant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.merchant = merchant

    def path(self, name: str, value: Any) -> Rows | None:
        if name == "action":
            return self.queryset.filter(action=value)
        if name == "actor" and (names := self.actors_like(value)) is not None:
            return self._of_the_only(names, lambda who: self.queryset.filter(actor_name=who))
        access = access_of(self.request)
        if name == "key" and access is not None:
            return self._of_the_only(list(self._keys_like(value)[:2]), access.history_of)
        return None

    def _of_the_only(self, found: list[Any], rows_of: Callable[[Any], Rows]) -> Rows | None:
        """The rows of what was found where it is one alone, none where it is nothing."""
        if not found:
            return self.queryset.none()
        return rows_of(found[0]) if len(found) == 1 else None

    def actors_like(self, text: str) -> list[str] | None:
        if self._actors is None:
            return None
        return [name for name in self._actors if text.casefold() in name.casefold()]

    @cached_property
    def _actors(self) -> list[str] | None:
        return history.actors(self.merchant)

    def of_key(self, queryset: Rows, name: str, value: str) -> Rows:
        return queryset.filter(Exists(self._keys_like(value).filter(pk=OuterRef("key"))))

    def _keys_like(self, text: str) -> QuerySet[ApiKey]:
        """The keys of this account that have the id, or whose name contains the text."""
        access = access_of(self.request)
        every = access.keys().filter(merchant=self.merchant) if access else self.merchant.api_keys.none()
        try:
            return every.filter(pk=decode(API_KEY, text))
        except InvalidIdentifier:
            folded = fold(text)
            return every.filter(folded_name__contains=folded) if folded else every.none()


def _length(read: Reading) -> int:
    """How many rows there are along the way, counted as far as a page would look."""
    return count_up_to(read.within(), reading.STRETCH)[0]


def _beginning(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None


def _end(day: date | None) -> datetime | None:
    """The beginning of the day after; there is none after the last that a date can be."""
    return datetime.combine(day, time.min, UTC) + DAY if day and day < date.max else None
