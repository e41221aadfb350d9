"""A forgotten password: a link by mail, where there is mail, for whoever reads the account's own address."""

import re
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone

from keys.models import User
from tests.authenticators import give_totp
from tests.console.page import page_of
from tests.factories import PASSWORD, UserFactory
from tests.mail import FAILURES
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

RESET = "/accounts/password/reset/"
NEW = "another horse battery staple"


@pytest.fixture(autouse=True)
def mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    settings.PUBLIC_URL = "https://console.example.com"


def link_to(client: Client, address: str, **headers: str) -> str:
    assert (
        client.post(RESET, {"email": address}, headers=headers)["Location"]
        == "/accounts/password/reset/sent/"
    )
    [letter] = mail.outbox
    mail.outbox.clear()
    assert letter.to == [address]
    return re.search(r"https?://\S+", letter.body)[0]


def test_without_a_mail_server_there_is_neither_a_link_nor_a_page(client: Client, settings: Any) -> None:
    assert "Forgotten your password?" in page_of(client.get("/accounts/login/")).names("a")
    settings.EMAIL_HOST = ""
    assert "Forgotten your password?" not in page_of(client.get("/accounts/login/")).names("a")
    for address in (RESET, f"{RESET}sent/", f"{RESET}done/", f"{RESET}1-x/"):
        assert client.get(address).status_code == client.post(address).status_code == 404


def test_the_link_leads_to_a_new_password_once(client: Client, operator: User) -> None:
    elsewhere = sign_in(Client(), operator)
    link = link_to(client, operator.email)
    assert link.startswith("https://console.example.com/accounts/password/reset/")
    path = link.removeprefix("https://console.example.com")

    form = client.get(path)["Location"]
    assert path.rstrip("/").rpartition("-")[2] not in form
    page = page_of(client.get(form))
    assert page_of(client.post(form, {"password1": "12345678", "password2": "12345678"})).has(
        "div", class_="field-errors"
    )
    typed = page.button("Save the password").form.values() | {"password1": NEW, "password2": NEW}
    assert client.post(form, typed)["Location"] == "/accounts/password/reset/done/"
    assert "Sign in with the new one" in page_of(client.get(f"{RESET}done/")).text

    assert client.get("/profile/").status_code == 302
    assert elsewhere.get("/profile/").status_code == 302
    operator.refresh_from_db()
    assert operator.check_password(NEW)
    assert page_of(Client().get(path)).one("h1").text == "This link does not work"


def test_the_second_factor_is_asked_for_all_the_same(client: Client, operator: User) -> None:
    give_totp(operator)
    path = link_to(client, operator.email).removeprefix("https://console.example.com")
    form = client.get(path)["Location"]
    client.post(form, {"password1": NEW, "password2": NEW})
    answer = client.post("/accounts/login/", {"login": operator.username, "password": NEW})
    assert answer["Location"] == "/accounts/second-factor/"


def test_the_link_ends_after_three_days_and_when_the_password_changes(client: Client, operator: User) -> None:
    path = link_to(client, operator.email).removeprefix("https://console.example.com")
    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1)):
        assert page_of(client.get(path)).one("h1").text == "This link does not work"
    operator.set_password(PASSWORD)
    operator.save()
    assert page_of(client.get(path)).one("h1").text == "This link does not work"


def test_a_forged_host_has_no_part_in_the_link(client: Client, operator: User, settings: Any) -> None:
    assert link_to(client, operator.email, Host="localhost").startswith("https://console.example.com/")
    settings.ALLOWED_HOSTS = ["console.example.com"]
    assert client.post(RESET, {"email": operator.email}, headers={"Host": "evil.example"}).status_code == 400
    assert mail.outbox == []


def test_who_has_an_account_is_not_told(client: Client, operator: User) -> None:
    gone = UserFactory(is_active=False)
    answers = set()
    for address in (operator.email, "stranger@example.com", gone.email):
        answer = client.post(RESET, {"email": address}, follow=True)
        answers.add((answer.redirect_chain[0], page_of(answer).text))
        [letter] = mail.outbox
        mail.outbox.clear()
        assert ("/accounts/password/reset/" in letter.body) is (address == operator.email)
    assert len(answers) == 1


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_mail_server_that_refuses_is_not_told_either(
    client: Client,
    operator: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    monkeypatch.setattr(type(mail.get_connection()), "send_messages", Mock(side_effect=failure))
    for address in (operator.email, "stranger@example.com"):
        assert client.post(RESET, {"email": address})["Location"] == f"{RESET}sent/"
    assert caplog.text.count("The mail server did not take a letter") == 2
    assert "/accounts/password/reset/" not in caplog.text.replace("POST /accounts/password/reset/", "")


def test_asking_too_often_is_stopped(client: Client, operator: User) -> None:
    answers = [client.post(RESET, {"email": operator.email}).status_code for _ in range(6)]
    assert answers == [302] * 5 + [429]
