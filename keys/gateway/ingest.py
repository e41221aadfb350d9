"""Records of finished requests, into the database: rows, rollups and last use in one transaction.

A request is recorded by the verifier, with the status of its verdict, and may be reported again, by whoever knows, with
the status that the API answered. Its id says that the two are one: the report's status stands, and counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from django.db import DataError, IntegrityError, connection, transaction

from keys import spool
from keys.gateway import rollups
from keys.gateway.rollups import Tally
from keys.identifiers import new_id
from keys.models import RecordingLoss, RequestLog
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from keys.spool import REQUEST_ID_MAX, Record

ROWS_AT_ONCE = 5000
# Two may report the same request at the same moment; the second finds it there when it tries again.
TRIES = 3


def ingest(records: Iterable[Record]) -> int:
    """Add `records`, each counted exactly once, or none at all when this raises; returns how many were news.

    One that is there already is news only if it is reported, and what is there is not.
    """
    news = {record.id: record for record in (_identified(record) for record in records)}
    if not news:
        return 0
    for last in (*[False] * (TRIES - 1), True):
        try:
            with transaction.atomic():
                return _add(list(news.values()))
        except IntegrityError:
            if last:
                raise
    raise AssertionError


def take(text: str) -> None:
    """Add the lines of a spool file, whole ones, in the transaction that is under way.

    As they are where all are new and well-formed, which is a matter of microseconds each; otherwise one by one, with
    what is no record counted as lost.
    """
    found = spool.LINE.findall(text)
    if len(found) == text.count("\n"):
        try:
            with transaction.atomic():
                _copy(text, found)
                rollups.add(Counter((line[3][:16], line[1], line[2], line[7], line[6]) for line in found))
                _touch_text(found)
        except (DataError, IntegrityError):
            pass
        else:
            return
    _take_one_by_one(text.removesuffix("\n").split("\n"))


def _take_one_by_one(lines: Sequence[str]) -> None:
    records = []
    lost: Counter[str] = Counter()
    for line in lines:
        if line.startswith(spool.LOST):
            reason, requests = spool.parse_lost(f"{line}\n")
            lost[reason] += requests
            continue
        try:
            records.append(spool.parse(f"{line}\n"))
        except ValueError:
            lost[RecordingLoss.Reason.UNREADABLE] += 1
    lost[RecordingLoss.Reason.UNREADABLE] += _ingest_what_can_be(records)
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
        if record.reported and record.id in there and not there[record.id].reported
    ]
    if not new and not corrections:
        return 0
    RequestLog.objects.bulk_create([_row(record) for record in new], batch_size=ROWS_AT_ONCE)
    counts = rollups.tally(new)
    for row, record in corrections:
        counts.update(_correct(row, record))
    rollups.add(counts)
    _touch(new)
    return len(new) + len(corrections)


def _there(ids: Sequence[UUID]) -> dict[UUID | None, RequestLog]:
    """Which of these requests are recorded already; they stay as they are until the transaction ends."""
    found: dict[UUID | None, RequestLog] = {}
    for start in range(0, len(ids), ROWS_AT_ONCE):
        rows = RequestLog.objects.filter(pk__in=ids[start : start + ROWS_AT_ONCE])
        if connection.features.has_select_for_update:
            rows = rows.select_for_update()
        found |= {row.pk: row for row in rows}
    return found


def _correct(row: RequestLog, record: Record) -> Tally:
    """Give a recorded request the status that was reported of it; returns what that changes in the counts."""
    before, after = (
        rollups.tally([Record(row.key_id, row.merchant_id, row.at, "", "", status, row.outcome, 0)])
        for status in (row.status, record.status)
    )
    row.status, row.duration_us, row.request_id, row.reported = (
        record.status,
        record.duration_us,
        printable(record.request_id, REQUEST_ID_MAX),
        True,
    )
    row.save(update_fields=["status", "duration_us", "request_id", "reported"])
    after.subtract(before)
    return after


def _identified(record: Record) -> Record:
    return record if record.id else replace(record, id=new_id(record.at))


def _row(record: Record) -> RequestLog:
    return RequestLog(
        id=record.id,
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
        reported=record.reported,
    )


def _copy(text: str, found: Sequence[tuple[str, ...]]) -> None:
    columns = ", ".join(spool.COLUMNS)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY keys_requestlog ({columns}) FROM STDIN") as copy:
                copy.write(text)
            return
        places = ", ".join(["%s"] * len(spool.COLUMNS))
        cursor.executemany(
            f"INSERT INTO keys_requestlog ({columns}) VALUES ({places})",  # noqa: S608
            [_values_for_sqlite(line) for line in found],
        )


def _values_for_sqlite(line: tuple[str, ...]) -> tuple[str | int | None, ...]:
    id_, key, merchant, at, method, path, status, outcome, duration, address, request_id, reported = line
    if "\\" in path or "\\" in method or "\\" in request_id:
        method, path, request_id = (spool.unescape(text) for text in (method, path, request_id))
    return (
        id_, key, merchant, at[:26], method, path, int(status), outcome, int(duration),
        None if address == spool.NONE else address, request_id, reported == "t",
    )  # fmt: skip


def _touch(records: Iterable[Record]) -> None:
    latest: dict[str, str] = {}
    for record in records:
        key, at = record.key_id.hex, spool.moment(record.at)
        if latest.get(key, "") < at:
            latest[key] = at
    _move_last_use(latest)


def _touch_text(found: Iterable[tuple[str, ...]]) -> None:
    latest: dict[str, str] = {}
    for line in found:
        if latest.get(line[1], "") < line[3]:
            latest[line[1]] = line[3]
    _move_last_use(latest)


def _move_last_use(latest: dict[str, str]) -> None:
    """Move each key's last use forward, never back, and write nothing else of the key. Ids and times as text."""
    uses = sorted(latest.items())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "UPDATE keys_apikey SET last_used_at = used.at"
                " FROM unnest(%s::text[]::uuid[], %s::text[]::timestamptz[]) AS used (id, at)"
                " WHERE keys_apikey.id = used.id AND (last_used_at IS NULL OR last_used_at < used.at)",
                [[key for key, _ in uses], [at for _, at in uses]],
            )
            return
        cursor.executemany(
            "UPDATE keys_apikey SET last_used_at = %s WHERE id = %s AND (last_used_at IS NULL OR last_used_at < %s)",
            [(at[:26], key, at[:26]) for key, at in uses],
        )
