"""Every page of the console in every state worth looking at, in the scene of tests/browser/scene.py.

Accessibility, small screens, themes and the content security policy are tested on all of them. `VIEWS` maps a name to
the person who looks and the steps that bring a page there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from django.utils import timezone
from playwright.sync_api import Page, expect

from keys import lifecycle
from keys.history import Actor
from keys.models import (
    ApiKey,
    Change,
    Merchant,
    RecordingLoss,
    Verifier,
)
from tests.browser import console
from tests.browser.product import OPERATOR
from tests.browser.scene import UNBREAKABLE, Scene
from tests.factories import (
    AcknowledgementFactory,
    ApiKeyFactory,
    VerifierFactory,
    use,
)

NOBODY = "nobody"
CLERK = "clerk"  # Signed in, and not staff.
NEWCOMER = "newcomer"  # Signed in from elsewhere, without a password here.


@dataclass(frozen=True, slots=True)
class View:
    person: str
    show: Callable[[Page, Scene], None]


VIEWS: dict[str, View] = {}
_numbers = count(1)


def view(name: str, *, person: str = OPERATOR) -> Callable[[Callable[[Page, Scene], None]], None]:
    def register(show: Callable[[Page, Scene], None]) -> None:
        VIEWS[name] = View(person, show)

    return register


def at(name: str, address: Callable[[Scene], str], heading: str = "", *, person: str = OPERATOR) -> None:
    """Register a page that is simply opened; where `heading` is given, its h1 begins with it."""

    def show(page: Page, scene: Scene) -> None:
        page.goto(address(scene))
        expect(page.get_by_role("heading", level=1, name=re.compile(f"^{heading}"))).to_be_visible()

    VIEWS[name] = View(person, show)


def new_name() -> str:
    return f"Key of a view {next(_numbers)}"


def new_key_address(scene: Scene) -> str:
    return f"{console.developers(scene.empty)}new/"


at("sign in", lambda scene: "/accounts/login/", "Sign in", person=NOBODY)
at("sign-up is closed", lambda scene: "/accounts/signup/", "Sign-up is closed", person=NOBODY)
at("sign out", lambda scene: "/accounts/logout/", "Sign out")
at("confirm that it is you", lambda scene: "/accounts/reauthenticate/", "Confirm that it is you")
at("change password", lambda scene: "/accounts/password/change/", "Change password")
at("account is inactive", lambda scene: "/accounts/inactive/", person=NOBODY)
at("set password", lambda scene: "/accounts/password/set/", "Set password", person=NEWCOMER)
at("nothing there", lambda scene: "/nothing/", "There is nothing", person=NOBODY)
at("not allowed", lambda scene: "/components/", "You may not do that", person=CLERK)
at("wrong method", lambda scene: f"{console.api_key_page(scene.enabled)}disable/")
at("server error", lambda scene: scene.broken_request_address, "Something went wrong")
at("merchants", lambda scene: "/merchants/", "Merchants")
at("merchants, no match", lambda scene: "/merchants/?q=zzzzzz&status=disabled", "Merchants")
at("new merchant account", lambda scene: "/merchants/new/", "New merchant account")
at("merchant account", lambda scene: f"/merchants/{scene.merchant.public_id}/")
at("disabled merchant account", lambda scene: f"/merchants/{scene.disabled_merchant.public_id}/")
at("developers", lambda scene: console.developers(scene.merchant))
at("developers, no keys", lambda scene: console.developers(scene.empty))
at("developers, no match", lambda scene: f"{console.developers(scene.merchant)}?q={UNBREAKABLE}x")
at("developers of a disabled merchant", lambda scene: console.developers(scene.disabled_merchant))
at("new API key", new_key_address, "New API key")
at("duplicate", lambda scene: f"{console.api_key_page(scene.enabled)}duplicate/", "New API key")
at("enabled API key", lambda scene: console.api_key_page(scene.enabled))
at("disabled API key", lambda scene: console.api_key_page(scene.disabled))
at("revoked API key", lambda scene: console.api_key_page(scene.revoked))
at("expired API key", lambda scene: console.api_key_page(scene.expired))
at("revoke", lambda scene: f"{console.api_key_page(scene.disabled)}revoke/", "Revoke")
at("revoke, key still enabled", lambda scene: f"{console.api_key_page(scene.enabled)}revoke/", "Revoke")
at("requests", lambda scene: f"/merchants/{scene.merchant.public_id}/requests/?path=/v1/payments/")
at("requests, none yet", lambda scene: f"/merchants/{scene.empty.public_id}/requests/")
at("request", lambda scene: scene.request_address)
at("history", lambda scene: f"/merchants/{scene.merchant.public_id}/history/?verify=1")
at(
    "history, filtered",
    lambda scene: f"/merchants/{scene.merchant.public_id}/history/?action=key.created&since=x",
)
at("history of an API key", lambda scene: f"{console.api_key_page(scene.disabled)}history/", "History of")
at("platform history", lambda scene: "/history/", "Platform history")
at("profile", lambda scene: "/profile/", "Profile")
at("components", lambda scene: "/components/", "Components")


at("merchant accounts of nobody", lambda scene: "/merchants/", "Merchants", person=CLERK)
at("not allowed to do it", lambda scene: "/merchants/new/", "You may not create", person=CLERK)
at("people", lambda scene: "/people/", "People")
at("people, no match", lambda scene: "/people/?q=zzzzzz&role=team", "People")
at("person", lambda scene: f"/people/{scene.owner.pk}/")
at("deactivated person", lambda scene: f"/people/{scene.member.user_id}/")
at("invite a person", lambda scene: "/people/invite/", "Invite a person")
at("team", lambda scene: team_address(scene.merchant))
at("team, nobody yet", lambda scene: team_address(scene.empty))
at("invite to the team", lambda scene: f"{team_address(scene.merchant)}invite/", "Invite to the team")
at(
    "remove from the team",
    lambda scene: f"{team_address(scene.merchant)}{scene.member.public_id}/remove/",
    "Remove",
)
at("join", lambda scene: f"/join/{scene.invitation.token}/", "Join", person=NOBODY)
at(
    "join as somebody else",
    lambda scene: f"/join/{scene.invitation.token}/",
    "This invitation is for",
    person=CLERK,
)


def team_address(merchant: Merchant) -> str:
    return f"/merchants/{merchant.public_id}/team/"


@view("invite a person, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto("/people/invite/")
    page.get_by_label("E-mail address").fill("nobody")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_role("alert")).to_be_visible()


@view("join, refused", person=NOBODY)
def _(page: Page, scene: Scene) -> None:
    page.goto(f"/join/{scene.invitation.token}/")
    page.get_by_label("User name").fill("a b")
    page.get_by_label("Password", exact=True).fill("12345678")
    page.get_by_role("button", name="Create account and join").click()
    expect(page.get_by_role("alert")).to_be_visible()


@view("sign in, refused", person=NOBODY)
def _(page: Page, scene: Scene) -> None:
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Enter your")).to_have_count(2)


@view("open for too long")
def _(page: Page, scene: Scene) -> None:
    page.goto("/profile/")
    page.evaluate(
        "document.querySelectorAll('[name=csrfmiddlewaretoken]').forEach((token) => token.remove())"
    )
    page.get_by_role("button", name="Save profile").click()
    expect(page.get_by_role("heading", name="This page had been open for too long")).to_be_visible()


@view("change password, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto("/accounts/password/change/")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Enter your current password.")).to_be_visible()


@view("new merchant account, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto("/merchants/new/")
    page.get_by_label("Name", exact=True).fill(scene.merchant.name)
    page.get_by_label("Website").fill("not a website")
    page.get_by_role("button", name="Create merchant account").click()
    expect(page.get_by_role("alert")).to_be_focused()


@view("developers, second page")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.developers(scene.chain))
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("link", name="Previous")).to_be_visible()


@view("developers, menu open")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.developers(scene.merchant))
    console.open_menu(page, UNBREAKABLE)


@view("developers, key disabled")
def _(page: Page, scene: Scene) -> None:
    key = ApiKeyFactory(merchant=scene.merchant, name=f"{UNBREAKABLE[:60]} {next(_numbers)}")
    use(key, succeeded=1)
    page.goto(console.developers(scene.merchant))
    console.open_menu(page, key.name).get_by_role("button", name="Disable").click()
    expect(console.message(page, "It made 1 request in the last hour.")).to_be_visible()


@view("account menu open")
def _(page: Page, scene: Scene) -> None:
    page.goto("/merchants/")
    page.locator("summary").filter(has_text="account menu").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@view("shortcuts")
def _(page: Page, scene: Scene) -> None:
    page.goto("/merchants/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


@view("clipboard refused")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.developers(scene.merchant))
    page.evaluate("() => { navigator.clipboard.write = () => Promise.reject(new Error('not allowed')) }")
    page.get_by_role("button", name=f"Copy key {UNBREAKABLE}").click()
    expect(page.get_by_role("dialog", name="Copy it yourself")).to_be_visible()


@view("copy without scripts")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.api_key_page(scene.enabled))
    send_form(page, f"{console.api_key_page(scene.enabled)}copy/")
    expect(page.get_by_role("heading", name="Copy key", level=1)).to_be_visible()


def send_form(page: Page, address: str) -> None:
    """Post a form of the page to `address`, as a browser without scripts would do it."""
    page.evaluate(
        """address => {
            const form = document.querySelector("form[method='post']");
            form.action = address;
            form.submit();
        }""",
        address,
    )


@view("new API key, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto(new_key_address(scene))
    page.get_by_role("heading", name="Limits").click()
    page.get_by_label("Expires").fill("2020-01-01T00:00")
    page.get_by_label("Allowed networks").fill(UNBREAKABLE)
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_role("alert")).to_contain_text("3 things need your attention")


@view("API key created")
def _(page: Page, scene: Scene) -> None:
    page.goto(new_key_address(scene))
    page.get_by_label("Key name").fill(new_name())
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_role("heading", name="API key created", level=1)).to_be_visible()


@view("API key, changed by somebody else")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.api_key_page(scene.expired))
    page.evaluate("document.querySelector('[name=revision]').value = 999")
    page.get_by_label("Description").fill(UNBREAKABLE)
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("alert")).to_contain_text("saved this key while you were editing it.")


@view("API key, chart as a table")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.api_key_page(scene.enabled))
    page.get_by_text("Show as a table").click()
    expect(page.get_by_role("table", name="Requests by hour")).to_be_visible()


def refused_key(scene: Scene, *, ended: bool) -> tuple[ApiKey, list[Verifier]]:
    """A key that three verifiers with the longest of names are concerned by; one has not answered.

    With `ended`, nothing more is expected of it. Else the verifiers are concerned by whatever happens from now on, too:
    delete them.
    """
    key = ApiKeyFactory(merchant=scene.merchant, name=f"{UNBREAKABLE[:60]} {next(_numbers)}")
    use(key, succeeded=1)
    change = disabled(key)
    at = change.at - timedelta(minutes=2) if ended else change.at
    Change.objects.filter(pk=change.pk).update(at=at)
    lease_ms = 1 if ended else 3_600_000
    hosts = (UNBREAKABLE, f"{UNBREAKABLE}.{UNBREAKABLE}", "web-3")
    verifiers = [VerifierFactory(host=host, started_at=at, seen_at=at, lease_ms=lease_ms) for host in hosts]
    for verifier in verifiers[1:]:
        AcknowledgementFactory(change=change, verifier=verifier, at=at + timedelta(milliseconds=41))
    return key, verifiers


def disabled(key: ApiKey) -> Change:
    lifecycle.disable(key=key, actor=Actor.command("browser tests"))
    return Change.objects.filter(subject_id=key.pk).latest("id")


@view("API key, refused by all that could")
def _(page: Page, scene: Scene) -> None:
    key, _ = refused_key(scene, ended=True)
    page.goto(console.api_key_page(key))
    page.get_by_text("Show verifiers").click()
    expect(page.get_by_role("table", name="Verifiers")).to_be_visible()


@view("API key, not yet refused by all")
def _(page: Page, scene: Scene) -> None:
    key, verifiers = refused_key(scene, ended=False)
    # What asks each second is told that nothing has changed.
    page.route("**/?waiting=1", lambda route: route.fulfill(status=204))
    page.goto(console.api_key_page(key))
    expect(page.get_by_role("region", name="Refusal")).to_contain_text("has not answered")
    Verifier.objects.filter(pk__in=[verifier.pk for verifier in verifiers]).delete()


@view("API key, accepted nevertheless")
def _(page: Page, scene: Scene) -> None:
    key, _ = refused_key(scene, ended=True)
    use(key, succeeded=1, at=timezone.now())
    page.goto(console.api_key_page(key))
    expect(page.get_by_role("alert")).to_contain_text(
        re.compile(r"A request was accepted (119 seconds|2 minutes) later than that")
    )


@view("developers, figures that lack requests")
def _(page: Page, scene: Scene) -> None:
    loss = RecordingLoss.objects.create(requests=98_765_432, host=UNBREAKABLE, reason="spool_full")
    page.goto(console.developers(scene.chain))
    expect(page.get_by_text("98,765,432 requests could not be recorded")).to_be_visible()
    loss.delete()


@view("revoke dialog")
def _(page: Page, scene: Scene) -> None:
    page.goto(console.api_key_page(scene.disabled))
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()


@view("revoke, refused")
def _(page: Page, scene: Scene) -> None:
    page.goto(f"{console.api_key_page(scene.disabled)}revoke/")
    page.get_by_label("to confirm").fill(UNBREAKABLE)
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_role("alert")).to_be_focused()
