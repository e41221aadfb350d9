"""The Django admin: everything to look at, nothing to edit, and no secret in it."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from keys import lifecycle, people, teams
from keys.history import Actor
from keys.identifiers import REQUEST, encode
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User
from keys.models.access import PlatformRole, TeamRole
from tests.console.page import Element, inline_code, page_of
from tests.factories import ActorFactory, ApiKeyFactory, MerchantFactory, UserFactory, use

pytestmark = pytest.mark.django_db

READ_ONLY = {
    "merchant": Merchant,
    "apikey": ApiKey,
    "requestlog": RequestLog,
    "historyentry": HistoryEntry,
    "user": User,
}


@pytest.fixture
def one_of_each(api_key: ApiKey, operator: User) -> dict[str, object]:
    use(api_key, failed=1)
    return {
        "merchant": api_key.merchant,
        "apikey": api_key,
        "requestlog": RequestLog.objects.get(),
        "historyentry": HistoryEntry.objects.filter(key=api_key).get(),
        "user": operator,
    }


def test_the_models_of_the_product_are_there_and_no_others() -> None:
    assert {model._meta.model_name: model for model in admin.site._registry} == READ_ONLY


@pytest.mark.parametrize("name", READ_ONLY)
def test_lists_and_details_are_to_look_at(console: Client, one_of_each: dict[str, object], name: str) -> None:
    row = one_of_each[name]
    listed = console.get(f"/admin/keys/{name}/")
    assert listed.status_code == 200
    assert str(row.pk) in listed.content.decode()
    assert "Add " not in listed.content.decode().partition('id="content"')[2]
    assert ('name="action"' in listed.content.decode()) is (name in {"merchant", "apikey"})

    detail = console.get(f"/admin/keys/{name}/{row.pk}/change/")
    assert detail.status_code == 200
    body = detail.content.decode().partition('id="content"')[2]
    assert 'name="_save"' not in body
    assert "deletelink" not in body
    assert 'type="text"' not in body


@pytest.mark.parametrize("name", READ_ONLY)
def test_nothing_is_added_changed_or_deleted(
    console: Client, one_of_each: dict[str, object], name: str
) -> None:
    model, row = READ_ONLY[name], one_of_each[name]
    before = list(model.objects.order_by("pk").values())
    changes = {
        "name": "Changed",
        "status": "revoked",
        "permissions": "payments:write",
        "_save": "Save",
        "action": "x",
    }
    for address, data in (
        (f"/admin/keys/{name}/add/", changes),
        (f"/admin/keys/{name}/{row.pk}/change/", changes),
        (f"/admin/keys/{name}/{row.pk}/delete/", {"post": "yes"}),
    ):
        assert console.post(address, data).status_code == 403, address
    assert console.get(f"/admin/keys/{name}/add/").status_code == 403
    assert console.get(f"/admin/keys/{name}/{row.pk}/delete/").status_code == 403
    action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes", "index": "0"}
    assert console.post(f"/admin/keys/{name}/", action).status_code in {302, 403}

    assert list(model.objects.order_by("pk").values()) == before


def test_no_digest_and_no_ciphertext_stand_in_any_page(
    console: Client, operator: User, one_of_each: dict[str, object]
) -> None:
    key = one_of_each["apikey"]
    for name, row in one_of_each.items():
        for address in (
            f"/admin/keys/{name}/", f"/admin/keys/{name}/{row.pk}/change/", f"/admin/keys/{name}/{row.pk}/history/",
        ):  # fmt: skip
            body = console.get(address).content.decode()
            assert operator.password not in body, address
            assert key.secret_ciphertext not in body, address
            for digest in (bytes(key.digest).hex(), str(bytes(key.digest))):
                assert digest not in body, address
            assert key.secret.reveal()[12:] not in body, address
            assert "ciphertext" not in body.lower(), address
            assert "digest" not in body.lower(), address


@pytest.mark.parametrize("name", READ_ONLY)
def test_what_is_not_shown_cannot_be_guessed_by_filters(
    console: Client, one_of_each: dict[str, object], name: str
) -> None:
    """Django's lists take any column for a filter; a digest could be found bit by bit."""
    for column in (
        "digest",
        "secret_ciphertext__startswith",
        "merchant__api_keys__digest",
        "password__startswith",
        "hash",
    ):
        assert console.get(f"/admin/keys/{name}/", {column: "a"}).status_code == 400, column
    for address in ("/admin/autocomplete/?app_label=keys&model_name=apikey&field_name=merchant&term=a",):
        assert console.get(address).status_code == 404
    assert console.get(f"/admin/keys/{name}/?_to_field=digest").status_code == 400


