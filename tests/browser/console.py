"""The console's parts, by the roles and names under which people and screen readers find them."""

import re

from playwright.sync_api import Locator, Page, expect

from keys.models import ApiKey, Merchant


def developers(merchant: Merchant) -> str:
    return f"/merchants/{merchant.public_id}/developers/"


def api_key_page(key: ApiKey) -> str:
    return f"/keys/{key.public_id}/"


def api_keys(page: Page) -> Locator:
    return page.get_by_role("table", name="API keys")


def merchant_accounts(page: Page) -> Locator:
    return page.get_by_role("table", name="Merchant accounts")


def row(page: Page, name: str) -> Locator:
    """The row of a grid whose name is exactly `name`."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def expect_names(page: Page, *names: str) -> None:
    """These names are on the grid, from top to bottom, or will be when the page is there as a whole."""
    expect(page.locator("[data-row] .row-link")).to_have_text(list(names))


def open_menu(page: Page, name: str) -> Locator:
    """Open the row's menu with the mouse; returns the row."""
    it = row(page, name)
    it.get_by_label(f"Actions for {name}").click()
    return it


def copy(page: Page, name: str) -> str:
    """Copy a key by its button; returns what is on the clipboard then."""
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("button", name=f"Copy key {name}").click()
    expect(announced(page)).to_have_text("Copied")
    return clipboard(page)


def clipboard(page: Page) -> str:
    """What somebody would paste elsewhere: the console's own pages may not read the clipboard."""
    elsewhere = page.context.new_page()
    elsewhere.set_content("<textarea></textarea>")
    elsewhere.locator("textarea").press("ControlOrMeta+V")
    text = elsewhere.locator("textarea").input_value()
    elsewhere.close()
    page.bring_to_front()
    return text


def announced(page: Page) -> Locator:
    """The live region in which scripts tell screen readers what happened."""
    return page.locator("#announcer")


def message(page: Page, text: str | re.Pattern[str]) -> Locator:
    """A message of the last action, in the region that screen readers are told of."""
    return page.get_by_role("status").filter(has_text=text)


def count(page: Page) -> Locator:
    """The live region with the number of rows."""
    return page.locator("#count[role=status]")


def choose_permission(page: Page, resource: str, access: str) -> None:
    page.get_by_role("group", name=re.compile(f"^{resource}")).get_by_role("radio", name=access).check()
