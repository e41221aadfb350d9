"""Counts by minute and by hour, of each key and each merchant account, kept up with every batch of requests."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from keys.models import UsageHour, UsageMinute
from keys.models.requestlog import CAUSES
from keys.outcomes import failure_cause
from keys.spool import Record

COUNTS = ("succeeded", "failed", *CAUSES)
# (start of the minute or hour, key or merchant account) to one number for each of COUNTS.
Counts = dict[tuple[datetime, UUID], list[int]]
# How often each (minute as `2026-03-01 12:34`, key, merchant account, outcome, status) occurred; ids as 32 digits.
Tally = Counter[tuple[str, str, str, str, str]]
# The same as Counts, in the database's own words.
_TextCounts = dict[tuple[str, str], list[int]]
_PLACES = {name: place for place, name in enumerate(COUNTS)}
_CHUNK = 500


def usage_by_minute(records: Iterable[Record]) -> Counts:
    """How often each key and each merchant account succeeded and failed, and why, in each minute."""
    counts: Counts = defaultdict(_no_requests)
    for record in records:
        minute = record.at.astimezone(UTC).replace(second=0, microsecond=0)
        places = _places(record.outcome, record.status)
        for subject in (record.key_id, record.merchant_id):
            count = counts[minute, subject]
            for place in places:
                count[place] += 1
    return counts


def usage_by_hour(minutes: Counts) -> Counts:
    """The counts of minutes, added up by the hour that they are in."""
    hours: Counts = defaultdict(_no_requests)
    for (minute, subject), count in minutes.items():
        _add(hours[minute.replace(minute=0), subject], count)
    return hours


def tally(records: Iterable[Record]) -> Tally:
    return Counter(
        (
            f"{record.at.astimezone(UTC):%Y-%m-%d %H:%M}",
            record.key_id.hex,
            record.merchant_id.hex,
            record.outcome,
            str(record.status),
        )
        for record in records
    )


def add(tally: Mapping[tuple[str, str, str, str, str], int]) -> None:
    """Add to the rollups, or take from them where a number is negative."""
    minutes: _TextCounts = defaultdict(_no_requests)
    hours: _TextCounts = defaultdict(_no_requests)
    for (minute, key, merchant, outcome, status), number in tally.items():
        places = _places(outcome, int(status))
        for subject in (key, merchant):
            for count in (minutes[f"{minute}:00", subject], hours[f"{minute[:13]}:00:00", subject]):
                for place in places:
                    count[place] += number
    upsert = _upsert_postgresql if connection.vendor == "postgresql" else _upsert_sqlite
    for model, counts in ((UsageMinute, minutes), (UsageHour, hours)):
        # In one order, so that no two can deadlock.
        upsert(model._meta.db_table, sorted(counts.items()))


def add_usage(records: Iterable[Record]) -> None:
    """Add the counts of `records` to the rollups of their keys and merchant accounts."""
    add(tally(records))


def _places(outcome: str, status: int) -> tuple[int, ...]:
    cause = failure_cause(outcome, status)
    return (0,) if cause is None else (1, _PLACES[cause.value])


def _no_requests() -> list[int]:
    return [0] * len(COUNTS)


def _add(count: list[int], more: list[int]) -> None:
    for place, number in enumerate(more):
        count[place] += number


def _adding(table: str) -> str:
    changes = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTS)
    return f"ON CONFLICT (subject_id, at) DO UPDATE SET {changes}"


def _upsert_postgresql(table: str, rows: list[tuple[tuple[str, str], list[int]]]) -> None:
    """All at once, from one array for each column."""
    if not rows:
        return
    columns: list[list[Any]] = [[subject for (_, subject), _ in rows], [f"{at}+00" for (at, _), _ in rows]]
    columns += [[count[place] for _, count in rows] for place in range(len(COUNTS))]
    arrays = ", ".join(["%s::text[]::uuid[]", "%s::text[]::timestamptz[]", *["%s::bigint[]"] * len(COUNTS)])
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (subject_id, at, {', '.join(COUNTS)}) SELECT * FROM unnest({arrays}) "  # noqa: S608
            + _adding(table),
            columns,
        )


def _upsert_sqlite(table: str, rows: list[tuple[tuple[str, str], list[int]]]) -> None:
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * (2 + len(COUNTS)))
        cursor.executemany(
            f"INSERT INTO {table} (subject_id, at, {', '.join(COUNTS)}) VALUES ({places}) "  # noqa: S608
            + _adding(table),
            [(subject, at, *count) for (at, subject), count in rows],
        )