def test_nonsense_breaks_no_page(console: Client, api_key: ApiKey) -> None:
    for address in (
        "nonsense/change/", "0/change/", "%00/change/", "?o=99.-99", "?p=99999", "?p=x", "?status=evil", "?nonsense=1",
        "?e=1", "?after=x", "?before=%00", "?after=WyJhIl0", "?merchant=mch_x", "?key=key_x&merchant=", "?actor=x",
        "?actor=99999999999999999999", "?all=", "?_facets=True", "?_popup=1", "?q=%00", "?q=%25", "?q=_",
        "?q=" + "x" * 5000, "?q=sk_live_abcd", "?q=mch_" + "0" * 26, "?since=evil", "?status=enabled&status=evil",
    ):  # fmt: skip
        for name in READ_ONLY:
            status = console.get(f"/admin/keys/{name}/{address}").status_code
            assert status in {200, 302, 400}, (name, address)
            assert console.get(f"/admin/keys/{name}/{address}", follow=True).status_code in {200, 400}


def test_a_password_is_changed_where_the_console_changes_it(console: Client) -> None:
    assert console.get("/admin/password_change/")["Location"] == "/accounts/password/change/"
    assert console.post("/admin/password_change/", {"new_password1": "x"})["Location"].startswith(
        "/accounts/"
    )


def test_the_admin_is_under_the_same_policy_as_the_console(
    console: Client, one_of_each: dict[str, object]
) -> None:
    for address in (
        "/admin/",
        "/admin/keys/apikey/",
        f"/admin/keys/apikey/{one_of_each['apikey'].pk}/change/",
    ):
        response = console.get(address)
        assert "unsafe" not in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
        assert inline_code(page_of(response)) == []


# -- Roles -------------------------------------------------------------------------------------------------------------


def test_people_of_merchant_teams_and_viewers_have_no_admin(client: Client, api_key: ApiKey) -> None:
    for person in (
        UserFactory(role="viewer"),
        UserFactory(team=(api_key.merchant, "owner")),
        UserFactory(),
    ):
        client.force_login(person)
        for address in ("/admin/", "/admin/keys/apikey/", f"/admin/keys/apikey/{api_key.pk}/change/"):
            assert client.get(address, follow=True).status_code == 403, (person, address)


def test_somebody_of_staff_sees_what_is_in_their_reach(
    client: Client, one_of_each: dict[str, object]
) -> None:
    nobody = UserFactory(is_staff=True)
    client.force_login(nobody)
    for name, row in one_of_each.items():
        assert client.get(f"/admin/keys/{name}/").status_code == 403
        assert client.get(f"/admin/keys/{name}/{row.pk}/change/").status_code == 403

    # Django's permission opens the list, and the rows on it are those of the teams.
    views = ("view_merchant", "view_apikey", "view_requestlog", "view_historyentry")
    nobody.user_permissions.set(Permission.objects.filter(codename__in=views[1:]))
    own = ApiKeyFactory(name="Mine")
    teams.add(user=nobody, merchant=own.merchant, role=TeamRole.VIEWER)
    assert names(client.get("/admin/keys/apikey/")) == ["Mine"]
    assert names(client.get("/admin/keys/apikey/?q=key")) == []
    assert client.get(f"/admin/keys/apikey/{one_of_each['apikey'].pk}/change/").status_code == 302
    assert names(client.get("/admin/keys/requestlog/")) == []
    assert not page_of(client.get("/admin/keys/apikey/")).has("select", name="action")


def test_an_operator_sees_neither_people_nor_their_history(
    client: Client, one_of_each: dict[str, object]
) -> None:
    operator, boss = UserFactory(role="operator"), UserFactory(role="administrator")
    people.change_role(person=boss, role=PlatformRole.VIEWER, actor=ActorFactory(user=one_of_each["user"]))
    told = HistoryEntry.objects.get(action="person.role_changed")
    for person, status, pages in ((operator, 302, 403), (one_of_each["user"], 200, 200)):
        client.force_login(person)
        assert client.get(f"/admin/keys/historyentry/{told.pk}/change/").status_code == status
        assert client.get("/admin/keys/user/").status_code == pages
        assert page_of(client.get("/admin/")).has("a", "People") is (pages == 200)
        listed = client.get("/admin/keys/historyentry/?action=person.role_changed").content.decode()
        assert (str(told.pk) in listed) is (status == 200)


