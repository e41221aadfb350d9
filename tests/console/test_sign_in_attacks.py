"""Attacks on the sign-in: planted sessions, forged forms, frames, hosts, and what the clock could tell."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.sessions.models import Session
from django.test import Client, override_settings

from keys.models import User
from tests.authenticators import give_totp, totp_code
from tests.console.page import page_of
from tests.factories import PASSWORD, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"
STEP = "/accounts/second-factor/"
COOKIE = settings.SESSION_COOKIE_NAME


def type_password(client: Client, person: User, password: str = PASSWORD, **headers: str) -> Any:
    return client.post(LOGIN, {"login": person.username, "password": password}, headers=headers)


# -- Session fixation ----------------------------------------------------------------------------------------------


def test_the_session_changes_at_each_step_into_the_console(operator: User) -> None:
    secret, client = give_totp(operator), Client()
    client.get(LOGIN)
    type_password(client, operator)
    half = client.cookies[COOKIE].value
    client.post(STEP, {"code": totp_code(secret)})
    whole = client.cookies[COOKIE].value

    assert half != whole
    thief = Client()
    thief.cookies[COOKIE] = half
    assert thief.get("/profile/").status_code == 302
    assert not Session.objects.filter(session_key=half).exists()


def test_half_a_sign_in_that_was_planted_is_not_finished_by_the_victim(operator: User) -> None:
    mallory = UserFactory()
    give_totp(mallory, "MALLORYS" * 4)
    attacker, victim = Client(), Client()
    type_password(attacker, mallory)
    victim.cookies[COOKIE] = attacker.cookies[COOKIE].value
    secret = give_totp(operator)

    # Whatever the victim types there is compared with the attacker's own factor.
    victim.post(STEP, {"code": totp_code(secret)})
    assert victim.get("/profile/").status_code == 302
    assert attacker.get("/profile/").status_code == 302


def test_a_session_with_a_made_up_id_is_not_taken_over(client: Client, operator: User) -> None:
    client.cookies[COOKIE] = "a" * 32
    type_password(client, operator)

    assert client.cookies[COOKIE].value != "a" * 32
    assert not Session.objects.filter(session_key="a" * 32).exists()


def test_signing_in_as_somebody_else_leaves_nothing_of_the_first(operator: User) -> None:
    client, other = Client(), UserFactory()
    sign_in(client, operator)
    session = client.session
    session["left behind"] = "x"
    session.save()
    client.post("/accounts/logout/")
    type_password(client, other)

    assert "left behind" not in client.session
    assert client.session["_auth_user_id"] == str(other.pk)


# -- Forged forms --------------------------------------------------------------------------------------------------

FORMS = (
    LOGIN, STEP, "/accounts/logout/", "/accounts/reauthenticate/", "/accounts/password/change/",
    "/accounts/authenticator-app/", "/accounts/authenticator-app/remove/", "/accounts/recovery-codes/new/",
    "/accounts/passkeys/login/", "/accounts/passkeys/new/", "/accounts/sessions/",
)  # fmt: skip


@pytest.mark.parametrize("address", FORMS)
def test_a_form_of_another_site_is_refused(operator: User, address: str) -> None:
    give_totp(operator)
    for client in (Client(enforce_csrf_checks=True), sign_in(Client(enforce_csrf_checks=True), operator)):
        client.get(LOGIN)
        token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
        data = {"login": operator.username, "password": PASSWORD, "code": "1", "csrfmiddlewaretoken": token}
        forged = client.post(address, data, headers={"Origin": "https://evil.example"})
        assert forged.status_code == 403, address
        assert client.post(address, data | {"csrfmiddlewaretoken": ""}).status_code == 403, address
    assert len(operator.authenticator_set.all()) == 1


def test_nobody_is_signed_in_as_the_attacker(operator: User) -> None:
    victim = Client(enforce_csrf_checks=True)
    attacker = Client(enforce_csrf_checks=True)
    token = page_of(attacker.get(LOGIN)).button("Sign in").form.values()["csrfmiddlewaretoken"]
    victim.get(LOGIN)
    data = {"login": operator.username, "password": PASSWORD, "csrfmiddlewaretoken": token}

    assert victim.post(LOGIN, data).status_code == 403
    assert victim.get("/profile/").status_code == 302


# -- Frames, hosts, addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [*FORMS, "/profile/", "/accounts/recovery-codes/", "/accounts/inactive/"])
def test_no_page_of_the_sign_in_can_be_framed_or_kept(address: str, operator: User) -> None:
    give_totp(operator)
    for client in (Client(), sign_in(Client(), operator)):
        response = client.get(address)
        assert response["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "[::1]evil", "a b", ""]
)
def test_a_host_that_is_not_ours_is_refused(client: Client, operator: User, host: str) -> None:
    with override_settings(ALLOWED_HOSTS=["console.example.com", "127.0.0.1"]):
        assert type_password(client, operator, Host=host).status_code == 400
        assert "evil" not in client.get(LOGIN, headers={"Host": host}).content.decode()
    assert client.get("/profile/").status_code == 302


def test_the_other_headers_that_name_a_host_are_not_believed(client: Client, operator: User) -> None:
    evil = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Host": "evil.example"}
    page = client.get(LOGIN, headers=evil)
    assert "evil" not in page.content.decode()
    assert type_password(client, operator, **evil)["Location"] == "/merchants/"
    assert "evil" not in str(client.get("/accounts/passkeys/login/", headers=evil).headers)


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "\t//evil.example",
)


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_step_of_the_sign_in_leads_elsewhere(operator: User, target: str) -> None:
    secret, client = give_totp(operator), Client()
    client.post(LOGIN, {"login": operator.username, "password": PASSWORD, "next": target})
    step = client.post(f"{STEP}?next={target}", {"code": totp_code(secret), "next": target})
    assert step["Location"] == "/merchants/"
    assert client.get(f"{LOGIN}?next={target}")["Location"] == "/merchants/"
    assert "evil" not in client.post("/accounts/logout/", {"next": target})["Location"]


def test_the_second_step_leads_to_where_one_was_going(operator: User) -> None:
    secret, client = give_totp(operator), Client()
    client.post(LOGIN, {"login": operator.username, "password": PASSWORD, "next": "/merchants/?q=north"})
    assert client.post(STEP, {"code": totp_code(secret)})["Location"] == "/merchants/?q=north"


# -- What the clock could tell -------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["nobody", "of a person", "switched off", "without a password"])
def test_each_wrong_password_costs_the_same_work(
    client: Client, operator: User, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """Counted rather than timed: the hash is what takes the time, and it is made once, whoever is asked about."""
    iterations = 1000
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", iterations)
    made: list[int] = []
    encode = PBKDF2PasswordHasher.encode

    def counted(hasher: PBKDF2PasswordHasher, password: str, salt: str, iterations: int | None = None) -> str:
        made.append(iterations or hasher.iterations)
        return encode(hasher, password, salt, iterations)

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        operator.set_password(PASSWORD)
        operator.is_active = whose != "switched off"
        if whose == "without a password":
            operator.set_unusable_password()
        operator.save()
        name = UserFactory.build(username="nobody-of-that-name") if whose == "nobody" else operator
        monkeypatch.setattr(PBKDF2PasswordHasher, "encode", counted)
        assert type_password(client, name, "wrong").status_code == 200
    assert made == [iterations]
