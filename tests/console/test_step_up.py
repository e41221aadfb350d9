"""Step-up: what can do harm asks for proof, and nothing that was sent is lost or done unasked."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from keys.models import ApiKey, Merchant, User
from tests.authenticators import give_recovery_codes, give_totp, totp_code
from tests.console.page import Element, inline_code, page_of
from tests.factories import PASSWORD, ApiKeyFactory

pytestmark = pytest.mark.django_db

NAME = "  Line “one” & <two>"
DESCRIPTION = "First line\r\n\r\n  second line  \r\n"


def filled(client: Client, merchant: Merchant, **more: str) -> tuple[str, dict[str, object]]:
    address = f"/merchants/{merchant.public_id}/developers/new/"
    form = page_of(client.get(address)).button("Create API key").form.values()
    return address, form | {"name": NAME, "description": DESCRIPTION, "permission_payments": "write", **more}


def asked(response: object) -> Element:
    page = page_of(response, 403)
    assert page.one("h1").text == "Confirm that it is you"
    assert inline_code(page) == []
    assert "no-store" in response["Cache-Control"]
    return page.button("Confirm and go on").form


def test_a_live_key_is_made_with_all_that_was_typed_once_proof_is_given(
    idle_console: Client, merchant: Merchant
) -> None:
    address, typed = filled(idle_console, merchant, mode="live")
    form = asked(idle_console.post(address, typed))
    assert not ApiKey.objects.exists()
    assert "create a live key" in form.parent.text

    created = idle_console.post(form["action"], form.values() | {"proof-password": PASSWORD})

    assert page_of(created).one("h1").text == "API key created"
    key = ApiKey.objects.get()
    assert (key.name, key.mode, key.permissions) == (NAME.strip(), "live", "payments:write")
    assert key.description == "First line\n\n  second line"
    # The same page sent twice, by a double click or by Back, is still one key.
    assert idle_console.post(form["action"], form.values() | {"proof-password": PASSWORD}).status_code == 302
    assert ApiKey.objects.count() == 1


def test_a_test_key_is_made_without_asking(idle_console: Client, merchant: Merchant) -> None:
    address, typed = filled(idle_console, merchant, mode="test")

    assert page_of(idle_console.post(address, typed)).one("h1").text == "API key created"


def test_a_form_that_is_not_right_is_told_so_before_anything_is_asked(
    idle_console: Client, merchant: Merchant
) -> None:
    address, typed = filled(idle_console, merchant, mode="live", name="")

    assert page_of(idle_console.post(address, typed), 422).one(class_="error-summary")


def test_a_key_is_revoked_only_with_proof(idle_console: Client) -> None:
    key = ApiKeyFactory(disabled=True)
    form = asked(
        idle_console.post(f"/keys/{key.public_id}/revoke/", {"confirm": key.name, "reason": "Leaked"})
    )
    key.refresh_from_db()
    assert key.is_disabled

    refused = asked(idle_console.post(form["action"], form.values() | {"proof-password": "wrong"}))
    assert "That is not your password." in refused.one(role="alert").text
    assert refused.values()["reason"] == ["Leaked"]
    key.refresh_from_db()
    assert key.is_disabled

    idle_console.post(form["action"], refused.values() | {"proof-password": PASSWORD})
    key.refresh_from_db()
    assert key.is_revoked


def test_nothing_of_a_request_that_waits_for_proof_is_kept(idle_console: Client) -> None:
    key = ApiKeyFactory(disabled=True)
    asked(
        idle_console.post(f"/keys/{key.public_id}/revoke/", {"confirm": key.name, "reason": "hunter2-typed"})
    )

    kept = "".join(str(session.get_decoded()) for session in Session.objects.all())
    assert "hunter2-typed" not in kept
    # Opening the page of the proof and coming back does nothing by itself either.
    idle_console.post(
        "/accounts/reauthenticate/", {"password": PASSWORD, "next": f"/keys/{key.public_id}/revoke/"}
    )
    idle_console.get(f"/keys/{key.public_id}/revoke/")
    key.refresh_from_db()
    assert key.is_disabled


def test_proof_is_not_taken_from_another_site(operator: User, merchant: Merchant) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    response = strict.post(
        "/profile/", {"proof-password": PASSWORD}, headers={"Origin": "https://evil.example"}
    )

    assert response.status_code == 403
    assert "account_authentication_methods" not in strict.session


def test_proof_lasts_half_an_hour(idle_console: Client, merchant: Merchant) -> None:
    address, typed = filled(idle_console, merchant, mode="live")
    form = asked(idle_console.post(address, typed))
    idle_console.post(form["action"], form.values() | {"proof-password": PASSWORD})
    limit = timedelta(seconds=settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)
    for later, status in ((limit - timedelta(seconds=5), 200), (limit + timedelta(seconds=5), 403)):
        with time_machine.travel(timezone.now() + later):
            address, typed = filled(idle_console, merchant, mode="live", name=f"Key {status}")
            assert idle_console.post(address, typed).status_code == status


def test_proof_of_somebody_else_is_none(idle_console: Client, merchant: Merchant, client: Client) -> None:
    address, typed = filled(idle_console, merchant, mode="live")
    session = idle_console.session
    session["account_authentication_methods_user"] = "999999"
    session.save()

    asked(idle_console.post(address, typed))


def test_a_code_of_the_app_is_proof_and_only_once(
    idle_console: Client, operator: User, merchant: Merchant
) -> None:
    secret = give_totp(operator)
    address, typed = filled(idle_console, merchant, mode="live")
    form = asked(idle_console.post(address, typed))
    code = totp_code(secret)

    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    refused = idle_console.post(address, form.values() | {"proof-code": wrong})
    asked(refused)
    assert refused.content.decode().count(f'value="{wrong}"') == 1  # In the field itself.
    spaced = f"{code[:3]} {code[3:]}"
    assert idle_console.post(address, form.values() | {"proof-code": spaced}).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        late = asked(idle_console.post(address, filled(idle_console, merchant, mode="live", name="Late")[1]))
        asked(idle_console.post(address, late.values() | {"proof-code": code}))
    again = idle_console.post("/accounts/reauthenticate/", {"code": code})
    assert page_of(again).has(role="alert")


def test_a_recovery_code_is_proof_once(idle_console: Client, operator: User, merchant: Merchant) -> None:
    give_totp(operator)
    code, *_ = give_recovery_codes(operator)

    assert idle_console.post("/accounts/reauthenticate/", {"code": code}).status_code == 302
    assert page_of(idle_console.post("/accounts/reauthenticate/", {"code": code})).has(role="alert")


def test_a_person_without_a_password_is_asked_for_what_they_have(
    idle_console: Client, operator: User
) -> None:
    give_totp(operator)
    operator.set_unusable_password()
    operator.save()
    idle_console.force_login(operator)
    form = page_of(idle_console.get("/accounts/reauthenticate/")).button("Confirm").form

    assert set(form.values()) == {"csrfmiddlewaretoken", "code"}


def test_htmx_is_given_a_dialog_that_sends_a_whole_form_and_comes_back(idle_console: Client) -> None:
    key = ApiKeyFactory(disabled=True)
    here = f"http://testserver/merchants/{key.merchant.public_id}/developers/?q=x"
    response = idle_console.post(
        f"/keys/{key.public_id}/revoke/",
        {"confirm": key.name},
        headers={"HX-Request": "true", "HX-Current-URL": here},
    )

    assert (response["HX-Retarget"], response["HX-Reswap"]) == ("#step-up", "innerHTML")
    dialog = page_of(response, 422).one("dialog")
    form = dialog.button("Confirm and go on").form
    assert form["action"] == f"/keys/{key.public_id}/revoke/"
    assert form.values()["confirm"] == [key.name]
    assert form.values()["next"] == [f"/merchants/{key.merchant.public_id}/developers/?q=x"]
    assert inline_code(dialog) == []


def test_a_page_that_needs_proof_is_come_back_to(idle_console: Client) -> None:
    response = idle_console.get("/accounts/authenticator-app/")
    assert response["Location"] == "/accounts/reauthenticate/?next=%2Faccounts%2Fauthenticator-app%2F"

    form = page_of(idle_console.get(response["Location"])).button("Confirm").form
    back = idle_console.post("/accounts/reauthenticate/", form.values() | {"password": PASSWORD})
    assert back["Location"] == "/accounts/authenticator-app/"
    assert page_of(idle_console.get(back["Location"])).one("h1").text == "Authenticator app"

    part = Client()
    part.cookies = idle_console.cookies
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        header = {"HX-Request": "true", "HX-Current-URL": "http://testserver/profile/"}
        redirect = part.get("/accounts/authenticator-app/", headers=header)
    assert redirect["HX-Redirect"] == "/accounts/reauthenticate/?next=%2Fprofile%2F"


def test_what_was_typed_as_a_secret_is_not_written_into_the_page(idle_console: Client) -> None:
    typed = {"name": "Laptop", "credential": "planted-credential", "new_password": "planted-password"}
    response = idle_console.post("/accounts/passkeys/new/", typed)

    form = asked(response)
    assert "planted" not in response.content.decode()
    assert form.values()["name"] == ["Laptop"]


def test_guessing_proof_is_stopped(idle_console: Client, merchant: Merchant) -> None:
    address, typed = filled(idle_console, merchant, mode="live")
    answers = [idle_console.post(address, typed | {"proof-password": "wrong"}).status_code for _ in range(6)]

    assert answers == [403] * 5 + [429]
    assert not ApiKey.objects.exists()


def test_proof_is_taken_ten_times_a_minute_whatever_it_is(idle_console: Client) -> None:
    right = [idle_console.post("/profile/", {"proof-password": PASSWORD}).status_code for _ in range(11)]

    assert right == [422] * 10 + [429]
