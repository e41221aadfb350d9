"""Copying a key: what is on the clipboard is the key, and it is nowhere else."""

import json
import shlex
import urllib.request

import pytest
from django.conf import settings
from playwright.sync_api import Locator, Page, expect

from keys.models import ApiKey, HistoryEntry
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.browser.traces import is_nowhere
from tests.factories import PASSWORD, ApiKeyFactory, UserFactory

pytestmark = pytest.mark.browser

HALF_AN_HOUR_SECONDS = 30 * 60
REFUSE_CLIPBOARD = """
    const refuse = () => Promise.reject(new DOMException("not allowed", "NotAllowedError"));
    navigator.clipboard.write = refuse;
    navigator.clipboard.writeText = refuse;
"""


@pytest.fixture
def key(product: Product) -> ApiKey:
    return ApiKeyFactory(name="Checkout")


@pytest.fixture
def grid(page: Page, key: ApiKey) -> Page:
    page.goto(console.developers(key.merchant))
    return page


def copy_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Copy key Checkout")


def test_the_clipboard_gets_the_genuine_key(grid: Page, key: ApiKey, product: Product) -> None:
    copied = console.copy(grid, "Checkout")
    assert copied == key.secret.reveal()
    assert product.request_with(copied).status == 200


def test_the_icon_is_a_tick_for_two_seconds(grid: Page) -> None:
    sign, tick = copy_button(grid).locator("svg").all()
    expect(tick).to_be_hidden()
    grid.clock.install(time=0)
    grid.clock.pause_at(1_000)
    copy_button(grid).click()
    expect(tick).to_be_visible()
    expect(sign).to_be_hidden()
    grid.clock.run_for(1_900)
    expect(tick).to_be_visible()
    grid.clock.run_for(200)
    expect(tick).to_be_hidden()
    expect(sign).to_be_visible()


def test_a_copied_key_leaves_no_trace(grid: Page, key: ApiKey) -> None:
    with grid.expect_response("**/copy/") as answer:
        secret = console.copy(grid, "Checkout")
    assert "no-store" in answer.value.headers["cache-control"]
    assert is_nowhere(secret, grid)
    grid.reload()
    assert is_nowhere(secret, grid)
    for file in settings.DATA_DIR.glob("merchantadmin.sqlite3*"):
        assert secret.encode() not in file.read_bytes()


def test_a_copy_is_recorded_in_the_history(grid: Page, key: ApiKey) -> None:
    console.copy(grid, "Checkout")
    grid.get_by_role("link", name="Checkout", exact=True).click()
    event = grid.get_by_role("listitem").filter(has_text="Key copied")
    expect(event).to_contain_text("operator")
    expect(event).to_contain_text("from 127.0.0.1")
    assert console.copy(grid, "Checkout") == key.secret.reveal()
    assert HistoryEntry.objects.filter(key=key, action="key.copied").count() == 2


def test_where_the_clipboard_refuses_a_dialog_shows_the_key_selected(browse: Browse, key: ApiKey) -> None:
    page = browse()
    page.add_init_script(REFUSE_CLIPBOARD)
    page.goto(console.developers(key.merchant))
    copy_button(page).click()
    dialog = page.get_by_role("dialog", name="Copy it yourself")
    field = dialog.get_by_role("textbox")
    expect(field).to_have_value(key.secret.reveal())
    expect(field).to_be_focused()
    assert page.evaluate("getSelection().toString()") == key.secret.reveal()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(copy_button(page)).to_be_focused()
    assert is_nowhere(key.secret.reveal(), page)


def test_after_a_while_copying_asks_for_the_password_and_comes_back(browse: Browse, key: ApiKey) -> None:
    page = browse(person=UserFactory(operator=True), seconds_ago=HALF_AN_HOUR_SECONDS + 1)
    page.goto(f"{console.developers(key.merchant)}?q=check")
    copy_button(page).click()
    expect(page.get_by_role("heading", name="Confirm that it is you", level=1)).to_be_visible()
    assert not HistoryEntry.objects.filter(key=key, action="key.copied").exists()
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("That is not your password.")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page).to_have_url(f"{page.context.witness.url}{console.developers(key.merchant)}?q=check")
    assert console.copy(page, "Checkout") == key.secret.reveal()


def test_just_within_the_while_copying_asks_for_nothing(browse: Browse, key: ApiKey) -> None:
    page = browse(person=UserFactory(operator=True), seconds_ago=HALF_AN_HOUR_SECONDS - 60)
    page.goto(console.developers(key.merchant))
    assert console.copy(page, "Checkout") == key.secret.reveal()


def test_a_key_that_was_revoked_meanwhile_is_refused_with_the_reason(browse: Browse, key: ApiKey) -> None:
    page, other = browse(), browse()
    for each in (page, other):
        each.goto(f"/keys/{key.public_id}/")
    other.get_by_role("button", name="Disable", exact=True).click()
    other.get_by_role("button", name="Revoke", exact=True).click()
    other.get_by_label("Type Checkout to confirm").fill("Checkout")
    other.get_by_role("button", name="Revoke key").click()
    expect(console.message(other, "revoked")).to_be_visible()
    copy_button(page).click()
    expect(console.announced(page)).to_contain_text("This API key is revoked; its text is destroyed.")


def test_a_whole_key_in_the_search_box_is_masked_before_any_request(grid: Page, key: ApiKey) -> None:
    ApiKeyFactory(merchant=key.merchant, name="Another")
    secret = key.secret.reveal()
    grid.evaluate("text => navigator.clipboard.writeText(text)", secret)
    search = grid.get_by_role("searchbox")
    search.focus()
    search.press("ControlOrMeta+v")
    expect(search).to_have_value(key.masked)
    expect(grid.locator("[data-row] .row-link")).to_have_text(["Checkout"])
    assert not any(secret in address for address in grid.context.witness.requested)


def test_the_call_on_the_page_of_a_new_key_works_as_it_stands(page: Page, key: ApiKey) -> None:
    page.goto(f"{console.developers(key.merchant)}new/")
    page.get_by_label("Key name").fill("Fresh")
    page.get_by_role("button", name="Create API key").click()
    shown = page.get_by_role("textbox", name="API key").input_value()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert console.clipboard(page) == shown
    program, address, *options = shlex.split(page.locator("pre").inner_text().replace("\\\n", " "))
    assert (program, options[0]) == ("curl", "-H")
    header, value = options[1].split(": ")
    with urllib.request.urlopen(urllib.request.Request(address, headers={header: value})) as response:
        assert json.load(response)["key"]["id"] == key.merchant.api_keys.get(name="Fresh").public_id


def test_an_id_is_copied_as_it_stands(grid: Page, key: ApiKey) -> None:
    grid.get_by_role("button", name="Copy merchant account id").click()
    expect(console.announced(grid)).to_have_text("Copied")
    assert console.clipboard(grid) == key.merchant.public_id
