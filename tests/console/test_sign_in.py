"""Coming in and going out: who may, how often one may try, and where one lands."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from keys.models import User
from tests.console.page import inline_code, messages_of, page_of
from tests.factories import PASSWORD, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"


def try_to_sign_in(client: Client, user: User | str, password: str = PASSWORD, **more: object) -> object:
    username = user.username if isinstance(user, User) else user
    headers = more.pop("headers", {})
    return client.post(LOGIN, {"login": username, "password": password, **more}, headers=headers)


def is_signed_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_the_right_password_leads_to_the_merchants(client: Client, operator: User) -> None:
    page = page_of(client.get(LOGIN))
    assert page.one("h1").text == "Sign in"
    assert page.one("input", name="login").get("autocomplete") == "username"
    assert page.one("input", name="password").get("autocomplete") == "current-password"

    assert try_to_sign_in(client, operator)["Location"] == "/merchants/"
    assert is_signed_in(client)
    assert client.get(LOGIN)["Location"] == "/merchants/"


@pytest.mark.parametrize(("address", "labels", "told"), [
    (LOGIN, ["User name", "Password"], ["Enter your user name.", "Enter your password."]),
    (
        "/accounts/password/change/",
        ["Current password", "New password", "New password again"],
        ["Enter your current password.", "Choose a password.", "Write the password once more."],
    ),
    ("/accounts/authenticator-app/", ["Authenticator code"], ["Enter the code that the app shows."]),
])  # fmt: skip
def test_fields_speak_in_the_words_of_the_console(
    client: Client, operator: User, address: str, labels: list[str], told: list[str]
) -> None:
    if address != LOGIN:
        sign_in(client, operator)
    page = page_of(client.get(address))
    card = page.one(class_="plain-card")
    assert [label.text for label in card.all("label")] == labels
    assert not any(field.get("placeholder") for field in card.all("input"))

    refused = page_of(client.post(address, {}))
    assert [error.text for error in refused.all(class_="field-errors")] == told


def test_who_comes_in_is_shown_the_merchants_and_no_word_about_it(client: Client, operator: User) -> None:
    try_to_sign_in(client, operator)
    assert messages_of(page_of(client.get("/merchants/"))) == []


def test_a_wrong_password_and_an_unknown_name_are_told_alike(client: Client, operator: User) -> None:
    wrong = page_of(try_to_sign_in(client, operator, "wrong"))
    unknown = page_of(try_to_sign_in(client, "nobody", "wrong"))

    told = wrong.one(role="alert").text
    assert told == unknown.one(role="alert").text
    assert "username and/or password you specified are not correct" in told
    assert wrong.one("input", name="login")["value"] == operator.username
    assert not wrong.one("input", name="password").get("value")
    assert not is_signed_in(client)


@pytest.mark.parametrize(("username", "password"), [
    ("", ""), ("", PASSWORD), ("x", ""), ("x\0", "x"), ("x", "x\0"), ("\ud7ff\u202e", "x"), ("x" * 5000, "x"),
    ("<script>", "x"), ("' OR 1=1 --", "' OR 1=1 --"),
])  # fmt: skip
def test_whatever_is_typed_is_answered_with_the_form(client: Client, username: str, password: str) -> None:
    page = page_of(try_to_sign_in(client, username, password))

    assert page.one("h1").text == "Sign in"
    assert page.has("div", class_="field-errors") or page.has(role="alert")
    assert inline_code(page) == []


def test_a_password_too_long_to_be_one_is_refused_without_hashing_it(client: Client, operator: User) -> None:
    assert try_to_sign_in(client, operator, "x" * 100_000).status_code in {200, 400}
    assert not is_signed_in(client)


def test_sign_in_leads_back_to_where_one_was_going(client: Client, operator: User) -> None:
    there = client.get("/merchants/?q=caf%C3%A9&status=enabled")["Location"]
    form = page_of(client.get(there)).button("Sign in").form.values()
    response = client.post(LOGIN, form | {"login": operator.username, "password": PASSWORD})

    assert response["Location"] == "/merchants/?q=caf%C3%A9&status=enabled"


ELSEWHERE = (
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "javascript:alert(1)", "http:evil.example", "https:///evil.example", " //evil.example", "\t//evil.example",
    "//127.0.0.1@evil.example/", "http://testserver@evil.example/", "data:text/html,x", "/" + "a" * 5000,
)  # fmt: skip


def test_sign_in_leads_nowhere_else(client: Client, operator: User) -> None:
    for target in ELSEWHERE:
        form = page_of(client.get(LOGIN, {"next": target})).button("Sign in").form.values()
        response = client.post(LOGIN, form | {"login": operator.username, "password": PASSWORD})

        assert response.status_code == 302, target
        assert response["Location"] in {"/merchants/", "/" + "a" * 5000}, target
        client.logout()


def test_confirming_leads_nowhere_else(signed_in: Client) -> None:
    for target in ELSEWHERE:
        cache.clear()
        response = signed_in.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": target})

        assert response.status_code == 302, target
        assert "evil" not in response["Location"], target
        assert response["Location"].startswith("/"), target


def test_people_who_are_switched_off_do_not_come_in(client: Client) -> None:
    gone = UserFactory(is_active=False)

    response = client.post(LOGIN, {"login": gone.username, "password": PASSWORD}, follow=True)

    assert page_of(response).one("h1").text == "Your account is inactive"
    assert not is_signed_in(client)


def test_somebody_switched_off_is_out_at_once(signed_in: Client, operator: User) -> None:
    User.objects.filter(pk=operator.pk).update(is_active=False)

    assert not is_signed_in(signed_in)


def test_nobody_signs_up(client: Client) -> None:
    asked = {"username": "mallory", "password1": PASSWORD, "password2": PASSWORD}
    for response in (client.get("/accounts/signup/"), client.post("/accounts/signup/", asked)):
        assert page_of(response).one("h1").text == "Sign-up is closed"

    assert not User.objects.filter(username="mallory").exists()


# -- How often -----------------------------------------------------------------------------------------------------


def test_too_many_attempts_from_one_address_are_answered_with_a_page(client: Client) -> None:
    for number in range(30):
        try_to_sign_in(client, f"nobody{number}", "wrong")

    response = try_to_sign_in(client, "another", "wrong")
    page = page_of(response, 429)
    assert page.one("h1").text == "That was tried too often"
    assert response["Retry-After"] == "60"
    assert page_of(client.get(LOGIN)).one("h1").text == "Sign in"


def test_confirming_too_often_is_answered_with_a_page(signed_in: Client) -> None:
    for _ in range(10):
        signed_in.post("/accounts/reauthenticate/", {"password": "wrong"})

    response = signed_in.post("/accounts/reauthenticate/", {"password": "wrong"})
    assert page_of(response, 429).one("h1").text == "That was tried too often"


def blocked(client: Client, **headers: str) -> bool:
    return try_to_sign_in(client, "nobody", "wrong", headers=headers).status_code == 429


def test_a_forged_header_is_no_new_address(client: Client) -> None:
    for number in range(30):
        try_to_sign_in(client, f"nobody{number}", "wrong", headers={"X-Forwarded-For": f"192.0.2.{number}"})

    assert blocked(client, **{"X-Forwarded-For": "192.0.2.200"})


def test_behind_a_proxy_each_address_has_its_own_limit(client: Client, settings: object) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    for number in range(30):
        try_to_sign_in(client, f"nobody{number}", "wrong", headers={"X-Forwarded-For": "8.8.8.8, 192.0.2.1"})

    assert blocked(client, **{"X-Forwarded-For": "192.0.2.1"})
    assert not blocked(client, **{"X-Forwarded-For": "192.0.2.2"})
    cache.clear()
    assert not blocked(client)


# -- Going, and staying --------------------------------------------------------------------------------------------


def test_signing_out_asks_first_and_then_ends_the_session(signed_in: Client) -> None:
    asked = page_of(signed_in.get("/accounts/logout/"))
    assert asked.one("h1").text == "Sign out?"
    assert is_signed_in(signed_in)

    cookie = signed_in.cookies[settings.SESSION_COOKIE_NAME].value
    assert signed_in.post("/accounts/logout/")["Location"] == LOGIN
    assert not is_signed_in(signed_in)
    assert not Session.objects.filter(session_key=cookie).exists()

    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = cookie
    assert not is_signed_in(thief)


def test_every_page_can_sign_out_by_a_form(signed_in: Client) -> None:
    button = page_of(signed_in.get("/merchants/")).button("Sign out")

    assert button.form["method"] == "post"
    assert signed_in.post(button.form["action"], button.form.values())["Location"] == LOGIN


def test_a_session_from_before_the_sign_in_is_not_carried_over(client: Client, operator: User) -> None:
    session = client.session
    session["before"] = "x"
    session.save()
    planted = session.session_key
    client.cookies[settings.SESSION_COOKIE_NAME] = planted

    try_to_sign_in(client, operator)

    assert client.session.session_key != planted
    assert not Session.objects.filter(session_key=planted).exists()


def test_a_session_ends_after_its_time(signed_in: Client) -> None:
    with time_machine.travel(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE + 60)):
        assert not is_signed_in(signed_in)


def test_changing_the_password_ends_every_other_session(signed_in: Client, operator: User) -> None:
    other = Client()
    try_to_sign_in(other, operator)
    new = "a quite different passphrase"
    asked = {"oldpassword": PASSWORD, "password1": new, "password2": new}

    refused = page_of(signed_in.post("/accounts/password/change/", asked | {"oldpassword": "wrong"}))
    assert refused.has("div", class_="field-errors")
    assert is_signed_in(other)

    assert signed_in.post("/accounts/password/change/", asked).status_code == 302
    assert is_signed_in(signed_in)
    assert not is_signed_in(other)
    assert try_to_sign_in(Client(), operator, new).status_code == 302


def test_a_password_stands_in_no_page_no_message_and_no_log(
    client: Client, operator: User, caplog: pytest.LogCaptureFixture
) -> None:
    typed = "typed-password-that-nobody-may-see"
    with caplog.at_level("DEBUG"):
        failed = try_to_sign_in(client, operator, typed)
        operator.set_password(typed)
        operator.save()
        came_in = try_to_sign_in(client, operator, typed)
        page = client.get(came_in["Location"])

    assert messages_of(page_of(page)) is not None
    assert typed not in failed.content.decode() + page.content.decode() + caplog.text
    assert typed not in str(client.session.items()) + str(client.cookies)


def test_the_django_admin_has_no_sign_in_of_its_own(client: Client, operator: User) -> None:
    asked = {"username": operator.username, "password": PASSWORD}
    response = client.post("/admin/login/", asked)

    assert response["Location"].startswith(LOGIN)
    assert not is_signed_in(client)


def test_a_part_of_a_page_leads_the_whole_page_to_the_sign_in(client: Client) -> None:
    here = "http://testserver/merchants/?q=caf%C3%A9"
    response = client.get("/merchants/?q=x", headers={"HX-Request": "true", "HX-Current-URL": here})

    assert response.status_code == 200
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fmerchants%2F%3Fq%3Dcaf%25C3%25A9"
    assert response.content == b""


@pytest.mark.parametrize(
    "here", ["", "http://[", "//evil.example", "javascript:alert(1)", "\x01", "x" * 5000]
)
def test_a_part_of_a_page_that_does_not_know_its_page_leads_to_the_sign_in(client: Client, here: str) -> None:
    response = client.get("/merchants/", headers={"HX-Request": "true", "HX-Current-URL": here})

    assert response["HX-Redirect"].startswith("/accounts/login/?next=")
