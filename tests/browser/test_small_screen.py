"""Nothing scrolls sideways and nothing is cut off, from 360 pixels on, whatever the names are."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import console
from tests.browser.conftest import Browse, Look
from tests.browser.product import Product
from tests.browser.scene import UNBREAKABLE, Scene
from tests.browser.screen import BEYOND, PHONE, expect_nothing_beyond
from tests.browser.views import VIEWS
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.browser

PHONE_OPTIONS = {"viewport": {"width": PHONE, "height": 740}, "has_touch": True, "is_mobile": True}
# What is not easy enough to hit: of everything to press but links inside a text.
TOO_SMALL = """() => {
    const pressed = "button, summary, select, input:not([type=hidden]), textarea, .button, .menu-item, .pill, "
        + ".sidebar a, .tabs a, .crumbs a, .row-link, .errors-link, .card-link";
    return [...document.querySelectorAll(pressed)]
        .map((element) => element.matches("[type=radio], [type=checkbox]") ? element.closest("label") : element)
        .filter((element) => element.checkVisibility() && !element.closest(".visually-hidden, .skip-link"))
        .map((element) => [element, element.getBoundingClientRect()])
        .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
        .map(([element, box]) => `${element.outerHTML.slice(0, 120)}: ${box.width} x ${box.height}`);
}"""


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_beyond_the_edge_of_a_small_screen(look: Look, name: str) -> None:
    expect_nothing_beyond(look(name, viewport={"width": PHONE, "height": 740}))


@pytest.mark.parametrize("name", ["merchants", "developers", "requests", "history", "enabled API key"])
def test_nothing_is_beyond_the_edge_at_any_width(look: Look, name: str) -> None:
    expect_nothing_beyond(look(name), 1440, 1280, 1181, 1180, 1101, 1100, 981, 980, 901, 900, 821, 720, 480)


def test_rows_become_cards_that_name_each_value(browse: Browse, scene: Scene) -> None:
    page = browse(viewport={"width": PHONE, "height": 740})
    page.goto(console.developers(scene.merchant))
    row = console.row(page, UNBREAKABLE)
    labels = row.get_by_role("cell").evaluate_all(
        """cells => cells.filter((cell) => cell.dataset.label).map((cell) => {
            const label = getComputedStyle(cell, "::before");
            return label.display === "none" ? "" : label.content.replaceAll('"', "");
        })"""
    )
    assert labels == ["Key", "Status", "Error rate, 24 h", "Last used", "Created"]
    tops = row.get_by_role("cell").evaluate_all(
        "cells => cells.map((cell) => cell.getBoundingClientRect().top)"
    )
    assert tops[:5] == sorted(set(tops[:5])), "each value has a line of its own"


def test_the_row_menu_of_a_card_works_by_touch(browse: Browse, product: Product) -> None:
    key = ApiKeyFactory(name=UNBREAKABLE)
    page = browse(**PHONE_OPTIONS)
    page.goto(console.developers(key.merchant))
    page.get_by_label(f"Actions for {UNBREAKABLE}").tap()
    page.get_by_role("button", name="Disable").tap()
    expect(console.message(page, "disabled. Requests with it are refused from now on.")).to_be_visible()
    assert page.evaluate(BEYOND) == []


@pytest.mark.parametrize(
    "name",
    [
        *("sign in", "merchants", "developers", "developers, menu open", "account menu open", "new API key"),
        *("disabled API key", "revoke dialog", "requests", "profile"),
    ],
)
def test_fingers_hit_every_target(look: Look, name: str) -> None:
    page = look(name, **PHONE_OPTIONS)
    assert page.evaluate("matchMedia('(pointer: coarse)').matches")
    assert page.evaluate(TOO_SMALL) == []


def test_the_tabs_of_a_merchant_account_stand_in_one_row(look: Look) -> None:
    page = look("developers", **PHONE_OPTIONS)
    tabs = page.get_by_role("navigation", name="Merchant account").get_by_role("link")
    expect(tabs).to_have_count(5)
    assert len(set(tabs.evaluate_all("tabs => tabs.map((tab) => tab.getBoundingClientRect().top)"))) == 1


def test_a_dialog_fits_a_small_screen(browse: Browse, scene: Scene) -> None:
    page: Page = browse(viewport={"width": PHONE, "height": 480})
    page.goto(console.api_key_page(scene.disabled))
    page.get_by_role("button", name="Revoke", exact=True).click()
    button = page.get_by_role("dialog").get_by_role("button", name="Revoke key")
    button.scroll_into_view_if_needed()
    expect(button).to_be_in_viewport(ratio=1)
