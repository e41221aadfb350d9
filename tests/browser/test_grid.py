"""The grids: searching, filtering, sorting and paging keep their state in the address; rows act where they stand."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from keys import lifecycle
from keys.console.views.grid import PAGE_SIZE
from keys.history import Actor
from keys.models import ApiKey, Merchant
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.console import expect_names
from tests.browser.product import Product
from tests.factories import ApiKeyFactory, MerchantFactory, use

pytestmark = pytest.mark.browser

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def shop(product: Product) -> Merchant:
    """An account with four keys; from top to bottom of its grid: Web shop, Kiosk, Payouts, Ledger."""
    merchant = MerchantFactory()
    ApiKeyFactory(merchant=merchant, name="Ledger", created_at=MONDAY - timedelta(days=1), revoked=True)
    ApiKeyFactory(merchant=merchant, name="Kiosk", created_at=MONDAY)
    ApiKeyFactory(merchant=merchant, name="Web shop", created_at=MONDAY + timedelta(days=1), test_mode=True)
    ApiKeyFactory(merchant=merchant, name="Payouts", created_at=MONDAY + timedelta(days=2), disabled=True)
    return merchant


@pytest.fixture
def grid(page: Page, shop: Merchant) -> Page:
    page.goto(console.developers(shop))
    return page


def search(page: Page, text: str) -> None:
    """Type at the end of what is in the search box."""
    page.get_by_role("searchbox").press("End")
    page.keyboard.type(text)


def address(path: str, **parameters: str) -> re.Pattern[str]:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return re.compile(re.escape(f"{path}?{query}" if query else path) + "$")


def test_keys_stand_by_status_and_then_newest_first(grid: Page) -> None:
    expect_names(grid, "Web shop", "Kiosk", "Payouts", "Ledger")
    cells = console.row(grid, "Payouts").get_by_role("cell")
    expect(cells.nth(1)).to_have_text("Disabled")
    expect(console.row(grid, "Payouts").get_by_role("rowheader")).to_contain_text("Payouts")
    expect(console.count(grid)).to_contain_text(re.compile(r"^4 API keys · figures of \d\d:\d\d:\d\d UTC$"))


def test_searching_redraws_the_grid_and_the_address_while_one_types(grid: Page, shop: Merchant) -> None:
    region = console.count(grid).element_handle()
    search(grid, "kio")
    expect_names(grid, "Kiosk")
    expect(grid).to_have_url(address(console.developers(shop), q="kio"))
    expect(grid.get_by_role("searchbox")).to_be_focused()
    expect(console.count(grid)).to_contain_text("1 API key")
    # The region itself must stay: one that is put into the page together with its text is not announced.
    assert region.evaluate("region => region.isConnected")


def test_filters_in_force_are_pills(grid: Page, shop: Merchant) -> None:
    search(grid, "o")
    expect_names(grid, "Web shop", "Kiosk", "Payouts")
    grid.get_by_label("Status").select_option("Enabled")
    expect_names(grid, "Web shop", "Kiosk")
    grid.get_by_label("Mode").select_option("Live mode")
    expect_names(grid, "Kiosk")
    pills = grid.get_by_role("list", name="Filters in force")
    expect(pills.get_by_role("link")).to_have_text(
        [
            "Remove filter Search: o",
            "Remove filter Status: Enabled",
            "Remove filter Mode: Live mode",
            "Clear all",
        ]
    )
    pills.get_by_role("link", name="Status").click()
    expect(grid).to_have_url(address(console.developers(shop), q="o", mode="live"))
    expect_names(grid, "Kiosk", "Payouts")
    expect(grid.get_by_label("Status")).to_have_value("")
    pills.get_by_role("link", name="Clear all").click()
    expect_names(grid, "Web shop", "Kiosk", "Payouts", "Ledger")
    expect(grid).to_have_url(address(console.developers(shop)))
    expect(pills).to_have_count(0)
    expect(grid.get_by_role("searchbox")).to_have_value("")


def test_back_and_forward_restore_rows_and_form(grid: Page) -> None:
    search(grid, "o")
    expect_names(grid, "Web shop", "Kiosk", "Payouts")
    grid.get_by_label("Status").select_option("Disabled")
    expect_names(grid, "Payouts")
    grid.get_by_role("link", name="Payouts", exact=True).click()
    expect(grid.get_by_role("heading", name="Payouts", level=1)).to_be_visible()
    grid.go_back()
    expect_names(grid, "Payouts")
    expect(grid.get_by_label("Status")).to_have_value("disabled")
    grid.go_back()
    expect_names(grid, "Web shop", "Kiosk", "Payouts")
    expect(grid.get_by_label("Status")).to_have_value("")
    expect(grid.get_by_role("searchbox")).to_have_value("o")
    grid.go_back()
    expect_names(grid, "Web shop", "Kiosk", "Payouts", "Ledger")
    expect(grid.get_by_role("searchbox")).to_have_value("")
    grid.go_forward()
    expect_names(grid, "Web shop", "Kiosk", "Payouts")
    expect(grid.get_by_role("searchbox")).to_have_value("o")


def test_a_shared_address_shows_the_same(grid: Page, browse: Browse) -> None:
    search(grid, "o")
    expect(grid).to_have_url(re.compile("q=o"))
    grid.get_by_label("Mode").select_option("Live mode")
    expect(grid).to_have_url(re.compile("mode=live"))
    expect_names(grid, "Kiosk", "Payouts")
    grid.get_by_role("columnheader", name="Key name").get_by_role("link").click()
    expect(grid).to_have_url(re.compile("sort=name"))
    expect_names(grid, "Kiosk", "Payouts")
    other = browse()
    other.goto(grid.url)
    expect_names(other, "Kiosk", "Payouts")
    expect(other.get_by_role("searchbox")).to_have_value("o")
    expect(other.get_by_label("Mode")).to_have_value("live")
    expect(sorted_column(other)).to_have_text("Key name")


def sorted_column(page: Page) -> Locator:
    return page.locator("th[aria-sort]")


def test_sorting_toggles_and_says_so_on_its_column_only(grid: Page) -> None:
    expect(sorted_column(grid)).to_have_text("Status")
    name = grid.get_by_role("columnheader", name="Key name")
    name.get_by_role("link").click()
    expect_names(grid, "Kiosk", "Ledger", "Payouts", "Web shop")
    expect(name).to_have_attribute("aria-sort", "ascending")
    expect(sorted_column(grid)).to_have_count(1)
    expect(name.get_by_role("link")).to_be_focused()
    name.get_by_role("link").press("Enter")
    expect_names(grid, "Web shop", "Payouts", "Ledger", "Kiosk")
    expect(name).to_have_attribute("aria-sort", "descending")
    created = grid.get_by_role("columnheader", name="Created")
    created.get_by_role("link").click()
    expect_names(grid, "Payouts", "Web shop", "Kiosk", "Ledger")
    expect(created).to_have_attribute("aria-sort", "descending")
    expect(sorted_column(grid)).to_have_count(1)


def test_a_search_keeps_the_order_that_was_chosen(grid: Page) -> None:
    grid.get_by_role("columnheader", name="Key name").get_by_role("link").click()
    expect(sorted_column(grid)).to_have_text("Key name")
    search(grid, "o")
    expect_names(grid, "Kiosk", "Payouts", "Web shop")
    grid.get_by_role("columnheader", name="Created").get_by_role("link").click()
    expect(sorted_column(grid)).to_have_text("Created")
    search(grid, "s")
    expect_names(grid, "Kiosk")
    expect(sorted_column(grid)).to_have_text("Created")


def test_pages_turn_both_ways_and_a_new_filter_starts_at_the_first(page: Page) -> None:
    merchant = MerchantFactory()
    for number in range(2 * PAGE_SIZE + 3):
        ApiKeyFactory(
            merchant=merchant, name=f"Till {number:02}", created_at=MONDAY + timedelta(hours=number)
        )
    newest_first = [f"Till {number:02}" for number in reversed(range(2 * PAGE_SIZE + 3))]
    page.goto(console.developers(merchant))
    pager = page.get_by_role("navigation", name="Pages")
    expect(console.count(page)).to_contain_text("53 API keys")
    expect(pager.get_by_role("link")).to_have_text(["Next"])
    expect_names(page, *newest_first[:25])
    pager.get_by_role("link", name="Next").click()
    expect_names(page, *newest_first[25:50])
    expect(pager.get_by_role("link", name="Next")).to_be_focused()
    pager.get_by_role("link", name="Next").click()
    expect_names(page, *newest_first[50:])
    expect(pager.get_by_role("link")).to_have_text(["Previous"])
    pager.get_by_role("link", name="Previous").click()
    expect_names(page, *newest_first[25:50])
    search(page, "till 0")
    expect_names(page, *[f"Till {number:02}" for number in reversed(range(10))])
    expect(console.count(page)).to_contain_text("10 API keys")
    expect(pager).to_have_count(0)


def test_empty_grids_say_what_to_do(page: Page, grid: Page) -> None:
    search(grid, "nothing is called this")
    expect(grid.get_by_role("heading", name="No match")).to_be_visible()
    expect(console.count(grid)).to_contain_text("0 API keys")
    grid.get_by_role("link", name="Clear filters").click()
    expect_names(grid, "Web shop", "Kiosk", "Payouts", "Ledger")
    page.goto(console.developers(MerchantFactory()))
    expect(page.get_by_role("heading", name="No API keys yet")).to_be_visible()
    page.locator("#grid").get_by_role("link", name="New API key").click()
    expect(page.get_by_role("heading", name="New API key", level=1)).to_be_visible()


def test_merchants_are_found_by_the_beginnings_of_words(page: Page) -> None:
    MerchantFactory(name="Quibble Bakery", website="quibble.example")
    MerchantFactory(name="Zum Quibbeln", disabled=True)
    page.goto("/merchants/")
    search(page, "quibb")
    expect_names(page, "Quibble Bakery", "Zum Quibbeln")
    page.get_by_label("Status").select_option("Disabled")
    expect_names(page, "Zum Quibbeln")
    expect(page).to_have_url(address("/merchants/", q="quibb", status="disabled"))


def test_an_error_rate_is_told_in_words_and_leads_to_the_failed_requests(page: Page) -> None:
    key = ApiKeyFactory(name="Nightly")
    use(key, succeeded=3)
    use(key, failed=1, path="/v1/payouts")
    page.goto(console.developers(key.merchant))
    row = console.row(page, "Nightly")
    expect(row).to_contain_text("25.0%")
    row.get_by_role("link", name="1 of 4 requests failed in the last 24 hours").click()
    expect(page.get_by_role("table", name="Requests").get_by_role("rowheader")).to_have_text(
        ["GET /v1/payouts"]
    )
    expect(page.get_by_role("list", name="Filters in force")).to_contain_text("Key: Nightly")


def test_a_row_is_disabled_where_it_stands_and_undo_brings_it_back(grid: Page, shop: Merchant) -> None:
    search(grid, "o")
    expect_names(grid, "Web shop", "Kiosk", "Payouts")
    region = grid.locator("#messages").element_handle()
    row = console.open_menu(grid, "Kiosk")
    row.get_by_role("button", name="Disable").click()
    expect(
        console.message(grid, "“Kiosk” disabled. Requests with it are refused from now on.")
    ).to_be_visible()
    assert region.evaluate("region => region.isConnected")
    expect(console.row(grid, "Kiosk")).to_contain_text("Disabled")
    expect(console.row(grid, "Kiosk")).to_have_class(re.compile("row-changed"))
    expect(grid.get_by_label("Actions for Kiosk")).to_be_focused()
    expect_names(grid, "Web shop", "Kiosk", "Payouts")
    assert ApiKey.objects.get(merchant=shop, name="Kiosk").is_disabled
    grid.get_by_role("button", name="Undo").click()
    expect(console.message(grid, "“Kiosk” enabled.")).to_be_visible()
    expect(grid).to_have_url(address(console.developers(shop), q="o"))
    expect(console.row(grid, "Kiosk")).to_contain_text("Enabled")
    assert ApiKey.objects.get(merchant=shop, name="Kiosk").is_enabled


def test_the_focus_stays_with_the_row_that_was_changed_last(grid: Page) -> None:
    for name in ("Web shop", "Kiosk"):
        console.open_menu(grid, name).get_by_role("button", name="Disable").click()
        expect(console.message(grid, f"“{name}” disabled.")).to_be_visible()
        expect(grid.get_by_label(f"Actions for {name}")).to_be_focused()


def test_a_row_that_somebody_else_changed_first_says_so(grid: Page, shop: Merchant) -> None:
    lifecycle.disable(key=ApiKey.objects.get(merchant=shop, name="Kiosk"), actor=Actor.command("night job"))
    console.open_menu(grid, "Kiosk").get_by_role("button", name="Disable").click()
    expect(console.message(grid, "This API key is Disabled already, by night job.")).to_be_visible()
    expect(console.row(grid, "Kiosk")).to_contain_text("Disabled")


def test_a_message_stays_until_it_is_dismissed(grid: Page) -> None:
    console.open_menu(grid, "Kiosk").get_by_role("button", name="Disable").click()
    told = console.message(grid, "“Kiosk” disabled.")
    expect(told).to_be_visible()
    grid.get_by_role("button", name="Dismiss message").click()
    expect(grid.get_by_text("“Kiosk” disabled.")).to_have_count(0)


def test_revoke_is_last_in_the_menu_and_explained_where_it_is_not_offered(grid: Page) -> None:
    row = console.open_menu(grid, "Kiosk")
    expect(row.locator(".menu-panel > :last-child")).to_contain_text("Revoke…Disable the key first")
    expect(row.get_by_role("link", name="Revoke…")).to_have_count(0)
    grid.keyboard.press("Escape")
    row = console.open_menu(grid, "Payouts")
    row.get_by_role("link", name="Revoke…").click()
    expect(grid.get_by_role("heading", name="Revoke “Payouts”?", level=1)).to_be_visible()


def test_only_one_menu_is_open_and_a_click_elsewhere_closes_it(grid: Page) -> None:
    first = console.open_menu(grid, "Payouts")
    expect(first.get_by_role("link", name="Open")).to_be_visible()
    second = console.open_menu(grid, "Web shop")
    expect(second.get_by_role("link", name="Open")).to_be_visible()
    expect(first.get_by_role("link", name="Open")).to_be_hidden()
    grid.get_by_role("heading", level=1).click()
    expect(second.get_by_role("link", name="Open")).to_be_hidden()


def test_a_grid_that_cannot_be_loaded_offers_to_try_again(grid: Page) -> None:
    grid.context.witness.expect("net::ERR_FAILED")
    grid.context.witness.expect("console error: htmx:")
    grid.route("**/developers/?*", lambda route: route.abort())
    search(grid, "kio")
    expect(console.message(grid, "The console did not answer.")).to_be_visible()
    grid.unroute("**/developers/?*")
    grid.get_by_role("button", name="Retry").click()
    expect_names(grid, "Kiosk")
    expect(grid.get_by_text("The console did not answer.")).to_have_count(0)
