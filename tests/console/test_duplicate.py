"""Duplicate: every preset of the original, linked both ways, and a secret of its own."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from keys.keyformat import PATTERN
from keys.models import ApiKey, HistoryEntry
from keys.models.history import Action
from keys.permissions import catalogue
from tests.console.page import page_of
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def origin(db: None) -> ApiKey:
    return ApiKeyFactory(
        name="Checkout",
        description="Line 1\nLine <2>",
        permissions={"payments": "write", "reports": "read"},
        test_mode=True,
        expires_at=timezone.now().replace(microsecond=0) + timedelta(days=90),
        allowed_networks=["203.0.113.0/24", "2001:db8::/32"],
    )


def test_the_form_holds_every_preset_of_the_original(console: Client, origin: ApiKey) -> None:
    page = page_of(console.get(f"/keys/{origin.public_id}/duplicate/"))
    form = page.button("Create API key").form.values()

    assert page.one("h1").text == "New API key"
    assert page.has("a", "Checkout", href=f"/keys/{origin.public_id}/")
    assert form["name"] == ["Checkout (copy)"]
    assert form["description"] == ["Line 1\nLine <2>"]
    assert form["mode"] == ["test"]
    assert form["expires_at"] == [f"{origin.expires_at:%Y-%m-%dT%H:%M}"]
    assert form["allowed_networks"] == ["203.0.113.0/24\n2001:db8::/32"]
    granted = {name: form[f"permission_{name}"][0] for name in catalogue().resources}
    assert {name for name, access in granted.items() if access != "none"} == {"payments", "reports"}
    assert (granted["payments"], granted["reports"]) == ("write", "read")
    assert page.one("details", class_="card").get("open") is not None


def test_the_untouched_form_makes_the_same_key_with_another_secret(console: Client, origin: ApiKey) -> None:
    form = page_of(console.get(f"/keys/{origin.public_id}/duplicate/")).button("Create API key").form.values()
    page = page_of(console.post(f"/keys/{origin.public_id}/duplicate/", form))
    copy = ApiKey.objects.get(duplicated_from=origin)

    assert page.one("h1").text == "API key created"
    assert (copy.merchant, copy.mode, copy.permissions, copy.allowed_networks, copy.description) == (
        origin.merchant, origin.mode, origin.permissions, origin.allowed_networks, origin.description,
    )  # fmt: skip
    assert copy.expires_at == origin.expires_at.replace(second=0)
    assert copy.name == "Checkout (copy)"
    shown = page.one("input", aria_label="API key")["value"]
    assert PATTERN.fullmatch(shown)
    assert shown != origin.secret.reveal()
    assert bytes(copy.digest) != bytes(origin.digest)


def test_both_histories_name_the_other(console: Client, origin: ApiKey) -> None:
    form = page_of(console.get(f"/keys/{origin.public_id}/duplicate/")).button("Create API key").form.values()
    console.post(f"/keys/{origin.public_id}/duplicate/", form)
    copy = ApiKey.objects.get(duplicated_from=origin)

    told = HistoryEntry.objects.get(key=origin, action=Action.KEY_DUPLICATED)
    assert told.after == {"duplicate": copy.public_id, "name": copy.name}
    born = HistoryEntry.objects.get(key=copy, action=Action.KEY_CREATED)
    assert born.after["duplicated_from"] == origin.public_id
    page = page_of(console.get(f"/keys/{copy.public_id}/"))
    assert page.has("a", "Checkout", href=f"/keys/{origin.public_id}/")
    assert "Duplicated" in page_of(console.get(f"/keys/{origin.public_id}/")).one("ol", class_="events").text


def test_the_proposed_name_is_one_that_is_free(console: Client, origin: ApiKey) -> None:
    names = []
    for _ in range(3):
        form = (
            page_of(console.get(f"/keys/{origin.public_id}/duplicate/"))
            .button("Create API key")
            .form.values()
        )
        names += form["name"]
        assert console.post(f"/keys/{origin.public_id}/duplicate/", form).status_code == 200

    assert names == ["Checkout (copy)", "Checkout (copy 2)", "Checkout (copy 3)"]
    long = ApiKeyFactory(name="🏦" * 80)
    form = page_of(console.get(f"/keys/{long.public_id}/duplicate/")).button("Create API key").form.values()
    assert form["name"] == ["🏦" * 73 + " (copy)"]


@pytest.mark.parametrize("state", ["disabled", "revoked"])
def test_a_key_in_any_state_can_be_duplicated_and_the_copy_is_enabled(console: Client, state: str) -> None:
    origin = ApiKeyFactory(name="Old", state=state)
    form = page_of(console.get(f"/keys/{origin.public_id}/duplicate/")).button("Create API key").form.values()

    assert console.post(f"/keys/{origin.public_id}/duplicate/", form).status_code == 200
    assert ApiKey.objects.get(duplicated_from=origin).status == "enabled"
    origin.refresh_from_db()
    assert origin.status == state


def test_the_form_twice_makes_one_duplicate_and_one_history(console: Client, origin: ApiKey) -> None:
    form = page_of(console.get(f"/keys/{origin.public_id}/duplicate/")).button("Create API key").form.values()
    statuses = [console.post(f"/keys/{origin.public_id}/duplicate/", form).status_code for _ in range(3)]

    assert statuses == [200, 302, 302]
    assert ApiKey.objects.filter(duplicated_from=origin).count() == 1
    assert HistoryEntry.objects.filter(key=origin, action=Action.KEY_DUPLICATED).count() == 1


def test_an_expiry_that_has_passed_is_refused_and_not_dropped(console: Client) -> None:
    origin = ApiKeyFactory(expired=True)
    form = page_of(console.get(f"/keys/{origin.public_id}/duplicate/")).button("Create API key").form.values()
    assert form["expires_at"] == [f"{origin.expires_at:%Y-%m-%dT%H:%M}"]

    page = page_of(console.post(f"/keys/{origin.public_id}/duplicate/", form), 422)
    assert "The expiry date has passed already." in page.one(class_="error-summary").text
    assert ApiKey.objects.count() == 1
    assert console.post(f"/keys/{origin.public_id}/duplicate/", form | {"expires_at": ""}).status_code == 200


def test_what_is_changed_in_the_form_is_what_is_made(console: Client, origin: ApiKey) -> None:
    form = page_of(console.get(f"/keys/{origin.public_id}/duplicate/")).button("Create API key").form.values()
    changed = form | {"name": "Other", "mode": "live", "permission_payments": "none", "allowed_networks": ""}
    console.post(f"/keys/{origin.public_id}/duplicate/", changed)

    copy = ApiKey.objects.get(name="Other")
    assert (copy.mode, copy.permissions, copy.allowed_networks) == ("live", "reports:read", "")
    origin.refresh_from_db()
    assert origin.permissions == "payments:write reports:read"


def test_what_the_catalogue_no_longer_knows_is_told_and_not_carried_over_in_silence(
    console: Client, origin: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = dict(catalogue().resources)
    del resources["reports"]
    monkeypatch.setattr(catalogue(), "resources", resources)

    page = page_of(console.get(f"/keys/{origin.public_id}/"))
    assert "reports (not in the catalogue)" in page.text
    page = page_of(console.get(f"/keys/{origin.public_id}/duplicate/"))
    assert (
        "The original also has access to reports, which the permission catalogue no longer knows."
        in page.text
    )
    assert "permission_reports" not in page.button("Create API key").form.values()
