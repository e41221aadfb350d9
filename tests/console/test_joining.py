"""Invitations: sent, sent again, withdrawn; and what a link does for whoever opens it."""

import re
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
import time_machine
from django.core import mail
from django.core.mail import get_connection
from django.test import Client
from django.utils import timezone

from keys import access, invitations, people
from keys.errors import InvalidField, InvitationEnded
from keys.invitations import InvitationToken
from keys.keyformat import scrub
from keys.models import HistoryEntry, Invitation, Merchant, User
from keys.models.access import PlatformRole
from tests.console.page import messages_of, page_of
from tests.factories import PASSWORD, ActorFactory, InvitationFactory, UserFactory
from tests.mail import FAILURES
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "an uncommon sentence of words"
ACCOUNT = {
    "username": "grace",
    "first_name": "Grace",
    "last_name": "Hopper",
    "password1": NEW_PASSWORD,
    "password2": NEW_PASSWORD,
}


def address_of(invitation: Invitation) -> str:
    return f"/join/{invitation.token}/"


def link_in_mail() -> str:
    [letter] = mail.outbox
    return re.search(r"http://[^/]+(/join/\S+/)\n", letter.body)[1]


def test_an_invited_person_makes_an_account_and_has_the_role(console: Client, operator: User) -> None:
    sent = console.post("/people/invite/", {"email": " Grace@Navy.example ", "role": "operator"}, follow=True)
    assert messages_of(page_of(sent)) == ["Invitation sent to Grace@navy.example. It works for 7 days, once."]
    [letter] = mail.outbox
    assert letter.to == ["Grace@navy.example"]
    assert letter.subject == "You are invited to Merchant Admin"
    assert f"{operator.display_name} invites you to Merchant Admin, as Operator." in letter.body
    link, stranger = link_in_mail(), Client()

    form = page_of(stranger.get(link)).one("form", method="post")
    assert "Grace@navy.example" in form.parent.text
    response = stranger.post(link, form.values() | ACCOUNT)

    assert response["Location"] == "/accounts/login/"
    grace = User.objects.get(username="grace")
    assert (grace.email, grace.display_name, grace.is_superuser) == (
        "Grace@navy.example",
        "Grace Hopper",
        False,
    )
    assert access.role_of(grace) is PlatformRole.OPERATOR
    signed = stranger.post("/accounts/login/", {"login": "grace", "password": NEW_PASSWORD}, follow=True)
    assert page_of(signed).one("span", class_="account-role").text == "Operator"
    joined = HistoryEntry.objects.get(action="person.joined")
    assert (joined.actor_user, joined.actor_name, joined.merchant) == (grace, "Grace Hopper", None)
    assert joined.address == "127.0.0.1"
    assert joined.after == {"person": "grace", "email": "Grace@navy.example", "role": "Operator"}


def test_an_owner_invites_to_the_own_team_alone(client: Client, merchant: Merchant) -> None:
    sign_in(client, UserFactory(team=(merchant, "owner")))
    team = f"{merchant.get_absolute_url()}team/"
    client.post(f"{team}invite/", {"email": "grace@navy.example", "role": "developer"})
    assert mail.outbox[0].subject == f"You are invited to {merchant.name}"
    stranger = Client()
    stranger.post(link_in_mail(), ACCOUNT)

    grace = User.objects.get(username="grace")
    assert [(each.merchant, each.role) for each in grace.memberships.all()] == [(merchant, "developer")]
    assert access.role_of(grace) is None
    assert not grace.is_staff
    # A single account is where one lands.
    landed = stranger.post("/accounts/login/", {"login": "grace", "password": NEW_PASSWORD}, follow=True)
    assert landed.redirect_chain[-1][0] == merchant.get_absolute_url()
    assert "Grace Hopper" in page_of(client.get(team)).text
    assert client.post(f"{team}invite/", {"email": "a@b.example", "role": "administrator"}).status_code == 422


def test_a_link_works_once(client: Client) -> None:
    invitation = InvitationFactory()
    assert client.post(address_of(invitation), ACCOUNT).status_code == 302

    for response in (
        client.get(address_of(invitation)),
        client.post(address_of(invitation), ACCOUNT | {"username": "another"}),
    ):
        assert page_of(response, 410).one("h1").text == "This invitation was used already"
    assert not User.objects.filter(username="another").exists()


def test_a_link_ends_with_its_time_and_when_it_is_withdrawn(client: Client, console: Client) -> None:
    old = InvitationFactory(created_at=timezone.now() - timedelta(days=7, seconds=1))
    withdrawn, fresh = InvitationFactory(), InvitationFactory(created_at=timezone.now() - timedelta(days=6.9))
    console.post(f"/invitations/{withdrawn.public_id}/withdraw/")
    stranger = Client()

    for invitation, why in ((old, "has expired"), (withdrawn, "was withdrawn")):
        for response in (
            stranger.get(address_of(invitation)),
            stranger.post(address_of(invitation), ACCOUNT),
        ):
            assert page_of(response, 410).one("h1").text == f"This invitation {why}"
    assert stranger.get(address_of(fresh)).status_code == 200
    assert not User.objects.filter(username="grace").exists()


