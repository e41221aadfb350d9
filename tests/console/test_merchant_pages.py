"""Merchant accounts: the grid, a new account, the General tab, and its switch."""

import pytest
from django.test import Client

from keys import lifecycle, merchants
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, Merchant, User
from keys.models.history import Action
from keys.search import find
from tests.client import ProductClient
from tests.console.page import Element, messages_of, page_of, row_names, rows_of
from tests.factories import ActorFactory, ApiKeyFactory, MerchantFactory, UserFactory, use

pytestmark = pytest.mark.django_db


def account_page(console: Client, merchant: Merchant) -> Element:
    return page_of(console.get(f"/merchants/{merchant.public_id}/"))


def save(console: Client, merchant: Merchant, **typed: object) -> object:
    form = account_page(console, merchant).button("Save changes").form.values()
    return console.post(f"/merchants/{merchant.public_id}/", form | typed)


def create(console: Client, **typed: object) -> object:
    form = page_of(console.get("/merchants/new/")).button("Create merchant account").form.values()
    return console.post("/merchants/new/", form | typed)


# -- The grid ------------------------------------------------------------------------------------------------------


def test_the_grid_has_the_words_that_people_rely_on(console: Client, api_key: ApiKey) -> None:
    page = page_of(console.get("/merchants/"))

    assert page.one("h1").text == "Merchants"
    assert page.has("table", aria_label="Merchant accounts")
    assert page.link("New merchant account")["href"] == "/merchants/new/"
    assert [head.text for head in page.one("thead").all("th")] == [
        "Name", "Status", "Enabled keys", "Requests, 24 h", "Error rate, 24 h", "Created",
    ]  # fmt: skip
    link = rows_of(page)[0].one("th", scope="row").one("a")
    assert (link.text, link["href"]) == (api_key.merchant.name, f"/merchants/{api_key.merchant.public_id}/")


def test_a_row_adds_up_the_account_s_keys(console: Client, merchant: Merchant) -> None:
    keys = [ApiKeyFactory(merchant=merchant) for _ in range(2)]
    ApiKeyFactory(merchant=merchant, disabled=True)
    ApiKeyFactory(merchant=merchant, revoked=True)
    use(keys[0], succeeded=1_000)
    use(keys[1], succeeded=999, failed=1)
    quiet = MerchantFactory(name="ZZ", disabled=True, website="zz.example")
    rows = {row.one("th").one("a").text: row for row in rows_of(page_of(console.get("/merchants/")))}

    busy = [cell.text for cell in rows[merchant.name].all("td")]
    assert busy[:4] == ["Enabled", "2", "2,000", "<0.1%, 1 of 2,000 failed"]
    idle = [cell.text for cell in rows[quiet.name].all("td")]
    assert idle[:4] == ["Disabled", "0", "0", "No requests"]
    assert rows[quiet.name].one("th").one("span").text == "zz.example"


def test_an_empty_console_says_what_to_do(console: Client) -> None:
    grid = page_of(console.get("/merchants/")).one("div", id="grid")

    assert grid.one("h2").text == "No merchant accounts yet"
    assert grid.link("New merchant account")["href"] == "/merchants/new/"


# -- New merchant account ------------------------------------------------------------------------------------------


def test_a_new_account_is_enabled_found_and_in_the_history(console: Client, operator: User) -> None:
    response = create(console, name="  Café\u3000Zürich  ", website="https://cafe-zuerich.example/")
    merchant = Merchant.objects.get()

    assert response["Location"] == f"/merchants/{merchant.public_id}/developers/"
    assert (merchant.name, merchant.website, merchant.status, merchant.created_by) == (
        "Café Zürich", "cafe-zuerich.example", "enabled", operator,
    )  # fmt: skip
    assert find("zurich") == find("cafe-z") == [merchant.pk]
    page = page_of(console.get(response["Location"]))
    assert messages_of(page) == ["Merchant account “Café Zürich” created. It has no API keys yet."]
    assert HistoryEntry.objects.get().action == Action.MERCHANT_CREATED


