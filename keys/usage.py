"""How much API keys and merchant accounts are used: error rates, hourly series, freshness. Reads rollups only.

The window is the last 24 hours, exact to the minute: it ends with the minute of now and starts 1,439 minutes earlier.
Whole clock hours come from the hourly rollup, the ragged ends from the minutes: at most 23 + 60 short rows a subject,
whatever the traffic. The bars are the same rows by clock hour, so they add up to the figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
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
class Bar:
    start: datetime
    end: datetime
    succeeded: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.succeeded + self.failed


@dataclass(slots=True)
class Usage:
    """What one subject did in the window."""

    window: Window
    bars: list[Bar] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def succeeded(self) -> int:
        return sum(bar.succeeded for bar in self.bars)

    @property
    def failed(self) -> int:
        return sum(bar.failed for bar in self.bars)

    @property
    def total(self) -> int:
        return self.succeeded + self.failed

    @property
    def error_rate(self) -> float | None:
        """Failed ÷ all, 0 to 1; None without requests."""
        return self.failed / self.total if self.total else None

    @property
    def most_common_cause(self) -> FailureCause | None:
        causes = [(count, name) for name, count in self.causes.items() if count]
        return FailureCause(max(causes)[1]) if causes else None


def last_24_hours(subjects: Iterable[UUID], *, now: datetime | None = None) -> dict[UUID, Usage]:
    """The usage of each of `subjects` (keys or merchant accounts), in two queries."""
    window = Window.last_24_hours(now)
    spans = window.hours()
    usages = {
        subject: Usage(window, [Bar(start, end) for start, end in spans], dict.fromkeys(CAUSES, 0))
        for subject in subjects
    }
    if not usages:
        return {}
    columns = ("subject_id", "at", "succeeded", "failed", *CAUSES)
    whole = Q(at__gte=window.first_whole_hour, at__lt=window.last_whole_hour)
    ends = Q(at__gte=window.start, at__lt=window.first_whole_hour) | Q(at__gte=window.last_whole_hour, at__lt=window.end)
    first_hour = window.start.replace(minute=0)
    for model, span in ((UsageHour, whole), (UsageMinute, ends)):
        rows = model.objects.filter(span, subject_id__in=list(usages)).values_list(*columns)
        for subject, at, succeeded, failed, *causes in rows:
            usage = usages[subject]
            bar = usage.bars[int((at - first_hour) // HOUR)]
            bar.succeeded += succeeded
            bar.failed += failed
            for name, count in zip(CAUSES, causes, strict=True):
                usage.causes[name] += count
    return usages


def last_hour(subject: UUID, *, now: datetime | None = None) -> int:
    """Requests of the last 60 minutes."""
    end = Window.last_24_hours(now).end
    rows = UsageMinute.objects.filter(subject_id=subject, at__gte=end - HOUR, at__lt=end)
    return sum(succeeded + failed for succeeded, failed in rows.values_list("succeeded", "failed"))
