"""The keyboard alone is enough, and single keys are shortcuts only where nobody types."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from keys.models import ApiKey, Merchant, User
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.browser


@pytest.fixture
def shop(product: Product) -> Merchant:
    """An account with the keys First, Second and Third, in this order on its grid."""
    merchant = MerchantFactory()
    for name in ("Third", "Second", "First"):
        ApiKeyFactory(merchant=merchant, name=name)
    return merchant


@pytest.fixture
def grid(page: Page, shop: Merchant) -> Page:
    page.goto(console.developers(shop))
    return page


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def link(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def test_slash_searches(grid: Page) -> None:
    press(grid, "/")
    expect(grid.get_by_role("searchbox")).to_be_focused()
    grid.keyboard.type("sec")
    expect(grid.locator("[data-row] .row-link")).to_have_text(["Second"])
    expect(grid.get_by_role("searchbox")).to_have_value("sec")


def test_j_and_k_walk_the_rows_and_enter_opens(grid: Page) -> None:
    press(grid, "j")
    expect(link(grid, "First")).to_be_focused()
    press(grid, "j", "j", "j")
    expect(link(grid, "Third")).to_be_focused()
    press(grid, "k")
    expect(link(grid, "Second")).to_be_focused()
    press(grid, "Enter")
    expect(grid.get_by_role("heading", name="Second", level=1)).to_be_visible()


def test_c_copies_the_key_of_the_row(grid: Page, shop: Merchant) -> None:
    press(grid, "c")
    press(grid, "j", "j", "c")
    expect(console.announced(grid)).to_have_text("Copied")
    key = ApiKey.objects.get(merchant=shop, name="Second")
    copied = console.clipboard(grid)
    assert (copied[8:12], copied[-4:]) == (key.head, key.tail)
    expect(grid.get_by_role("button", name="Copy key Second")).to_be_focused()
    press(grid, "j")
    expect(link(grid, "Third")).to_be_focused()


def test_n_makes_a_new_one(grid: Page) -> None:
    press(grid, "n")
    expect(grid.get_by_role("heading", name="New API key", level=1)).to_be_visible()
    press(grid, "g", "m")
    expect(grid.get_by_role("heading", name="Merchants", level=1)).to_be_visible()
    grid.wait_for_load_state()
    press(grid, "n")
    expect(grid.get_by_role("heading", name="New merchant account", level=1)).to_be_visible()


def test_the_row_menu_is_opened_walked_and_closed_by_keys(grid: Page, shop: Merchant) -> None:
    press(grid, ".")
    expect(grid.locator("[data-menu][open]")).to_have_count(0)
    press(grid, "j", "j", ".")
    row = console.row(grid, "Second")
    expect(row.get_by_role("link", name="Open")).to_be_focused()
    press(grid, "ArrowDown", "ArrowDown")
    expect(row.get_by_role("button", name="Disable")).to_be_focused()
    press(grid, "ArrowUp")
    expect(row.get_by_role("link", name="Duplicate")).to_be_focused()
    press(grid, "Escape")
    expect(row.get_by_role("link", name="Open")).to_be_hidden()
    expect(grid.get_by_label("Actions for Second")).to_be_focused()
    press(grid, "Enter", "Tab", "Tab", "Tab", "Enter")
    expect(console.message(grid, "“Second” disabled.")).to_be_visible()
    expect(grid.get_by_label("Actions for Second")).to_be_focused()
    assert ApiKey.objects.get(merchant=shop, name="Second").is_disabled


def test_a_menu_closes_when_the_focus_leaves_it(grid: Page) -> None:
    press(grid, "j", ".")
    opened = console.row(grid, "First").get_by_role("link", name="Open")
    expect(opened).to_be_focused()
    press(grid, "Tab", "Tab", "Tab")
    expect(opened).to_be_hidden()


def test_the_question_mark_lists_the_shortcuts_and_esc_closes_the_list(grid: Page) -> None:
    press(grid, "j", "?")
    shortcuts = grid.get_by_role("dialog", name="Keyboard shortcuts")
    for key in ("/", "j", "k", "Enter", "c", ".", "n", "g", "?", "Esc"):
        expect(shortcuts.locator("kbd").get_by_text(key, exact=True).first).to_be_visible()
    press(grid, "j")
    press(grid, "Escape")
    expect(shortcuts).to_be_hidden()
    expect(link(grid, "First")).to_be_focused()


def test_shortcuts_are_ignored_while_typing_and_with_modifiers(
    page: Page, grid: Page, shop: Merchant
) -> None:
    address = grid.url
    press(grid, "Control+j", "Alt+n", "Meta+k")
    expect(grid.locator("body")).to_be_focused()
    press(grid, "/")
    grid.keyboard.type("njk?./c")
    expect(grid.get_by_role("searchbox")).to_have_value("njk?./c")
    expect(grid.get_by_role("dialog")).to_have_count(0)
    assert grid.url.startswith(address)
    page.goto(f"{console.developers(shop)}new/")
    page.get_by_label("Description").click()
    page.keyboard.type("g m ? n")
    expect(page.get_by_label("Description")).to_have_value("g m ? n")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_shortcuts_can_be_switched_off_in_the_profile(browse: Browse, shop: Merchant) -> None:
    person = UserFactory(operator=True)
    page = browse(person=person)
    page.goto("/profile/")
    page.get_by_role("checkbox", name="Keyboard shortcuts").uncheck()
    page.get_by_role("button", name="Save profile").click()
    expect(console.message(page, "Profile saved.")).to_be_visible()
    assert not User.objects.get(pk=person.pk).keyboard_shortcuts
    page.goto(console.developers(shop))
    press(page, "j", "?", "/", "n")
    expect(page.locator("body")).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("kbd:visible")).to_have_count(0)
    expect(page).to_have_url(re.compile(console.developers(shop) + "$"))


def test_a_key_is_created_and_copied_by_keyboard_alone(browse: Browse, shop: Merchant) -> None:
    page = browse()
    page.goto("/merchants/")
    press(page, "/")
    page.keyboard.type(shop.public_id)
    expect(page.locator("[data-row]")).to_have_count(1)
    tab_to(page, link(page, shop.name))
    press(page, "Enter")
    expect(page.get_by_role("heading", name=shop.name, level=1)).to_be_visible()
    tab_to(page, link(page, "Developers"))
    press(page, "Enter")
    expect(console.api_keys(page)).to_be_visible()
    page.wait_for_load_state()
    press(page, "n")
    expect(page.get_by_role("heading", name="New API key", level=1)).to_be_visible()
    tab_to(page, page.get_by_label("Key name"))
    page.keyboard.type("By keyboard")
    tab_to(page, page.get_by_label("Test mode"))
    press(page, "ArrowUp")
    expect(page.get_by_label("Live mode")).to_be_checked()
    tab_to(page, page.get_by_role("group", name=re.compile("^Payments")).get_by_role("radio", name="None"))
    press(page, "ArrowRight", "ArrowRight")
    press(page, "Enter")
    expect(page.get_by_role("heading", name="API key created", level=1)).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Copy", exact=True))
    press(page, "Enter")
    expect(console.announced(page)).to_have_text("Copied")
    key = ApiKey.objects.get(merchant=shop, name="By keyboard")
    assert (key.mode, key.permissions) == ("live", "payments:write")
    assert console.clipboard(page).startswith(f"sk_live_{key.head}")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus, as somebody without a mouse does; each stop on the way is visible."""
    for _ in range(60):
        page.keyboard.press("Tab")
        assert focus_is_drawn(page), page.evaluate("document.activeElement.outerHTML")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"60 times Tab, and never at {target}")


def focus_is_drawn(page: Page) -> bool:
    """Whether the focused element, or what stands in for it, has an outline on the screen."""
    return page.evaluate(
        """() => {
            const focused = document.activeElement;
            const drawn = [focused, focused.closest("label"), focused.closest("a")].filter(Boolean);
            const box = focused.getBoundingClientRect();
            return box.width > 0 && box.height > 0 && drawn.some((element) => {
                const style = getComputedStyle(element);
                return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
            });
        }"""
    )


def test_the_first_tab_stop_skips_to_the_content(grid: Page) -> None:
    press(grid, "Tab")
    skip = link(grid, "Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    press(grid, "Enter")
    expect(grid.get_by_role("main")).to_be_focused()
    press(grid, "Tab")
    assert grid.evaluate("document.activeElement.closest('main') !== null")
