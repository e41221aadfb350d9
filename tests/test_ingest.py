"""Recording requests: rows, rollups and last use say the same, and all of a batch is recorded or none."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.gateway.ingest import ingest
from keys.gateway.rollups import COUNTS
from keys.identifiers import first_id_at
from keys.models import ApiKey, RequestLog, UsageHour, UsageMinute
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from keys.outcomes import FailureCause, Outcome
from keys.spool import Record
from tests.database import undone
from tests.factories import ApiKeyFactory, RecordFactory, use

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
KEYS = [UUID(int=number) for number in (1, 2, 3)]
MERCHANTS = [UUID(int=number) for number in (101, 101, 102)]
RECORDED = [outcome for outcome in Outcome if outcome not in {Outcome.MALFORMED, Outcome.NOT_FOUND}]


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any request that the gateway can record, near an hour's edge as often as not."""
    subject = draw(st.integers(0, 2))
    zone = draw(st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]))
    offset = draw(st.sampled_from([0, -1, 1]) | st.integers(-90_000_000_000, 90_000_000_000))
    outcome = draw(st.sampled_from(RECORDED))
    status = draw(st.sampled_from([200, 302, 399, 400, 404, 422, 499, 500, 503, 599, outcome.http_status]))
    return RecordFactory(
        key_id=KEYS[subject],
        merchant_id=MERCHANTS[subject],
        at=(NOON + timedelta(microseconds=offset)).astimezone(zone),
        status=status,
        outcome=outcome.value,
    )


def recounted(hour: bool) -> dict[tuple[UUID, datetime], tuple[int, ...]]:
    """What the rollups must say, counted again from the rows."""
    counts: dict[tuple[UUID, datetime], Counter[str]] = {}
    for row in RequestLog.objects.all():
        at = row.at.replace(second=0, microsecond=0, **{"minute": 0} if hour else {})
        for subject in (row.key_id, row.merchant_id):
            counter = counts.setdefault((subject, at), Counter())
            if row.status < 400:
                counter["succeeded"] += 1
                continue
            counter["failed"] += 1
            if row.outcome == Outcome.VALID:
                counter["server_error" if row.status >= 500 else "client_error"] += 1
            else:
                counter[row.outcome.lower()] += 1
    return {place: tuple(counter[name] for name in COUNTS) for place, counter in counts.items()}


def rolled_up(model) -> dict[tuple[UUID, datetime], tuple[int, ...]]:
    return {
        (subject, at): tuple(counts)
        for subject, at, *counts in model.objects.values_list("subject_id", "at", *COUNTS)
    }


@settings(max_examples=30)
@given(st.lists(st.lists(records(), max_size=12), max_size=5))
def test_rollups_say_what_the_rows_say(batches):
    with undone():
        for batch in batches:
            ingest(batch)
        assert RequestLog.objects.count() == sum(map(len, batches))
        assert rolled_up(UsageMinute) == recounted(hour=False)
        assert rolled_up(UsageHour) == recounted(hour=True)


@settings(max_examples=20)
@given(st.lists(records(), max_size=30))
def test_the_causes_of_failures_add_up_to_the_failures(batch):
    with undone():
        ingest(batch)
        for model in (UsageMinute, UsageHour):
            for counts in rolled_up(model).values():
                assert sum(counts[2:]) == counts[1]


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=5), min_size=1, max_size=5))
def test_the_last_use_is_the_latest_request_and_never_goes_back(batches):
    with undone():
        key, bystander = ApiKeyFactory(), ApiKeyFactory()
        latest = None
        for batch in batches:
            moments = [NOON + timedelta(milliseconds=offset) for offset in batch]
            ingest([RecordFactory(key=key, at=at) for at in moments])
            latest = max(moments) if latest is None else max(latest, *moments)
            key.refresh_from_db()
            assert key.last_used_at == latest
        bystander.refresh_from_db()
        assert bystander.last_used_at is None


def test_recording_a_use_changes_nothing_of_the_key():
    key = ApiKeyFactory(revoked=True)
    before = ApiKey.objects.values().get()
    use(key, failed=2, status=401, outcome="REVOKED")
    assert ApiKey.objects.values().get() == before


