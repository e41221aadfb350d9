"""Second factors walked in the browser: passkeys, authenticator app, recovery codes, and the question for proof."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import CDPSession, Page, expect

from keys.models import ApiKey, User
from tests.authenticators import factors_of, totp_code
from tests.browser import axe, console
from tests.browser.conftest import Browse
from tests.browser.product import Product
from tests.factories import PASSWORD, ApiKeyFactory, MerchantFactory, UserFactory
from tests.sessions import lapse

pytestmark = pytest.mark.browser

LAPSED = settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 60
# A device that keeps passkeys and knows its owner by a finger.
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def by_name(browse: Browse, product: Product) -> Callable[..., Page]:
    """A browser at the host name `localhost`: a passkey belongs to a name, and 127.0.0.1 is none."""

    def open_page(**options: object) -> Page:
        return browse(person=None, base_url=product.url.replace("127.0.0.1", "localhost"), **options)

    return open_page


def device(page: Page) -> CDPSession:
    """Give the browser a virtual authenticator; returns the session that can ask it questions."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    authenticator = session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    session.authenticator = authenticator["authenticatorId"]
    return session


def sign_in(page: Page, person: User) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill(person.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def expect_signed_in(page: Page) -> None:
    expect(page.get_by_role("heading", name="Merchants", level=1)).to_be_visible()


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()


def add_passkey(page: Page) -> None:
    page.goto("/profile/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("Work laptop")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes", level=1)).to_be_visible()


def test_a_passkey_signs_in_by_itself_and_as_the_second_step(by_name: Callable[..., Page]) -> None:
    person = UserFactory(operator=True)
    page = by_name()
    phone = device(page)
    sign_in(page, person)
    expect_signed_in(page)
    add_passkey(page)
    page.goto("/profile/")
    security = page.get_by_role("region", name="Security")
    expect(security).to_contain_text("Work laptop")
    expect(security).to_contain_text("10 codes left")
    [kept] = phone.send("WebAuthn.getCredentials", {"authenticatorId": phone.authenticator})["credentials"]
    assert kept["isResidentCredential"]
    assert kept["rpId"] == "localhost"

    sign_out(page)
    page.goto("/merchants/?q=north")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile(r"/merchants/\?q=north$"))

    sign_out(page)
    sign_in(page, person)
    expect(page.get_by_role("heading", name="Second step", level=1)).to_be_visible()
    axe.expect_nothing_found(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect_signed_in(page)


def test_a_passkey_is_renamed_and_removed(by_name: Callable[..., Page]) -> None:
    person = UserFactory(operator=True)
    page = by_name()
    phone = device(page)
    sign_in(page, person)
    expect_signed_in(page)
    add_passkey(page)
    page.goto("/profile/")
    page.get_by_role("link", name="Rename Work laptop").click()
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("link", name="Remove Old laptop").click()
    page.get_by_role("button", name="Remove").click()
    expect(console.message(page, "Passkey removed.")).to_be_visible()
    assert factors_of(person) == set()

    # The device still has it: it opens nothing any more.
    sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("status")).to_contain_text("Incorrect code")
    assert phone.send("WebAuthn.getCredentials", {"authenticatorId": phone.authenticator})["credentials"]


def test_who_cancels_is_told_and_can_try_again(by_name: Callable[..., Page]) -> None:
    page = by_name()
    phone = device(page)
    page.goto("/accounts/login/")
    phone.send("WebAuthn.setUserVerified", {"authenticatorId": phone.authenticator, "isUserVerified": False})
    button = page.get_by_role("button", name="Use a passkey")
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
    expect(button).to_be_enabled()


def test_at_an_address_without_a_name_the_profile_says_why_there_are_no_passkeys(page: Page) -> None:
    page.goto("/profile/")
    security = page.get_by_role("region", name="Security")
    expect(security).to_contain_text("They need a host name: use http://localhost:")
    expect(security.get_by_role("link", name="Add a passkey")).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False])
