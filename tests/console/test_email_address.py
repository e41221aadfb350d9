"""A person's e-mail address: changed by who reads the new one, noticed by who reads the old one, told to no other."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from keys import people
from keys.console import email_change
from keys.errors import InvalidField
from keys.models import HistoryEntry, User
from tests.console.page import Element, messages_of, page_of
from tests.factories import PASSWORD, ActorFactory, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

OWN = "/profile/email/"
NEW = "new.address@example.com"


@pytest.fixture(autouse=True)
def mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    settings.PUBLIC_URL = "https://console.example.com"


@pytest.fixture
def person(client: Client) -> User:
    """Somebody without any role, signed in."""
    person = UserFactory()
    sign_in(client, person)
    return person


def link_to(client: Client, address: str) -> str:
    assert client.post(OWN, {"email": address})["Location"] == "/profile/"
    [letter] = mail.outbox
    mail.outbox.clear()
    assert letter.to == [address]
    return re.search(r"https://console\.example\.com(/\S+)", letter.body)[1]


def confirm(page: Element) -> Element:
    return page.button("Confirm").form


def test_the_address_changes_when_the_link_is_confirmed_and_the_old_one_hears_of_it(
    client: Client, person: User
) -> None:
    old = person.email
    assert page_of(client.get("/profile/")).link("Change e-mail address")["href"] == OWN
    link = link_to(client, NEW)
    assert messages_of(page_of(client.get("/profile/"))) == [
        f"Open the link that was sent to {NEW}: the address changes then."
    ]
    page = page_of(client.get(link))
    assert page.one("h1").text == f"Is {NEW} yours?"
    person.refresh_from_db()
    assert person.email == old

    assert client.post(link)["Location"] == "/profile/"
    person.refresh_from_db()
    assert person.email == NEW
    assert NEW in page_of(client.get("/profile/")).one(id="security").text
    [letter] = mail.outbox
    assert (letter.to, letter.subject) == ([old], "Your e-mail address for Merchant Admin was changed")
    assert f"is {NEW} from now on" in letter.body
    [row] = HistoryEntry.objects.filter(action="person.email_changed")
    assert (row.merchant, row.actor_user, row.address) == (None, person, "127.0.0.1")
    assert row.before == {"person": person.username, "email": old}
    assert row.after == {"person": person.username, "email": NEW}


def test_a_first_address_is_set_in_the_same_way(client: Client, person: User) -> None:
    User.objects.filter(pk=person.pk).update(email="")
    assert page_of(client.get("/profile/")).link("Set e-mail address")["href"] == OWN
    client.post(link_to(client, NEW))
    person.refresh_from_db()
    assert (person.email, mail.outbox) == (NEW, [])


def test_a_link_works_once_for_three_days_and_for_who_asked(client: Client, person: User) -> None:
    link, other = link_to(client, NEW), link_to(client, "other@example.com")
    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1)):
        sign_in(client, person)
        assert client.get(link).status_code == client.post(link).status_code == 404
    colleague = sign_in(Client(), UserFactory(operator=True))
    assert colleague.get(link).status_code == colleague.post(link).status_code == 404
    assert client.get(link[:-2] + "/").status_code == client.get(f"{OWN}x/").status_code == 404
    assert Client().get(link)["Location"].startswith("/accounts/login/?next=/profile/email/")
    assert not HistoryEntry.objects.filter(action="person.email_changed").exists()

    sign_in(client, person)
    assert client.post(link).status_code == 302
    for used in (link, other):
        page = page_of(client.post(used), 404)
        assert page.one("h1").text == "This link does not work"
        assert page.link("Ask for another")["href"] == OWN


@pytest.mark.parametrize("of", ["address", "name", "deactivated"])
def test_an_address_of_somebody_else_is_told_to_them_and_not_to_who_asked(
    client: Client, person: User, of: str
) -> None:
    taken = "taken@example.com"
    UserFactory(
        username=taken if of == "name" else "else",
        email="" if of == "name" else taken,
        is_active=of != "deactivated",
    )
    answers = []
    for address in ("Free@example.com", "Taken@example.com"):
        answer = client.post(OWN, {"email": address}, follow=True)
        answers.append(
            (answer.redirect_chain, [text.replace(address, "…") for text in messages_of(page_of(answer))])
        )
    assert answers[0] == answers[1]
    free, told = mail.outbox
    assert OWN in free.body
    assert told.subject == "Your account of Merchant Admin has this address already"
    assert OWN not in told.body
    assert person.username not in told.body


def test_who_was_first_keeps_an_address_that_two_asked_for(client: Client, person: User) -> None:
    link = link_to(client, NEW)
    UserFactory(email=NEW.upper())
    assert page_of(client.post(link), 409).one("h1").text == "This link does not work"
    person.refresh_from_db()
    assert person.email != NEW


def test_of_two_at_once_one_has_the_address(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database has the last word."""
    UserFactory(email=NEW)
    monkeypatch.setattr(people, "is_free", lambda email, *, person: True)
    with pytest.raises(InvalidField, match="Somebody else was first") as refused:
        people.change_email(person=person, email=NEW, actor=ActorFactory(user=person))
    assert isinstance(refused.value.__cause__, IntegrityError)


