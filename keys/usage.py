"""How much API keys and merchant accounts are used: error rates, hourly series, freshness. Reads rollups only, but for
the conditions that tell keys by their last use.

The window is the last 24 hours, exact to the minute: it ends with the minute of now and starts 1,439
minutes earlier. Whole clock hours come from the hourly rollup, the ragged ends from the minutes: at most 23
+ 60 short rows a subject, whatever the traffic. The bars are the same rows by clock hour, so they add up to
the figures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, OuterRef, Sum
from django.utils import timezone

from keys.models import LastUse, UsageHour, UsageMinute
from keys.models.requestlog import CAUSES
from keys.outcomes import FailureCause

if TYPE_CHECKING:
    from django.db.models import Field

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)


def used_since(moment: datetime) -> Exists:
    """Which API keys were used then or later.

    Looked up for each key, and not joined: SQLite would begin a join with the last uses, and read and sort all of them
    for each page of keys.
    """
    return Exists(LastUse.objects.filter(key=OuterRef("pk"), at__gte=moment))


def used_last_before(moment: datetime) -> Exists:
    """Which API keys were used, and no more since then."""
    return Exists(LastUse.objects.filter(key=OuterRef("pk"), at__lt=moment))


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` (inclusive) to `end` (exclusive), both whole minutes."""

    start: datetime
    end: datetime

    @classmethod
    def last_24_hours(cls, now: datetime | None = None) -> "Window":
        # In UTC, as the rollups are: the hours of some zones begin at half past.
        end = (now or timezone.now()).astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
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
    """The totals of each of `subjects` (keys or merchant accounts), in one query."""
    usages = last_24_hours(subjects, now=now)
    return {subject: Totals(usage.succeeded, usage.failed) for subject, usage in usages.items()}


def last_24_hours(subjects: Iterable[UUID], *, now: datetime | None = None) -> dict[UUID, Usage]:
    """The usage of each of `subjects` (keys or merchant accounts), with bars and causes, in one query."""
    window = Window.last_24_hours(now)
    spans = window.hours()
    usages = {
        subject: Usage(window=window, bars=[Bar(start=start, end=end) for start, end in spans])
        for subject in subjects
    }
    if usages:
        stored_subjects = {_stored("subject_id", subject): usage for subject, usage in usages.items()}
        numbers = {_label(start): number for number, (start, _) in enumerate(spans)}
        for subject, hour, succeeded, failed, *causes in _rows(list(stored_subjects), window):
            # PostgreSQL's text of a time ends with its zone, which is UTC on every connection of Django's.
            _add(stored_subjects[subject], numbers[hour[:19]], succeeded, failed, causes)
    return usages


COUNTS = ("succeeded", "failed", *CAUSES)
_COLUMNS = ", ".join(COUNTS)
_SUMS = ", ".join(f"CAST(SUM({name}) AS bigint)" for name in COUNTS)
# Written out, because every grid waits for it. The minutes of each ragged end are added up by the database.
_WHOLE_HOURS = f"""
    SELECT subject_id, CAST(at AS text), {_COLUMNS}
    FROM keys_usagehour WHERE at >= %s AND at < %s AND subject_id IN """  # noqa: S608
_RAGGED_END = f"""
    SELECT subject_id, %s, {_SUMS}
    FROM keys_usageminute WHERE at >= %s AND at < %s AND subject_id IN """  # noqa: S608


def _rows(subjects: list[Any], window: Window) -> list[tuple[Any, ...]]:
    """(subject as stored, start of the bar as text, *counts)."""
    start, first, last, end = (
        _stored("at", moment)
        for moment in (window.start, window.first_whole_hour, window.last_whole_hour, window.end)
    )
    among = f"({', '.join(['%s'] * len(subjects))})"
    parts = [(_WHOLE_HOURS + among, [first, last, *subjects])]
    if start != first:
        parts.append(
            (_RAGGED_END + among + " GROUP BY subject_id", [_label(window.start), start, first, *subjects])
        )
    if last != end:
        parts.append(
            (
                _RAGGED_END + among + " GROUP BY subject_id",
                [_label(window.last_whole_hour), last, end, *subjects],
            )
        )
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _label(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _stored(column: str, value: Any) -> Any:
    """`value` as this database stores it: SQLite knows neither UUIDs nor times."""
    field = cast("Field[Any, Any]", UsageHour._meta.get_field(column))
    return field.get_db_prep_value(value, connection, prepared=False)


def _add(usage: Usage, number: int, succeeded: int, failed: int, causes: list[int]) -> None:
    for each in (usage.bars[number], usage):
        each.succeeded += succeeded
        each.failed += failed
    if failed:
        for name, count in zip(CAUSES, causes, strict=True):
            usage.causes[name] = usage.causes.get(name, 0) + count


def last_hour(subject: UUID, *, now: datetime | None = None) -> int:
    """Requests of the last 60 minutes."""
    end = Window.last_24_hours(now).end
    rows = UsageMinute.objects.filter(subject_id=subject, at__gte=end - HOUR, at__lt=end)
    return int(rows.aggregate(total=Sum(F("succeeded") + F("failed")))["total"] or 0)