def test_an_authenticator_app_and_recovery_codes_with_and_without_scripts(
    browse: Browse, scripts: bool
) -> None:
    person = UserFactory(operator=True)
    page = browse(person=None, java_script_enabled=scripts)
    sign_in(page, person)
    page.goto("/profile/")
    page.get_by_role("link", name="Set up an authenticator app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = page.locator("code").inner_text()
    page.get_by_label("Authenticator code").fill(totp_code(secret))
    page.get_by_role("button", name="Turn on").click()
    listed = page.get_by_role("list", name="Unused recovery codes").get_by_role("listitem")
    expect(listed).to_have_count(10)
    codes = listed.all_inner_texts()

    sign_out(page)
    sign_in(page, person)
    page.goto("/merchants/")  # Half a sign-in opens nothing.
    expect(page.get_by_role("heading", name="Second step", level=1)).to_be_visible()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    page.get_by_label("Code").fill(totp_code(secret))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect_signed_in(page)

    sign_out(page)
    sign_in(page, person)
    page.get_by_label("Code").fill(codes[3])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect_signed_in(page)
    page.goto("/profile/")
    expect(page.get_by_role("region", name="Security")).to_contain_text("9 codes left")
    page.get_by_role("link", name="Show codes").click()
    expect(page.get_by_text(codes[3])).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_long_form_outlives_the_question_for_proof(browse: Browse, scripts: bool) -> None:
    merchant = MerchantFactory()
    page = browse(person=UserFactory(operator=True), seconds_ago=LAPSED, java_script_enabled=scripts)
    page.goto(f"{console.developers(merchant)}new/")
    page.get_by_label("Key name").fill("Carefully typed")
    page.get_by_label("Description").fill("One line\n\nand another")
    page.get_by_role("radio", name="Live mode").check()
    console.choose_permission(page, "Payments", "Write")
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_role("heading", name="Confirm that it is you", level=1)).to_be_visible()
    if scripts:
        axe.expect_nothing_found(page)
    assert not ApiKey.objects.filter(merchant=merchant).exists()
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Confirm and go on").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not your password.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm and go on").click()
    expect(page.get_by_role("heading", name="API key created", level=1)).to_be_visible()
    key = ApiKey.objects.get(merchant=merchant)
    assert (key.name, key.description) == ("Carefully typed", "One line\n\nand another")


def test_a_passkey_is_proof_too(by_name: Callable[..., Page]) -> None:
    person = UserFactory(operator=True)
    key = ApiKeyFactory(disabled=True)
    page = by_name()
    device(page)
    sign_in(page, person)
    expect_signed_in(page)
    add_passkey(page)
    forget_proof(page)
    page.goto(f"{console.api_key_page(key)}revoke/")
    page.get_by_label("to confirm").fill(key.name)
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(console.message(page, "revoked")).to_be_visible()


def test_htmx_asks_in_a_dialog_and_comes_back(browse: Browse) -> None:
    key = ApiKeyFactory(disabled=True)
    page = browse(person=UserFactory(operator=True), seconds_ago=LAPSED)
    page.goto(f"{console.developers(key.merchant)}?status=disabled")
    page.locator("summary").filter(has_text="account menu").focus()
    page.evaluate(
        """([address, name]) => htmx.ajax("POST", address, {
            values: {confirm: name, csrfmiddlewaretoken: document.querySelector("[name=csrfmiddlewaretoken]").value},
            target: "#grid",
        })""",
        [f"{console.api_key_page(key)}revoke/", key.name],
    )
    dialog = page.get_by_role("dialog", name="Confirm that it is you")
    expect(dialog).to_be_visible()
    axe.expect_nothing_found(page)
    expect(console.row(page, key.name)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    key.refresh_from_db()
    assert key.is_disabled


def forget_proof(page: Page) -> None:
    """Let the sign-in of this browser be too long ago to be proof."""
    [session_key] = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    lapse(session_key)
