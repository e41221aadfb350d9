"""The last 24 hours: what the console shows of a key is what its requests say, at any moment."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import usage
from keys.gateway.ingest import ingest
from keys.models import RequestLog
from keys.outcomes import FailureCause, Outcome
from keys.spool import Record
from keys.usage import HOUR, MINUTE, Window
from tests.database import undone
from tests.factories import RecordFactory

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)
KEYS = [UUID(int=number) for number in (1, 2, 3)]
MERCHANT, STRANGER = UUID(int=101), UUID(int=999)
FAILURES = [
    (500, Outcome.VALID),
    (404, Outcome.VALID),
    (401, Outcome.REVOKED),
    (401, Outcome.EXPIRED),
    (403, Outcome.PERMISSION_DENIED),
]

# Now: as often as not at the very edge of a minute or an hour.
nows = st.builds(
    lambda minutes, offset: MIDNIGHT + timedelta(minutes=minutes) + offset,
    st.integers(0, 2 * 24 * 60) | st.integers(0, 48).map(lambda hours: 60 * hours),
    st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(seconds=59, microseconds=999_999)])
    | st.timedeltas(timedelta(0), MINUTE),
)
# Requests: how long before now, as often as not around an edge of the window.
ages = st.sampled_from([timedelta(0), timedelta(hours=24), timedelta(hours=1), timedelta(hours=23)]).flatmap(
    lambda edge: st.timedeltas(-3 * MINUTE, 3 * MINUTE).map(lambda near: edge + near)
) | st.timedeltas(timedelta(minutes=-5), timedelta(hours=26))
requests = st.tuples(st.sampled_from(KEYS), ages, st.none() | st.sampled_from(FAILURES))


def record(key: UUID, at: datetime, failure: tuple[int, Outcome] | None = None) -> Record:
    status, outcome = failure or (200, Outcome.VALID)
    return RecordFactory(key_id=key, merchant_id=MERCHANT, at=at, status=status, outcome=outcome.value)


def recount(rows: list[RequestLog], subject: UUID, start: datetime, end: datetime) -> tuple[int, int]:
    """Succeeded and failed requests among the rows themselves, from `start` to `end`."""
    statuses = [
        row.status for row in rows if subject in {row.key_id, row.merchant_id} and start <= row.at < end
    ]
    failed = sum(status >= 400 for status in statuses)
    return len(statuses) - failed, failed


@settings(max_examples=30)
@given(nows, st.lists(requests, max_size=20))
def test_the_figures_are_those_of_the_requests_in_the_window(now, made):
    with undone():
        ingest([record(key, now - age, failure) for key, age, failure in made])
        subjects = [*KEYS, MERCHANT, STRANGER]
        window = Window.last_24_hours(now)
        rows = list(RequestLog.objects.all())
        found = usage.last_24_hours(subjects, now=now)
        totals = usage.totals(subjects, now=now)
        assert list(found) == list(totals) == subjects
        for subject in subjects:
            told = found[subject]
            assert (told.succeeded, told.failed) == recount(rows, subject, window.start, window.end)
            assert (totals[subject].succeeded, totals[subject].failed) == (told.succeeded, told.failed)
            assert usage.last_hour(subject, now=now) == sum(
                recount(rows, subject, window.end - HOUR, window.end)
            )
            for bar in told.bars:
                assert (bar.succeeded, bar.failed) == recount(rows, subject, bar.start, bar.end)


@settings(max_examples=30)
@given(nows, st.lists(requests, max_size=15))
def test_bars_and_causes_add_up_to_the_figures(now, made):
    with undone():
        ingest([record(key, now - age, failure) for key, age, failure in made])
        for told in usage.last_24_hours([*KEYS, MERCHANT], now=now).values():
            assert sum(bar.succeeded for bar in told.bars) == told.succeeded
            assert sum(bar.failed for bar in told.bars) == told.failed
            assert sum(told.causes.values()) == told.failed
            assert told.total == told.succeeded + told.failed
            assert (told.error_rate is None) == (told.total == 0)
            assert told.error_rate is None or told.error_rate == told.failed / told.total


@given(nows)
def test_the_window_is_24_hours_of_whole_minutes_cut_at_the_clock_hours(now):
    window = Window.last_24_hours(now)
    assert window.end - window.start == timedelta(hours=24)
    assert window.end - MINUTE <= now < window.end
    assert (window.end.second, window.end.microsecond) == (0, 0)
    hours = window.hours()
    assert len(hours) == (24 if window.end.minute == 0 else 25)
    assert (hours[0][0], hours[-1][1]) == (window.start, window.end)
    assert [end for _, end in hours[:-1]] == [start for start, _ in hours[1:]]
    assert all(start < end <= start + HOUR for start, end in hours)
    assert all(start.minute == 0 for start, _ in hours[1:])
    assert window.start <= window.first_whole_hour <= window.last_whole_hour <= window.end


def test_a_request_counts_from_its_minute_until_24_hours_later():
    at = MIDNIGHT + timedelta(hours=10, minutes=30, seconds=15)
    ingest([record(KEYS[0], at)])
    counted = {
        moment: usage.totals(KEYS[:1], now=at + moment)[KEYS[0]].total
        for moment in (
            timedelta(minutes=-1),
            timedelta(0),
            timedelta(hours=24, seconds=-16),
            timedelta(hours=24),
        )
    }
    assert list(counted.values()) == [0, 1, 1, 0]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "UTC"])
def test_the_zone_in_which_now_is_told_makes_no_difference(zone):
    now = MIDNIGHT + timedelta(hours=12, minutes=20)
    ingest([record(KEYS[0], now - timedelta(minutes=20 * step), FAILURES[step % 5]) for step in range(80)])
    told, expected = (
        usage.last_24_hours(KEYS[:1], now=moment)[KEYS[0]] for moment in (now.astimezone(ZoneInfo(zone)), now)
    )
    assert told == expected
    assert expected.failed == 72


def test_now_is_now_unless_it_is_given():
    with time_machine.travel(MIDNIGHT + timedelta(hours=5, seconds=30), tick=False):
        ingest([record(KEYS[0], MIDNIGHT + timedelta(hours=5), FAILURES[0])])
        assert usage.last_24_hours(KEYS[:1])[KEYS[0]].failed == 1
        assert usage.totals(KEYS[:1])[KEYS[0]].failed == 1
        assert usage.last_hour(KEYS[0]) == 1
    with time_machine.travel(MIDNIGHT + timedelta(days=2), tick=False):
        assert usage.last_24_hours(KEYS[:1])[KEYS[0]].total == 0
        assert usage.last_hour(KEYS[0]) == 0


def test_a_subject_without_requests_has_bars_and_no_error_rate():
    told = usage.last_24_hours([STRANGER])[STRANGER]
    assert (told.total, told.error_rate, told.most_common_cause) == (0, None, None)
    assert len(told.bars) in {24, 25}
    assert all(bar.total == 0 and bar.error_rate is None for bar in told.bars)


def test_the_most_common_cause_is_the_one_that_failed_most():
    failures = [FAILURES[0], FAILURES[2], FAILURES[2], FAILURES[1]]
    ingest([record(KEYS[0], MIDNIGHT, failure) for failure in failures])
    told = usage.last_24_hours(KEYS[:1], now=MIDNIGHT)[KEYS[0]]
    assert told.most_common_cause is FailureCause.REVOKED
    assert {name: count for name, count in told.causes.items() if count} == {
        "revoked": 2,
        "client_error": 1,
        "server_error": 1,
    }
    assert told.error_rate == 1.0


@pytest.mark.parametrize("number", [1, 25, 200])
@pytest.mark.parametrize(
    "now", [MIDNIGHT, MIDNIGHT + timedelta(minutes=30)], ids=["at the hour", "within it"]
)
def test_any_number_of_subjects_takes_two_queries_at_most(number, now):
    subjects = [UUID(int=each) for each in range(1_001, 1_001 + number)]
    ingest([record(subject, now - timedelta(hours=3)) for subject in subjects])
    for ask in (usage.last_24_hours, usage.totals):
        with CaptureQueriesContext(connection) as queries:
            assert sum(told.total for told in ask(subjects, now=now).values()) == number
        assert len(queries) <= 2


def test_nobody_asked_about_is_nobody_told_of():
    assert usage.last_24_hours([]) == usage.totals([]) == {}


def test_a_subject_asked_about_twice_is_counted_once():
    ingest([record(KEYS[0], MIDNIGHT)])
    assert usage.totals([KEYS[0], KEYS[0]], now=MIDNIGHT)[KEYS[0]].total == 1


def test_counts_beyond_what_32_bits_hold_are_told_exactly():
    ingest([record(KEYS[0], MIDNIGHT)])
    for table in ("keys_usageminute", "keys_usagehour"):
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET succeeded = {10**12}")
    for now in (MIDNIGHT, MIDNIGHT + timedelta(hours=3)):
        assert usage.totals([MERCHANT], now=now)[MERCHANT].succeeded == 10**12


def test_the_same_counts_whichever_way_the_requests_came_in():
    made = [record(KEYS[step % 3], MIDNIGHT - timedelta(minutes=7 * step), None) for step in range(200)]
    for one in made[:20]:
        ingest([one])
    ingest(made[20:])
    told = usage.totals(KEYS, now=MIDNIGHT)
    expected = Counter(one.key_id for one in made if one.at > MIDNIGHT - timedelta(hours=24))
    assert {key: totals.total for key, totals in told.items()} == expected
