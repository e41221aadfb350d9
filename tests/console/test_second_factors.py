"""Second factors: setting them up, signing in with them, losing them, and having to have one."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from keys.models import HistoryEntry, User
from keys.models.history import Action
from tests.authenticators import factors_of, give_recovery_codes, give_totp, totp_code
from tests.console.page import inline_code, messages_of, page_of
from tests.factories import PASSWORD, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

STEP = "/accounts/second-factor/"
APP = "/accounts/authenticator-app/"


def type_password(client: Client, person: User) -> Any:
    return client.post("/accounts/login/", {"login": person.username, "password": PASSWORD})


def is_signed_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def set_up_app(client: Client) -> tuple[str, Any]:
    secret = page_of(client.get(APP)).one("code").text
    return secret, client.post(APP, {"code": totp_code(secret)})


def test_setting_up_an_app_shows_the_codes_and_asks_for_one_from_then_on(
    console: Client, operator: User
) -> None:
    page = page_of(console.get(APP))
    picture = page.one("svg", role="img")
    assert picture.get("aria-label") == "QR code"
    assert inline_code(page) == []
    secret, done = set_up_app(console)
    assert done["Location"] == "/accounts/recovery-codes/"
    codes = [item.text for item in page_of(console.get(done["Location"])).one("ul", class_="codes").all("li")]
    assert len(set(codes)) == 10
    assert console.get("/accounts/recovery-codes/download/").content.decode().split() == codes

    other = Client()
    assert type_password(other, operator)["Location"] == STEP
    assert not is_signed_in(other)
    for wrong in ("000000", totp_code(secret, steps=5), totp_code(secret, steps=-5), "", "x" * 10_000):
        assert page_of(other.post(STEP, {"code": wrong})).has("div", class_="field-errors"), wrong
        if wrong == "":
            break
    assert other.post(STEP, {"code": totp_code(secret)})["Location"] == "/merchants/"
    assert is_signed_in(other)


@pytest.mark.parametrize(("steps", "is_right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_half_a_minute_early_or_late(
    client: Client, operator: User, steps: int, is_right: bool
) -> None:
    secret = give_totp(operator)
    with time_machine.travel(timezone.now(), tick=False):
        type_password(client, operator)
        client.post(STEP, {"code": totp_code(secret, steps=steps)})
    assert is_signed_in(client) is is_right


def test_a_code_that_was_seen_is_of_no_use_to_anybody_else(operator: User) -> None:
    secret, first, second = give_totp(operator), Client(), Client()
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        code = totp_code(secret, steps=1)
        for client in (first, second):
            type_password(client, operator)
        assert first.post(STEP, {"code": code}).status_code == 302
        assert second.post(STEP, {"code": code}).status_code == 200
    with time_machine.travel(now + timedelta(seconds=45), tick=False):
        second.post(STEP, {"code": code})
        assert not is_signed_in(second)


def test_a_recovery_code_works_once(operator: User) -> None:
    give_totp(operator)
    code, other, *_ = give_recovery_codes(operator)
    for typed, is_right in ((code, True), (code, False), (other, True)):
        client = Client()
        type_password(client, operator)
        client.post(STEP, {"code": typed})
        assert is_signed_in(client) is is_right


def test_new_recovery_codes_end_the_old_ones(console: Client, operator: User) -> None:
    give_totp(operator)
    old, *_ = give_recovery_codes(operator)
    assert "10 codes" in page_of(console.get("/accounts/recovery-codes/new/")).text
    console.post("/accounts/recovery-codes/new/")

    assert old not in console.get("/accounts/recovery-codes/").content.decode()
    client = Client()
    type_password(client, operator)
    assert page_of(client.post(STEP, {"code": old})).has("div", class_="field-errors")


def test_removing_the_app_removes_its_codes_too(console: Client, operator: User) -> None:
    give_totp(operator)
    give_recovery_codes(operator)
    page_of(console.get("/accounts/authenticator-app/remove/")).button("Remove")
    console.post("/accounts/authenticator-app/remove/")

    assert factors_of(operator) == set()
    assert type_password(Client(), operator)["Location"] == "/merchants/"


def test_half_a_sign_in_opens_nothing(client: Client, operator: User) -> None:
    give_totp(operator)
    type_password(client, operator)
    for address in (
        "/merchants/",
        "/profile/",
        APP,
        "/accounts/recovery-codes/",
        "/accounts/passkeys/new/",
        "/admin/",
    ):
        assert client.get(address).status_code == 302, address
    assert "_auth_user_id" not in client.session


def test_half_a_sign_in_can_be_given_up(client: Client, operator: User) -> None:
    give_totp(operator)
    type_password(client, operator)
    assert client.get("/accounts/login/")["Location"] == STEP
    form = page_of(client.get(STEP)).button("Sign in as somebody else").form
    assert client.post(form["action"], form.values())["Location"] == "/accounts/login/"
    assert page_of(client.get("/accounts/login/")).one("h1").text == "Sign in"


def test_a_passkey_of_somebody_else_is_not_there(console: Client) -> None:
    theirs = Authenticator.objects.create(
        user=UserFactory(), type=Authenticator.Type.WEBAUTHN, data={"name": "Theirs", "credential": {}}
    )
    for step in ("rename", "remove"):
        for method in (console.get, console.post):
            assert method(f"/accounts/passkeys/{theirs.pk}/{step}/", {"name": "Mine"}).status_code == 404
    theirs.refresh_from_db()
    assert theirs.wrap().name == "Theirs"


@pytest.mark.parametrize("credential", [
    "", "x", "{}", "[]", "null", "0", '{"id": 1}', '{"response": {"userHandle": "AAAA"}}',
    '{"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA"}}',
    '{"response": {"userHandle": "\\u0000"}}',
])  # fmt: skip
def test_what_is_no_passkey_is_refused_and_never_an_error(
    client: Client, operator: User, credential: str
) -> None:
    client.get("/accounts/passkeys/login/", headers={"Accept": "application/json"})
    assert (
        client.post("/accounts/passkeys/login/", {"credential": credential})["Location"] == "/accounts/login/"
    )
    sign_in(client, operator)
    client.get("/accounts/passkeys/new/")
    page = page_of(client.post("/accounts/passkeys/new/", {"name": "x", "credential": credential}))
    assert page.one("h1").text == "Add a passkey"
    assert page_of(client.post("/accounts/reauthenticate/", {"credential": credential})).has(role="alert")
    assert factors_of(operator) == set()


def test_a_question_to_passkeys_names_nobody(client: Client, operator: User) -> None:
    answer = client.get("/accounts/passkeys/login/", headers={"Accept": "application/json"})
    options = json.loads(answer.content)["request_options"]["publicKey"]

    assert options["rpId"] == "testserver"
    assert options["userVerification"] == "required"
    assert not options.get("allowCredentials")


def test_secrets_of_second_factors_are_encrypted_at_rest(console: Client, operator: User) -> None:
    secret, done = set_up_app(console)
    codes = console.get("/accounts/recovery-codes/download/").content.decode().split()
    stored = str(list(Authenticator.objects.values()))

    assert done.status_code == 302
    assert secret not in stored
    assert not any(code in stored for code in codes)
    assert re.search(r"gAAAA", stored)


def test_with_another_encryption_key_no_code_is_right_and_the_password_alone_is_not_enough(
    client: Client, operator: User, settings: Any
) -> None:
    secret = give_totp(operator)
    settings.KEYS_ENCRYPTION_KEYS = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    type_password(client, operator)
    assert page_of(client.post(STEP, {"code": totp_code(secret)})).has("div", class_="field-errors")
    assert not is_signed_in(client)


def test_the_profile_tells_what_there_is(console: Client, operator: User) -> None:
    nothing = page_of(console.get("/profile/")).one("section", id="security")
    assert "They need a host name" not in nothing.text
    assert not nothing.has("h3", "Recovery codes")
    give_totp(operator)
    code, *_ = give_recovery_codes(operator)
    console.post("/accounts/reauthenticate/", {"code": code})

    security = page_of(console.get("/profile/")).one("section", id="security")
    assert "9 codes left" in security.text
    assert security.link("Remove the authenticator app")["href"] == "/accounts/authenticator-app/remove/"
    assert page_of(console.get("/profile/", headers={"Host": "127.0.0.1:8000"})).has("section", id="security")


# -- Sessions ------------------------------------------------------------------------------------------------------


def test_sessions_are_listed_and_ended_elsewhere(operator: User) -> None:
    here, elsewhere = Client(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"), Client()
    type_password(here, operator)
    type_password(elsewhere, operator)
    page = page_of(here.get("/accounts/sessions/"))
    assert "Firefox on Linux this one" in page.text
    assert page.text.count("from 127.0.0.1") == 2

    here.post("/accounts/sessions/")
    assert not is_signed_in(elsewhere)
    page = page_of(here.get("/accounts/sessions/"))
    assert messages_of(page) == ["You are signed out everywhere else."]
    assert page.button("Sign out elsewhere").get("disabled") is not None


def test_sessions_of_others_are_neither_shown_nor_ended(console: Client) -> None:
    other, stranger = Client(HTTP_USER_AGENT="Planted/1.0"), UserFactory()
    type_password(other, stranger)
    assert "Planted" not in console.get("/accounts/sessions/").content.decode()
    console.post("/accounts/sessions/")
    assert is_signed_in(other)


def test_an_address_that_cannot_be_known_is_no_reason_to_keep_anybody_out(
    client: Client, operator: User, settings: Any
) -> None:
    settings.TRUSTED_PROXY_COUNT = 2
    assert type_password(client, operator).status_code == 302
    page = page_of(client.get("/accounts/sessions/"))
    assert "0.0.0.0" not in page.text
    assert UserSession.objects.get().ip == "0.0.0.0"


# -- Having to have one --------------------------------------------------------------------------------------------


def test_who_owes_a_second_factor_reaches_nothing_else(
    console: Client, operator: User, settings: Any
) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    for address in (
        "/",
        "/merchants/",
        "/profile/",
        "/admin/",
        "/components/",
        "/merchants/new/",
        "/nothing/",
    ):
        for method in (console.get, console.post):
            assert method(address)["Location"] == "/accounts/second-factor/required/", address
    part = console.get("/merchants/", headers={"HX-Request": "true"})
    assert part["HX-Redirect"] == "/accounts/second-factor/required/"
    page = page_of(console.get("/accounts/second-factor/required/"))
    assert page.link("Set up an authenticator app")["href"] == APP
    assert page.link("Add a passkey")["href"] == "/accounts/passkeys/new/"

    set_up_app(console)
    assert console.get("/merchants/").status_code == 200
    assert console.get("/accounts/second-factor/required/")["Location"] == "/merchants/"


def test_who_owes_one_can_leave(console: Client, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    assert console.post("/accounts/logout/").status_code == 302
    assert console.get("/merchants/")["Location"].startswith("/accounts/login/")


def test_recovery_codes_alone_are_no_second_factor(console: Client, operator: User, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    give_recovery_codes(operator)
    assert console.get("/merchants/").status_code == 302


def test_others_owe_none(client: Client, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    sign_in(client, UserFactory())
    assert client.get("/profile/").status_code == 200
    assert Client().get("/accounts/login/").status_code == 200


# -- The last resort -----------------------------------------------------------------------------------------------


def test_the_command_removes_every_factor_ends_sessions_and_is_recorded(
    operator: User, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client()
    type_password(client, operator)
    give_totp(operator)
    give_recovery_codes(operator)
    call_command("reset_second_factor", operator.username, reason="Phone lost")

    assert capsys.readouterr().out == (
        f"Removed: recovery codes, authenticator app. {operator.username} signs in with the password alone.\n"
    )
    assert factors_of(operator) == set()
    assert not is_signed_in(client)
    entry = HistoryEntry.objects.get(action=Action.PERSON_FACTORS_RESET)
    assert (entry.actor_name, entry.reason, entry.merchant) == ("reset_second_factor", "Phone lost", None)
    assert entry.after == {"person": operator.username, "second factor": "none"}
    assert type_password(Client(), operator)["Location"] == "/merchants/"


def test_the_command_says_when_there_is_nothing_to_do_and_nobody(
    operator: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("reset_second_factor", operator.username)
    assert "there was nothing to remove" in capsys.readouterr().out
    assert not HistoryEntry.objects.exists()
    with pytest.raises(CommandError, match="Nobody has that user name"):
        call_command("reset_second_factor", "nobody-of-that-name")
