"""Nothing comes from elsewhere and nothing is inline: the content security policy is 'self' on every page.

Every test of this suite fails where a page breaks that (tests/browser/witness.py), and every page is opened by one or
another. Here are the pages that no other test opens, and the proof that the witness sees what it is there to see.
"""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.views import Scene
from tests.browser.witness import POLICY

pytestmark = pytest.mark.browser

ADMIN_PAGES = (
    *("/admin/", "/admin/keys/merchant/", "/admin/keys/apikey/?q=till", "/admin/keys/requestlog/"),
    *("/admin/keys/historyentry/", "/admin/keys/user/", "/admin/keys/user/add/", "/admin/password_change/"),
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
    expect(page.get_by_role("link", name="Django administration")).to_be_visible()


def test_a_row_of_the_django_admin_keeps_the_policy(page: Page, scene: Scene) -> None:
    assert page.goto(f"/admin/keys/apikey/{scene.enabled.pk}/change/").status == 200
    expect(page.locator("#content")).to_contain_text(scene.enabled.masked)


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