@pytest.mark.parametrize(("typed", "told"), [
    ({"name": ""}, "Enter a name."),
    ({"name": "\u3164"}, "Enter a name."),
    ({"name": "x" * 121}, "Name is 121 characters long; 120 is the most. Shorten it."),
    ({"name": "a\u202eb"}, "Name contains an invisible character (U+202E)."),
    ({"name": "a\0b"}, "Null characters are not allowed."),
    ({"name": "A", "website": "not a website"}, "“not a website” is not a website. Write it like northwind.example."),
    ({"name": "A", "website": "javascript:alert(1)"}, "“javascript:alert(1)” is not a website."),
    ({"name": "A", "website": "https://user:pass@evil.example"}, "is not a website."),
    ({"name": "A", "website": "a." + "x" * 200}, "Website is 202 characters long; 200 is the most."),
    ({"name": "A", "website": "a.b\0"}, "Null characters are not allowed."),
])  # fmt: skip
def test_an_account_that_cannot_be_is_refused_and_its_form_keeps_what_was_typed(
    console: Client, typed: dict[str, str], told: str
) -> None:
    page = page_of(create(console, **typed), 422)

    assert told in page.one(class_="error-summary").text
    kept = page.button("Create merchant account").form.values()
    assert {name: kept[name][0] for name in typed} == typed
    assert not page.has("input", name="same_name")
    assert not Merchant.objects.exists()
    assert not HistoryEntry.objects.exists()


def test_a_second_account_of_the_same_name_asks_to_be_confirmed(console: Client) -> None:
    MerchantFactory(name="Acme")
    page = page_of(create(console, name=" Acme ", website="acme.example"), 422)
    assert "A merchant account with this name exists already." in page.one(class_="error-summary").text
    form = page.button("Create merchant account").form.values()
    assert (form["website"], "same_name" in form) == (["acme.example"], False)
    assert Merchant.objects.count() == 1

    assert console.post("/merchants/new/", form | {"same_name": "on"}).status_code == 302
    assert Merchant.objects.filter(name="Acme").count() == 2
    assert create(console, name="acme").status_code == 302


def test_confirming_a_name_that_nobody_has_is_of_no_account(console: Client) -> None:
    assert create(console, name="Acme", same_name="on").status_code == 302


def test_fields_that_are_not_of_the_form_change_nothing(console: Client) -> None:
    create(console, name="Acme", status="disabled", id="x", created_by="9", sort_name="zzz", revision="7")
    merchant = Merchant.objects.get()

    assert (merchant.status, merchant.sort_name, merchant.revision) == ("enabled", "acme", 1)


# -- The General tab -----------------------------------------------------------------------------------------------


def test_the_tab_tells_what_an_account_is(console: Client, api_key: ApiKey) -> None:
    merchant = api_key.merchant
    ApiKeyFactory(merchant=merchant, disabled=True)
    page = account_page(console, merchant)

    assert page.one("h1").text == merchant.name
    assert page.one("nav", aria_label="Merchant account").one("a", aria_current="page").text == "General"
    corner = page.one("section", aria_labelledby="corner-heading")
    assert merchant.public_id in corner.text
    assert corner.link("2 keys, 1 enabled")["href"] == f"/merchants/{merchant.public_id}/developers/"
    assert "1 enabled key" in page.one("section", aria_labelledby="settings-heading").text


def test_name_and_website_are_saved_found_and_in_the_history(console: Client, merchant: Merchant) -> None:
    response = save(console, merchant, name="Brandneu", website="http://brandneu.example")
    page = page_of(console.get(response["Location"]))
    merchant.refresh_from_db()

    assert (merchant.name, merchant.website, merchant.revision) == ("Brandneu", "brandneu.example", 2)
    assert messages_of(page) == ["Changes saved."]
    assert find("brandneu") == [merchant.pk]
    assert "Merchant account changed" in page.one("ol", class_="events").text
    before = HistoryEntry.objects.count()
    assert save(console, merchant).status_code == 302
    assert HistoryEntry.objects.count() == before


