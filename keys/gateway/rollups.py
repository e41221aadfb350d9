"""Counts by minute and by hour, of each key and each merchant account, kept up with every batch of requests."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
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
_Rows = Sequence[tuple[tuple[str, str], list[int]]]
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
    used = {0}
    for (minute, key, merchant, outcome, status), number in tally.items():
        places = _places(outcome, int(status))
        used.update(places)
        at, hour = f"{minute}:00", f"{minute[:13]}:00:00"
        for count in (minutes[at, key], minutes[at, merchant], hours[hour, key], hours[hour, merchant]):
            for place in places:
                count[place] += number
    upsert = _upsert_postgresql if connection.vendor == "postgresql" else _upsert_sqlite
    for model, counts in ((UsageMinute, minutes), (UsageHour, hours)):
        # In one order, so that no two can deadlock.
        upsert(model._meta.db_table, sorted(counts.items()), sorted(used))


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