def test_a_row_keeps_what_was_recorded(api_key):
    record = RecordFactory(
        key=api_key,
        at=NOON + timedelta(microseconds=123_456),
        method="DELETE",
        path="/v1/payments/pay_1/refunds",
        status=403,
        outcome="PERMISSION_DENIED",
        duration_us=4_294,
        address="2001:db8::7",
        request_id="r-1",
    )
    ingest([record])
    row = RequestLog.objects.get()
    names = ("id", "key_id", "merchant_id", "at", "method", "path", "status", "outcome", "duration_us")
    assert {name: getattr(row, name) for name in (*names, "address", "request_id")} == {
        name: getattr(record, name) for name in (*names, "address", "request_id")
    }
    assert not row.succeeded
    assert row.public_id.startswith("req_")


def test_a_record_without_an_id_gets_one_of_its_moment(api_key):
    ingest([RecordFactory(key=api_key, at=NOON, id=None)])
    row = RequestLog.objects.get()
    assert first_id_at(NOON) <= row.id < first_id_at(NOON + timedelta(milliseconds=1))


HOSTILE = {
    "nul": "/a\x00b",
    "newline": "/a\r\nSet-Cookie: x",
    "escape": "/\x1b[31m",
    "lone surrogate": "/\ud800",
    "right-to-left override": "/\u202e",
    "very long": "/" + "x" * 100_000,
    "very long and escaped": "/" + "\x00" * 100_000,
    "quotes": "/'\"; DROP TABLE keys_requestlog; --",
    "percent": "/%s%d%%",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_recorded_printable_and_cut(api_key, text):
    ingest([RecordFactory(key=api_key, method=text, path=text, request_id=text)])
    row = RequestLog.objects.get()
    assert (row.method + row.path + row.request_id).isprintable()
    for kept, maximum in ((row.method, METHOD_MAX), (row.path, PATH_MAX), (row.request_id, 64)):
        assert len(kept) == min(len(printable(text, 10**6)), maximum)
        assert text.startswith(kept) == text[: len(kept)].isprintable()


def test_a_batch_that_cannot_be_recorded_leaves_nothing(api_key):
    good = RecordFactory(key=api_key)
    with pytest.raises(ValueError, match="lost|cannot be written"):
        ingest([good, RecordFactory(key=api_key), RecordFactory(key=api_key, outcome="LOST", status=500)])
    assert not RequestLog.objects.exists()
    assert not rolled_up(UsageMinute)
    assert not rolled_up(UsageHour)
    api_key.refresh_from_db()
    assert api_key.last_used_at is None
    ingest([good])
    assert RequestLog.objects.count() == 1


def test_a_failure_at_the_last_moment_leaves_nothing_either(api_key, monkeypatch):
    def refuse(records):
        raise IntegrityError("not today")

    monkeypatch.setattr("keys.gateway.ingest._touch", refuse)
    with pytest.raises(IntegrityError, match="not today"):
        use(api_key, succeeded=3, failed=1)
    assert not RequestLog.objects.exists()
    assert not rolled_up(UsageMinute)
    assert not rolled_up(UsageHour)


def test_a_batch_already_recorded_is_not_counted_again(api_key):
    batch = use(api_key, succeeded=2, failed=1)
    before = rolled_up(UsageHour)
    assert ingest(batch) == 0
    assert ingest([*batch, RecordFactory(key=api_key, at=batch[0].at)] * 2) == 1
    assert RequestLog.objects.count() == 4
    assert sum(count[0] + count[1] for count in rolled_up(UsageHour).values()) == 2 * 4
    assert before != rolled_up(UsageHour)


def test_no_records_no_query():
    with CaptureQueriesContext(connection) as queries:
        ingest([])
    assert len(queries) == 0


def test_a_large_batch_goes_in_whole_whatever_the_database_allows_in_one_statement():
    batch = [
        RecordFactory(key_id=UUID(int=number), merchant_id=UUID(int=0), at=NOON) for number in range(1, 1_201)
    ]
    ingest(batch)
    assert RequestLog.objects.count() == 1_200
    assert UsageMinute.objects.count() == UsageHour.objects.count() == 1_201
    assert UsageHour.objects.get(subject_id=UUID(int=0)).succeeded == 1_200


def test_there_is_a_column_for_each_cause():
    assert set(COUNTS) == {"succeeded", "failed", *FailureCause.values}
