"""A running product, real Chromium, and profiles of people who are signed in.

This process works on the same data directory as the server, so tests/factories.py puts things in place behind the
server's back, and a test can look at what the console did to the database.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import global_settings, settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import connections
from django.test import Client, override_settings
from playwright.sync_api import Browser, Page, expect, sync_playwright

from keys.models import User
from tests import sessions
from tests.browser import chromium as installed
from tests.browser.account_views import GUARDED, HASTY, KEYED, guarded, keyed
from tests.browser.product import OPERATOR, Product, serving
from tests.browser.scene import Scene, set_scene
from tests.browser.views import CLERK, NEWCOMER, NOBODY, VIEWS
from tests.browser.witness import Witness
from tests.factories import PASSWORD, UserFactory

# Chromium has a process draw a list under the address bar for each window, which costs as much as the page does.
SUGGESTIONS = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup")
# Of a switch that is given twice the last counts: here is what Playwright turns off.
LEFT_OFF = (
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "LensOverlay", "MediaRouter"),
    *("HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "PaintHolding", "ThirdPartyStoragePartitioning"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "TcpPortRandomizationWin", "OptimizationHints", "AimEnabled"),
    *("NetworkTimeServiceQuerying", "PreconnectToSearch"),
)
ARGUMENTS = (
    f"--disable-features={','.join(SUGGESTIONS + LEFT_OFF)}",
    # There is none to be had: without this, one is imitated.
    "--disable-gpu",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 800}
# Two cores shared with a server and other work: what takes longer than this is stuck.
PATIENCE_MS = 25_000

StorageState = dict[str, Any]
Browse = Callable[..., Page]
Look = Callable[..., Page]


@pytest.fixture(scope="session")
def product(django_db_blocker: Any) -> Iterator[Product]:
    """The server. From here on this process may use its database, also while Playwright's event loop runs."""
    if os.environ.get("TEST_DATABASE", "sqlite") != "sqlite":
        pytest.exit("The browser tests run on SQLite: `make test-browser`.", returncode=1)
    with (
        pytest.MonkeyPatch.context() as patch,
        # The server checks passwords with the product's own hashers.
        override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS),
        serving(settings.DATA_DIR) as product,
        django_db_blocker.unblock(),
    ):
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield product
        connections.close_all()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    executable = installed.find()
    if executable is None:
        pytest.exit(installed.NONE_TO_BE_HAD, returncode=1)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def operator_state(chromium: Browser, product: Product) -> StorageState:
    """The operator's cookies after a sign-in through the form. Once in a session: sign-ins are rate-limited."""
    context = chromium.new_context(base_url=product.url)
    page = context.new_page()
    sign_in(page, OPERATOR)
    state: StorageState = context.storage_state()
    context.close()
    return state


@pytest.fixture
def browse(chromium: Browser, product: Product, operator_state: StorageState) -> Iterator[Browse]:
    """Open a page in a profile of its own: the operator's, another person's, or with `person=None` nobody's.

    Another person signed in `seconds_ago`. Further arguments are Playwright's for a context.
    `page.context.witness` has seen everything; at the end of the test it must have nothing to complain of.
    """
    witnesses = []
    with ExitStack() as stack:

        def open_page(*, person: User | str | None = OPERATOR, seconds_ago: int = 0, **options: Any) -> Page:
            if isinstance(person, User):
                state = signed_in(person, seconds_ago=seconds_ago)
            else:
                state = operator_state if person == OPERATOR else {}
            context = chromium.new_context(
                **{
                    "base_url": product.url,
                    "storage_state": state,
                    "viewport": DESKTOP,
                    "permissions": ["clipboard-read", "clipboard-write"],
                }
                | options
            )
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            context.witness = Witness(options.get("base_url", product.url), context)
            witnesses.append(context.witness)
            return context.new_page()

        yield open_page
    assert [complaint for witness in witnesses for complaint in witness.complaints] == []


@pytest.fixture(scope="session")
def scene(product: Product) -> Scene:
    return set_scene()


@pytest.fixture(scope="session")
def people(product: Product) -> dict[str, User | str | None]:
    """Those who look at the views, by the names that views call them."""
    return {
        OPERATOR: OPERATOR,
        NOBODY: None,
        CLERK: UserFactory(),
        NEWCOMER: UserFactory(password=UNUSABLE_PASSWORD_PREFIX),
        GUARDED: guarded(),
        KEYED: keyed(),
        HASTY: UserFactory(username=HASTY),
    }


@pytest.fixture
def look(browse: Browse, scene: Scene, people: dict[str, User | str | None]) -> Look:
    """Open a page at one of tests.browser.views; further arguments are Playwright's for a context."""

    def show(name: str, **options: Any) -> Page:
        view = VIEWS[name]
        page = browse(person=people[view.person], **options)
        if name == "server error":
            page.context.witness.expect("500")
        view.show(page, scene)
        return page

    return show


@pytest.fixture
def page(browse: Browse) -> Page:
    """The operator's browser, at 1280 pixels."""
    return browse()


def sign_in(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Merchants", level=1)).to_be_visible()


def signed_in(person: User, *, seconds_ago: int) -> StorageState:
    """The cookies of a person who signed in with a password `seconds_ago`, without passing through the form."""
    client = sessions.sign_in(Client(), person, seconds_ago=seconds_ago)
    cookie = {
        "name": settings.SESSION_COOKIE_NAME,
        "value": client.session.session_key,
        "domain": "127.0.0.1",
        "path": "/",
        "expires": -1,
        "httpOnly": True,
        "secure": False,
        "sameSite": "Lax",
    }
    return {"cookies": [cookie], "origins": []}
