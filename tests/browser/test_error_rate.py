"""The error rate of the key's page: figures, bars and causes say the same, and each leads to its requests."""

import re
from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from keys.models import ApiKey
from tests.browser import console
from tests.browser.product import Product
from tests.factories import ApiKeyFactory, use

pytestmark = pytest.mark.browser


def some_minutes_of(hours_ago: int) -> datetime:
    """A moment well within the clock hour `hours_ago`."""
    return (timezone.now() - timedelta(hours=hours_ago)).replace(minute=20, second=0, microsecond=0)


@pytest.fixture
def key(product: Product) -> ApiKey:
    """Of 12 requests 3 failed: 2 five hours ago, 1 three hours ago."""
    key = ApiKeyFactory(name="Nightly")
    use(key, succeeded=6, failed=2, at=some_minutes_of(5))
    use(key, succeeded=3, at=some_minutes_of(3))
    use(key, failed=1, at=some_minutes_of(3), status=403, outcome="PERMISSION_DENIED", path="/v1/payouts")
    return key


@pytest.fixture
def usage(page: Page, key: ApiKey) -> Locator:
    """The section of the key's page."""
    page.goto(console.api_key_page(key))
    return page.get_by_role("region", name="Error rate")


def requests(page: Page) -> Locator:
    return page.get_by_role("table", name="Requests").locator("[data-row]")


def test_the_figures_say_what_was_counted_and_when(usage: Locator) -> None:
    expect(usage).to_contain_text(re.compile(r"Error rate\s*25.0%"))
    expect(usage).to_contain_text(re.compile(r"Succeeded\s*9"))
    expect(usage).to_contain_text(re.compile(r"Failed\s*3"))
    expect(usage).to_contain_text(re.compile(r"Most common cause\s*5xx from the API"))
    window = re.compile(r"\d+ \w{3} \d\d:\d\d to \d+ \w{3} \d\d:\d\d UTC, exact to the minute")
    expect(usage).to_contain_text(window)


@pytest.mark.parametrize(("figure", "count"), [("9", 9), ("3", 3)])
def test_a_figure_leads_to_its_requests(usage: Locator, page: Page, figure: str, count: int) -> None:
    usage.get_by_role("link", name=figure, exact=True).first.click()
    expect(requests(page)).to_have_count(count)


def test_a_bar_says_its_numbers_and_leads_to_its_requests(usage: Locator, page: Page) -> None:
    chart = usage.get_by_role("group", name="Requests by hour, succeeded and failed")
    expect(chart.get_by_role("link")).to_have_count(2)
    hour = f"{some_minutes_of(5):%H}:00"
    chart.get_by_role("link", name=re.compile(f"^{hour} to .*: 6 succeeded, 2 failed$")).click()
    expect(requests(page)).to_have_count(8)


def test_a_cause_leads_to_its_requests(usage: Locator, page: Page) -> None:
    causes = usage.get_by_label("Causes of failure")
    causes.locator("div").filter(has_text="Permission denied").get_by_role("link").click()
    expect(requests(page)).to_have_count(1)
    expect(requests(page)).to_contain_text("/v1/payouts")
    requests(page).get_by_role("link", name="/v1/payouts").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("GET /v1/payouts")
    expect(page.get_by_role("region", name="Request")).to_contain_text("PERMISSION_DENIED")


def test_the_table_says_what_the_bars_say(usage: Locator) -> None:
    usage.get_by_text("Show as a table").click()
    rows = usage.get_by_role("table", name="Requests by hour").locator("tbody tr")
    told = [re.split(r"\s+", row.inner_text())[-2:] for row in rows.all()]
    assert len(told) in {24, 25}
    assert [numbers for numbers in told if numbers != ["0", "0"]] == [["6", "2"], ["3", "1"]]


def test_trouble_has_a_sign_and_not_only_a_colour(usage: Locator, page: Page, key: ApiKey) -> None:
    expect(usage.locator(".figures svg")).to_be_visible()
    page.goto(console.developers(key.merchant))
    expect(console.row(page, "Nightly").locator(".rate svg")).to_be_visible()


def test_badges_and_times_tell_more_on_hover_and_on_focus(page: Page, key: ApiKey) -> None:
    page.goto(console.developers(key.merchant))
    row = console.row(page, "Nightly")
    badge = row.get_by_text("Enabled", exact=True)
    badge.hover()
    assert shown_beside(badge) == "Requests with this key are answered."
    used = row.locator("time").first
    expect(used).to_contain_text("hours ago")
    page.get_by_label("Actions for Nightly").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(used).to_be_focused()
    assert shown_beside(used) == f"{some_minutes_of(3):%-d %b %Y, %H:%M:%S} UTC"


def shown_beside(element: Locator) -> str:
    """The text of the tip that stands beside an element; nothing where there is none."""
    return element.evaluate(
        """element => {
            const content = getComputedStyle(element, "::after").content;
            return content === "none" ? "" : content.replaceAll('"', "");
        }"""
    )
