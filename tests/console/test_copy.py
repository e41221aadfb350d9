"""Copying a key: only at that moment, only for whoever proved who they are, written down, and nowhere else."""

import json
import re
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.keyformat import PATTERN
from keys.models import ApiKey, HistoryEntry, User
from keys.models.history import Action, ActorKind
from tests.console.page import inline_code, messages_of, page_of
from tests.factories import ADDRESS, PASSWORD, ApiKeyFactory, use

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}


def copy(client: Client, key: ApiKey, **data: str) -> object:
    return client.post(f"/keys/{key.public_id}/copy/", data, headers=JSON, REMOTE_ADDR=ADDRESS)


def copies(key: ApiKey) -> int:
    return HistoryEntry.objects.filter(key=key, action=Action.KEY_COPIED).count()


def test_the_script_gets_the_key_and_nothing_keeps_it(signed_in: Client, api_key: ApiKey) -> None:
    response = copy(signed_in, api_key)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert json.loads(response.content) == {"key": api_key.secret.reveal()}
    assert {"no-store", "private"} <= set(response["Cache-Control"].split(", "))


def test_without_scripts_a_page_shows_the_key_once(signed_in: Client, api_key: ApiKey) -> None:
    response = signed_in.post(f"/keys/{api_key.public_id}/copy/")
    page = page_of(response)

    assert page.one("input", aria_label="API key")["value"] == api_key.secret.reveal()
    assert page.one("input", aria_label="API key").get("readonly") is not None
    assert response.content.decode().count(api_key.secret.reveal()) == 1
    assert "no-store" in response["Cache-Control"]
    assert inline_code(page) == []
    # Its address cannot be opened, so nothing on it may lead back to it.
    assert page.link("Done")["href"] == f"/keys/{api_key.public_id}/"
    assert page.button("Light").form.values()["next"] == [f"/keys/{api_key.public_id}/"]
    assert page_of(signed_in.get(f"/keys/{api_key.public_id}/copy/"), 405)


def test_each_copy_is_in_the_history_with_who_whence_and_which_request(
    signed_in: Client, operator: User, api_key: ApiKey
) -> None:
    response = copy(signed_in, api_key)
    copy(signed_in, api_key)

    first, second = HistoryEntry.objects.filter(key=api_key, action=Action.KEY_COPIED).order_by("at")
    assert (first.actor_user, first.actor_name, first.actor_kind) == (
        operator, operator.display_name, ActorKind.PERSON,
    )  # fmt: skip
    assert first.address == ADDRESS
    assert first.request_id == response["X-Request-Id"]
    assert first.request_id != second.request_id
    assert first.before == first.after == {}
    page = page_of(signed_in.get(f"/keys/{api_key.public_id}/"))
    assert [event.one("p", class_="event-title").text for event in page.all("li", class_="event")] == [
        "Key copied", "Key copied", "Created",
    ]  # fmt: skip
    assert f"from {ADDRESS}" in page.one("ol", class_="events").text


def test_the_console_shows_a_copy_button_that_names_its_key(signed_in: Client, api_key: ApiKey) -> None:
    for address in (f"/merchants/{api_key.merchant.public_id}/developers/", f"/keys/{api_key.public_id}/"):
        button = page_of(signed_in.get(address)).button(f"Copy key {api_key.name}")
        target = button.get("formaction") or button.form["action"]
        assert target == f"/keys/{api_key.public_id}/copy/"
        assert button.form["method"] == "post"
        assert signed_in.post(target, button.form.values()).status_code == 200


# -- Recent proof --------------------------------------------------------------------------------------------------


def test_without_recent_proof_the_script_is_sent_to_confirm_and_back(
    idle_console: Client, api_key: ApiKey
) -> None:
    here = f"/merchants/{api_key.merchant.public_id}/developers/?q=x&status=enabled"
    response = copy(idle_console, api_key, page=here)

    assert response.status_code == 403
    target = json.loads(response.content)["sign_in"]
    assert target.startswith("/accounts/reauthenticate/?next=%2Fmerchants%2F")
    assert "no-store" in response["Cache-Control"]
    assert copies(api_key) == 0

    form = page_of(idle_console.get(target)).button("Confirm").form.values()
    answer = idle_console.post("/accounts/reauthenticate/", form | {"password": PASSWORD})
    assert answer["Location"] == here
    assert copy(idle_console, api_key).status_code == 200


def test_without_recent_proof_and_scripts_the_question_comes_first_and_then_the_key(
    idle_console: Client, api_key: ApiKey
) -> None:
    address = f"/keys/{api_key.public_id}/copy/"
    asked = page_of(idle_console.post(address), 403)
    assert api_key.name in asked.text
    assert asked.link("Cancel")["href"] == f"/keys/{api_key.public_id}/"
    assert copies(api_key) == 0

    form = asked.button("Confirm and go on").form
    assert form["action"] == address
    page = page_of(idle_console.post(address, form.values() | {"proof-password": PASSWORD}))
    assert page.one("input", aria_label="API key")["value"] == api_key.secret.reveal()
    assert copies(api_key) == 1


def test_proof_ends_after_its_time(signed_in: Client, api_key: ApiKey) -> None:
    limit = timedelta(seconds=settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)
    with time_machine.travel(timezone.now() + limit - timedelta(seconds=5)):
        assert copy(signed_in, api_key).status_code == 200
    with time_machine.travel(timezone.now() + limit + timedelta(seconds=5)):
        assert copy(signed_in, api_key).status_code == 403
    assert copies(api_key) == 1


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", ""]
)
def test_confirming_for_a_copy_leads_nowhere_else(
    idle_console: Client, api_key: ApiKey, elsewhere: str
) -> None:
    target = json.loads(copy(idle_console, api_key, page=elsewhere).content)["sign_in"]
    form = page_of(idle_console.get(target)).button("Confirm").form.values()

    response = idle_console.post("/accounts/reauthenticate/", form | {"password": PASSWORD})
    assert response["Location"].startswith("/")
    assert "evil" not in response["Location"]


