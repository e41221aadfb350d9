"""axe finds nothing on any page, in either theme, on a wide screen and on a narrow one."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import Look
from tests.browser.views import VIEWS

pytestmark = pytest.mark.browser

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# What the theme decides. The rest is the same in both.
COLOURS = ("color-contrast", "link-in-text-block")
WIDTHS = (1280, 360)
# What axe cannot settle is a finding too, but where text lies over something: then it does not know the ground.
RUN_AXE = """options => axe.run(options).then((results) => [
    ...results.violations,
    ...results.incomplete.filter((rule) => rule.id !== "color-contrast"),
].flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`)))"""


@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing(look: Look, name: str) -> None:
    page = look(name, reduced_motion="reduce")
    page.evaluate(Axe().axe_script)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="light")
        found += axe(page, {"type": "tag", "values": TAGS})
        page.emulate_media(color_scheme="dark")
        found += [f"in the dark: {finding}" for finding in axe(page, {"type": "rule", "values": COLOURS})]
    assert not found, "\n".join(found)


def axe(page: Page, run_only: dict) -> list[str]:
    return page.evaluate(RUN_AXE, {"runOnly": run_only, "preload": False})
