"""The pages on which people look after their sign-in, for the same tests as those of tests.browser.views."""

import time

from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import override_settings
from playwright.sync_api import Page, expect

from keys.console.attempts import ACTION, APP, STRANGER
from keys.console.email_change import token_for
from keys.models import User
from tests.authenticators import give_recovery_codes, give_totp
from tests.browser import console
from tests.browser.scene import LONGEST_EMAIL, UNBREAKABLE, Scene
from tests.browser.views import CLERK, NOBODY, at, view
from tests.factories import PASSWORD, UserFactory
from tests.sessions import lapse

GUARDED = "guarded"  # With an authenticator app and recovery codes.
KEYED = "keyed"  # With a passkey whose name is as long as names are.
HASTY = "hasty"  # Who gives proof too often.


def guarded() -> User:
    person = UserFactory(operator=True, username=GUARDED)
    give_totp(person)
    give_recovery_codes(person)
    return person


def keyed() -> User:
    """Nobody can sign in with this passkey; it can be looked at."""
    person = UserFactory(operator=True)
    data = {"name": UNBREAKABLE, "credential": {}}
    Authenticator.objects.create(user=person, type=Authenticator.Type.WEBAUTHN, data=data)
    return person


def passkey() -> Authenticator:
    found = Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN, data__name=UNBREAKABLE)
    return found.latest("pk")


def passkey_address(step: str) -> str:
    return f"/accounts/passkeys/{passkey().pk}/{step}/"


def confirm_address() -> str:
    return f"/profile/email/{token_for(passkey().user, LONGEST_EMAIL.format('new'))}/"


at("authenticator app", lambda scene: "/accounts/authenticator-app/", "Authenticator app")
at("remove the app", lambda scene: "/accounts/authenticator-app/remove/", "Remove", person=GUARDED)
at("add a passkey", lambda scene: "/accounts/passkeys/new/", "Add a passkey")
at("rename a passkey", lambda scene: passkey_address("rename"), "Rename passkey", person=KEYED)
at("remove a passkey", lambda scene: passkey_address("remove"), "Remove", person=KEYED)
at("profile with a passkey", lambda scene: "/profile/", "Profile", person=KEYED)
at("profile with an app", lambda scene: "/profile/", "Profile", person=GUARDED)
at("recovery codes", lambda scene: "/accounts/recovery-codes/", "Recovery codes", person=GUARDED)
at("new recovery codes", lambda scene: "/accounts/recovery-codes/new/", "New recovery codes", person=GUARDED)
at("change e-mail address", lambda scene: "/profile/email/", "Change e-mail address")
at("change e-mail address, not by oneself", lambda scene: "/profile/email/", "Change e-mail", person=CLERK)
at("confirm e-mail address", lambda scene: confirm_address(), "Is ", person=KEYED)
at("e-mail link that has ended", lambda scene: "/profile/email/x/", "This link does not work")
at("sessions", lambda scene: "/accounts/sessions/", "Sessions")
at("confirm with a code", lambda scene: "/accounts/reauthenticate/", "Confirm that", person=GUARDED)
at("confirmed elsewhere", lambda scene: "/accounts/reauthenticate/done/", "It is you")
at("sign-in elsewhere failed", lambda scene: "/accounts/sso-failed/", "That did not work", person=NOBODY)


@view("authenticator app, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto("/accounts/authenticator-app/")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("Enter the code that the app shows.")).to_be_visible()


@view("proof asked for", person=GUARDED)
def _(page: Page, scene: Scene) -> None:
    page.goto(f"{console.api_key_page(scene.disabled)}revoke/")
    [session_key] = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    lapse(session_key)
    page.get_by_label("to confirm").fill(scene.disabled.name)
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_role("button", name="Confirm and go on").click()
    expect(page.get_by_role("alert")).to_contain_text("Give proof that it is you.")


def sign_in_as(page: Page, name: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def used_up(action: str, **whose: object) -> None:
    """Let whoever counts attempts have counted as many as there may be, without anybody making them."""
    with override_settings(CACHES={"default": {"BACKEND": "keys.console.cache.DatabaseCache"}}):
        for rate in ratelimit.get_rates(app=APP, action=action):
            if rate.per in {"key", "user"}:
                counted = ratelimit.get_cache_key(None, app=APP, action=action, rate=rate, **whose)
                cache.set(counted, [time.time()] * rate.amount, rate.duration)


@view("too many wrong passwords", person=NOBODY)
def _(page: Page, scene: Scene) -> None:
    used_up(ACTION, key=f"{UNBREAKABLE.casefold()}\n{STRANGER}")
    sign_in_as(page, UNBREAKABLE)
    expect(page.get_by_role("heading", level=1, name="Too many wrong passwords")).to_be_visible()


@view("proof given too often", person=HASTY)
def _(page: Page, scene: Scene) -> None:
    page.goto("/accounts/reauthenticate/")
    used_up("reauthenticate", user=User.objects.get(username=HASTY))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", level=1, name="That was tried too often")).to_be_visible()


@view("second step", person=NOBODY)
def _(page: Page, scene: Scene) -> None:
    sign_in_as(page, GUARDED)
    expect(page.get_by_role("heading", level=1, name="Second step")).to_be_visible()


@view("second step, refused", person=NOBODY)
def _(page: Page, scene: Scene) -> None:
    sign_in_as(page, GUARDED)
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()


@view("change e-mail address, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto("/profile/email/")
    page.get_by_label("New e-mail address").fill(UNBREAKABLE)
    page.get_by_role("button", name="Change e-mail address").click()
    expect(page.get_by_text("That is not an e-mail address.")).to_be_visible()
