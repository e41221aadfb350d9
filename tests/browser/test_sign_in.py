"""Coming in: on the very first day, when there is nothing yet, and on every other; and going out again."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import axe
from tests.browser.conftest import DESKTOP, PATIENCE_MS, Browse, sign_in
from tests.browser.product import OPERATOR, Product, serving
from tests.browser.witness import Witness
from tests.factories import PASSWORD, MerchantFactory, UserFactory

pytestmark = pytest.mark.browser


def test_an_empty_console_leads_to_its_first_key(chromium: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as product:
        context = chromium.new_context(base_url=product.url, viewport=DESKTOP, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        witness = Witness(product.url, context)
        page = context.new_page()
        sign_in(page, OPERATOR)
        expect(page.get_by_role("heading", name="No merchant accounts yet")).to_be_visible()
        axe.expect_nothing_found(page)
        page.locator("#grid").get_by_role("link", name="New merchant account").click()
        page.get_by_label("Name", exact=True).fill("First Foods")
        page.get_by_role("button", name="Create merchant account").click()
        expect(page.get_by_role("heading", name="No API keys yet")).to_be_visible()
        page.locator("#grid").get_by_role("link", name="New API key").click()
        page.get_by_label("Key name").fill("First key")
        page.get_by_role("button", name="Create API key").click()
        key = page.get_by_role("textbox", name="API key").input_value()
        assert product.request_with(key).status == 200
        context.close()
    assert witness.complaints == []


def test_a_wrong_password_is_refused_and_a_page_is_come_back_to(browse: Browse) -> None:
    page = browse(person=None)
    page.goto("/merchants/?q=northwind")
    expect(page).to_have_url(re.compile(r"/accounts/login/\?next="))
    page.get_by_label("User name").fill(OPERATOR)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("are not correct")
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/merchants/\?q=northwind$"))


def test_after_signing_out_back_shows_nothing(browse: Browse) -> None:
    page = browse(person=UserFactory(operator=True))
    page.goto("/merchants/")
    page.goto("/profile/")
    page.locator("summary").filter(has_text="account menu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()


def test_a_grid_left_open_after_the_session_ended_leads_to_sign_in_and_back(
    browse: Browse, product: Product
) -> None:
    merchant = MerchantFactory(name="Aardvark Tools")  # On the first page of any grid.
    page = browse(person=UserFactory(operator=True))
    page.goto("/merchants/")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("searchbox").press_sequentially("aard")
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    page.get_by_label("User name").fill(OPERATOR)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Merchants", level=1)).to_be_visible()
    expect(page.get_by_role("link", name=merchant.name)).to_be_visible()
