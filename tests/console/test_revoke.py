"""Revoke: only a disabled key, only with its name typed, and then for ever."""

import json
import unicodedata

import pytest
from django.test import Client

from keys import lifecycle
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, User
from keys.models.history import Action
from tests.console.page import messages_of, page_of, row_names, rows_of
from tests.factories import ApiKeyFactory, use

pytestmark = pytest.mark.django_db


def revoke(console: Client, key: ApiKey, confirm: str | None = None, **more: object) -> object:
    data = {} if confirm is None else {"confirm": confirm}
    return console.post(f"/keys/{key.public_id}/revoke/", data | more)


def state(key: ApiKey) -> tuple[str, int]:
    key.refresh_from_db()
    return key.status, HistoryEntry.objects.filter(key=key).count()


def test_revoke_is_offered_only_on_a_disabled_key(console: Client, api_key: ApiKey) -> None:
    enabled = page_of(console.get(f"/keys/{api_key.public_id}/"))
    assert not enabled.has("button", "Revoke")
    assert not enabled.has("dialog", id="revoke-dialog")
    assert "Disable it first" in enabled.text
    menu = page_of(console.get(f"/merchants/{api_key.merchant.public_id}/developers/")).one(
        class_="menu-apart"
    )
    assert menu.text == "Revoke…Disable the key first"
    assert not menu.all("a")

    console.post(f"/keys/{api_key.public_id}/disable/")
    disabled = page_of(console.get(f"/keys/{api_key.public_id}/"))
    button = disabled.button("Revoke")
    assert button["data-opens"] == "revoke-dialog"
    assert (button.form["method"], button.form["action"]) == ("get", f"/keys/{api_key.public_id}/revoke/")
    assert disabled.has("dialog", id="revoke-dialog")


def test_the_question_names_the_key_and_its_traffic(console: Client) -> None:
    key = ApiKeyFactory(name="Payouts & <co>", disabled=True)
    use(key, succeeded=1_999, failed=1)
    for page in (
        page_of(console.get(f"/keys/{key.public_id}/revoke/")),
        page_of(console.get(f"/keys/{key.public_id}/")).one("dialog", id="revoke-dialog"),
    ):
        assert "Revoke “Payouts & <co>”?" in page.text
        assert "In the last 24 hours this key made 2,000 requests, 1,999 of which succeeded." in page.text
        assert "Type Payouts & <co> to confirm" in page.text
        assert "refused for ever" in page.text
        form = page.button("Revoke key").form
        assert form["action"] == f"/keys/{key.public_id}/revoke/"
        assert form.values()["confirm"] == [""]


def test_with_the_name_typed_the_key_ends_and_stays_on_the_grid(console: Client, operator: User) -> None:
    key = ApiKeyFactory(name="Payouts worker", disabled=True)
    form = page_of(console.get(f"/keys/{key.public_id}/revoke/")).button("Revoke key").form.values()
    response = console.post(
        f"/keys/{key.public_id}/revoke/",
        form | {"confirm": "Payouts worker", "reason": "Leaked <b>\nin a log"},
    )
    page = page_of(console.get(response["Location"]))

    assert response["Location"] == f"/keys/{key.public_id}/"
    assert messages_of(page) == ["“Payouts worker” revoked. It stays on the grid as a record."]
    assert not page.has("button", "Undo")
    key.refresh_from_db()
    assert (key.status, key.secret_ciphertext) == ("revoked", None)
    entry = HistoryEntry.objects.get(key=key, action=Action.KEY_REVOKED)
    assert (entry.actor_user, entry.reason) == (operator, "Leaked <b>\nin a log")
    assert (entry.before, entry.after) == ({"status": "disabled"}, {"status": "revoked"})
    assert "Leaked <b> in a log" in page.one("ol", class_="events").text

    for control in ("Save changes", "Enable", "Disable", "Revoke", f"Copy key {key.name}"):
        assert control not in page.names("button")
    grid = page_of(console.get(f"/merchants/{key.merchant.public_id}/developers/"))
    assert row_names(grid) == ["Payouts worker"]
    assert rows_of(grid)[0].one(class_="badge").text == "Revoked"
    assert rows_of(grid)[0].one(class_="menu-apart").text == "RevokedThere is no way back"


@pytest.mark.parametrize("typed", [
    None, "", " ", "payouts worker", "Payouts", "Payouts worker!", "Payouts\u200b worker", "Payouts worker\0",
    "x" * 10_000, "%", "_______ ______",
])  # fmt: skip
def test_without_the_name_nothing_is_revoked_and_the_form_keeps_what_was_typed(
    console: Client, typed: str | None
) -> None:
    key = ApiKeyFactory(name="Payouts worker", disabled=True)
    before = state(key)
    page = page_of(revoke(console, key, typed, reason="Because"), 422)

    assert state(key) == before
    assert page.one(id="id_confirm")["aria-invalid"] == "true"
    assert page.one(id="id_confirm_error").text
    kept = page.button("Revoke key").form.values()
    assert kept["reason"] == ["Because"]
    assert kept["confirm"] == [typed or ""]


