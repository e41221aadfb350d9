"""Records of finished requests, into the database: rows, rollups and last use in one transaction.

A request is recorded by the verifier, with the status of its verdict, and may be reported again, by whoever knows, with
the status that the API answered. Its id says that the two are one: the report's status stands, and counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from uuid import UUID

from django.db import DataError, IntegrityError, connection, transaction

from keys import spool
from keys.gateway import rollups
from keys.gateway.batches import Batch
from keys.gateway.rollups import Tally
from keys.identifiers import new_id
from keys.models import RecordingLoss, RequestLog
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from keys.spool import REQUEST_ID_MAX, Record

_MOVE_FORWARD = (
    "INSERT INTO keys_lastuse (key_id, at) {} ON CONFLICT (key_id) DO UPDATE SET at = excluded.at"
    " WHERE keys_lastuse.at < excluded.at"
)
ROWS_AT_ONCE = 5000
ROWS_IN_A_SAVEPOINT = 500
# Two may report the same request at the same moment; the second finds it there when it tries again.
TRIES = 3


class Recorded(NamedTuple):
    """What is recorded of a request, as far as a report of it matters."""

    id: UUID
    key_id: UUID
    merchant_id: UUID
    at: datetime
    status: int
    outcome: str
    reported: bool


def ingest(records: Iterable[Record]) -> int:
    """Add `records`, each counted exactly once, or none at all when this raises; returns how many were news.

    One that is there already is news only if it is reported, and what is there is not.
    """
    news: dict[UUID, Record] = {}
    for record in records:
        id_ = record.id or new_id(record.at)
        if id_ in news:
            news[id_] = _corrected(news[id_], record)
        else:
            news[id_] = record if record.id else replace(record, id=id_)
    if not news:
        return 0
    for last in (*[False] * (TRIES - 1), True):
        try:
            with transaction.atomic():
                # In one order, so that no two can deadlock.
                return _add([news[id_] for id_ in sorted(news, key=_number)])
        except IntegrityError:
            if last:
                raise
    raise AssertionError


def take(batch: Batch) -> None:
    """Add the lines of a spool file in the transaction that is under way: microseconds for each.

    Raises DataError or IntegrityError where one of them is no record or is there already. Then the transaction must be
    undone, and the lines taken one by one in another: a savepoint would spare that, but SQLite goes through all that a
    savepoint keeps for every statement after it, and would become slower with each row.
    """
    if not batch.are_records:
        raise DataError("not all lines are records")
    _copy(batch.text)
    rollups.add(batch.increments)
    move_last_uses(batch.last_uses)


def take_one_by_one(batch: Batch) -> None:
    """The same for lines of which some may be no records, which are counted as lost, or recorded already."""
    records = []
    lost: Counter[str] = Counter()
    for line in batch.text.removesuffix("\n").split("\n"):
        if line.startswith(spool.LOST):
            reason, requests = spool.parse_lost(f"{line}\n")
            lost[reason] += requests
            continue
        try:
            records.append(spool.parse(f"{line}\n"))
        except ValueError:
            lost[RecordingLoss.Reason.UNREADABLE] += 1
    for start in range(0, len(records), ROWS_IN_A_SAVEPOINT):
        lost[RecordingLoss.Reason.UNREADABLE] += _ingest_what_can_be(
            records[start : start + ROWS_IN_A_SAVEPOINT]
        )
    lose(+lost)


def _ingest_what_can_be(records: Sequence[Record]) -> int:
    """Ingest all, or where the database takes one of them for nonsense, all others; returns how many those are."""
    try:
        with transaction.atomic():
            ingest(records)
    except DataError:
        if len(records) == 1:
            return 1
        half = len(records) // 2
        return _ingest_what_can_be(records[:half]) + _ingest_what_can_be(records[half:])
    return 0


def lose(lost: Counter[str]) -> None:
    """Note how many requests were answered and are not recorded, by reason."""
    RecordingLoss.objects.bulk_create(
        RecordingLoss(host=spool.HOST, reason=reason, requests=requests) for reason, requests in lost.items()
    )


def _add(records: Sequence[Record]) -> int:
    there = _there([record.id for record in records if record.id])
    new = [record for record in records if record.id not in there]
    corrections = [
        (there[record.id], record)
        for record in records
        if record.reported and record.id in there and _is_news(there[record.id], record)
    ]
    if not new and not corrections:
        return 0
    if new:
        _copy(b"".join(map(spool.line, new)).decode())
    counts = rollups.tally(new)
    counts.update(_correct(corrections))
    rollups.add(rollups.increments(counts))
    _touch(new)
    return len(new) + len(corrections)


def _there(ids: Sequence[UUID]) -> dict[UUID | None, Recorded]:
    """Which of these requests are recorded already; they stay as they are until the transaction ends."""
    found: dict[UUID | None, Recorded] = {}
    for start in range(0, len(ids), ROWS_AT_ONCE):
        rows = RequestLog.objects.filter(pk__in=ids[start : start + ROWS_AT_ONCE]).order_by("pk")
        if connection.features.has_select_for_update:
            rows = rows.select_for_update()
        found |= {row[0]: Recorded(*row) for row in rows.values_list(*Recorded._fields)}
    return found


def _is_news(row: Recorded, record: Record) -> bool:
    """Whether this report corrects the row; a report of another key's request is of another request."""
    return not row.reported and row.key_id == record.key_id


