"""axe-core, and how its findings are told."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# What the theme decides. The rest is the same in both.
COLOURS = ("color-contrast", "link-in-text-block")
WIDTHS = (1280, 360)
# What axe cannot settle is a finding too, but where text lies over something: then it does not know the ground.
RUN = """options => axe.run(options).then((results) => [
    ...results.violations,
    ...results.incomplete.filter((rule) => rule.id !== "color-contrast"),
].flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`)))"""


def expect_nothing_found(page: Page) -> None:
    """In both themes, wide and narrow.

    The person's theme must be System, and nothing may move: axe would see colours on their way.
    """
    page.evaluate(Axe().axe_script)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        found += findings(page, {"type": "tag", "values": TAGS})
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found += [
            f"in the dark: {finding}" for finding in findings(page, {"type": "rule", "values": COLOURS})
        ]
    assert not found, "\n".join(found)


def findings(page: Page, run_only: dict) -> list[str]:
    return page.evaluate(RUN, {"runOnly": run_only, "preload": False})
