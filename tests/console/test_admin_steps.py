"""The steps of the Django admin: those of the console, asked about first, and taken by the domain."""

from typing import TYPE_CHECKING

import pytest
from django.test import Client

from keys import lifecycle
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, Merchant, User
from tests.console.page import Element, page_of
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory, use
from tests.sessions import sign_in

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

KEYS = "/admin/keys/apikey/"
MERCHANTS = "/admin/keys/merchant/"
STEPS = ("disable", "enable", "revoke")


def ask(console: Client, address: str, action: str, *records: object, **more: str) -> object:
    return console.post(
        address, {"action": action, "_selected_action": [str(each.pk) for each in records], **more}
    )


def send(console: Client, address: str, asked: object, **typed: str) -> object:
    """Send the form of the page that asks."""
    form = page_of(asked).one(class_="submit-row").one("button").form
    return console.post(address, form.values() | typed)


def told(console: Client, response: object) -> list[str]:
    page = page_of(console.get(response["Location"]))
    return [each.text for each in page.one("ul", class_="messagelist").all("li")]


def status_of(record: ApiKey | Merchant) -> str:
    return type(record).objects.get(pk=record.pk).status


def offered(page: Element) -> list[str]:
    """The steps of a row's page."""
    return [button["value"] for button in page.all("button", name="action")]


def test_keys_are_disabled_and_enabled_with_a_reason(console: Client, operator: User) -> None:
    one, two = ApiKeyFactory(name="One"), ApiKeyFactory(name="Two")
    off = ApiKeyFactory(name="Off already", disabled=True)
    use(one, succeeded=1_200, failed=34)
    asked = ask(console, KEYS, "disable", one, two, off)
    page = page_of(asked)
    assert page.one("h1").text == "Disable 2 API keys?"
    assert "1,234 requests, 1,200 of which succeeded" in page.text
    assert "No requests" in page.text
    assert "Only an enabled API key can be disabled. Left out: Off already, Disabled" in page.text
    assert {status_of(one), status_of(two)} == {"enabled"}

    response = send(console, KEYS, asked, reason=" Night shift ")
    assert told(console, response) == ["2 API keys disabled. Requests are refused from now on."]
    assert {status_of(one), status_of(two)} == {"disabled"}
    entries = HistoryEntry.objects.filter(action="key.disabled", actor_user=operator)
    assert {(entry.key_id, entry.reason, entry.address) for entry in entries} == {
        (one.pk, "Night shift", "127.0.0.1"), (two.pk, "Night shift", "127.0.0.1"),
    }  # fmt: skip

    response = send(console, KEYS, ask(console, KEYS, "enable", one))
    assert told(console, response) == ["“One” enabled. Requests are answered again."]
    assert status_of(one) == "enabled"


def test_merchant_accounts_are_disabled_and_enabled(console: Client, merchant: Merchant) -> None:
    use(ApiKeyFactory(merchant=merchant), succeeded=7)
    asked = ask(console, MERCHANTS, "disable", merchant)
    assert "7 requests, 7 of which succeeded" in page_of(asked).text
    send(console, MERCHANTS, asked, reason="Chargebacks")
    assert status_of(merchant) == "disabled"
    assert HistoryEntry.objects.get(action="merchant.disabled").reason == "Chargebacks"
    send(console, MERCHANTS, ask(console, MERCHANTS, "enable", merchant))
    assert status_of(merchant) == "enabled"


def test_revoke_asks_for_the_name_of_a_disabled_key(console: Client) -> None:
    key = ApiKeyFactory(name="Payouts <b>", disabled=True)
    use(key, succeeded=1_999, failed=1)
    asked = ask(console, KEYS, "revoke", key)
    page = page_of(asked)
    assert page.one("h1").text == "Revoke “Payouts <b>”?"
    assert "2,000 requests, 1,999 of which succeeded" in page.text
    assert "Type Payouts <b> to confirm" in page.text
    assert "refused for ever" in page.text
    for wrong in ("", "payouts <b>", "Payouts"):
        refused = send(console, KEYS, asked, confirm=wrong)
        assert refused.status_code == 422, wrong
        assert "That is not this key's name" in page_of(refused, 422).text
    assert status_of(key) == "disabled"

    response = send(console, KEYS, asked, confirm="Payouts <b>", reason="Leaked")
    assert told(console, response) == ["“Payouts <b>” revoked. It stays as a record."]
    key.refresh_from_db()
    assert (key.status, key.secret_ciphertext) == ("revoked", None)
    assert HistoryEntry.objects.get(action="key.revoked").reason == "Leaked"


def test_without_recent_proof_revoking_asks_who_is_there(idle_console: Client) -> None:
    key = ApiKeyFactory(name="Old", disabled=True)
    response = send(idle_console, KEYS, ask(idle_console, KEYS, "revoke", key), confirm="Old", reason="Gone")
    page = page_of(response, 403)
    assert "revoke “Old”" in page.text
    form = page.one("input", type="password").form
    assert form.values()["_selected_action"] == [str(key.pk)]
    assert status_of(key) == "disabled"
    # Disabling is reversible, and asks nothing.
    other = ApiKeyFactory()
    assert send(idle_console, KEYS, ask(idle_console, KEYS, "disable", other)).status_code == 302