@pytest.mark.parametrize(
    "typed", ["", "x", "a@b", "a b@example.com", f"{'a' * 250}@example.com", "\0@example.com"]
)
def test_what_is_no_address_is_refused_beside_the_field(client: Client, person: User, typed: str) -> None:
    page = page_of(client.post(OWN, {"email": typed}), 422)
    assert page.one("div", class_="field-errors").text
    assert mail.outbox == []
    own = page_of(client.post(OWN, {"email": person.email.upper()}), 422)
    assert own.one("div", class_="field-errors").text == "That is your address already."


def test_it_takes_recent_proof(idle_console: Client, operator: User) -> None:
    form = page_of(idle_console.post(OWN, {"email": NEW}), 403).button("Confirm and go on").form
    assert mail.outbox == []
    assert idle_console.post(form["action"], form.values() | {"proof-password": PASSWORD}).status_code == 302
    assert [letter.to for letter in mail.outbox] == [[NEW]]


def test_asking_too_often_is_stopped(client: Client, person: User) -> None:
    answers = [client.post(OWN, {"email": f"a{each}@example.com"}).status_code for each in range(6)]
    assert answers == [302] * 5 + [429]
    assert len(mail.outbox) == 5


def test_nothing_is_sent_to_an_address_that_nobody_has_confirmed_or_has_any_more(
    client: Client, person: User
) -> None:
    old = person.email
    # As single sign-on leaves it behind.
    EmailAddress.objects.create(user=person, email=old, verified=True, primary=True)
    link = link_to(client, NEW)
    for address, known in ((NEW, False), (old, True)):
        assert forgotten(address) is known
    client.post(link)
    mail.outbox.clear()
    for address, known in ((NEW, True), (old, False)):
        assert forgotten(address) is known


def forgotten(address: str) -> bool:
    """Whether who reads this address is sent a link to choose a new password."""
    Client().post("/accounts/password/reset/", {"email": address})
    [letter] = mail.outbox
    mail.outbox.clear()
    return "/accounts/password/reset/" in letter.body


def test_without_mail_an_address_is_for_administrators_to_change(
    client: Client, person: User, settings: Any
) -> None:
    settings.EMAIL_HOST = ""
    page = page_of(client.get(OWN))
    assert "an administrator can change it for you" in page.text
    assert not page.has("form", method="post")
    assert client.post(OWN, {"email": NEW}).status_code == 403
    administrator = UserFactory(role="administrator")
    sign_in(client, administrator)
    assert client.post(OWN, {"email": person.email}).status_code == 422
    assert client.post(OWN, {"email": NEW}).status_code == 302
    administrator.refresh_from_db()
    assert (administrator.email, mail.outbox) == (NEW, [])


def test_an_administrator_sets_changes_and_takes_away_an_address(console: Client, operator: User) -> None:
    person = UserFactory(email="")
    page = f"/people/{person.pk}/"
    for typed in (NEW, "other@example.com", ""):
        before = person.email
        form = page_of(console.get(page)).button("Save e-mail address").form
        assert form.values()["email"] == ([before] if before else [""])
        assert console.post(form["action"], form.values() | {"email": typed})["Location"] == page
        person.refresh_from_db()
        assert person.email == typed
    first, second = mail.outbox
    assert (first.to, second.to) == ([NEW], ["other@example.com"])
    assert f"{operator}, who manages people, has changed it" in first.body
    assert "was taken away" in second.body
    assert page_of(console.get(page)).text.count("E-mail address changed") == 3


def test_an_administrator_is_told_what_is_wrong_with_an_address(console: Client) -> None:
    person, other = UserFactory(), UserFactory()
    address = f"/people/{person.pk}/email/"
    for typed, told in (
        ("nonsense", "That is not an e-mail address."),
        (other.email.upper(), "Somebody else has this address."),
        (other.username, "That is not an e-mail address."),
    ):
        page = page_of(console.post(address, {"email": typed}), 422)
        assert told in page.one(class_="error-summary").text
        assert page.one("input", name="email")["value"] == typed
    person.refresh_from_db()
    assert person.email.startswith(person.username)


def test_an_administrator_proves_who_they_are_first(idle_console: Client) -> None:
    person = UserFactory()
    answer = idle_console.post(f"/people/{person.pk}/email/", {"email": NEW})
    assert "change the e-mail address of" in page_of(answer, 403).text
    person.refresh_from_db()
    assert person.email != NEW


def test_a_link_says_nothing_that_it_does_not_sign(person: User) -> None:
    token = email_change.token_for(person, NEW)
    assert email_change.asked_for(token, person) == NEW
    assert email_change.asked_for(f"x{token}", person) is None
