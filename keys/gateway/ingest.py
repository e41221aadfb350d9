"""Records of finished requests, into the database: rows, rollups and last use in one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Field, Model

from keys.identifiers import new_id
from keys.models import ApiKey, RequestLog, UsageHour, UsageMinute
from keys.models.requestlog import CAUSES, METHOD_MAX, PATH_MAX, Usage
from keys.naming import printable
from keys.outcomes import failure_cause

COUNTS = ("succeeded", "failed", *CAUSES)
REQUEST_ID_MAX = 64
# (start of the minute or hour, key or merchant account) to one number for each of COUNTS.
Counts = dict[tuple[datetime, UUID], list[int]]


@dataclass(frozen=True, slots=True)
class Record:
    """One finished request made with a known key. `path` has no query string."""

    key_id: UUID
    merchant_id: UUID
    at: datetime
    method: str
    path: str
    status: int
    outcome: str
    duration_us: int
    address: str | None = None
    request_id: str = ""
    # None: a fresh id of the moment `at`, since a range of time is read as a range of ids.
    id: UUID | None = None


def ingest(records: Sequence[Record]) -> None:
    """Add `records`: each is counted exactly once, or none at all when this raises."""
    if not records:
        return
    with transaction.atomic():
        RequestLog.objects.bulk_create([_row(record) for record in records], batch_size=5000)
        add_usage(records)
        _touch(records)


def _row(record: Record) -> RequestLog:
    return RequestLog(
        id=record.id or new_id(record.at),
        key_id=record.key_id,
        merchant_id=record.merchant_id,
        at=record.at,
        method=printable(record.method, METHOD_MAX),
        path=printable(record.path, PATH_MAX),
        status=record.status,
        outcome=record.outcome,
        duration_us=record.duration_us,
        address=record.address,
        request_id=printable(record.request_id, REQUEST_ID_MAX),
    )


def add_usage(records: Iterable[Record]) -> None:
    """Add the counts of `records` to the rollups of their keys and merchant accounts."""
    minutes = usage_by_minute(records)
    _upsert(UsageMinute, minutes)
    _upsert(UsageHour, usage_by_hour(minutes))


def usage_by_minute(records: Iterable[Record]) -> Counts:
    """How often each key and each merchant account succeeded and failed, and why, in each minute."""
    counts: Counts = defaultdict(_no_requests)
    for record in records:
        minute = record.at.astimezone(UTC).replace(second=0, microsecond=0)
        cause = failure_cause(record.outcome, record.status)
        for subject in (record.key_id, record.merchant_id):
            count = counts[minute, subject]
            count[0 if cause is None else 1] += 1
            if cause is not None:
                count[COUNTS.index(cause.value)] += 1
    return counts


def usage_by_hour(minutes: Counts) -> Counts:
    """The counts of minutes, added up by the hour that they are in."""
    hours: Counts = defaultdict(_no_requests)
    for (minute, subject), count in minutes.items():
        hour = minute.replace(minute=0)
        hours[hour, subject] = [a + b for a, b in zip(hours[hour, subject], count, strict=True)]
    return hours


def _no_requests() -> list[int]:
    return [0] * len(COUNTS)


def _upsert(model: type[Usage], counts: Counts) -> None:
    """Add to the rows that exist, make those that do not: in one order, so that no two can deadlock."""
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ("subject_id", "at", *COUNTS)
    adding = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTS)
    place = f"({', '.join(['%s'] * len(columns))})"
    rows = [
        (_stored(model, "subject_id", subject), _stored(model, "at", at), *count)
        for (at, subject), count in sorted(counts.items())
    ]
    with connection.cursor() as cursor:
        for start in range(0, len(rows), 1000):
            chunk = rows[start : start + 1000]
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([place] * len(chunk))} "  # noqa: S608
                f"ON CONFLICT (subject_id, at) DO UPDATE SET {adding}",
                [value for row in chunk for value in row],
            )


def _touch(records: Iterable[Record]) -> None:
    """Move each key's last use forward, never back, and write nothing else of the key."""
    latest: dict[UUID, datetime] = {}
    for record in records:
        latest[record.key_id] = max(record.at, latest.get(record.key_id, record.at))
    uses = [
        (_stored(ApiKey, "last_used_at", at), _stored(ApiKey, "id", key))
        for key, at in sorted(latest.items())
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE keys_apikey SET last_used_at = %s WHERE id = %s AND (last_used_at IS NULL OR last_used_at < %s)",
            [(at, key, at) for at, key in uses],
        )


def _stored(model: type[Model], name: str, value: Any) -> Any:
    """`value` as this database stores it in the column `name`."""
    field = cast("Field[Any, Any]", model._meta.get_field(name))
    return field.get_db_prep_save(value, connection)
