"""The geometry of the bars: they fill the window, add up to the figures, and lead to exactly their requests."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
import time_machine
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.console import charts
from keys.gateway.ingest import ingest
from keys.models import ApiKey, User
from keys.usage import Bar, Usage, Window
from tests.console.page import Element, page_of, row_names
from tests.factories import ApiKeyFactory, RecordFactory

MOMENTS = st.integers(0, 366 * 24 * 3600).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
COUNTS = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)) | st.just((0, 0)) | st.just((10**9, 1)),
    min_size=25,
)
SHAPES = st.sampled_from([(720, 120, 4), (84, 24, 1)])


def made_up(now: datetime, counts: list[tuple[int, int]]) -> Usage:
    window = Window.last_24_hours(now)
    bars = [
        Bar(succeeded, failed, start=start, end=end)
        for (start, end), (succeeded, failed) in zip(window.hours(), counts, strict=False)
    ]
    return Usage(
        sum(bar.succeeded for bar in bars), sum(bar.failed for bar in bars), window=window, bars=bars
    )


@settings(max_examples=40)
@given(now=MOMENTS, counts=COUNTS, shape=SHAPES)
def test_bars_fill_the_width_on_a_true_axis(
    now: datetime, counts: list[tuple[int, int]], shape: tuple[int, int, int]
) -> None:
    width, height, gap = shape
    usage = made_up(now, counts)
    chart = charts.draw(usage, width=width, height=height, gap=gap)

    assert len(chart.columns) in {24, 25}
    seconds = 24 * 3600
    for column in chart.columns:
        start = (column.bar.start - usage.window.start).total_seconds() / seconds * width
        end = (column.bar.end - usage.window.start).total_seconds() / seconds * width
        if end - start - gap >= charts.LEAST_WIDTH:
            assert column.x == pytest.approx(start, abs=0.01)
            assert column.width == pytest.approx(end - start - gap, abs=0.01)
        else:
            assert column.width == charts.LEAST_WIDTH
        assert column.x >= 0
        assert column.x + column.width <= width + 0.02
    assert chart.columns[0].x == 0
    last = chart.columns[-1]
    assert last.x + last.width >= width - gap - 0.02
    starts = [column.x for column in chart.columns]
    assert starts == sorted(starts)


@settings(max_examples=40)
@given(now=MOMENTS, counts=COUNTS, shape=SHAPES)
def test_bars_are_as_high_as_their_counts_and_every_failure_is_seen(
    now: datetime, counts: list[tuple[int, int]], shape: tuple[int, int, int]
) -> None:
    width, height, gap = shape
    usage = made_up(now, counts)
    highest = max(bar.total for bar in usage.bars)
    for column in charts.draw(usage, width=width, height=height, gap=gap).columns:
        bar = column.bar
        assert column.failed_y + column.failed_height == pytest.approx(height, abs=0.02)
        assert column.succeeded_y + column.succeeded_height == pytest.approx(column.failed_y, abs=0.02)
        assert column.succeeded_y >= -0.02
        assert min(column.succeeded_height, column.failed_height) >= 0
        assert bool(column.failed_height) is bool(bar.failed)
        if bar.failed:
            assert column.failed_height >= charts.LEAST_HEIGHT - 0.01
        total = column.succeeded_height + column.failed_height
        if bar.total:
            assert total >= max(bar.total / highest * height, charts.LEAST_HEIGHT) - 0.02
            assert total <= max(bar.total / highest * height, charts.LEAST_HEIGHT) + 0.02
        else:
            assert total == 0


@settings(max_examples=40)
@given(now=MOMENTS, counts=COUNTS)
def test_the_small_chart_draws_the_same_bars(now: datetime, counts: list[tuple[int, int]]) -> None:
    usage = made_up(now, counts)
    columns = charts.draw(usage, width=84, height=24, gap=1).columns
    spark = charts.spark(usage, width=84, height=24)

    failed = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-([\d.]+)z", spark.failed)
    assert [tuple(map(float, figure)) for figure in failed] == [
        (c.x, c.failed_y, c.width, c.failed_height, c.width) for c in columns if c.failed_height
    ]
    assert spark.succeeded.count("M") == sum(1 for c in columns if c.succeeded_height)


@settings(max_examples=40)
@given(now=MOMENTS)
def test_ticks_are_at_every_fourth_hour_and_keep_clear_of_now(now: datetime) -> None:
    usage = made_up(now, [(1, 0)] * 25)
    ticks = charts.draw(usage, width=720, height=120, gap=4).ticks

    assert {tick.label for tick in ticks} <= {f"{hour:02}:00" for hour in range(0, 24, 4)}
    assert len(ticks) >= 5
    assert all(0 <= tick.x <= 96 for tick in ticks)
    # On a phone the late ones go: some are left, and those keep clear of “now” there too.
    early = [tick.x for tick in ticks if not tick.is_late]
    assert len(early) >= 4
    assert max(early) <= 80


def test_no_requests_make_no_bars() -> None:
    chart = charts.draw(made_up(datetime(2026, 3, 1, 12, tzinfo=UTC), []), width=84, height=24, gap=1)

    assert chart.columns == []


# -- On the page ---------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1, 14, 6, 30, tzinfo=UTC)


@pytest.fixture
def console(client: Client, operator: User) -> Client:
    with time_machine.travel(NOW, tick=False):
        client.force_login(operator)
    return client


@pytest.fixture
def used(db: None) -> ApiKey:
    """A key with requests in the first and the last part of an hour, in whole hours, and just outside."""
    key = ApiKeyFactory(created_at=NOW - timedelta(days=3))
    edges = [
        (timedelta(hours=23, minutes=59, seconds=30), 200),  # 14:07:00, the window's first second
        (timedelta(hours=23, minutes=59, seconds=31), 500),  # and the second before
        (timedelta(hours=23, minutes=10), 500),
        (timedelta(hours=23, minutes=6, seconds=30), 200),  # 15:00:00 sharp
        (timedelta(hours=5), 403),
        (timedelta(hours=5), 200),
        (timedelta(minutes=6, seconds=30), 200),  # 14:00:00 sharp
        (timedelta(seconds=1), 500),
    ]
    ingest([RecordFactory(key=key, at=NOW - ago, status=status) for ago, status in edges])
    return key


@pytest.fixture
def page(console: Client, used: ApiKey) -> Element:
    with time_machine.travel(NOW, tick=False):
        return page_of(console.get(f"/keys/{used.public_id}/"))


def figures(page: Element) -> dict[str, str]:
    return {row.one("dt").text: row.one("dd").text for row in page.one("dl", class_="figures").all("div")}


def test_figures_bars_and_table_say_the_same(page: Element) -> None:
    assert figures(page) == {
        "Error rate": "42.9%", "Succeeded": "4", "Failed": "3", "Most common cause": "5xx from the API",
    }  # fmt: skip
    assert page.one(class_="window").text == "28 Feb 14:07 to 1 Mar 14:07 UTC, exact to the minute"

    bars = page.one("svg", role="group").all("a")
    told = [
        re.fullmatch(r"(\d\d:\d\d) to (\d\d:\d\d): (\d+) succeeded, (\d+) failed", bar["aria-label"]).groups()
        for bar in bars
    ]
    assert told == [
        ("14:07", "15:00", "1", "1"), ("15:00", "16:00", "1", "0"),
        ("09:00", "10:00", "1", "1"), ("14:00", "14:07", "1", "1"),
    ]  # fmt: skip
    assert [bar.one("title").text for bar in bars] == [bar["aria-label"] for bar in bars]

    rows = [
        [cell.text for cell in row.all("td")]
        for row in page.one("table", aria_label="Requests by hour").one("tbody").all("tr")
    ]
    assert len(rows) == 25
    assert sum(int(succeeded) for succeeded, _ in rows) == 4
    assert sum(int(failed) for _, failed in rows) == 3


def test_every_bar_and_figure_leads_to_exactly_its_requests(console: Client, page: Element) -> None:
    links = {}
    for bar in page.one("svg", role="group").all("a"):
        succeeded, failed = re.findall(r"(\d+) (?:succeeded|failed)", bar["aria-label"])
        links[bar["href"]] = int(succeeded) + int(failed)
    for row in page.one("table", aria_label="Requests by hour").one("tbody").all("tr"):
        total = sum(int(cell.text) for cell in row.all("td"))
        links |= {link["href"]: total for link in row.all("a")}
    for link in page.one("dl", class_="figures").all("a"):
        links[link["href"]] = int(link.text)
    for row in page.one("dl", class_="causes").all("div"):
        links[row.one("a")["href"]] = int(row.one("dd").text)
    links[page.link("View failed requests")["href"]] = 3

    assert len(links) == 4 + 2 + 2  # bars, figures (the failed ones are the card's link too), causes
    with time_machine.travel(NOW, tick=False):
        for href, number in links.items():
            assert parse_qs(href.partition("?")[2])["key"], href
            assert len(row_names(page_of(console.get(href)))) == number, href


def test_the_grid_tells_the_same_figures_in_words(console: Client, page: Element, used: ApiKey) -> None:
    with time_machine.travel(NOW, tick=False):
        developers = page_of(console.get(f"/merchants/{used.merchant.public_id}/developers/"))
        link = developers.one("a", class_="errors-link")
        assert link.text == "42.9%3 of 7 requests failed in the last 24 hours"
        assert len(row_names(page_of(console.get(link["href"])))) == 3
        assert developers.one("svg", class_="bars")["aria-hidden"] == "true"

        merchants = page_of(console.get("/merchants/"))
        assert "42.9%, 3 of 7 failed" in merchants.one("tbody").text
        account = page_of(console.get(f"/merchants/{used.merchant.public_id}/"))
        assert figures(account) == figures(page)


@time_machine.travel(NOW, tick=False)
def test_without_requests_it_is_said_in_words(console: Client, api_key: ApiKey) -> None:
    assert "No requests in the last 24 hours." in page_of(console.get(f"/keys/{api_key.public_id}/")).text
    developers = page_of(console.get(f"/merchants/{api_key.merchant.public_id}/developers/"))
    assert "No requests in the last 24 hours" in developers.one("tbody").text
    assert "Never used" in developers.one("tbody").text
    assert not developers.has("svg", class_="bars")
