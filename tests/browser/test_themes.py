"""The theme is kept on the person and drawn by the server; the system's wishes are followed."""

import re

import pytest
from playwright.sync_api import Page, expect

from keys.models import User
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.browser.scene import Scene
from tests.factories import UserFactory

pytestmark = pytest.mark.browser


@pytest.fixture
def person(product: Product) -> User:
    return UserFactory(operator=True)


def ground(page: Page) -> str:
    """The colour that the page stands on."""
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def switch(page: Page, theme: str) -> None:
    page.locator("summary").filter(has_text="account menu").click()
    page.get_by_role("button", name=theme, exact=True).click()
    page.locator("summary").filter(has_text="account menu").click()
    expect(page.get_by_role("button", name=theme, exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[aria-pressed=true]")).to_have_count(1)
    page.get_by_role("heading", level=1).click()


def test_the_switch_has_three_ways_and_is_kept_on_the_person(browse: Browse, person: User) -> None:
    page = browse(person=person, color_scheme="light")
    page.goto("/merchants/?q=somebody")
    light = ground(page)
    page.emulate_media(color_scheme="dark")
    dark = ground(page)
    assert light != dark
    switch(page, "Light")
    expect(page).to_have_url(re.compile(r"/merchants/\?q=somebody$"))
    assert ground(page) == light
    switch(page, "Dark")
    page.emulate_media(color_scheme="light")
    assert ground(page) == dark
    elsewhere = browse(person=person, color_scheme="light")
    elsewhere.goto("/merchants/")
    assert ground(elsewhere) == dark
    switch(elsewhere, "System")
    assert ground(elsewhere) == light


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_the_first_paint_has_the_theme(browse: Browse, person: User, theme: str) -> None:
    """What the server sends says it, so that no script has to repaint the page."""
    User.objects.filter(pk=person.pk).update(theme=theme)
    page = browse(person=person)
    sent = page.goto("/merchants/").text()
    assert f'data-theme="{theme}"' in sent.partition("<head>")[0]


def test_the_profile_sets_the_theme_too(browse: Browse, person: User) -> None:
    page = browse(person=person, color_scheme="light")
    page.goto("/profile/")
    page.get_by_role("group", name="Theme").get_by_role("radio", name="Dark").check()
    page.get_by_role("button", name="Save profile").click()
    expect(console.message(page, "Profile saved.")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert User.objects.get(pk=person.pk).theme == "dark"


def test_reduced_motion_stops_what_moves(browse: Browse, scene: Scene) -> None:
    for wish, moves in (("no-preference", True), ("reduce", False)):
        page = browse(reduced_motion=wish)
        page.goto(console.developers(scene.merchant))
        seconds = page.get_by_role("link", name="New API key").evaluate(
            "element => parseFloat(getComputedStyle(element).transitionDuration)"
        )
        assert (seconds > 0) is moves
        page.locator("[data-row]").first.evaluate("row => row.classList.add('row-changed')")
        seconds = page.locator("[data-row]").first.evaluate(
            "row => row.getAnimations().reduce((longest, animation) => "
            "Math.max(longest, animation.effect.getTiming().duration), 0) / 1000"
        )
        assert (seconds > 0.1) is moves


def test_forced_colours_keep_states_and_bars_apart(browse: Browse, scene: Scene) -> None:
    page = browse(forced_colors="active")
    page.goto(console.api_key_page(scene.enabled))
    badge = page.locator(".badge").first
    assert badge.evaluate("badge => getComputedStyle(badge).borderTopStyle") == "solid"
    fills = page.evaluate(
        """() => [".bar", ".bar-failed"].map((bar) => getComputedStyle(document.querySelector(`.chart ${bar}`)).fill)"""
    )
    assert fills[0] != fills[1]
    expect(page.get_by_role("button", name="Save changes")).to_be_visible()
