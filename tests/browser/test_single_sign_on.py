"""Single sign-on, and owing a second factor, walked in the browser against a server that is set up for both."""

import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.authenticators import totp_code
from tests.browser import axe
from tests.browser.conftest import DESKTOP, PATIENCE_MS
from tests.browser.product import OPERATOR, serving
from tests.browser.screen import expect_nothing_beyond
from tests.browser.witness import Witness
from tests.openid import CLIENT_ID, CLIENT_SECRET, running

pytestmark = pytest.mark.browser


def test_coming_in_from_elsewhere_and_setting_up_what_is_owed(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as provider:
        for name, value in {
            "OIDC_SERVER_URL": provider.url,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Example Login",
            "SECOND_FACTOR_REQUIRED": "1",
        }.items():
            monkeypatch.setenv(name, value)
        with serving(tmp_path) as product:
            with sqlite3.connect(tmp_path / "merchantadmin.sqlite3") as database:
                database.execute("UPDATE keys_user SET email = 'ada@example.com'")
            database.close()
            context = chromium.new_context(base_url=product.url, viewport=DESKTOP, reduced_motion="reduce")
            context.set_default_timeout(PATIENCE_MS)
            witness = Witness(product.url, context)
            witness.expect(f"request to another host: {provider.url}/authorize")
            page = context.new_page()

            provider.claims = {"sub": "1", "email": "stranger@example.com", "email_verified": True}
            page.goto("/merchants/?q=north")
            page.get_by_role("link", name="Continue with Example Login").click()
            expect(page.get_by_role("heading", name="Nobody here is known by that", level=1)).to_be_visible()
            axe.expect_nothing_found(page)

            provider.claims = {"sub": "2", "email": "Ada@example.com", "email_verified": True}
            page.goto("/merchants/?q=north")
            page.get_by_role("link", name="Continue with Example Login").click()
            expect(page.get_by_role("heading", name="Set up a second factor", level=1)).to_be_visible()
            axe.expect_nothing_found(page)
            expect_nothing_beyond(page)
            page.goto("/profile/")
            expect(page.get_by_role("heading", name="Set up a second factor", level=1)).to_be_visible()
            page.get_by_role("link", name="Set up an authenticator app").click()
            secret = page.locator("code").inner_text()
            page.get_by_label("Authenticator code").fill(totp_code(secret))
            page.get_by_role("button", name="Turn on").click()
            expect(page.get_by_role("heading", name="Recovery codes", level=1)).to_be_visible()
            page.goto("/merchants/?q=north")
            expect(page.get_by_role("heading", name="Merchants", level=1)).to_be_visible()

            page.goto("/accounts/reauthenticate/?next=/profile/")
            page.get_by_role("link", name="Sign in again with Example Login").click()
            expect(page.get_by_text(f"Signed in as {OPERATOR}")).to_be_visible()
            context.close()
        assert witness.complaints == []
