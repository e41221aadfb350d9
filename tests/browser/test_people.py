"""Somebody is invited, joins, works within the role, and goes: walked by three people in three browsers."""

import re
import time

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from keys.models import Merchant, User
from tests.browser import console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.factories import ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.browser

PASSWORD = "an uncommon sentence of words"


@pytest.fixture
def merchant(product: Product) -> Merchant:
    merchant = MerchantFactory(name="Team Outfitters")
    ApiKeyFactory(merchant=merchant, name="Checkout", permissions={"payments": "write"})
    ApiKeyFactory(merchant=merchant, name="Settlement", permissions={"payouts": "write"})
    return merchant


def test_an_owner_is_invited_and_invites_a_developer_who_sees_one_account_alone(
    browse: Browse, merchant: Merchant
) -> None:
    """The developer's browser runs no scripts."""
    administrator = browse()
    administrator.goto(f"/merchants/{merchant.public_id}/team/")
    invite(administrator, "owner@team.example", "Owner")
    owner = browse(person=None)
    join(owner, link_to("owner@team.example"), "team-owner")

    expect(owner).to_have_url(re.compile(f"/merchants/{merchant.public_id}/$"))
    owner.get_by_role("link", name="Team", exact=True).click()
    invite(owner, "developer@team.example", "Developer")
    developer = browse(person=None, java_script_enabled=False)
    join(developer, link_to("developer@team.example"), "team-developer")

    developer.get_by_role("link", name="Developers", exact=False).first.click()
    expect(developer.get_by_role("link", name="New API key")).to_be_visible()
    expect(console.row(developer, "Checkout").get_by_role("button", name="Copy key Checkout")).to_be_visible()
    expect(console.row(developer, "Settlement").get_by_role("button", name=re.compile("Copy"))).to_have_count(
        0
    )
    expect(developer.get_by_role("link", name="People")).to_have_count(0)
    developer.get_by_role("link", name="Team", exact=True).click()
    expect(developer.get_by_text("owner@team.example")).to_be_visible()
    expect(developer.get_by_role("button", name=re.compile("Save"))).to_have_count(0)

    owner.reload()
    owner.get_by_role("link", name="Remove team-developer").click()
    owner.get_by_role("button", name="Remove").click()
    expect(console.message(owner, "is not in this team any more")).to_be_visible()
    developer.context.witness.expect("404")
    developer.reload()
    expect(developer.get_by_role("heading", name="There is nothing at this address")).to_be_visible()


def test_who_is_deactivated_is_signed_out_at_once(browse: Browse) -> None:
    administrator = browse()
    administrator.goto("/people/")
    invite(administrator, "viewer@team.example", "Viewer")
    viewer = browse(person=None)
    join(viewer, link_to("viewer@team.example"), "team-viewer")
    expect(viewer.get_by_role("heading", name="Merchants", level=1)).to_be_visible()
    expect(viewer.get_by_role("link", name="New merchant account")).to_have_count(0)

    administrator.goto("/people/?q=team-viewer")
    administrator.get_by_role("link", name="team-viewer", exact=True).click()
    administrator.get_by_role("button", name="Deactivate").click()
    expect(console.message(administrator, "signed out everywhere")).to_be_visible()
    viewer.reload()
    expect(viewer.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    administrator.get_by_role("button", name="Undo").click()
    expect(console.message(administrator, "can sign in again")).to_be_visible()
    viewer.goto("/merchants/")
    expect(viewer.get_by_role("heading", name="Sign in", level=1)).to_be_visible()


def invite(page: Page, email: str, role: str) -> None:
    page.get_by_role("link", name="Invite a person").first.click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label(re.compile(f"^{role}")).check()
    page.get_by_role("button", name="Send invitation").click()
    expect(console.message(page, f"Invitation sent to {email}")).to_be_visible()


def link_to(email: str) -> str:
    """From the mail, which this server, having no mail server, writes to its own output."""
    log = settings.DATA_DIR / "serve.log"
    for _ in range(50):
        letters = log.read_text().split("To: ")
        if found := [
            re.search(r"https?://[^/]+(/join/\S+)", each) for each in letters if each.startswith(email)
        ]:
            return found[-1][1]
        time.sleep(0.1)
    raise AssertionError(f"no mail to {email}")


def join(page: Page, link: str, username: str) -> None:
    page.goto(link)
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create account and join").click()
    expect(page.get_by_text("Your account is ready")).to_be_visible()
    assert User.objects.get(username=username).check_password(PASSWORD)
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_have_count(0)
