"""The Developers tab: the grid of an account's API keys."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from keys.models import ApiKey, Merchant
from tests.console.page import page_of, row_names, rows_of
from tests.factories import ApiKeyFactory, MerchantFactory, use

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(merchant: Merchant) -> str:
    return f"/merchants/{merchant.public_id}/developers/"


def test_the_tab_and_its_grid_have_the_words_that_people_rely_on(
    console: Client, api_key: ApiKey, address: str
) -> None:
    page = page_of(console.get(address))

    # The account's state and the key's have the same word; each has its own meaning.
    assert [badge["data-tip"] for badge in page.all(class_="badge")] == [
        "Requests with this account's enabled keys are answered.", "Requests with this key are answered.",
    ]  # fmt: skip
    assert page.one("h1").text == api_key.merchant.name
    tabs = page.one("nav", aria_label="Merchant account")
    assert tabs.one("a", aria_current="page").text == "Developers1"
    assert [tab["href"].removeprefix(address.removesuffix("developers/")) for tab in tabs.all("a")] == [
        "", "developers/", "requests/", "history/", "team/",
    ]  # fmt: skip
    assert page.has("table", aria_label="API keys")
    assert page.link("New API key")["href"] == f"{address}new/"
    assert [head.text for head in page.one("thead").all("th")] == [
        "Key name", "Key", "Status", "Error rate, last 24 hours", "Last used", "Created", "Actions",
    ]  # fmt: skip


def test_a_row_tells_what_a_key_is_and_never_the_key(console: Client, api_key: ApiKey, address: str) -> None:
    use(api_key, succeeded=3, failed=1)
    response = console.get(address)
    row = rows_of(page_of(response))[0]

    name = row.one("th", scope="row")
    assert name.one("a")["href"] == f"/keys/{api_key.public_id}/"
    assert name.one("a").text == api_key.name
    assert row.one("code").text == api_key.masked
    assert row.button(f"Copy key {api_key.name}")
    assert row.one(class_="badge").text == "Enabled"
    assert row.one(class_="badge")["data-tip"] == "Requests with this key are answered."
    assert row.one("td", class_="col-errors").text == "25.0%1 of 4 requests failed in the last 24 hours"
    assert "ago" in row.all("time")[0].text
    assert row.one("summary")["aria-label"] == f"Actions for {api_key.name}"
    assert api_key.secret.reveal()[12:] not in response.content.decode()


def test_each_state_offers_what_can_be_done_in_it(console: Client, merchant: Merchant, address: str) -> None:
    for state in ("enabled", "disabled", "revoked"):
        ApiKeyFactory(merchant=merchant, name=state, state=state)
    menus = {
        row.one("th").one("a").text: row.one("details") for row in rows_of(page_of(console.get(address)))
    }

    assert [menus["enabled"].names("a"), menus["enabled"].names("button")] == [
        ["Open", "Duplicate"],
        ["Disable"],
    ]
    assert [menus["disabled"].names("a"), menus["disabled"].names("button")] == [
        ["Open", "Duplicate", "Revoke…"], ["Enable"],
    ]  # fmt: skip
    assert [menus["revoked"].names("a"), menus["revoked"].names("button")] == [["Open", "Duplicate"], []]


def test_mode_and_expiry_stand_by_the_name(console: Client, merchant: Merchant, address: str) -> None:
    ApiKeyFactory(merchant=merchant, name="Live", expires_at=timezone.now() + timedelta(days=1))
    ApiKeyFactory(merchant=merchant, name="Test", test_mode=True, expired=True, description="What it is for")
    rows = {row.one("th").one("a").text: row.one("th").text for row in rows_of(page_of(console.get(address)))}

    assert rows == {"Live": "Live live", "Test": "Test test expiredWhat it is for"}


def test_empty_and_no_match_are_not_the_same(console: Client, merchant: Merchant, address: str) -> None:
    empty = page_of(console.get(address)).one("div", id="grid")
    assert empty.one("h2").text == "No API keys yet"
    assert empty.link("New API key")["href"] == f"{address}new/"

    ApiKeyFactory(merchant=merchant)
    nothing = page_of(console.get(f"{address}?q=zzz")).one("div", id="grid")
    assert nothing.one("h2").text == "No match"
    assert nothing.link("Clear filters")["href"] == address


def test_only_the_account_s_own_keys_are_there(console: Client, api_key: ApiKey, address: str) -> None:
    ApiKeyFactory()

    assert row_names(page_of(console.get(address))) == [api_key.name]


def test_a_disabled_account_says_so_on_all_its_tabs(console: Client) -> None:
    merchant = MerchantFactory(disabled=True)
    for tab in ("", "developers/", "requests/"):
        page = page_of(console.get(f"/merchants/{merchant.public_id}/{tab}"))
        assert "requests with any of its keys are refused with 401" in page.one(class_="banner").text