def test_the_name_may_come_in_other_spaces_and_another_normal_form(console: Client) -> None:
    for typed in ("  Café   Zürich ", unicodedata.normalize("NFD", "Café Zürich")):
        key = ApiKeyFactory(name="Café Zürich", disabled=True)
        assert revoke(console, key, typed).status_code == 302, typed
        assert state(key)[0] == "revoked", typed


def test_a_post_that_skips_the_interface_revokes_no_enabled_key(console: Client, api_key: ApiKey) -> None:
    before = state(api_key)
    named = console.post(f"/keys/{api_key.public_id}/revoke/", {"confirm": api_key.name}, follow=True)
    assert messages_of(page_of(named)) == [
        "Only a disabled API key can be revoked. Disable it first, then revoke it."
    ]
    unnamed = page_of(revoke(console, api_key), 422)
    assert "Only a disabled API key can be revoked." in unnamed.text
    assert not unnamed.has("button", "Revoke key")
    assert page_of(console.get(f"/keys/{api_key.public_id}/revoke/")).text == unnamed.text
    assert state(api_key) == before


def test_no_key_is_revoked_without_its_name_though_it_is_disabled_that_very_moment(
    console: Client, api_key: ApiKey, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view sees an enabled key; somebody disables it before the step."""
    step = lifecycle.revoke

    def disabled_meanwhile(**given: object) -> ApiKey:
        lifecycle.disable(key=api_key, actor=actor)
        return step(**given)

    monkeypatch.setattr("keys.console.views.apikeys.lifecycle.revoke", disabled_meanwhile)
    revoke(console, api_key)
    assert state(api_key)[0] == "enabled"

    assert revoke(console, api_key, api_key.name).status_code == 302
    assert state(api_key)[0] == "revoked"


def test_revoked_is_final_whatever_is_posted(signed_in: Client) -> None:
    key = ApiKeyFactory(name="Gone", revoked=True)
    before = state(key)
    for path, data in (
        ("enable/", {}),
        ("disable/", {}),
        ("revoke/", {"confirm": "Gone"}),
        ("copy/", {}),
        ("", {"name": "Back", "description": "", "revision": "1"}),
    ):
        response = signed_in.post(f"/keys/{key.public_id}/{path}", data, follow=True)
        page = page_of(response, 422 if path == "" else 200)
        told = page.one(class_="error-summary").text if path == "" else messages_of(page)[-1]
        assert "revoked" in told, path
    asked = {"HX-Request": "true"}
    row = page_of(signed_in.post(f"/keys/{key.public_id}/enable/", headers=asked))
    assert row.one("tr").one(class_="badge").text == "Revoked"
    refused = signed_in.post(f"/keys/{key.public_id}/copy/", headers={"Accept": "application/json"})
    assert "revoked" in json.loads(refused.content)["error"]
    assert state(key) == before
    assert "There is no way back" in page_of(signed_in.get(f"/keys/{key.public_id}/revoke/")).text


@pytest.mark.parametrize(("reason", "told"), [
    ("a\u202eb", "Reason contains an invisible character (U+202E)."),
    ("a\x07b", "Reason contains an invisible character (U+0007)."),
    ("x" * 501, "Reason is 501 characters long; 500 is the most."),
    ("a\0b", "Null characters are not allowed."),
])  # fmt: skip
def test_a_reason_that_cannot_be_kept_loses_nothing_that_was_typed(
    console: Client, reason: str, told: str
) -> None:
    key = ApiKeyFactory(name="Payouts", disabled=True)
    before = state(key)
    page = page_of(revoke(console, key, "Payouts", reason=reason), 422)

    assert told in page.text
    kept = page.button("Revoke key").form.values()
    assert (kept["confirm"], kept["reason"]) == (["Payouts"], [reason])
    assert state(key) == before


def test_a_reason_by_a_post_that_skips_the_interface_is_checked_too(console: Client, api_key: ApiKey) -> None:
    before = state(api_key)
    for reason in ("a\u202eb", "a\0b", "x" * 501):
        page = page_of(console.post(f"/keys/{api_key.public_id}/disable/", {"reason": reason}, follow=True))
        assert messages_of(page)[-1].startswith("Reason "), reason
    assert state(api_key) == before


def test_a_revoked_name_is_free_again(console: Client) -> None:
    key = ApiKeyFactory(name="Checkout", revoked=True)
    address = f"/merchants/{key.merchant.public_id}/developers/new/"
    form = page_of(console.get(address)).button("Create API key").form.values()

    assert console.post(address, form | {"name": "Checkout", "mode": "live"}).status_code == 200
    assert len(rows_of(page_of(console.get(f"/merchants/{key.merchant.public_id}/developers/")))) == 2