def _correct(corrections: Sequence[tuple[Recorded, Record]]) -> Tally:
    """Give recorded requests the status that was reported of them; returns what that changes in the counts."""
    if not corrections:
        return Counter()
    change, before = (
        rollups.tally(
            Record(row.key_id, row.merchant_id, row.at, "", "", status, row.outcome, 0)
            for row, status in statuses
        )
        for statuses in (
            [(row, record.status) for row, record in corrections],
            [(row, row.status) for row, _ in corrections],
        )
    )
    change.subtract(before)
    values = [
        (record.status, record.duration_us, printable(record.request_id, REQUEST_ID_MAX), row.id)
        for row, record in corrections
    ]
    update = _update_postgresql if connection.vendor == "postgresql" else _update_sqlite
    for start in range(0, len(values), ROWS_AT_ONCE):
        update(values[start : start + ROWS_AT_ONCE])
    return change


def _update_postgresql(values: Sequence[tuple[int, int, str, UUID]]) -> None:
    """The ids are given as a range too, which tells the days whose partitions are to be looked into."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE keys_requestlog AS r SET status = n.status, duration_us = n.duration_us,"
            " request_id = n.request_id, reported = true"
            " FROM unnest(%s::int[], %s::int[], %s::text[], %s::uuid[])"
            " AS n (status, duration_us, request_id, id)"
            " WHERE r.id = n.id AND r.id BETWEEN %s AND %s",
            [*map(list, zip(*values, strict=True)), values[0][-1], values[-1][-1]],
        )


def _update_sqlite(values: Sequence[tuple[int, int, str, UUID]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE keys_requestlog SET status = %s, duration_us = %s, request_id = %s, reported = 1 WHERE id = %s",
            [(status, duration, request_id, id_.hex) for status, duration, request_id, id_ in values],
        )


def _corrected(first: Record, second: Record) -> Record:
    """What two records of one request come to: the same, whether or not they come at once."""
    if first.reported or not second.reported or first.key_id != second.key_id:
        return first
    return replace(
        first,
        status=second.status,
        duration_us=second.duration_us,
        request_id=second.request_id,
        reported=True,
    )


def _copy(text: str) -> None:
    columns = ", ".join(spool.COLUMNS)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Django does not know this call: what goes wrong in it would come as psycopg's own.
            statement = f"COPY keys_requestlog ({columns}) FROM STDIN"
            with connection.wrap_database_errors, cursor.copy(statement) as copy:
                copy.write(text)
            return
        places = ", ".join(["%s"] * len(spool.COLUMNS))
        cursor.executemany(
            f"INSERT INTO keys_requestlog ({columns}) VALUES ({places})",  # noqa: S608
            _lines_for_sqlite(text),
        )


def _lines_for_sqlite(text: str) -> list[tuple[str | int | None, ...]]:
    lines = spool.LINE.findall(text)
    if len(lines) < text.count("\n"):
        raise ValueError("a record cannot be written as a line")
    return [_values_for_sqlite(line) for line in lines]


def _values_for_sqlite(line: tuple[str, ...]) -> tuple[str | int | None, ...]:
    """What SQLite would take without a look: raises DataError where PostgreSQL does."""
    id_, merchant, key, status, outcome, at, method, path, duration, address, request_id, reported = line
    if "\\" in path or "\\" in method or "\\" in request_id:
        method, path, request_id = (spool.unescape(text) for text in (method, path, request_id))
    if len(method) > METHOD_MAX or len(path) > PATH_MAX or len(request_id) > REQUEST_ID_MAX:
        raise DataError("a text is too long")
    return (
        id_, merchant, key, int(status), outcome, f"{_day(at[:10])}{at[10:26]}", method, path, int(duration),
        _address(address), request_id, reported == "t",
    )  # fmt: skip


@lru_cache(maxsize=64)
def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise DataError("there is no such day") from error


@lru_cache(maxsize=10_000)
def _address(text: str) -> str | None:
    try:
        return None if text == spool.NONE else str(ip_address(text))
    except ValueError as error:
        raise DataError("this is no address") from error


def _touch(records: Iterable[Record]) -> None:
    latest: dict[str, str] = {}
    for record in records:
        key, at = record.key_id.hex, spool.moment(record.at)
        if latest.get(key, "") < at:
            latest[key] = at
    move_last_uses(latest)


def _number(id_: UUID) -> int:
    return id_.int


def move_last_uses(latest: Mapping[str, str]) -> None:
    """Move the last use of each key forward, never back: ids as 32 digits, times as `keys.spool.moment` has them.

    The keys themselves are neither read nor locked, so that nobody who changes one waits for a batch to be committed.
    """
    if not latest:
        return
    # In one order, so that no two can deadlock.
    uses = sorted(latest.items())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            keys = ",".join(key for key, _ in uses)
            moments = ",".join(f'"{at}"' for _, at in uses)
            cursor.execute(
                _MOVE_FORWARD.format("SELECT * FROM unnest(%s::uuid[], %s::timestamptz[])"),
                [f"{{{keys}}}", f"{{{moments}}}"],
            )
            return
        cursor.executemany(_MOVE_FORWARD.format("VALUES (%s, %s)"), [(key, at[:26]) for key, at in uses])
