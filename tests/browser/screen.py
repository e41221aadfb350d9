"""What reaches beyond the edge of a screen."""

from playwright.sync_api import Page

PHONE = 360
# What 1280 pixels become at 200 per cent zoom.
ZOOMED = 640

# What is there for screen readers alone has no place on the screen, and of what is cut off with an ellipsis only the
# box that cuts it off is looked at.
BEYOND = """() => {
    const root = document.documentElement;
    const width = root.clientWidth;
    const isCut = (element) =>
        element && (getComputedStyle(element).textOverflow === "ellipsis" || isCut(element.parentElement));
    const isAside = (element) =>
        element.closest(".visually-hidden, .grid thead, .skip-link, svg *") || isCut(element.parentElement);
    const found = [...document.body.querySelectorAll("*")].filter((element) => {
        const box = element.getBoundingClientRect();
        return (box.right > width + 1 || box.left < -1) && element.checkVisibility() && !isAside(element);
    });
    if (root.scrollWidth > width) found.unshift(root);
    return found.map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 30)}`);
}"""


def expect_nothing_beyond(page: Page, *widths: int) -> None:
    """At each of these widths, or at that of a phone and of a zoomed page."""
    for width in widths or (PHONE, ZOOMED):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(BEYOND) == [], width
