"""Filters of the lists: each says how it narrows a reading, by an index or by looking."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from keys.access import Access
from keys.console.context import access_of
from keys.console.keyset import Ordering, unindexed
from keys.console.reading import Reading, Rows
from keys.identifiers import API_KEY, MERCHANT, InvalidIdentifier, decode
from keys.usage import DAY, HOUR

Choices = Iterable[tuple[str, str]]


class Filter(admin.SimpleListFilter):
    """One of `choices`. What is not among them is refused, and the list comes back without it."""

    choices_offered: ClassVar[Choices] = ()

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.request = request
        super().__init__(request, *args)
        if self.value() and self.value() not in dict(self.lookup_choices):
            raise IncorrectLookupParameters

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.choices_offered)

    def narrow(self, reading: Reading) -> Reading:
        return reading.seeking(self.sieve) if self.value() else reading

    def sieve(self, rows: Rows) -> Rows:
        raise NotImplementedError


class ColumnFilter(Filter):
    """Rows whose `column` holds the value. No index is to be used for it, whatever the planner thinks of one."""

    column: ClassVar[str]

    def sieve(self, rows: Rows) -> Rows:
        found: Rows = rows.alias(sought=unindexed(self.column))
        return found.filter(sought=self.stored())

    def stored(self) -> Any:
        return self.value()


class SubjectFilter(ColumnFilter):
    """Rows of one merchant account or of one key, named by its public id; an index has them in `ordering`.

    It is offered nowhere: links lead to it. Where it is in force it says of whom, and can be cleared.
    """

    prefix: ClassVar[str]
    ordering: ClassVar[Ordering]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        subject = self._subject()
        return [(self.value() or "", str(subject))] if subject else []

    def _subject(self) -> Model | None:
        access = access_of(self.request)
        try:
            subject_id = decode(self.prefix, self.value() or "")
        except InvalidIdentifier:
            return None
        return self.within(access).filter(pk=subject_id).first() if access else None

    def within(self, access: Access) -> Rows:
        raise NotImplementedError

    def stored(self) -> UUID:
        return decode(self.prefix, self.value() or "")

    def narrow(self, reading: Reading) -> Reading:
        if not self.value() or reading.few:
            return super().narrow(reading)
        return reading.along(reading.rows.filter(**{self.column: self.stored()}), self.ordering)


class MerchantFilter(SubjectFilter):
    title = "merchant account"
    parameter_name = "merchant"
    column = "merchant_id"
    prefix = MERCHANT

    def within(self, access: Access) -> Rows:
        return access.merchants()


class KeyFilter(SubjectFilter):
    title = "API key"
    parameter_name = "key"
    column = "key_id"
    prefix = API_KEY

    def within(self, access: Access) -> Rows:
        return access.keys()


class TimeFilter(Filter):
    title = "time"
    parameter_name = "since"
    choices_offered = (("hour", "The last hour"), ("day", "The last 24 hours"), ("week", "The last 7 days"))

    def narrow(self, reading: Reading) -> Reading:
        length = {"hour": HOUR, "day": DAY, "week": 7 * DAY}.get(self.value() or "")
        return replace(reading, since=timezone.now() - length) if length else reading
