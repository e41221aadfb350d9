"""Take the pictures in docs/screenshots/ anew: `make screenshots`, on a fresh start with demo data.

The pictures are drawn with the fonts of this machine: Inter and JetBrains Mono where they are installed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import django
from playwright.sync_api import Browser, Page, sync_playwright

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from tests.browser.chromium import find  # noqa: E402
from tests.browser.product import Product, free_port, wait_for_answer  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "screenshots"
PASSWORD = "for-these-pictures-only"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        product = Product(f"http://127.0.0.1:{port}")
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
            "DATA_DIR": directory,
            "PORT": str(port),
            "DJANGO_SUPERUSER_USERNAME": "maya.okafor",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        log = Path(directory) / "serve.log"
        with log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
            try:
                wait_for_answer(product, server, log)
                take_all(product.url)
            finally:
                server.terminate()
                server.wait()


def take_all(url: str) -> None:
    executable = find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-background-networking"]
        )
        try:
            for theme in ("light", "dark"):
                take_desktop(browser, url, theme)
                take_phone(browser, url, theme)
        finally:
            browser.close()


def take_desktop(browser: Browser, url: str, theme: str) -> None:
    page = open_page(browser, url, theme, DESKTOP)
    shoot(page, f"merchants-{theme}")
    merchant = open_northwind(page)
    shoot(page, f"developers-{theme}")
    page.get_by_role("link", name="Payouts worker").click()
    shoot(page, f"key-{theme}", whole=True)
    page.goto(f"{merchant}requests/")
    shoot(page, f"requests-{theme}")
    page.goto(f"{merchant}developers/new/")
    page.get_by_label("Key name").fill("Marketplace sync")
    page.get_by_role("button", name="Accept payments").click()
    shoot(page, f"new-key-{theme}", whole=True)
    page.context.close()


def take_phone(browser: Browser, url: str, theme: str) -> None:
    page = open_page(browser, url, theme, PHONE)
    open_northwind(page)
    shoot(page, f"developers-phone-{theme}")
    page.context.close()


def open_page(browser: Browser, url: str, theme: str, viewport: dict[str, int]) -> Page:
    page = browser.new_context(viewport=viewport, color_scheme=theme, base_url=url).new_page()
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill("maya.okafor")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/merchants/")
    return page


def open_northwind(page: Page) -> str:
    """Go to the Developers tab of the account that the pictures are of; returns the account's address."""
    page.goto("/merchants/?q=northwind")
    page.get_by_role("link", name="Northwind Outfitters").click()
    page.wait_for_load_state()
    address = page.url
    page.goto(f"{address}developers/")
    return address


def shoot(page: Page, name: str, *, whole: bool = False) -> None:
    page.wait_for_load_state("load")
    page.screenshot(path=TARGET / f"{name}.png", full_page=whole)


if __name__ == "__main__":
    main()
