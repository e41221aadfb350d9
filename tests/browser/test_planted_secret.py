"""A key, looked for wherever a browser keeps something, on a walk on which it is made, copied and ended."""

import re

import pytest
from playwright.sync_api import Error, Page, expect

from keys.models import ApiKey
from tests.browser import console
from tests.browser.product import Product
from tests.browser.traces import is_nowhere
from tests.factories import MerchantFactory

pytestmark = pytest.mark.browser

NAME = "Planted"


def create(page: Page, name: str) -> str:
    """Send the form of a new key; returns its text, which the page shows this once."""
    page.get_by_label("Key name").fill(name)
    page.get_by_role("button", name="Create API key").click()
    text = page.get_by_role("textbox", name="API key").input_value()
    assert not is_nowhere(text, page), "here it stands, or nothing is found anywhere"
    page.get_by_role("link", name="Back to Developers").click()
    expect(console.row(page, name)).to_be_visible()
    return text


def test_a_key_is_nowhere_in_the_browser_that_made_copied_and_ended_it(page: Page, product: Product) -> None:
    page.goto(f"{console.developers(MerchantFactory())}new/")
    secrets = [create(page, NAME)]

    def nowhere() -> None:
        assert all(is_nowhere(secret, page) for secret in secrets), page.url

    nowhere()
    assert console.copy(page, NAME) == secrets[0]
    nowhere()
    page.get_by_role("searchbox").fill("plan")
    expect(page).to_have_url(re.compile("q=plan"))
    nowhere()
    console.row(page, NAME).get_by_role("link", name=NAME, exact=True).click()
    assert console.copy(page, NAME) == secrets[0]
    page.get_by_role("link", name="Duplicate", exact=True).click()
    nowhere()
    secrets.append(create(page, f"{NAME} (copy)"))
    nowhere()
    console.open_menu(page, NAME).get_by_role("button", name="Disable").click()
    expect(console.message(page, "disabled.")).to_be_visible()
    nowhere()
    console.row(page, NAME).get_by_role("link", name=NAME, exact=True).click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    page.get_by_label(f"Type {NAME} to confirm").fill(NAME)
    page.get_by_role("button", name="Revoke key").click()
    expect(console.message(page, "revoked")).to_be_visible()
    nowhere()
    assert ApiKey.objects.get(name=NAME).is_revoked

    # Chromium has not kept the answer to a form, and would have to send it again.
    page.context.witness.expect("ERR_CACHE_MISS")
    pages = page.evaluate("history.length")
    assert pages > 8
    for turn in (page.go_back, page.go_forward):
        for _ in range(pages):
            try:
                turn()
            except Error as error:
                assert "ERR_CACHE_MISS" in str(error)  # noqa: PT017
            nowhere()
