"""Every page works where JavaScript does not: links, forms and pages of their own take the place of scripts."""

import re

import pytest
from playwright.sync_api import Page, expect

from keys.models import ApiKey, Merchant, User
from tests.browser import console
from tests.browser.conftest import Browse, Look, sign_in
from tests.browser.product import OPERATOR, Product
from tests.browser.views import VIEWS
from tests.factories import PASSWORD, ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.browser

NEED_SCRIPTS = {
    *("shortcuts", "clipboard refused", "revoke dialog", "new merchant account, refused", "revoke, refused"),
    *("copy without scripts", "API key, changed by somebody else", "open for too long"),
}
PLAIN_VIEWS = sorted(VIEWS.keys() - NEED_SCRIPTS)


@pytest.fixture
def page(browse: Browse) -> Page:
    return browse(java_script_enabled=False)


@pytest.fixture
def shop(product: Product) -> Merchant:
    merchant = MerchantFactory()
    for name in ("Third", "Second", "First"):
        ApiKeyFactory(merchant=merchant, name=name)
    return merchant


def apply(page: Page) -> None:
    page.get_by_role("button", name="Apply").click()


def test_the_life_of_an_api_key(browse: Browse, product: Product) -> None:
    merchant = MerchantFactory(name="Noscript Nurseries")
    page = browse(person=None, java_script_enabled=False)
    sign_in(page, OPERATOR)
    page.get_by_role("searchbox").fill("noscript")
    apply(page)
    page.get_by_role("link", name=merchant.name).click()
    page.get_by_role("link", name="Developers", exact=True).click()
    page.get_by_role("link", name="New API key").first.click()
    page.get_by_label("Key name").fill("Plain")
    console.choose_permission(page, "Payments", "Write")
    page.get_by_role("button", name="Create API key").click()
    shown = page.get_by_role("textbox", name="API key").input_value()
    assert product.request_with(shown).status == 200
    page.get_by_role("link", name="Open the key's page").click()
    page.get_by_label("Key name").fill("Plainer")
    page.get_by_role("button", name="Save changes").click()
    expect(console.message(page, "Changes saved.")).to_be_visible()
    page.get_by_role("button", name="Disable", exact=True).click()
    assert product.request_with(shown).status == 401
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_role("heading", name="Revoke “Plainer”?", level=1)).to_be_visible()
    page.get_by_label("to confirm").fill("Plain")
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text("That is not this key's name.").first).to_be_visible()
    page.get_by_label("to confirm").fill("Plainer")
    page.get_by_role("button", name="Revoke key").click()
    expect(console.message(page, "“Plainer” revoked.")).to_be_visible()
    assert ApiKey.objects.get(merchant=merchant).status == "revoked"


def test_search_filters_order_and_pills(page: Page, shop: Merchant) -> None:
    ApiKeyFactory(merchant=shop, name="Fourth", disabled=True)
    page.goto(console.developers(shop))
    page.get_by_role("columnheader", name="Key name").get_by_role("link").click()
    console.expect_names(page, "First", "Fourth", "Second", "Third")
    page.get_by_role("searchbox").fill("f")
    page.get_by_label("Status").select_option("Disabled")
    apply(page)
    console.expect_names(page, "Fourth")
    expect(page.locator("th[aria-sort]")).to_have_text("Key name")
    page.get_by_role("list", name="Filters in force").get_by_role("link", name="Status").click()
    console.expect_names(page, "First", "Fourth")
    page.go_back()
    console.expect_names(page, "Fourth")
    page.get_by_role("link", name="Clear all").click()
    expect(page.locator("[data-row] .row-link")).to_have_count(4)


def test_pages_turn(page: Page, product: Product) -> None:
    merchant = MerchantFactory()
    for number in range(26):
        ApiKeyFactory(merchant=merchant, name=f"Till {number:02}")
    page.goto(console.developers(merchant))
    first = [f"Till {number:02}" for number in range(25, 0, -1)]
    console.expect_names(page, *first)
    page.get_by_role("link", name="Next").click()
    console.expect_names(page, "Till 00")
    page.get_by_role("link", name="Previous").click()
    console.expect_names(page, *first)


def test_a_row_is_disabled_from_its_menu_and_undone(page: Page, shop: Merchant) -> None:
    address = f"{console.developers(shop)}?q=second"
    page.goto(address)
    console.open_menu(page, "Second").get_by_role("button", name="Disable").click()
    expect(console.message(page, "“Second” disabled.")).to_be_visible()
    expect(console.row(page, "Second")).to_contain_text("Disabled")
    assert page.url.endswith(address)
    page.get_by_role("button", name="Undo").click()
    expect(console.row(page, "Second")).to_contain_text("Enabled")
    assert page.url.endswith(address)
    assert ApiKey.objects.get(merchant=shop, name="Second").is_enabled


def test_copying_opens_a_page_that_shows_the_key_once(page: Page, product: Product) -> None:
    key = ApiKeyFactory(name="Checkout")
    page.goto(console.developers(key.merchant))
    page.get_by_role("button", name="Copy key Checkout").click()
    expect(page.get_by_role("heading", name="Copy key", level=1)).to_be_visible()
    expect(page.get_by_role("textbox", name="API key")).to_have_value(key.secret.reveal())
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("listitem").filter(has_text="Key copied")).to_have_count(1)
    assert key.secret.reveal() not in page.content()


def test_copying_after_a_while_asks_for_the_password(browse: Browse, product: Product) -> None:
    key = ApiKeyFactory(name="Checkout")
    page = browse(person=UserFactory(operator=True), seconds_ago=1801, java_script_enabled=False)
    page.goto(console.developers(key.merchant))
    page.get_by_role("button", name="Copy key Checkout").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("textbox", name="API key")).to_have_value(key.secret.reveal())


def test_a_whole_key_in_the_search_stays_in_no_address(page: Page, product: Product) -> None:
    key = ApiKeyFactory(name="Checkout")
    page.goto(console.developers(key.merchant))
    page.get_by_role("searchbox").fill(key.secret.reveal())
    apply(page)
    console.expect_names(page, "Checkout")
    assert key.secret.reveal() not in page.url
    assert key.secret.reveal() not in page.content()


def test_the_theme_is_switched(browse: Browse, shop: Merchant) -> None:
    person = UserFactory(operator=True)
    page = browse(person=person, java_script_enabled=False)
    page.goto(f"{console.developers(shop)}?q=first")
    page.locator("summary").filter(has_text="account menu").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.url.endswith("?q=first")
    assert User.objects.get(pk=person.pk).theme == "dark"
    page.locator("summary").filter(has_text="account menu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))


@pytest.mark.parametrize("name", PLAIN_VIEWS)
def test_nothing_is_offered_that_only_a_script_could_do(look: Look, name: str) -> None:
    page = look(name, java_script_enabled=False)
    if name == "components":  # Shows buttons for their looks.
        return
    for idle in ("button[type=button]", "[aria-live] :text('Copied')", "kbd", "dialog"):
        expect(page.locator(idle).locator("visible=true")).to_have_count(0)
    for button in page.get_by_role("button").all():
        assert button.evaluate("button => button.tagName === 'SUMMARY' || Boolean(button.form)")
