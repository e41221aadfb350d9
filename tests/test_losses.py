"""Requests that could not be recorded: what the figures of the last 24 hours lack."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from keys import losses
from keys.losses import Loss
from keys.models import RecordingLoss
from keys.usage import DAY, MINUTE, Window

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 29, 12, 30, 15, tzinfo=UTC)
Reason = RecordingLoss.Reason


def lose(requests: int, at: datetime, reason: str = Reason.SPOOL_FULL) -> None:
    RecordingLoss.objects.create(requests=requests, at=at, reason=reason, host="web-1")


def test_complete_figures_lack_nothing() -> None:
    assert losses.last_24_hours(now=NOW) is None


def test_losses_are_added_up_with_their_time_and_their_reasons() -> None:
    lose(4, NOW - 3 * MINUTE)
    lose(1_000, NOW - 90 * MINUTE, Reason.WRITE_FAILED)
    lose(200, NOW - 2 * MINUTE, Reason.WRITE_FAILED)
    with CaptureQueriesContext(connection) as queries:
        told = losses.last_24_hours(now=NOW)
    assert len(queries) == 1
    assert told == Loss(
        requests=1_204,
        first_at=NOW - 90 * MINUTE,
        last_at=NOW - 2 * MINUTE,
        reasons=("The spool could not be written to", "The spool had reached its limit"),
    )


@pytest.mark.parametrize(
    ("before_start", "counted"), [(timedelta(0), True), (timedelta(milliseconds=1), False)]
)
def test_a_loss_counts_as_long_as_its_time_is_in_the_figures(before_start: timedelta, counted: bool) -> None:
    start = Window.last_24_hours(NOW).start
    assert start > NOW - DAY
    lose(7, start - before_start)
    assert (losses.last_24_hours(now=NOW) is not None) == counted


def test_old_losses_are_not_read() -> None:
    with CaptureQueriesContext(connection) as queries:
        losses.last_24_hours(now=NOW)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        cursor.execute(f"{explain} {queries[0]['sql']}")
        assert "recording_loss_by_age" in str(cursor.fetchall())


@pytest.mark.parametrize(
    ("first", "last", "requests", "words"),
    [
        (
            NOW - 5 * MINUTE,
            NOW - 3 * MINUTE,
            1_204,
            "1,204 requests could not be recorded between 12:25 and 12:27 UTC: the figures lack them.",
        ),
        (NOW, NOW, 1, "1 request could not be recorded at 12:30 UTC: the figures lack it."),
        (
            NOW - 13 * 60 * MINUTE,
            NOW,
            2,
            "2 requests could not be recorded between 28 Mar, 23:30 and 12:30 UTC: the figures lack them.",
        ),
    ],
)
def test_a_loss_is_told_in_a_sentence(first: datetime, last: datetime, requests: int, words: str) -> None:
    assert Loss(requests, first, last, ()).sentence(NOW) == words
