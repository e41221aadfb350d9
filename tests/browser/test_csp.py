"""Nothing comes from elsewhere and nothing is inline: the content security policy is 'self' on every page.

Every test of this suite fails where a page breaks that (tests/browser/witness.py), and every page is opened by one or
another. Here are the pages that no other test opens, and the proof that the witness sees what it is there to see.
"""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Browse
from tests.browser.scene import Scene
from tests.browser.witness import POLICY
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.browser

ADMIN_PAGES = (
    *("/admin/", "/admin/keys/merchant/", "/admin/keys/apikey/?q=till", "/admin/keys/requestlog/"),
    *("/admin/keys/historyentry/", "/admin/keys/historyentry/?action=secrets.rotated", "/admin/keys/user/"),
    *("/admin/keys/", "/admin/keys/apikey/?status=revoked&mode=test&expired=yes"),
)
BREACHES = {
    "a style attribute": '<p style="color: red">Red</p>',
    "an event handler": '<button onclick="alert(1)">Press</button>',
    "a style element": "<style>p { color: red; }</style>",
    "a script in the page": "<script>document.title = 'mine';</script>",
    "a script as an address": '<a href="javascript:alert(1)">Press</a>',
    "a script of another host": '<script src="http://127.0.0.2:9/evil.js"></script>',
}


@pytest.mark.parametrize("address", ADMIN_PAGES)
def test_the_django_admin_keeps_the_policy(page: Page, scene: Scene, address: str) -> None:
    assert page.goto(address).status == 200
    expect(page.get_by_role("link", name="Merchant Admin")).to_be_visible()


def test_the_pages_of_rows_in_the_django_admin_keep_the_policy(page: Page, scene: Scene) -> None:
    for name in ("merchant", "apikey", "requestlog", "historyentry", "user"):
        page.goto(f"/admin/keys/{name}/")
        page.locator("#result_list tbody th a").first.click()
        expect(page.locator("#content-main .readonly").first).to_be_visible()
    assert page.goto(f"/admin/keys/apikey/{scene.revoked.pk}/change/").status == 200
    expect(page.locator("#content")).to_contain_text(scene.revoked.masked)
    expect(page.locator(".tool")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_steps_of_the_django_admin_are_walked_under_the_policy(
    browse: Browse, scene: Scene, theme: str
) -> None:
    """From the list by the box and the menu, through both questions, on a small screen and a large one."""
    width = 360 if theme == "dark" else 1280
    page = browse(color_scheme=theme, viewport={"width": width, "height": 800})
    key = ApiKeyFactory(name=f"Walked in {theme}")
    page.goto(f"/admin/keys/apikey/?q=Walked in {theme}")
    page.locator("input.action-select").check()
    page.locator("select[name=action]").select_option("disable")
    page.get_by_role("button", name="Go").click()
    page.get_by_label("Reason").fill("For the walk")
    page.get_by_role("button", name="Disable").click()
    expect(page.locator(".messagelist")).to_contain_text("disabled. Requests are refused from now on.")

    page.locator("#result_list tbody th a").click()
    page.get_by_role("button", name="Revoke…").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator(".errorlist")).to_contain_text("That is not this key's name")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.get_by_label("Type").fill(key.name)
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator(".messagelist")).to_contain_text("revoked. It stays as a record.")
    expect(page.locator(".tool")).to_have_count(0)
    key.refresh_from_db()
    assert key.status == "revoked"


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_noticed(page: Page, breach: str) -> None:
    witness = page.context.witness
    policy = {"Content-Security-Policy": "; ".join(POLICY)}
    page.route(
        "**/breach/",
        lambda route: route.fulfill(content_type="text/html", headers=policy, body=BREACHES[breach]),
    )
    page.goto("/breach/")
    assert witness.complaints
    witness.complaints.clear()


def test_a_page_without_the_policy_is_noticed(page: Page) -> None:
    page.route("**/bare/", lambda route: route.fulfill(content_type="text/html", body="<p>Bare</p>"))
    page.goto("/bare/")
    assert page.context.witness.complaints == [f"policy of {page.url}: none"]
    page.context.witness.complaints.clear()
