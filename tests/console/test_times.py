"""How moments, rates, amounts and durations are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from keys.console.templatetags.console import (
    absolute,
    amount,
    day,
    is_trouble,
    milliseconds,
    percent,
    plural,
    relative,
    when,
)
from keys.usage import Totals
from tests.console.page import parse

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("ago", "text"), [
    (timedelta(0), "just now"),
    (timedelta(milliseconds=999), "just now"),
    (timedelta(seconds=1), "1 second ago"),
    (timedelta(seconds=59.9), "59 seconds ago"),
    (timedelta(minutes=1), "1 minute ago"),
    (timedelta(minutes=59, seconds=59), "59 minutes ago"),
    (timedelta(hours=1), "1 hour ago"),
    (timedelta(hours=13), "13 hours ago"),
    (timedelta(hours=23, minutes=59), "23 hours ago"),
    (timedelta(hours=24), "yesterday"),
    (timedelta(hours=35), "yesterday"),
    (timedelta(hours=37), "1 day ago"),
    (timedelta(days=2), "2 days ago"),
    (timedelta(days=29, hours=23), "29 days ago"),
    (timedelta(days=30), "30 Jan"),
    (timedelta(days=59), "1 Jan"),
    (timedelta(days=60), "31 Dec 2025"),
    (timedelta(days=4000), "19 Mar 2015"),
    (timedelta(seconds=-0.5), "just now"),
    (timedelta(seconds=-1), "in 1 second"),
    (timedelta(minutes=-90), "in 1 hour"),
    (timedelta(hours=-25), "tomorrow"),
    (timedelta(days=-3), "in 3 days"),
    (timedelta(days=-40), "10 Apr"),
    (timedelta(days=-400), "5 Apr 2027"),
])  # fmt: skip
def test_a_moment_is_told_by_its_distance(ago: timedelta, text: str) -> None:
    assert relative(NOW - ago, NOW) == text


@given(st.floats(-7_900 * 365, 56 * 365).map(lambda days: NOW - timedelta(days=days)))
def test_every_moment_can_be_told(moment: datetime) -> None:
    text = relative(moment, NOW)

    assert text
    assert "-" not in text
    assert not text.startswith("0 ")


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_time_can_be_told(moment: datetime) -> None:
    assert relative(moment, NOW)
    assert absolute(moment).endswith(" UTC")
    assert when(moment)


def test_the_absolute_time_is_in_utc_whatever_the_moment_is_in() -> None:
    moment = datetime(2026, 3, 1, 23, 30, 5, tzinfo=timezone(timedelta(hours=-5)))

    assert absolute(moment) == "2 Mar 2026, 04:30:05 UTC"


@time_machine.travel(NOW, tick=False)
def test_a_moment_on_a_page_has_both_and_can_be_reached_by_keyboard() -> None:
    time = parse(when(NOW - timedelta(minutes=5))).one("time")

    assert time["datetime"] == "2026-03-01T11:55:00+00:00"
    assert time["data-tip"] == "1 Mar 2026, 11:55:00 UTC"
    assert time["tabindex"] == "0"
    assert time.text == "5 minutes ago, 1 Mar 2026, 11:55:00 UTC"
    assert time.one("span", class_="visually-hidden").text == ", 1 Mar 2026, 11:55:00 UTC"
    assert parse(when(NOW - timedelta(days=90), as_day=True)).text.startswith("1 Dec 2025, ")
    assert day(NOW) == "1 Mar"


def test_a_moment_that_never_was_is_told_in_words() -> None:
    assert parse(when(None)).text == "Never"
    assert parse(when(None, "Never used")).text == "Never used"


@pytest.mark.parametrize(("failed", "total", "text"), [
    (0, 1, "0%"), (1, 1, "100%"), (1, 10**6, "<0.1%"), (9, 10_000, "<0.1%"), (1, 1000, "0.1%"), (8, 1000, "0.8%"),
    (184, 1000, "18.4%"), (1, 3, "33.3%"), (2, 3, "66.7%"), (999, 1000, "99.9%"), (9999, 10_000, "99.9%"),
    (10**9 - 1, 10**9, "99.9%"), (1, 2, "50.0%"),
])  # fmt: skip
def test_a_rate_is_written_as_people_read_it(failed: int, total: int, text: str) -> None:
    assert percent(Totals(total - failed, failed).error_rate) == text


@given(total=st.integers(1, 10**12), share=st.floats(0, 1))
def test_a_rate_is_never_a_nought_or_a_hundred_that_it_is_not(total: int, share: float) -> None:
    failed = round(total * share)
    text = percent(Totals(total - failed, failed).error_rate)

    assert (text == "0%") == (failed == 0)
    assert (text == "100%") == (failed == total)
    assert text not in {"0.0%", "100.0%"}


def test_no_requests_have_no_rate() -> None:
    assert percent(Totals().error_rate) == "–"
    assert not is_trouble(Totals())


def test_trouble_begins_at_five_per_cent() -> None:
    assert is_trouble(Totals(95, 5))
    assert not is_trouble(Totals(951, 49))


def test_amounts_and_nouns() -> None:
    assert amount(1_234_567) == "1,234,567"
    assert [plural(number, "API key") for number in (0, 1, 2, 1000)] == [
        "0 API keys", "1 API key", "2 API keys", "1,000 API keys"
    ]  # fmt: skip


@pytest.mark.parametrize(("microseconds", "text"), [
    (0, "0.0 ms"), (1_500, "1.5 ms"), (99_940, "99.9 ms"), (100_000, "100 ms"), (1_234_567, "1,235 ms"),
])  # fmt: skip
def test_durations_are_in_milliseconds(microseconds: int, text: str) -> None:
    assert milliseconds(microseconds) == text
