"""The page of an API key: what it tells, what it saves, and what happens when two people save."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from keys import lifecycle, merchants
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, User
from keys.models.history import Action
from keys.permissions import catalogue
from tests.console.page import Element, messages_of, page_of
from tests.factories import ActorFactory, ApiKeyFactory, MerchantFactory, UserFactory, use

pytestmark = pytest.mark.django_db


def key_page(console: Client, key: ApiKey, status: int = 200) -> Element:
    return page_of(console.get(f"/keys/{key.public_id}/"), status)


def save(console: Client, key: ApiKey, **typed: object) -> object:
    form = key_page(console, key).button("Save changes").form.values()
    return console.post(f"/keys/{key.public_id}/", form | typed)


def facts(page: Element, heading: str) -> dict[str, str]:
    section = page.one("section", aria_labelledby=page.one("h2", heading)["id"])
    return {row.one("dt").text: row.one("dd").text for row in section.one("dl", class_="facts").all("div")}


def test_the_page_has_the_parts_and_words_that_people_rely_on(console: Client, api_key: ApiKey) -> None:
    page = key_page(console, api_key)

    assert page.one("h1").text == api_key.name
    assert {heading.text for heading in page.one("main").all("h2")} == {
        "General", "Permissions", "Error rate", "Developers corner", "History", "Administration settings",
    }  # fmt: skip
    assert page.link("Duplicate")["href"] == f"/keys/{api_key.public_id}/duplicate/"
    assert page.button("Save changes").form["id"] == "general-form"
    assert page.one("label", "Key name")["for"] == page.one("input", name="name")["id"]
    assert page.one("label", "Description")["for"] == page.one("textarea", name="description")["id"]
    assert page.button("Disable").form["action"] == f"/keys/{api_key.public_id}/disable/"
    crumbs = page.one("nav", aria_label="Breadcrumb")
    assert [link.text for link in crumbs.all("a")] == ["Merchants", api_key.merchant.name, "Developers"]
    assert crumbs.one(aria_current="page").text == api_key.name


def test_the_corner_tells_what_a_developer_needs_and_no_more(console: Client, api_key: ApiKey) -> None:
    page = key_page(console, api_key)

    assert facts(page, "Developers corner") == {"Key ID": api_key.public_id, "Key": api_key.masked}
    assert "http://testserver/v1/whoami" in page.one("pre").text
    assert "Bearer $KEY" in page.one("pre").text
    assert page.one("button", aria_label="Copy key ID")["data-copy-plain"] == api_key.public_id
    assert api_key.secret.reveal()[12:] not in str(page.text)

    origin = api_key
    limited = ApiKeyFactory(
        merchant=origin.merchant, duplicated_from=origin, allowed_networks=["203.0.113.0/24", "2001:db8::/32"],
        expires_at=timezone.now() + timedelta(days=3, minutes=1),
    )  # fmt: skip
    told = facts(key_page(console, limited), "Developers corner")
    assert told["Expires"].startswith("in 3 days, ")
    assert told["Allowed networks"] == "203.0.113.0/242001:db8::/32"
    assert told["Duplicate of"] == origin.name


def test_permissions_are_told_for_every_resource_and_cannot_be_changed(
    console: Client, api_key: ApiKey
) -> None:
    page = key_page(console, api_key)
    told = facts(page, "Permissions")

    labels = {resource.label: name for name, resource in catalogue().resources.items()}
    assert told == {
        label: {"payments": "Write", "refunds": "Read"}.get(name, "None") for label, name in labels.items()
    }
    section = page.one("section", aria_labelledby="permissions-heading")
    assert not section.all("input")
    assert "never changed" in section.one(class_="final")["data-tip"]


def test_the_state_is_told_with_its_meaning(console: Client, api_key: ApiKey) -> None:
    use(api_key, succeeded=2)
    settings = key_page(console, api_key).one("section", aria_labelledby="settings-heading")
    assert settings.one(class_="badge").text == "Enabled"
    assert "Requests with this key are answered. 2 requests in the last hour." in settings.text

    refused = key_page(console, ApiKeyFactory(merchant=MerchantFactory(disabled=True)))
    assert "refused whatever its own status" in refused.one(class_="banner").text
    expired = key_page(console, ApiKeyFactory(expired=True))
    assert expired.one("p", class_="page-meta").one(class_="mode-expired").text == "expired"


def test_disable_and_enable_go_at_once_and_can_be_undone(console: Client, api_key: ApiKey) -> None:
    here = f"/keys/{api_key.public_id}/"
    for button, state, undo in (("Disable", "disabled", "Enable"), ("Enable", "enabled", "Disable")):
        form = key_page(console, api_key).button(button).form
        response = console.post(form["action"], form.values())
        assert response["Location"] == here
        page = page_of(console.get(here))
        api_key.refresh_from_db()
        assert api_key.status == state
        assert messages_of(page)[0].startswith(f"“{api_key.name}” {state}.")
        assert page.button("Undo").form["action"] == f"{here}{undo.lower()}/"
        assert page.button("Undo").form.values()["next"] == [here]
        assert page.has("button", undo)

    undone = page.button("Undo").form
    console.post(undone["action"], undone.values())
    api_key.refresh_from_db()
    assert api_key.status == "disabled"


ELSEWHERE = (
    "https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "foo", "apikey-detail",
    "merchant-list", "\0", "http://[", "/" + "x" * 20_000, "", " ", "https://testserver@evil.example/",
    "\n//evil.example",
)  # fmt: skip


def test_a_forged_next_leads_nowhere_else(console: Client, api_key: ApiKey) -> None:
    for target in ELSEWHERE:
        for address in (f"/keys/{api_key.public_id}/disable/", "/profile/"):
            response = console.post(address, {"next": target, "partial": "1", "theme": "dark"})
            assert response.status_code == 302, target
            assert response["Location"] in {f"/keys/{api_key.public_id}/", "/profile/"}, target


# -- Save changes --------------------------------------------------------------------------------------------------


def test_name_and_description_are_saved_with_before_and_after(
    console: Client, operator: User, api_key: ApiKey
) -> None:
    response = save(console, api_key, name="  New\u00a0 name ", description="Ask <b>Ann</b>\r\nor Bob ")
    page = page_of(console.get(response["Location"]))
    api_key.refresh_from_db()

    assert (api_key.name, api_key.description, api_key.revision) == ("New name", "Ask <b>Ann</b>\nor Bob", 2)
    assert messages_of(page) == ["Changes saved."]
    assert page.one("h1").text == "New name"
    assert page.one("textarea", name="description").control_values() == ["Ask <b>Ann</b>\nor Bob"]
    entry = HistoryEntry.objects.get(key=api_key, action=Action.KEY_UPDATED)
    assert entry.actor_user == operator
    changes = page.one("ol", class_="events").all("dl", class_="event-changes")[0]
    assert changes.all("del")[1].text == "empty"
    assert changes.all("ins")[1].text == "Ask <b>Ann</b> or Bob"
    assert facts(page, "History")["Latest update"].startswith(f"{operator.display_name}, ")


def test_saving_nothing_new_writes_nothing(console: Client, api_key: ApiKey) -> None:
    before = HistoryEntry.objects.count()

    assert save(console, api_key).status_code == 302
    assert HistoryEntry.objects.count() == before


def test_the_second_of_two_who_save_sees_what_the_first_saved_and_loses_nothing(
    console: Client, operator: User, api_key: ApiKey
) -> None:
    mine = key_page(console, api_key).button("Save changes").form.values()
    other = UserFactory(first_name="Ann <b>", last_name="Other")
    lifecycle.update(
        key=api_key, name="Theirs", description="<i>theirs</i>", revision=1, actor=ActorFactory(user=other)
    )
    before = HistoryEntry.objects.count()

    page = page_of(
        console.post(f"/keys/{api_key.public_id}/", mine | {"name": "Mine", "description": "mine"}), 409
    )
    conflict = page.one(class_="error-summary")
    assert conflict.one("h2").text == "Ann <b> Other saved this key while you were editing it."
    assert {row.one("dt").text: row.one("dd").text for row in conflict.all("div") if len(row.all("dt")) == 1} == {
        "Name now": "Theirs", "Description now": "<i>theirs</i>",
    }  # fmt: skip
    assert page.one("h1").text == "Theirs"
    kept = page.button("Save changes").form.values()
    assert (kept["name"], kept["description"], kept["revision"]) == (["Mine"], ["mine"], ["2"])
    assert HistoryEntry.objects.count() == before

    assert console.post(f"/keys/{api_key.public_id}/", kept).status_code == 302
    api_key.refresh_from_db()
    assert (api_key.name, api_key.description) == ("Mine", "mine")


def test_two_who_save_the_same_do_not_quarrel(console: Client, api_key: ApiKey, actor: Actor) -> None:
    mine = key_page(console, api_key).button("Save changes").form.values()
    lifecycle.update(key=api_key, name="Same", description="", revision=1, actor=actor)

    assert console.post(f"/keys/{api_key.public_id}/", mine | {"name": "Same"}).status_code == 302


@pytest.mark.parametrize("revision", [[], "", "x", "0", "\0", "9" * 30])
def test_a_form_without_a_sound_revision_saves_nothing(
    console: Client, api_key: ApiKey, revision: object
) -> None:
    before = HistoryEntry.objects.count()
    # A revision to come is as good as one that is past.
    status = 409 if revision == "9" * 30 else 422
    page = page_of(save(console, api_key, name="Mine", revision=revision), status)

    if status == 422:
        assert "This form came back incomplete." in page.one(class_="error-summary").text
    assert page.button("Save changes").form.values()["name"] == ["Mine"]
    api_key.refresh_from_db()
    assert api_key.name != "Mine"
    assert HistoryEntry.objects.count() == before


def test_a_name_that_cannot_be_is_refused_and_kept_in_the_form(console: Client, api_key: ApiKey) -> None:
    ApiKeyFactory(merchant=api_key.merchant, name="Taken")
    before = HistoryEntry.objects.count()
    for name, told in {
        "": "Enter a key name.",
        "x" * 81: "81 characters long",
        "a\u202eb": "invisible character (U+202E)",
        "a\0b": "Null characters",
        "tAKEN": "already has an API key called “tAKEN”",
    }.items():
        page = page_of(save(console, api_key, name=name, description="Kept"), 422)
        assert told in page.one(class_="error-summary").text
        assert page.one(id="id_name")["aria-invalid"] == "true"
        kept = page.button("Save changes").form.values()
        assert (kept["name"], kept["description"]) == ([name], ["Kept"])
        assert page.one("h1").text == api_key.name
    long = page_of(save(console, api_key, description="x" * 501), 422)
    assert "501 characters long; 500 is the most" in long.one(class_="error-summary").text
    assert HistoryEntry.objects.count() == before


def test_nothing_but_name_and_description_can_be_edited(console: Client, api_key: ApiKey) -> None:
    unchanged = ("merchant_id", "mode", "permissions", "status", "head", "tail", "expires_at", "allowed_networks",
                 "created_at", "created_by_id", "duplicated_from_id", "secret_ciphertext", "id")  # fmt: skip
    before = {name: getattr(api_key, name) for name in unchanged}
    other = MerchantFactory()
    response = save(
        console, api_key, name="Renamed", mode="test", permissions="payments:write payouts:write",
        permission_payouts="write", status="revoked", merchant=str(other.pk), merchant_id=str(other.pk),
        expires_at="2001-01-01", allowed_networks="0.0.0.0/0", digest="x", secret_ciphertext="x", head="XXXX",
        created_at="2001-01-01", created_by="1", duplicated_from=str(api_key.pk), id="x", pk="x",
    )  # fmt: skip

    assert response.status_code == 302
    stored = ApiKey.objects.get(pk=api_key.pk)
    assert {name: getattr(stored, name) for name in unchanged} == before
    assert stored.name == "Renamed"


def test_a_revoked_key_saves_nothing_and_says_so(console: Client) -> None:
    key = ApiKeyFactory(revoked=True, description="Old")
    page = key_page(console, key)
    assert not page.has("button", "Save changes")
    assert page.one("fieldset", class_="plain-fieldset").get("disabled") is not None

    data = {"name": "New", "description": "New", "revision": "1"}
    refused = page_of(console.post(f"/keys/{key.public_id}/", data), 422)
    assert "This API key was revoked" in refused.one(class_="error-summary").text
    key.refresh_from_db()
    assert key.description == "Old"


# -- History -------------------------------------------------------------------------------------------------------


def test_the_history_tells_every_event_newest_first(console: Client, operator: User, actor: Actor) -> None:
    key = ApiKeyFactory(actor=actor)
    lifecycle.disable(key=key, actor=actor, reason="Just to see <what> happens")
    lifecycle.enable(key=key, actor=ActorFactory(user=None, name="demo", kind="command", address=None))
    page = key_page(console, key)

    events = page.one("ol", class_="events").all("li")
    assert [event.one("p", class_="event-title").text for event in events] == [
        "Enabled",
        "Disabled",
        "Created",
    ]
    assert events[1].one("p", class_="event-reason").text == "Just to see <what> happens"
    assert events[1].one("dl").text == "Statusenabled became disabled"
    assert events[2].one("p", class_="event-by").text.startswith(f"{operator.display_name}, ")
    assert "from" not in events[0].text
    assert facts(page, "History")["Created by"] == operator.display_name


def test_a_long_history_is_cut_and_leads_to_all_of_it(console: Client, api_key: ApiKey, actor: Actor) -> None:
    for number in range(8):
        lifecycle.update(key=api_key, name="K", description=str(number), revision=1 + number, actor=actor)
    page = key_page(console, api_key)

    assert len(page.one("ol", class_="events").all("li")) == 5
    assert page.link("All events")["href"] == f"/keys/{api_key.public_id}/history/"


def test_an_account_that_is_disabled_is_told_on_the_page_of_its_keys(
    console: Client, api_key: ApiKey, actor: Actor
) -> None:
    assert not key_page(console, api_key).has(class_="banner")
    merchants.disable(merchant=api_key.merchant, actor=actor)

    assert key_page(console, api_key).one(class_="banner").link("Open the merchant account")