def test_sending_again_makes_another_link_and_ends_the_older_one(console: Client) -> None:
    invitation = InvitationFactory(created_at=timezone.now() - timedelta(days=30))
    console.post(f"/invitations/{invitation.public_id}/resend/")
    stranger = Client()

    assert stranger.get(address_of(invitation)).status_code == 404
    assert stranger.get(link_in_mail()).status_code == 200
    assert stranger.post(link_in_mail(), ACCOUNT).status_code == 302
    again = console.post(f"/invitations/{invitation.public_id}/resend/")
    assert again.status_code == 404
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("forge", [
    lambda token: token[:-1], lambda token: token + "x", lambda token: token.upper(), lambda token: "join_",
    lambda token: "join_" + "x" * 43, lambda token: "x" * 5000, lambda token: token[:-1] + "%00", lambda token: "%FF",
])  # fmt: skip
def test_a_forged_link_opens_nothing(client: Client, forge: object) -> None:
    address = f"/join/{forge(InvitationFactory().token)}/"

    assert page_of(client.get(address), 404).one("h1").text == "There is nothing at this address"
    assert client.post(address, ACCOUNT).status_code == 404
    assert not User.objects.filter(username="grace").exists()


def test_somebody_else_who_is_signed_in_cannot_use_it(client: Client, merchant: Merchant) -> None:
    invitation = InvitationFactory(merchant=merchant, email="grace@navy.example")
    for person in (UserFactory(email="other@navy.example"), UserFactory(email="")):
        sign_in(client, person)
        for response in (client.get(address_of(invitation)), client.post(address_of(invitation), ACCOUNT)):
            page = page_of(response, 403)
            assert page.one("h1").text == "This invitation is for somebody else"
            assert "grace@navy.example" not in page.text
        assert not person.memberships.exists()
        with pytest.raises(InvitationEnded, match="for somebody else"):
            invitations.accept(invitation=invitation, person=person, actor=ActorFactory(user=person))
    assert Invitation.objects.get(pk=invitation.pk).is_open


def test_who_has_an_account_signs_in_and_joins_with_it(client: Client, merchant: Merchant) -> None:
    grace = UserFactory(email="Grace@navy.example", username="grace")
    invitation = InvitationFactory(merchant=merchant, email="grace@NAVY.example", role="owner")
    here = address_of(invitation)

    page = page_of(client.get(here))
    assert not page.has("input", name="username")
    assert client.post(here, ACCOUNT | {"username": "second"}).status_code == 422
    answer = client.post(page.link("Sign in")["href"], {"login": "grace", "password": PASSWORD})
    assert answer["Location"] == here
    assert client.post(here, page_of(client.get(here)).button("Join").form.values()).status_code == 302

    assert grace.memberships.get().role == "owner"
    assert page_of(client.get(here), 410)
    assert not User.objects.filter(username="second").exists()


def test_joining_never_takes_a_stronger_role_away(client: Client) -> None:
    late = UserFactory(email="late@navy.example")
    invitation = InvitationFactory(email="late@navy.example", role=PlatformRole.VIEWER)
    people.change_role(person=late, role=PlatformRole.ADMINISTRATOR, actor=ActorFactory())
    invitations.accept(invitation=invitation, person=late, actor=ActorFactory(user=late))

    assert access.role_of(User.objects.get(pk=late.pk)) is PlatformRole.ADMINISTRATOR


@pytest.mark.parametrize(("changes", "field"), [
    ({"username": ""}, "username"), ({"username": "a b"}, "username"), ({"username": "operator"}, "username"),
    ({"username": "OPERATOR"}, "username"), ({"username": "x" * 151}, "username"), ({"username": "x\0"}, "username"),
    ({"username": "taken@navy.example"}, "username"),
    ({"password1": "", "password2": ""}, "password1"),
    ({"password1": "12345678", "password2": "12345678"}, "password1"),
    ({"password1": "gracehopper1", "password2": "gracehopper1", "username": "gracehopper"}, "password1"),
    ({"password2": "something else entirely"}, "password2"), ({"first_name": "evil\u202egnp"}, "first_name"),
])  # fmt: skip
def test_the_account_is_judged_and_the_link_stays_good(
    client: Client, changes: dict[str, str], field: str
) -> None:
    UserFactory(username="operator", email="taken@navy.example")
    invitation = InvitationFactory()
    page = page_of(client.post(address_of(invitation), ACCOUNT | changes), 422)

    assert page.one("input", name=field).parent.has("div", class_="field-errors")
    assert not page.one("input", name="password1").get("value")
    assert User.objects.count() == 1
    assert client.post(address_of(invitation), ACCOUNT).status_code == 302