# -- Keys that cannot be copied ------------------------------------------------------------------------------------


def test_a_revoked_key_has_no_button_and_no_text(signed_in: Client, api_key: ApiKey) -> None:
    revoked = ApiKeyFactory(merchant=api_key.merchant, revoked=True)
    page = page_of(signed_in.get(f"/keys/{revoked.public_id}/"))
    assert not page.has("button", aria_label=f"Copy key {revoked.name}")

    response = copy(signed_in, revoked)
    assert response.status_code == 409
    assert json.loads(response.content)["error"].startswith("This API key is revoked; its text is destroyed.")
    by_form = signed_in.post(f"/keys/{revoked.public_id}/copy/", follow=True)
    assert messages_of(page_of(by_form))[-1].startswith("This API key is revoked")
    assert copies(revoked) == 0


def test_a_disabled_key_can_be_copied(signed_in: Client) -> None:
    assert copy(signed_in, ApiKeyFactory(disabled=True)).status_code == 200


def test_where_keys_are_shown_once_only_the_page_says_so_and_there_is_no_button(
    signed_in: Client, api_key: ApiKey, settings: object
) -> None:
    settings.KEYS_SECRET_POLICY = "show_once"
    merchant = f"/merchants/{api_key.merchant.public_id}"
    form = page_of(signed_in.get(f"{merchant}/developers/new/")).button("Create API key").form.values()
    created = page_of(signed_in.post(f"{merchant}/developers/new/", form | {"name": "Once", "mode": "live"}))

    assert "This is the only time that it is shown." in created.text
    assert PATTERN.fullmatch(created.one("input", aria_label="API key")["value"])
    key = ApiKey.objects.get(name="Once")
    assert key.secret_ciphertext is None
    for address in (f"{merchant}/developers/", f"/keys/{key.public_id}/"):
        page = page_of(signed_in.get(address))
        assert not page.has("button", aria_label="Copy key Once"), address
    assert copy(signed_in, key).status_code == 409
    assert "not stored" in json.loads(copy(signed_in, key).content)["error"]
    assert copies(key) == 0


def test_a_text_that_was_exchanged_in_the_database_is_noticed(signed_in: Client, api_key: ApiKey) -> None:
    other = ApiKeyFactory(merchant=api_key.merchant)
    ApiKey.objects.filter(pk=other.pk).update(secret_ciphertext=api_key.secret_ciphertext)

    response = copy(signed_in, other)
    assert response.status_code == 409
    assert "belongs to another key" in json.loads(response.content)["error"]
    assert copies(other) == 0


# -- No trace ------------------------------------------------------------------------------------------------------


def test_a_key_leaves_no_trace_in_any_other_page_session_cookie_message_or_log(
    signed_in: Client, api_key: ApiKey, caplog: pytest.LogCaptureFixture
) -> None:
    use(api_key, succeeded=1, failed=1)
    merchant, key = f"/merchants/{api_key.merchant.public_id}", f"/keys/{api_key.public_id}"
    with (
        caplog.at_level("DEBUG"),
        caplog.at_level("DEBUG", logger="django"),
        CaptureQueriesContext(connection),  # so that each statement is logged with its parameters
    ):
        form = page_of(signed_in.get(f"{key}/duplicate/")).button("Create API key").form.values()
        created = signed_in.post(f"{key}/duplicate/", form)
        copied = copy(signed_in, api_key)
        shown = signed_in.post(f"{key}/copy/")
        again = signed_in.post(f"{key}/duplicate/", form)
        pages = [
            signed_in.get(address)
            for address in (
                f"{merchant}/developers/", f"{key}/", f"{key}/duplicate/", f"{merchant}/requests/", f"{merchant}/",
                "/merchants/", "/profile/", "/admin/keys/apikey/", f"/admin/keys/apikey/{api_key.pk}/change/",
                "/admin/keys/historyentry/",
            )
        ]  # fmt: skip
    duplicate = PATTERN.search(created.content.decode())[0]
    assert again.status_code == 302
    assert "INSERT INTO" in caplog.text
    assert json.loads(copied.content)["key"] in shown.content.decode()

    traces = "".join([
        caplog.text,
        str(dict(signed_in.session.items())),
        str(signed_in.cookies),
        str([str(message) for page in pages for message in get_messages(page.wsgi_request)]),
        *(str(response.headers) for response in [created, copied, shown, again, *pages]),
        *(page.content.decode() for page in [again, *pages]),
    ])  # fmt: skip
    for secret in (api_key.secret.reveal(), duplicate):
        assert secret not in traces
        assert secret[12:] not in traces
    assert not re.search(PATTERN, traces)
    for stored in HistoryEntry.objects.all():
        assert not re.search(PATTERN, json.dumps([stored.before, stored.after, stored.reason]))


def test_a_ciphertext_stands_in_no_page(signed_in: Client, api_key: ApiKey) -> None:
    for address in (
        f"/keys/{api_key.public_id}/", f"/merchants/{api_key.merchant.public_id}/developers/",
        f"/admin/keys/apikey/{api_key.pk}/change/",
    ):  # fmt: skip
        body = signed_in.get(address).content.decode()
        assert api_key.secret_ciphertext not in body
        assert bytes(api_key.digest).hex() not in body
