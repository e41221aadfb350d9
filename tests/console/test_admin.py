"""The Django admin: everything to look at, nothing to change, and no secret in it."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client

from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory, use

pytestmark = pytest.mark.django_db

READ_ONLY = {"merchant": Merchant, "apikey": ApiKey, "requestlog": RequestLog, "historyentry": HistoryEntry}


@pytest.fixture
def one_of_each(api_key: ApiKey) -> dict[str, object]:
    use(api_key, failed=1)
    return {
        "merchant": api_key.merchant,
        "apikey": api_key,
        "requestlog": RequestLog.objects.get(),
        "historyentry": HistoryEntry.objects.filter(key=api_key).get(),
    }


def test_the_models_of_the_product_are_all_there() -> None:
    registered = {model._meta.model_name for model in admin.site._registry if model._meta.app_label == "keys"}

    assert registered == {*READ_ONLY, "user"}


@pytest.mark.parametrize("name", READ_ONLY)
def test_lists_and_details_are_to_look_at(console: Client, one_of_each: dict[str, object], name: str) -> None:
    row = one_of_each[name]
    listed = console.get(f"/admin/keys/{name}/")
    assert listed.status_code == 200
    assert str(row.pk) in listed.content.decode()
    assert "Add " not in listed.content.decode().partition('id="content"')[2]
    assert 'name="action"' not in listed.content.decode()

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
    action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    assert console.post(f"/admin/keys/{name}/", action).status_code in {200, 302, 403}

    assert list(model.objects.order_by("pk").values()) == before


def test_no_digest_and_no_ciphertext_stand_in_any_page(
    console: Client, one_of_each: dict[str, object]
) -> None:
    key = one_of_each["apikey"]
    for name, row in one_of_each.items():
        for address in (
            f"/admin/keys/{name}/", f"/admin/keys/{name}/{row.pk}/change/", f"/admin/keys/{name}/{row.pk}/history/",
        ):  # fmt: skip
            body = console.get(address).content.decode()
            assert key.secret_ciphertext not in body, address
            for digest in (bytes(key.digest).hex(), str(bytes(key.digest))):
                assert digest not in body, address
            assert key.secret.reveal()[12:] not in body, address
            assert "ciphertext" not in body.lower(), address
            assert "digest" not in body.lower(), address


def test_keys_and_accounts_are_found_by_the_beginning_of_their_names(
    console: Client, api_key: ApiKey
) -> None:
    ApiKeyFactory(name="Zebra")
    MerchantFactory(name="Zoo")
    for name, query, found in (("apikey", "zeb", "Zebra"), ("merchant", "zo", "Zoo")):
        body = console.get(f"/admin/keys/{name}/", {"q": query}).content.decode()
        assert found in body
        assert "1 result" in body, name
    for query in ("%00", "%", "_", "x" * 5000):
        for name in READ_ONLY:
            assert console.get(f"/admin/keys/{name}/?q={query}").status_code == 200, (name, query)


def test_nonsense_breaks_no_page(console: Client, api_key: ApiKey) -> None:
    for address in (
        "nonsense/change/", "0/change/", "%00/change/", "?o=99.-99", "?p=99999", "?p=x", "?status=evil", "?nonsense=1",
        "?e=1",
    ):  # fmt: skip
        for name in ("apikey", "user"):
            status = console.get(f"/admin/keys/{name}/{address}").status_code
            assert status in {200, 302, 400}, (name, address)


def test_people_and_roles_are_looked_up_here_and_changed_elsewhere(console: Client, operator: User) -> None:
    """A role taken here would pass by the last administrator, and by the history."""
    person, viewers = UserFactory(role="administrator"), Group.objects.get(name="Viewer")
    more = {
        "username": "x",
        "is_superuser": "on",
        "is_active": "",
        "groups": [str(viewers.pk)],
        "_save": "Save",
    }
    before = [list(model.objects.order_by("pk").values()) for model in (User, Group)]
    for row, place in ((person, "keys/user"), (operator, "keys/user"), (viewers, "auth/group")):
        assert console.get(f"/admin/{place}/{row.pk}/change/").status_code == 200
        assert console.post(f"/admin/{place}/{row.pk}/change/", more).status_code == 403
        assert console.post(f"/admin/{place}/add/", more).status_code == 403
        assert console.post(f"/admin/{place}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
        console.post(f"/admin/{place}/", action)
    assert console.post(f"/admin/keys/user/{person.pk}/password/", {"password1": "x"}).status_code == 403
    assert [list(model.objects.order_by("pk").values()) for model in (User, Group)] == before
    detail = console.get(f"/admin/keys/user/{person.pk}/change/").content.decode()
    assert person.password not in detail


def test_somebody_of_staff_without_rights_sees_nothing(
    client: Client, one_of_each: dict[str, object]
) -> None:
    client.force_login(UserFactory(is_staff=True))
    for name, row in one_of_each.items():
        assert client.get(f"/admin/keys/{name}/").status_code == 403
        assert client.get(f"/admin/keys/{name}/{row.pk}/change/").status_code == 403


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
        assert " onclick=" not in response.content.decode()