@pytest.mark.parametrize("state", ["enabled", "revoked"])
def test_only_a_disabled_key_is_revoked_whatever_is_sent(console: Client, state: str) -> None:
    key = ApiKeyFactory(name="Till", state=state)
    before = ApiKey.objects.filter(pk=key.pk).values().get()
    page = page_of(ask(console, KEYS, "revoke", key))
    assert "Only a disabled API key can be revoked" in page.text
    assert not page.has(class_="submit-row")

    response = ask(console, KEYS, "revoke", key, asked="1", confirm="Till")
    [message] = told(console, response)
    assert "Revoked is final" in message if state == "revoked" else "Only a disabled API key" in message
    assert ApiKey.objects.filter(pk=key.pk).values().get() == before


def test_a_revoked_key_offers_nothing_and_takes_no_step(console: Client) -> None:
    key = ApiKeyFactory(revoked=True)
    before = ApiKey.objects.filter(pk=key.pk).values().get()
    assert offered(page_of(console.get(f"{KEYS}{key.pk}/change/"))) == []
    for action in STEPS:
        ask(console, KEYS, action, key, asked="1", confirm=key.name)
    assert ApiKey.objects.filter(pk=key.pk).values().get() == before


def test_keys_are_revoked_one_at_a_time(console: Client) -> None:
    keys = [ApiKeyFactory(disabled=True, name="Same") for _ in range(2)]
    response = ask(console, KEYS, "revoke", *keys, asked="1", confirm="Same")
    assert told(console, response) == ["Revoke one API key at a time."]
    assert {status_of(key) for key in keys} == {"disabled"}


def test_the_page_of_a_key_offers_what_its_state_allows(
    console: Client, api_key: ApiKey, actor: Actor
) -> None:
    address = f"{KEYS}{api_key.pk}/change/"
    assert offered(page_of(console.get(address))) == ["disable"]
    lifecycle.disable(key=api_key, actor=actor)
    page = page_of(console.get(address))
    assert offered(page) == ["enable", "revoke"]

    # The button leads to the question, and the question back to the page.
    button = page.button("Enable…")
    asked = console.post(button.form["action"], button.form.values() | {"action": "enable"})
    assert page_of(asked).one("a", class_="closelink")["href"] == address
    assert send(console, KEYS, asked)["Location"] == address
    assert status_of(api_key) == "enabled"


def test_a_step_leads_back_to_the_list_as_it_was_and_nowhere_else(console: Client, api_key: ApiKey) -> None:
    filtered = f"{KEYS}?status=enabled&mode=live"
    asked = ask(console, filtered, "disable", api_key)
    assert send(console, KEYS, asked)["Location"] == filtered
    response = ask(console, KEYS, "enable", api_key, asked="1", next="https://evil.example/")
    assert response["Location"] == KEYS


def test_what_is_chosen_must_make_sense(console: Client, api_key: ApiKey) -> None:
    for data, answer in (
        ({"action": "disable"}, "Choose the API keys first."),
        ({"action": "disable", "_selected_action": ["nonsense", "\\0", "1"]}, "Choose the API keys first."),
        ({"action": "", "_selected_action": [str(api_key.pk)]}, "Choose what to do."),
        ({"action": "destroy", "_selected_action": [str(api_key.pk)]}, "Choose what to do."),
        ({"select_across": "1", "action": "disable", "index": "0"}, "Choose the API keys first."),
    ):
        assert told(console, console.post(KEYS, data)) == [answer], data
    assert status_of(api_key) == "enabled"


def test_a_reason_that_is_too_long_is_refused(console: Client, api_key: ApiKey) -> None:
    asked = ask(console, KEYS, "disable", api_key)
    refused = send(console, KEYS, asked, reason="x" * 501)
    assert "500" in page_of(refused, 422).one("ul", class_="errorlist").text
    assert status_of(api_key) == "enabled"


def test_of_two_who_take_the_same_step_the_second_is_told(
    console: Client, api_key: ApiKey, actor: Actor
) -> None:
    asked = ask(console, KEYS, "disable", api_key)
    lifecycle.disable(key=api_key, actor=actor)
    [message] = told(console, send(console, KEYS, asked))
    assert f"This API key is Disabled already, by {actor.name}" in message


ROLES = {
    # Steps on keys and on merchant accounts; None where there is no admin.
    "administrator": ({"disable", "enable", "revoke"}, {"disable", "enable"}),
    "operator": ({"disable", "enable"}, set()),
}


SOURCE = {"disable": "enabled", "enable": "disabled", "revoke": "disabled"}
ARRIVAL = {"disable": "disabled", "enable": "enabled", "revoke": "revoked"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_offered_and_may_take_its_own_steps(client: Client, role: str) -> None:
    sign_in(client, UserFactory(role=role))
    makers: dict[str, Callable[..., object]] = {KEYS: ApiKeyFactory, MERCHANTS: MerchantFactory}
    for (address, make), allowed in zip(makers.items(), ROLES[role], strict=True):
        record = make(disabled=True)
        options = {option["value"] for option in page_of(client.get(address)).all("option")} - {""}
        assert options == allowed, address
        assert set(offered(page_of(client.get(f"{address}{record.pk}/change/")))) == allowed - {"disable"}
        for action in ("disable", "enable") if address == MERCHANTS else STEPS:
            record = (
                make(disabled=action != "disable") if address == MERCHANTS else make(state=SOURCE[action])
            )
            before = status_of(record)
            response = ask(client, address, action, record, asked="1", confirm=str(record))
            assert response.status_code == (302 if action in allowed else 403), (address, action)
            assert status_of(record) == (ARRIVAL[action] if action in allowed else before)
