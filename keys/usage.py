"""How much API keys and merchant accounts are used: error rates, hourly series, freshness. Reads rollups only.

The window is the last 24 hours, exact to the minute: it ends with the minute of now and starts 1,439 minutes earlier.
Whole clock hours come from the hourly rollup, the ragged ends from the minutes: at most 23 + 60 short rows a subject,
whatever the traffic. The bars are the same rows by clock hour, so they add up to the figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, DateTimeField, F, Q, Sum, Value, When
from django.utils import timezone

from keys.models import UsageHour, UsageMinute
from keys.models.requestlog import CAUSES
from keys.outcomes import FailureCause

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` (inclusive) to `end` (exclusive), both whole minutes."""

    start: datetime
    end: datetime

    @classmethod
    def last_24_hours(cls, now: datetime | None = None) -> "Window":
        end = (now or timezone.now()).replace(second=0, microsecond=0) + MINUTE
        return cls(end - DAY, end)

    @property
    def first_whole_hour(self) -> datetime:
        start = self.start.replace(minute=0)
        return start if start == self.start else start + HOUR

    @property
    def last_whole_hour(self) -> datetime:
        """The end of the last whole clock hour."""
        return self.end.replace(minute=0)

    def hours(self) -> list[tuple[datetime, datetime]]:
        """The window cut at the clock hours: 24 spans, or 25 of which the first and the last are parts of an hour."""
        edges = [self.start]
        edge = self.start.replace(minute=0) + HOUR
        while edge < self.end:
            edges.append(edge)
            edge += HOUR
        return list(zip(edges, [*edges[1:], self.end], strict=True))


@dataclass(slots=True)
class Totals:
    """Succeeded and failed requests of one subject in one span of time."""

    succeeded: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.succeeded + self.failed

    @property
    def error_rate(self) -> float | None:
        """Failed ÷ all, 0 to 1; None without requests."""
        return self.failed / self.total if self.total else None


@dataclass(slots=True)
class Bar(Totals):
    """The counts of one clock hour, or of the part of it that lies in the window."""

    start: datetime = field(kw_only=True)
    end: datetime = field(kw_only=True)


@dataclass(slots=True)
class Usage(Totals):
    """What one subject did in the window; the bars and the causes of the failures add up to the totals."""

    window: Window = field(kw_only=True)
    bars: list[Bar] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def failures(self) -> list[tuple[FailureCause, int]]:
        """The causes that occurred with their counts, most common first."""
        counts = ((FailureCause(name), count) for name, count in self.causes.items() if count)
        return sorted(counts, key=lambda item: -item[1])

    @property
    def most_common_cause(self) -> FailureCause | None:
        return self.failures[0][0] if self.failures else None


def totals(subjects: Iterable[UUID], *, now: datetime | None = None) -> dict[UUID, Totals]:
    """The totals of each of `subjects` (keys or merchant accounts), in two queries."""
    found = {subject: Totals() for subject in subjects}
    window = Window.last_24_hours(now)
    for model, span in _pieces(window):
        rows = model.objects.filter(span, subject_id__in=list(found)).values_list("subject_id")
        for subject, succeeded, failed in rows.annotate(Sum("succeeded"), Sum("failed")).order_by():
            found[subject].succeeded += succeeded
            found[subject].failed += failed
    return found


def last_24_hours(subjects: Iterable[UUID], *, now: datetime | None = None) -> dict[UUID, Usage]:
    """The usage of each of `subjects` (keys or merchant accounts), with bars and causes, in two queries."""
    window = Window.last_24_hours(now)
    spans = window.hours()
    usages = {
        subject: Usage(window=window, bars=[Bar(start=start, end=end) for start, end in spans])
        for subject in subjects
    }
    counts = ("succeeded", "failed", *CAUSES)
    last_end = Case(
        When(at__gte=window.last_whole_hour, then=Value(window.last_whole_hour)),
        default=Value(window.start),
        output_field=DateTimeField(),
    )
    for model, span in _pieces(window):
        # The minutes of each ragged end are added up by the database: of many rows two are left.
        hour = F("at") if model is UsageHour else last_end
        rows = (
            model.objects.filter(span, subject_id__in=list(usages))
            .annotate(hour=hour)
            .values_list("subject_id", "hour")
            .annotate(*(Sum(name) for name in counts))
            .order_by()
        )
        for subject, at, succeeded, failed, *causes in rows:
            _add(usages[subject], at, succeeded, failed, causes)
    return usages


def _pieces(window: Window) -> list[tuple[type[UsageHour | UsageMinute], Q]]:
    """Which rollup tells of which part of `window`."""
    whole = Q(at__gte=window.first_whole_hour, at__lt=window.last_whole_hour)
    ends = Q(at__gte=window.start, at__lt=window.first_whole_hour) | Q(
        at__gte=window.last_whole_hour, at__lt=window.end
    )
    return [(UsageHour, whole), (UsageMinute, ends)]


def _add(usage: Usage, at: datetime, succeeded: int, failed: int, causes: list[int]) -> None:
    bar = usage.bars[int((at - usage.window.start.replace(minute=0)) // HOUR)]
    for each in (bar, usage):
        each.succeeded += succeeded
        each.failed += failed
    for name, count in zip(CAUSES, causes, strict=True):
        usage.causes[name] = usage.causes.get(name, 0) + count


def last_hour(subject: UUID, *, now: datetime | None = None) -> int:
    """Requests of the last 60 minutes."""
    end = Window.last_24_hours(now).end
    rows = UsageMinute.objects.filter(subject_id=subject, at__gte=end - HOUR, at__lt=end)
    return sum(succeeded + failed for succeeded, failed in rows.values_list("succeeded", "failed"))