# -- Search and filters ------------------------------------------------------------------------------------------------


def names(response: object) -> list[str]:
    """What the first link of each row says."""
    page = page_of(response)
    return (
        [row.one("th").text for row in page.one(id="result_list").one("tbody").all("tr")]
        if page.has(id="result_list")
        else []
    )


def test_keys_are_found_by_name_id_account_and_mask(console: Client, api_key: ApiKey) -> None:
    zebra = ApiKeyFactory(name="Zébra till")
    for query in (
        "zeb",
        "ZEBRA T",
        zebra.public_id,
        zebra.merchant.public_id,
        zebra.masked,
        zebra.masked[:12],
    ):
        assert names(console.get("/admin/keys/apikey/", {"q": query})) == ["Zébra till"], query
    assert names(console.get("/admin/keys/apikey/", {"q": "till"})) == []
    assert names(console.get("/admin/keys/apikey/", {"q": "sk_live_zz"})) == []


def test_a_whole_key_is_found_and_does_not_stay_in_the_address(console: Client, api_key: ApiKey) -> None:
    response = console.get("/admin/keys/apikey/", {"q": f" {api_key.secret.reveal()} "})
    assert response["Location"] == f"/admin/keys/apikey/?q={api_key.public_id}"
    assert names(console.get(response["Location"])) == [api_key.name]

    unknown = PlaintextKey.generate(Mode.LIVE)
    for name in READ_ONLY:
        response = console.get(f"/admin/keys/{name}/", {"q": unknown.reveal()})
        assert unknown.reveal()[14:-4] not in response["Location"], name
        assert console.get(response["Location"]).status_code == 200


def test_accounts_are_found_by_words_and_id(console: Client, merchant: Merchant) -> None:
    zoo = MerchantFactory(name="Small zoo", website="monkeys.example", disabled=True)
    for query in ("zo", "sma zo", "monk", zoo.public_id):
        assert names(console.get("/admin/keys/merchant/", {"q": query})) == ["Small zoo"], query
    assert names(console.get("/admin/keys/merchant/", {"q": "zo", "status": "enabled"})) == []
    assert names(console.get("/admin/keys/merchant/", {"status": "disabled"})) == ["Small zoo"]


def test_keys_are_filtered_by_status_mode_and_expiry(console: Client, merchant: Merchant) -> None:
    ApiKeyFactory(merchant=merchant, name="Plain")
    ApiKeyFactory(merchant=merchant, name="Off", disabled=True, test_mode=True)
    ApiKeyFactory(merchant=merchant, name="Gone", revoked=True)
    ApiKeyFactory(merchant=merchant, name="Late", expired=True)
    ApiKeyFactory(name="Soon", expires_at=timezone.now() + timedelta(days=3))
    for query, expected in (
        ("", "Soon Gone Off Plain Late"),
        ("status=disabled", "Off"),
        ("status=revoked", "Gone"),
        ("status=revoked&mode=test", ""),
        ("mode=test", "Off"),
        ("expired=yes", "Late"),
        ("expired=soon", "Soon"),
        ("expired=no&mode=live", "Soon Gone Plain"),
        (f"merchant={merchant.public_id}", "Plain Late Off Gone"),
        (f"merchant={merchant.public_id}&status=enabled", "Plain Late"),
        (f"merchant={merchant.public_id}&q=o", "Off"),
    ):
        assert names(console.get(f"/admin/keys/apikey/?{query}")) == expected.split(), query


