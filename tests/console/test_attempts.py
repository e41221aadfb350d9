"""How often one may try: nobody guesses for long, and nobody is kept out for good."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.utils import timezone

from keys.models import CachedValue, User
from tests.authenticators import give_totp, totp_code
from tests.console.page import page_of
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"
IN_THE_DATABASE = {"default": {"BACKEND": "keys.console.cache.DatabaseCache"}}


def attempt(client: Client, user: User | str, password: str = PASSWORD, **headers: str) -> object:
    name = user.username if isinstance(user, User) else user
    return client.post(LOGIN, {"login": name, "password": password}, headers=headers)


def close(name: User | str) -> Client:
    """Try wrong passwords until the name is closed; returns the stranger's browser."""
    stranger = Client()
    for _ in range(5):
        assert attempt(stranger, name, "wrong").status_code == 200
    return stranger


def test_who_tried_too_often_is_told_how_long_to_wait_and_comes_in_then(operator: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        stranger = close(operator)
    with time_machine.travel(start + timedelta(seconds=100), tick=False):
        response = attempt(stranger, operator)
        page = page_of(response, 429)
    assert page.one("h1").text == "Too many wrong passwords"
    assert "wait 4 minutes" in page.text
    assert 195 <= int(response["Retry-After"]) <= 201

    with time_machine.travel(start + timedelta(seconds=100 + int(response["Retry-After"]))):
        assert attempt(stranger, operator).status_code == 302


def test_being_refused_does_not_make_the_wait_longer(operator: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        stranger = close(operator)
    for seconds in range(10, 300, 10):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            assert attempt(stranger, operator, "wrong").status_code == 429
    with time_machine.travel(start + timedelta(seconds=301)):
        assert attempt(stranger, operator).status_code == 302


def test_strangers_do_not_keep_out_the_browser_that_a_name_signed_in_with(operator: User) -> None:
    own = Client()
    assert attempt(own, operator).status_code == 302
    own.post("/accounts/logout/")
    close(operator)

    assert attempt(Client(), operator).status_code == 429
    assert attempt(own, operator).status_code == 302
    own.post("/accounts/logout/")
    for _ in range(5):
        attempt(own, operator, "wrong")
    assert attempt(own, operator).status_code == 429


def test_a_browser_is_known_for_its_own_name_alone_and_cannot_be_made_up(operator: User) -> None:
    mallory, own = UserFactory(), Client()
    attempt(own, mallory)
    own.post("/accounts/logout/")
    cookie = own.cookies["known_browser"]
    assert cookie["httponly"]
    assert cookie["path"] == "/accounts/"
    close(operator)

    assert attempt(own, operator).status_code == 429
    forged = Client()
    for value in ("x", "", cookie.value[:-1], re.sub("^.", "A", cookie.value)):
        forged.cookies["known_browser"] = value
        assert attempt(forged, operator).status_code == 429


def test_a_name_that_nobody_has_is_answered_alike(operator: User) -> None:
    known, unknown = (attempt(close(name), name) for name in (operator, "nobody-of-that-name"))

    def told(response: object) -> str:
        return re.sub(r'value="[^"]*"', "", page_of(response, 429).text)

    assert told(known) == told(unknown)
    assert abs(int(known["Retry-After"]) - int(unknown["Retry-After"])) <= 2


def test_one_address_tries_twenty_wrong_passwords_whatever_the_names() -> None:
    client = Client()
    answers = [attempt(client, f"name{number}", "wrong").status_code for number in range(21)]

    assert answers == [200] * 20 + [429]
    assert attempt(Client(REMOTE_ADDR="203.0.113.9"), "name99", "wrong").status_code == 200


def test_wrong_codes_are_stopped_and_the_right_one_works_after_the_wait(operator: User) -> None:
    secret, client, start = give_totp(operator), Client(), timezone.now()
    attempt(client, operator)
    for _ in range(5):
        assert "Incorrect code." in page_of(client.post("/accounts/second-factor/", {"code": "x"})).text
    refused = page_of(client.post("/accounts/second-factor/", {"code": totp_code(secret)}))
    assert "Too many wrong codes. Wait five minutes" in refused.text
    with time_machine.travel(start + timedelta(minutes=5, seconds=5)):
        assert client.post("/accounts/second-factor/", {"code": totp_code(secret)}).status_code == 302


def test_the_command_ends_the_wait(operator: User, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = close(operator)
    assert attempt(stranger, operator).status_code == 429

    call_command("allow_sign_in", operator.username)
    assert f"{operator.username} can try again at once." in capsys.readouterr().out
    assert attempt(stranger, operator).status_code == 302
    with pytest.raises(CommandError, match="Nobody has that user name"):
        call_command("allow_sign_in", "nobody-of-that-name")


def test_attempts_are_counted_in_the_database_without_the_names(operator: User) -> None:
    with override_settings(CACHES=IN_THE_DATABASE):
        assert attempt(close(operator), operator).status_code == 429
        kept = str(list(CachedValue.objects.values()))
        call_command("allow_sign_in", operator.username)
        assert attempt(Client(), operator).status_code == 302
    assert operator.username not in kept
    assert "127.0.0.1" not in kept


def test_the_cache_in_the_database_keeps_djangos_promises() -> None:
    with override_settings(CACHES=IN_THE_DATABASE):
        assert cache.get("a", "nothing") == "nothing"
        cache.set("a", [1.5, "x"], 60)
        assert (cache.get("a"), cache.add("a", 2), cache.add("b", 3, 60)) == ([1.5, "x"], False, True)
        cache.set("a", 4, 60)
        assert (cache.get("a"), cache.get("b"), cache.get("a", version=2)) == (4, 3, None)
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            assert (cache.get("a"), cache.touch("a"), cache.add("b", 5, 60), cache.get("b")) == (
                None,
                False,
                True,
                5,
            )
            assert CachedValue.objects.count() == 1
            cache.set("for ever", 6, None)
            cache.set("over at once", 7, 0)
            assert cache.get("over at once") is None
        assert cache.delete("b")
        assert not cache.delete("b")
        cache.clear()
        assert not CachedValue.objects.exists()
