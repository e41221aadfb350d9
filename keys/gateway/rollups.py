"""Counts by minute and by hour, of each key and each merchant account, kept up with every batch of requests."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from keys import spool
from keys.models import UsageHour, UsageMinute
from keys.models.requestlog import CAUSES
from keys.outcomes import failure_cause
from keys.spool import Record

COUNTS = ("succeeded", "failed", *CAUSES)
# (start of the minute or hour, key or merchant account) to one number for each of COUNTS.
Counts = dict[tuple[datetime, UUID], list[int]]
# How often each text of `spool.counted` occurred.
Tally = Counter[str]
# The same as Counts, with a minute as `2026-03-01 12:34:00` and an id as 32 digits.
_TextCounts = dict[tuple[str, str], list[int]]
_Rows = Sequence[tuple[tuple[str, str], list[int]]]


class Increments(NamedTuple):
    """What requests add to the rollups. `places` are those of COUNTS in which any number is not 0."""

    minutes: _Rows
    hours: _Rows
    places: Sequence[int]


_PLACES = {name: place for place, name in enumerate(COUNTS)}


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
        spool.counted(
            status=record.status,
            outcome=record.outcome,
            key_id=record.key_id,
            merchant_id=record.merchant_id,
            at=record.at,
        )
        for record in records
    )


def increments(tally: Mapping[str, int]) -> Increments:
    """What these add to the rollups, or take from them where a number is negative."""
    minutes: _TextCounts = defaultdict(_no_requests)
    used = {0}
    for what, number in tally.items():
        merchant, key, status, outcome, minute = what.split("\t")
        places = _places(outcome, int(status))
        used.update(places)
        at = f"{minute}:00"
        for count in (minutes[at, key], minutes[at, merchant]):
            for place in places:
                count[place] += number
    hours: _TextCounts = {}
    for (at, subject), count in minutes.items():
        hour = f"{at[:13]}:00:00", subject
        so_far = hours.get(hour)
        hours[hour] = [a + b for a, b in zip(so_far, count, strict=True)] if so_far else count
    # In one order, so that no two who add can deadlock.
    return Increments(sorted(minutes.items()), sorted(hours.items()), sorted(used))


def add(increments: Increments) -> None:
    upsert = _upsert_postgresql if connection.vendor == "postgresql" else _upsert_sqlite
    upsert(UsageMinute._meta.db_table, increments.minutes, increments.places)
    upsert(UsageHour._meta.db_table, increments.hours, increments.places)


def add_usage(records: Iterable[Record]) -> None:
    """Add the counts of `records` to the rollups of their keys and merchant accounts."""
    add(increments(tally(records)))


@lru_cache(maxsize=1024)
def _places(outcome: str, status: int) -> tuple[int, ...]:
    cause = failure_cause(outcome, status)
    return (0,) if cause is None else (1, _PLACES[cause.value])


def _no_requests() -> list[int]:
    return [0] * len(COUNTS)


def _add(count: list[int], more: list[int]) -> None:
    for place, number in enumerate(more):
        count[place] += number


def _statement(table: str, places: Sequence[int], source: str) -> str:
    """Adds what `source` has to the rows that exist, and makes those that do not: only the counts in `places`."""
    names = [COUNTS[place] for place in places]
    adding = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in names)
    others = [name for name in COUNTS if name not in names]
    return (
        f"INSERT INTO {table} ({', '.join(['subject_id', 'at', *names, *others])}) {source} "
        f"ON CONFLICT (subject_id, at) DO UPDATE SET {adding}"
    )


def _upsert_postgresql(table: str, rows: _Rows, places: Sequence[int]) -> None:
    """All at once, from one array for each column; as text, which is put together faster than psycopg would."""
    if not rows:
        return
    columns = [_array(subject for (_, subject), _ in rows), _array(f'"{at}+00"' for (at, _), _ in rows)]
    columns += [_array(str(count[place]) for _, count in rows) for place in places]
    arrays = ", ".join(["%s::uuid[]", "%s::timestamptz[]", *["%s::bigint[]"] * len(places)])
    zeros = ", 0" * (len(COUNTS) - len(places))
    with connection.cursor() as cursor:
        cursor.execute(_statement(table, places, f"SELECT *{zeros} FROM unnest({arrays})"), columns)  # noqa: S608


def _array(values: Iterable[str]) -> str:
    return f"{{{','.join(values)}}}"


def _upsert_sqlite(table: str, rows: _Rows, places: Sequence[int]) -> None:
    values = ", ".join(["%s"] * (2 + len(places)) + ["0"] * (len(COUNTS) - len(places)))
    with connection.cursor() as cursor:
        cursor.executemany(
            _statement(table, places, f"VALUES ({values})"),
            [(subject, at, *(count[place] for place in places)) for (at, subject), count in rows],
        )