def test_requests_are_found_and_filtered(console: Client, api_key: ApiKey) -> None:
    other = ApiKeyFactory()
    [good] = use(api_key, succeeded=1, path="/v1/payments", at=timezone.now() - timedelta(days=2))
    earlier = timezone.now() - timedelta(minutes=2)
    [bad] = use(api_key, failed=1, status=503, path="/v1/refunds", request_id="r-17", at=earlier)
    [refused] = use(other, failed=1, status=403, outcome="PERMISSION_DENIED", path="/V1/refunds")
    rows = {str(each.id): name for each, name in ((good, "good"), (bad, "bad"), (refused, "refused"))}
    for query, expected in (
        ({}, ["refused", "bad", "good"]),
        ({"result": "failed"}, ["refused", "bad"]),
        ({"result": "4xx"}, ["refused"]),
        ({"result": "5xx"}, ["bad"]),
        ({"result": "succeeded"}, ["good"]),
        ({"outcome": "PERMISSION_DENIED"}, ["refused"]),
        ({"since": "day"}, ["refused", "bad"]),
        ({"since": "week", "result": "succeeded"}, ["good"]),
        ({"key": api_key.public_id}, ["bad", "good"]),
        ({"key": api_key.public_id, "result": "failed"}, ["bad"]),
        ({"merchant": other.merchant.public_id}, ["refused"]),
        ({"q": api_key.public_id}, ["bad", "good"]),
        ({"q": other.merchant.public_id}, ["refused"]),
        ({"q": encode(REQUEST, good.id)}, ["good"]),
        ({"q": "/v1/re"}, ["bad"]),
        ({"q": "r-17"}, ["bad"]),
    ):
        response = console.get("/admin/keys/requestlog/", query)
        found = [link["href"].split("/")[4] for row in list_rows(response) for link in row.one("th").all("a")]
        assert [rows[each] for each in found] == expected, query


def list_rows(response: object) -> list[Element]:
    page = page_of(response)
    return page.one(id="result_list").one("tbody").all("tr") if page.has(id="result_list") else []


def test_the_history_is_filtered_by_action_actor_and_account(
    console: Client, actor: Actor, api_key: ApiKey
) -> None:
    other = ApiKeyFactory(disabled=True)
    lifecycle.disable(key=api_key, actor=actor, reason="Leaked in a log")
    by_actor = [
        entry.get_action_display()
        for entry in HistoryEntry.objects.filter(actor_user=actor.user).order_by("-id")
    ]
    assert by_actor == ["Disabled", "Created", "Merchant account created"]
    for query, expected in (
        ({"actor": actor.user.pk}, by_actor),
        ({"kind": "person"}, by_actor),
        ({"action": "key.disabled"}, ["Disabled", "Disabled"]),
        ({"action": "key.disabled", "kind": "command"}, ["Disabled"]),
        ({"action": "key.disabled", "key": api_key.public_id}, ["Disabled"]),
        ({"merchant": api_key.merchant.public_id}, by_actor),
        ({"merchant": other.merchant.public_id, "action": "key.created"}, ["Created"]),
        ({"q": "leaked"}, ["Disabled"]),
        ({"q": actor.name.upper()}, by_actor),
        ({"q": api_key.public_id}, ["Disabled", "Created"]),
        ({"since": "hour", "action": "key.revoked"}, []),
    ):
        response = console.get("/admin/keys/historyentry/", query)
        assert [row.one(class_="field-action").text for row in list_rows(response)] == expected, query


def test_people_are_found_and_filtered(console: Client, operator: User, merchant: Merchant) -> None:
    UserFactory(username="ada", first_name="Ada", last_name="Byron", role="viewer")
    UserFactory(username="grace", email="hopper@example.com", is_active=False, team=(merchant, "owner"))
    for query, expected in (
        ({"q": "byr"}, ["ada"]),
        ({"q": "ada by"}, ["ada"]),
        ({"q": "hopper@"}, ["grace"]),
        ({"role": "viewer"}, ["ada"]),
        ({"role": "administrator"}, [operator.username]),
        ({"role": "none"}, ["grace"]),
        ({"status": "deactivated"}, ["grace"]),
    ):
        assert names(console.get("/admin/keys/user/", query)) == expected, query
    grace = User.objects.get(username="grace")
    told = page_of(console.get(f"/admin/keys/user/{grace.pk}/change/")).text
    assert f"{merchant} (Owner)" in told
    assert "User name:" in told
    assert "Required. 150 characters" not in told


def test_pages_lead_to_the_rows_that_belong_to_them(console: Client, one_of_each: dict[str, object]) -> None:
    for name, row in one_of_each.items():
        page = page_of(console.get(f"/admin/keys/{name}/{row.pk}/change/"))
        links = [link["href"] for tools in page.all("ul", class_="object-tools") for link in tools.all("a")]
        assert bool(links) is (name != "historyentry"), name
        for address in links:
            assert console.get(address).status_code == 200, address
