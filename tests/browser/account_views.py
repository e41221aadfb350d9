"""The pages on which people look after their sign-in, for the same tests as those of tests.browser.views."""

from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from keys.models import User
from tests.authenticators import give_recovery_codes, give_totp
from tests.browser import console
from tests.browser.scene import UNBREAKABLE, Scene
from tests.browser.views import at, view
from tests.factories import UserFactory
from tests.sessions import lapse

GUARDED = "guarded"  # With an authenticator app and recovery codes.
KEYED = "keyed"  # With a passkey whose name is as long as names are.


def guarded() -> User:
    person = UserFactory(operator=True)
    give_totp(person)
    give_recovery_codes(person)
    return person


def keyed() -> User:
    """Nobody can sign in with this passkey; it can be looked at."""
    person = UserFactory(operator=True)
    data = {"name": UNBREAKABLE, "credential": {}}
    Authenticator.objects.create(user=person, type=Authenticator.Type.WEBAUTHN, data=data)
    return person


def passkey_address(step: str) -> str:
    found = Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN, data__name=UNBREAKABLE)
    return f"/accounts/passkeys/{found.latest('pk').pk}/{step}/"


at("authenticator app", lambda scene: "/accounts/authenticator-app/", "Authenticator app")
at("remove the app", lambda scene: "/accounts/authenticator-app/remove/", "Remove", person=GUARDED)
at("add a passkey", lambda scene: "/accounts/passkeys/new/", "Add a passkey")
at("rename a passkey", lambda scene: passkey_address("rename"), "Rename passkey", person=KEYED)
at("remove a passkey", lambda scene: passkey_address("remove"), "Remove", person=KEYED)
at("profile with a passkey", lambda scene: "/profile/", "Profile", person=KEYED)
at("profile with an app", lambda scene: "/profile/", "Profile", person=GUARDED)
at("recovery codes", lambda scene: "/accounts/recovery-codes/", "Recovery codes", person=GUARDED)
at("new recovery codes", lambda scene: "/accounts/recovery-codes/new/", "New recovery codes", person=GUARDED)
at("sessions", lambda scene: "/accounts/sessions/", "Sessions")
at("confirm with a code", lambda scene: "/accounts/reauthenticate/", "Confirm that", person=GUARDED)
at("confirmed elsewhere", lambda scene: "/accounts/reauthenticate/done/", "It is you")
at("sign-in elsewhere failed", lambda scene: "/accounts/sso-failed/", "That did not work", person="nobody")


@view("authenticator app, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto("/accounts/authenticator-app/")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("This field is required.")).to_be_visible()


@view("proof asked for", person=GUARDED)
def _(page: Page, scene: Scene) -> None:
    page.goto(f"{console.api_key_page(scene.disabled)}revoke/")
    [session_key] = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    lapse(session_key)
    page.get_by_label("to confirm").fill(scene.disabled.name)
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_role("button", name="Confirm and go on").click()
    expect(page.get_by_role("alert")).to_contain_text("Give proof that it is you.")
