"""axe finds nothing on any page, in either theme, on a wide screen and on a narrow one."""

import pytest
from playwright.sync_api import Page

from tests.browser import axe
from tests.browser.conftest import Look
from tests.browser.views import VIEWS

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing(look: Look, name: str) -> None:
    axe.expect_nothing_found(look(name, reduced_motion="reduce"))


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("<img src='/static/none.svg'>", "image-alt"),
        ("<p><a href='/'></a></p>", "link-name"),
        ("<p class='faint'>Hardly to be read</p>", "color-contrast"),
    ],
)
def test_axe_sees_a_fault(page: Page, fault: str, rule: str) -> None:
    """The tests above would say nothing of a page that axe has not looked at."""
    page.goto("/profile/")
    page.evaluate(
        """fault => {
            document.querySelector("main").insertAdjacentHTML("beforeend", fault);
            const faint = document.querySelector(".faint");
            if (faint) faint.style.color = "rgb(200 200 200)";
        }""",
        fault,
    )
    with pytest.raises(AssertionError, match=rule):
        axe.expect_nothing_found(page)