def test_the_second_of_two_who_save_sees_what_the_first_saved(console: Client, merchant: Merchant) -> None:
    mine = account_page(console, merchant).button("Save changes").form.values()
    ann = ActorFactory(user=UserFactory(first_name="Ann", last_name="Other"))
    merchants.update(merchant=merchant, name="Theirs", website="", revision=1, actor=ann)

    page = page_of(console.post(f"/merchants/{merchant.public_id}/", mine | {"name": "Mine"}), 409)
    conflict = page.one(class_="error-summary")
    assert conflict.one("h2").text == "Ann Other saved this merchant account while you were editing it."
    assert "Theirs" in conflict.text
    kept = page.button("Save changes").form.values()
    assert (kept["name"], kept["revision"]) == (["Mine"], ["2"])
    assert console.post(f"/merchants/{merchant.public_id}/", kept).status_code == 302


@pytest.mark.parametrize("typed", [
    {"name": ""}, {"name": "a\u202eb"}, {"name": "x" * 121}, {"website": "no website"}, {"revision": ""},
    {"revision": "x"}, {"revision": []}, {"name": "a\0"},
])  # fmt: skip
def test_what_cannot_be_saved_is_refused_and_kept_in_the_form(
    console: Client, merchant: Merchant, typed: dict[str, object]
) -> None:
    before = HistoryEntry.objects.count()
    page = page_of(save(console, merchant, **({"name": "Typed"} | typed)), 422)

    kept = page.button("Save changes").form.values()
    assert kept["name"] == [typed.get("name", "Typed")]
    assert page.has(class_="error-summary")
    assert HistoryEntry.objects.count() == before
    assert page.one("h1").text == merchant.name


def test_the_status_is_not_a_field(console: Client, merchant: Merchant) -> None:
    save(console, merchant, name="Renamed", status="disabled", sort_name="zzz", id="x")

    merchant.refresh_from_db()
    assert (merchant.status, merchant.sort_name) == ("enabled", "renamed")


def test_the_account_is_switched_off_and_on_with_undo_and_its_keys_keep_their_states(
    console: Client, api_key: ApiKey
) -> None:
    merchant = api_key.merchant
    here = f"/merchants/{merchant.public_id}/"
    headers = {"Authorization": f"Bearer {api_key.secret.reveal()}"}
    assert ProductClient().get("/v1/whoami", headers=headers).status_code == 200

    form = account_page(console, merchant).button("Disable merchant account").form
    assert console.post(form["action"], form.values())["Location"] == here
    page = page_of(console.get(here))
    assert messages_of(page)[0].startswith("Merchant account disabled.")
    assert ProductClient().get("/v1/whoami", headers=headers).status_code == 401
    api_key.refresh_from_db()
    assert api_key.status == "enabled"

    undo = page.button("Undo").form
    console.post(undo["action"], undo.values())
    assert ProductClient().get("/v1/whoami", headers=headers).status_code == 200
    assert messages_of(account_page(console, merchant))[0].startswith("Merchant account enabled.")


def test_a_step_that_came_too_late_says_who_was_first(
    console: Client, merchant: Merchant, operator: User
) -> None:
    console.post(f"/merchants/{merchant.public_id}/disable/")
    before = HistoryEntry.objects.count()
    page = page_of(console.post(f"/merchants/{merchant.public_id}/disable/", follow=True))

    assert messages_of(page)[-1] == (
        f"This merchant account is Disabled already, by {operator.display_name}. There is nothing left to do."
    )
    assert HistoryEntry.objects.count() == before


def test_the_history_of_an_account_is_not_that_of_its_keys(
    console: Client, api_key: ApiKey, actor: Actor
) -> None:
    lifecycle.disable(key=api_key, actor=actor)
    events = account_page(console, api_key.merchant).one("ol", class_="events")

    assert [event.one("p", class_="event-title").text for event in events.all("li")] == [
        "Merchant account created"
    ]


def test_two_accounts_of_one_name_are_two_rows(console: Client) -> None:
    one, two = MerchantFactory(name="Acme"), MerchantFactory(name="Acme")
    page = page_of(console.get("/merchants/"))

    assert row_names(page) == ["Acme", "Acme"]
    assert {row.one("th").one("a")["href"] for row in rows_of(page)} == {
        f"/merchants/{one.public_id}/", f"/merchants/{two.public_id}/",
    }  # fmt: skip
