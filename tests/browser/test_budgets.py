"""What a page weighs over the wire, compressed, in kilobytes of 1,000."""

import re
import urllib.request

import pytest
from playwright.sync_api import Page

from tests.browser import console
from tests.browser.product import Product
from tests.browser.scene import Scene

pytestmark = pytest.mark.browser

BUDGETS_KB = {"css": 12, "our scripts": 8, "htmx": 17}


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_page_keeps_its_budgets(page: Page, product: Product, scene: Scene, encoding: str) -> None:
    page.goto(console.developers(scene.merchant))
    weights_kb = dict.fromkeys(BUDGETS_KB, 0.0)
    for address in page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)"):
        kind = kind_of(address)
        if kind:
            weights_kb[kind] += len(fetch(address, encoding)) / 1000
    assert all(weights_kb.values()), weights_kb
    assert [kind for kind, weight in weights_kb.items() if weight > BUDGETS_KB[kind]] == [], weights_kb


def kind_of(address: str) -> str:
    if address.endswith(".css"):
        return "css"
    if re.search(r"/static/js/[^/]+\.js$", address):
        return "our scripts"
    assert not address.endswith(".js") or "htmx" in address
    return "htmx" if address.endswith(".js") else ""


def fetch(address: str, encoding: str) -> bytes:
    request = urllib.request.Request(address, headers={"Accept-Encoding": encoding})
    with urllib.request.urlopen(request) as response:
        assert response.headers["Content-Encoding"] == encoding
        assert "immutable" in response.headers["Cache-Control"]
        return response.read()
