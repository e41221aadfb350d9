"""The whole path of an API key, in one browser, from sign-in to the end."""

import re

import pytest
from playwright.sync_api import Page, expect

from keys.models import ApiKey, HistoryEntry, Merchant
from tests.browser import console
from tests.browser.conftest import Browse, sign_in
from tests.browser.product import OPERATOR, Product
from tests.factories import MerchantFactory

pytestmark = pytest.mark.browser

NAME = "Backend of the outfitters"
RENAMED = "Checkout of the outfitters"


def test_the_life_of_an_api_key(browse: Browse, product: Product) -> None:
    merchant = MerchantFactory(name="Walkthrough Outfitters")
    page = browse(person=None)
    sign_in(page, OPERATOR)
    find_the_merchant(page, merchant)
    create_with_permissions(page)
    key = copy_and_use(page, product)
    rename(page)
    duplicate(page)
    disable_and_enable(page, product, key)
    disable_and_revoke(page, product, key)
    there_is_no_way_back(page, product, key)
    told = HistoryEntry.objects.filter(key__name=RENAMED).order_by("id").values_list("action", flat=True)
    assert list(told) == [
        *("key.created", "key.copied", "key.updated", "key.duplicated", "key.disabled", "key.enabled"),
        *("key.disabled", "key.revoked"),
    ]


def find_the_merchant(page: Page, merchant: Merchant) -> None:
    expect(page.get_by_role("link", name="New merchant account")).to_be_visible()
    page.get_by_role("searchbox").fill("walkthr")
    console.merchant_accounts(page).get_by_role("link", name=merchant.name).click()
    expect(page.get_by_role("heading", name=merchant.name, level=1)).to_be_visible()
    page.get_by_role("link", name="Developers", exact=True).click()
    expect(page).to_have_url(re.compile(re.escape(console.developers(merchant)) + "$"))


def create_with_permissions(page: Page) -> None:
    page.get_by_role("link", name="New API key").first.click()
    page.get_by_label("Key name").fill(NAME)
    page.get_by_label("Description").fill("Takes payments in the web shop.")
    page.get_by_label("Test mode").check()
    console.choose_permission(page, "Payments", "Write")
    console.choose_permission(page, "Refunds", "Read")
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_role("heading", name="API key created", level=1)).to_be_visible()
    page.get_by_role("link", name="Back to Developers").click()
    expect(console.row(page, NAME)).to_contain_text("Enabled")
    expect(console.row(page, NAME)).to_contain_text("Never used")


def copy_and_use(page: Page, product: Product) -> str:
    """Copy the key from the grid, use it as the merchant's server does, and see the request counted."""
    key = console.copy(page, NAME)
    answer = product.request_with(key)
    assert answer.status == 200
    assert ApiKey.objects.get(name=NAME).public_id in answer.body
    page.reload()
    expect(console.row(page, NAME)).to_contain_text("0 of 1 requests failed in the last 24 hours")
    expect(console.row(page, NAME)).not_to_contain_text("Never used")
    return key


def rename(page: Page) -> None:
    page.get_by_role("link", name=NAME, exact=True).click()
    expect(page.get_by_role("heading", name=NAME, level=1)).to_be_visible()
    for heading in (
        *("General", "Permissions", "Error rate", "Developers corner", "History", "Administration settings"),
    ):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_label("Description")).to_have_value("Takes payments in the web shop.")
    page.get_by_label("Key name").fill(RENAMED)
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name=RENAMED, level=1)).to_be_visible()
    expect(console.message(page, "Changes saved.")).to_be_visible()


def duplicate(page: Page) -> None:
    """The form comes with every preset of the original; what it makes is another key."""
    page.get_by_role("link", name="Duplicate", exact=True).click()
    expect(page.get_by_label("Key name")).to_have_value(f"{RENAMED} (copy)")
    expect(page.get_by_label("Description")).to_have_value("Takes payments in the web shop.")
    expect(page.get_by_label("Test mode")).to_be_checked()
    payments = page.get_by_role("group", name=re.compile("^Payments"))
    expect(payments.get_by_role("radio", name="Write")).to_be_checked()
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_role("heading", name="API key created", level=1)).to_be_visible()
    page.get_by_role("link", name="Back to Developers").click()
    console.expect_names(page, f"{RENAMED} (copy)", RENAMED)
    page.get_by_role("link", name=RENAMED, exact=True).click()


def disable_and_enable(page: Page, product: Product, key: str) -> None:
    expect(page.get_by_role("button", name="Revoke", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Disable", exact=True).click()
    expect(console.message(page, "disabled. Requests with it are refused from now on.")).to_be_visible()
    assert product.request_with(key).status == 401
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(console.message(page, "enabled. Requests with it are answered again.")).to_be_visible()
    assert product.request_with(key).status == 200


def disable_and_revoke(page: Page, product: Product, key: str) -> None:
    page.get_by_role("button", name="Disable", exact=True).click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Revoke “{RENAMED}”?")
    expect(dialog).to_contain_text("In the last 24 hours this key made 3 requests, 2 of which succeeded.")
    dialog.get_by_label(f"Type {RENAMED} to confirm").fill(NAME)
    dialog.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text("That is not this key's name.").first).to_be_visible()
    assert ApiKey.objects.get(name=RENAMED).status == "disabled"
    page.get_by_label(f"Type {RENAMED} to confirm").fill(RENAMED)
    page.get_by_role("button", name="Revoke key").click()
    expect(console.message(page, f"“{RENAMED}” revoked. It stays on the grid as a record.")).to_be_visible()
    assert product.request_with(key).status == 401


def there_is_no_way_back(page: Page, product: Product, key: str) -> None:
    for name in ("Enable", "Disable", "Revoke", "Save changes", f"Copy key {RENAMED}"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    page.get_by_role("link", name="Developers", exact=True).click()
    console.expect_names(page, f"{RENAMED} (copy)", RENAMED)
    row = console.open_menu(page, RENAMED)
    expect(row).to_contain_text("Revoked")
    expect(row.get_by_role("button")).to_have_count(0)
    forge_enable(page)
    expect(console.message(page, "This API key was revoked, by operator. Revoked is final.")).to_be_visible()
    assert ApiKey.objects.get(name=RENAMED).status == "revoked"
    assert product.request_with(key).status == 401


def forge_enable(page: Page) -> None:
    """Send what no button sends: some other form of the page, turned to enable the revoked key."""
    revoked = ApiKey.objects.get(name=RENAMED)
    page.evaluate(
        """address => {
            const form = document.querySelector("form[method='post']");
            form.action = address;
            form.submit();
        }""",
        f"/keys/{revoked.public_id}/enable/",
    )