def test_all_that_is_wrong_is_told_at_once_and_counted(client: Client) -> None:
    typed = ACCOUNT | {"username": "a b", "password1": "12345678", "password2": "other"}
    page = page_of(client.post(address_of(InvitationFactory()), typed), 422)

    summary = page.one(class_="error-summary")
    assert summary.one("h2").text == "4 things need your attention"
    assert len(summary.all("li")) == 4
    assert "This is not a user name. Use letters, digits and @.+-_ only, 150 at most." in summary.text


def test_nobody_gives_themselves_more_than_the_invitation_gives(client: Client, merchant: Merchant) -> None:
    invitation = InvitationFactory(merchant=merchant, role="viewer")
    more = {
        "is_superuser": "on",
        "is_staff": "on",
        "role": "owner",
        "email": "x@y.example",
        "groups": "1",
        "merchant": "",
    }
    client.post(address_of(invitation), ACCOUNT | more)

    grace = User.objects.get(username="grace")
    assert (grace.is_superuser, grace.is_staff, grace.email) == (False, False, invitation.email)
    assert grace.memberships.get().role == "viewer"
    assert not grace.groups.exists()


@pytest.mark.parametrize(
    "email", ["", "grace", "a@b", "a@b.example\nBcc: all@b.example", "x" * 250 + "@b.example"]
)
def test_what_is_no_address_is_not_invited(console: Client, email: str) -> None:
    page = page_of(console.post("/people/invite/", {"email": email, "role": "viewer"}), 422)

    assert page.has("div", class_="field-errors")
    assert not Invitation.objects.exists()
    assert not mail.outbox


def test_nobody_is_invited_twice(console: Client, merchant: Merchant) -> None:
    UserFactory(email="here@navy.example", role="viewer")
    UserFactory(email="member@navy.example", team=(merchant, "viewer"))
    InvitationFactory(email="waiting@navy.example")
    team = f"{merchant.get_absolute_url()}team/invite/"
    for address, email in (
        ("/people/invite/", "HERE@navy.example"), ("/people/invite/", "Waiting@navy.example"),
        (team, "member@NAVY.example"),
    ):  # fmt: skip
        assert console.post(address, {"email": email, "role": "viewer"}).status_code == 422, email
    assert not mail.outbox
    for address, email in ((team, "waiting@navy.example"), ("/people/invite/", "member@navy.example")):
        assert console.post(address, {"email": email, "role": "viewer"}).status_code == 302, email


def test_there_is_an_end_to_inviting(merchant: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "WAITING_MAX", 2)
    for _ in range(2):
        InvitationFactory(merchant=merchant)
    with pytest.raises(InvalidField, match="2 invitations are waiting"):
        InvitationFactory(merchant=merchant)


def test_a_forged_host_has_no_part_in_the_link(console: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://console.example.com"
    console.post(
        "/people/invite/", {"email": "grace@navy.example", "role": "viewer"}, headers={"Host": "localhost"}
    )
    assert "https://console.example.com/join/" in mail.outbox[0].body
    assert "localhost" not in mail.outbox[0].body


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_mail_server_that_takes_no_letter_is_told_and_the_invitation_waits(
    console: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    monkeypatch.setattr(type(get_connection()), "send_messages", Mock(side_effect=failure))
    sent = console.post("/people/invite/", {"email": "grace@navy.example", "role": "viewer"}, follow=True)
    invitation = Invitation.objects.get()
    again = console.post(f"/invitations/{invitation.public_id}/resend/", follow=True)

    for answer in (sent, again):
        assert "could not be sent" in messages_of(page_of(answer))[0]
    assert invitation.is_open
    assert "join_" not in caplog.text


def test_a_token_is_stored_nowhere_and_masked_in_logs(console: Client) -> None:
    console.post("/people/invite/", {"email": "grace@navy.example", "role": "viewer"})
    token = link_in_mail().split("/")[2]
    stored = str(list(Invitation.objects.values())) + str(list(HistoryEntry.objects.values()))

    assert token[5:] not in stored
    assert token[5:] not in console.get("/people/").content.decode()
    assert token[5:] not in repr(InvitationToken(token))
    for line in (f"Internal Server Error: /join/{token}/", f"GET /join/{token}?x=1"):
        assert token[5:] not in scrub(line)
        assert scrub(line).startswith(line[:12])


def test_an_expired_one_says_so_and_can_be_sent_again(console: Client) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=8)):
        InvitationFactory(email="late@navy.example")
    page = page_of(console.get("/people/"))

    assert "late@navy.example" in page.one("section", aria_labelledby="invitations-heading").text
    assert "expired" in page.one("section", aria_labelledby="invitations-heading").text
    assert page.button("Send again to late@navy.example")
