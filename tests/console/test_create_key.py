"""A new API key: what the form offers, what is made of it, and that one form makes one key."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import signing
from django.test import Client
from django.utils import timezone

from keys.console.forms import new_submission
from keys.identifiers import new_id
from keys.keyformat import PATTERN
from keys.lifecycle import NETWORKS_MAX
from keys.models import ApiKey, HistoryEntry, Merchant, User
from keys.permissions import catalogue
from tests.client import ProductClient
from tests.console.page import Element, inline_code, messages_of, page_of, row_names
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(merchant: Merchant) -> str:
    return f"/merchants/{merchant.public_id}/developers/new/"


@pytest.fixture
def form(console: Client, address: str) -> dict[str, list[str]]:
    """What a browser would send of the untouched form."""
    return page_of(console.get(address)).button("Create API key").form.values()


def errors_of(page: Element) -> list[str]:
    return [item.text for item in page.one(class_="error-summary").all("li")]


def create(console: Client, address: str, form: dict[str, list[str]], **typed: object) -> object:
    return console.post(address, form | typed)


def test_the_form_offers_what_the_catalogue_knows(console: Client, address: str) -> None:
    page = page_of(console.get(address))

    assert page.one("h1").text == "New API key"
    for label, field in (("Key name", "id_name"), ("Description optional", "id_description")):
        assert page.one("label", label).attributes["for"] == field
    assert {radio["value"] for radio in page.all("input", name="mode")} == {"live", "test"}
    for resource in catalogue().resources.values():
        offered = [radio["value"] for radio in page.all("input", name=f"permission_{resource.name}")]
        assert offered == ["none", *(access.value for access in resource.accesses)]
        assert page.has("fieldset", data_permission=resource.label)
    assert [preset["data-preset"] for preset in page.all("button", data_preset=True)] == [
        *(str(preset.grants) for preset in catalogue().presets), ""
    ]  # fmt: skip
    assert "can never be changed" in page.text


def test_what_is_chosen_is_what_is_made(
    console: Client, operator: User, merchant: Merchant, address: str, form: dict[str, list[str]]
) -> None:
    response = create(
        console, address, form, name="  Checkout\t backend ", description="Line 1\r\nLine 2", mode="live",
        permission_payments="write", permission_reports="read", expires_at="2036-05-04T10:30",
        allowed_networks="203.0.113.9/24, 2001:db8::/32\n203.0.113.0/24",
    )  # fmt: skip
    key = ApiKey.objects.get()
    page = page_of(response)

    assert (key.name, key.description, key.mode, key.status) == (
        "Checkout backend", "Line 1\nLine 2", "live", "enabled",
    )  # fmt: skip
    assert key.permissions == "payments:write reports:read"
    assert key.expires_at == datetime(2036, 5, 4, 10, 30, tzinfo=UTC)
    assert key.allowed_networks == "203.0.113.0/24 2001:db8::/32"
    assert (key.merchant, key.created_by) == (merchant, operator)
    assert key.pk == HistoryEntry.objects.get(key=key).key_id
    assert page.one("h1").text == "API key created"
    shown = page.one("input", aria_label="API key")["value"]
    assert PATTERN.fullmatch(shown)
    assert "http://testserver/v1/whoami" in page.one("pre").text
    assert f"Authorization: Bearer {shown}" in page.one("pre").text
    assert page.link("the key's page")["href"] == f"/keys/{key.public_id}/"
    assert "no-store" in response["Cache-Control"]
    assert inline_code(page) == []


def test_the_key_that_is_shown_works(console: Client, address: str, form: dict[str, list[str]]) -> None:
    page = page_of(create(console, address, form, name="Checkout", mode="test", permission_payments="read"))
    headers = {"Authorization": f"Bearer {page.one('input', aria_label='API key')['value']}"}

    answer = ProductClient().get("/v1/whoami", headers=headers).json()
    assert answer["key"]["name"] == "Checkout"
    assert answer["mode"] == "test"
    assert answer["permissions"] == {"payments": "read"}


def test_what_nobody_chose_is_nothing(console: Client, address: str, form: dict[str, list[str]]) -> None:
    create(console, address, {"name": ["Bare"], "mode": ["test"]})

    key = ApiKey.objects.get()
    assert key.permissions == key.allowed_networks == key.description == ""
    assert key.expires_at is None


# -- One form, one key ---------------------------------------------------------------------------------------------


def test_the_same_form_twice_makes_one_key_and_shows_where_it_is(
    console: Client, address: str, form: dict[str, list[str]]
) -> None:
    create(console, address, form, name="Checkout", mode="live")
    response = create(console, address, form, name="Checkout", mode="live")

    key = ApiKey.objects.get()
    assert response["Location"] == f"/keys/{key.public_id}/"
    page = page_of(console.get(response["Location"]))
    assert messages_of(page) == ["This API key was created already. Copy it from its page."]
    assert not PATTERN.search(console.get(response["Location"]).content.decode())
    assert HistoryEntry.objects.filter(key=key).count() == 1


def test_the_same_form_with_another_name_or_account_makes_no_second_key_either(
    console: Client, address: str, form: dict[str, list[str]]
) -> None:
    elsewhere = f"/merchants/{MerchantFactory().public_id}/developers/new/"
    create(console, address, form, name="Checkout", mode="live")

    for there, name in ((address, "Renamed"), (elsewhere, "Checkout")):
        assert create(console, there, form, name=name, mode="test").status_code == 302
    assert ApiKey.objects.get().name == "Checkout"


def test_a_refused_form_keeps_its_submission(
    console: Client, address: str, form: dict[str, list[str]]
) -> None:
    refused = page_of(create(console, address, form, name="", mode="live"), 422)
    again = refused.button("Create API key").form.values()
    assert again["submission"] == form["submission"]

    assert create(console, address, again, name="Checkout").status_code == 200
    assert create(console, address, again, name="Checkout").status_code == 302
    assert ApiKey.objects.count() == 1


def test_two_forms_make_two_keys(console: Client, address: str, form: dict[str, list[str]]) -> None:
    other = page_of(console.get(address)).button("Create API key").form.values()
    assert other["submission"] != form["submission"]

    create(console, address, form, name="One", mode="live")
    create(console, address, other, name="Two", mode="live")
    assert ApiKey.objects.count() == 2


def forged_submissions(operator: User) -> dict[str, str]:
    other = UserFactory()
    taken = ApiKeyFactory()
    return {
        "missing": "",
        "nonsense": "x",
        "of another person": new_submission(other),
        "unsigned": f'["{taken.pk}", {operator.pk}]',
        "signed for something else": signing.dumps([str(taken.pk), operator.pk], salt="something else"),
        "tampered": new_submission(operator)[:-1],
        "NUL": "\0",
        "huge": "x" * 100_000,
    }


def test_a_forged_submission_names_no_key_and_its_form_still_makes_only_one(
    console: Client, operator: User, merchant: Merchant, address: str, form: dict[str, list[str]]
) -> None:
    for number, (label, submission) in enumerate(forged_submissions(operator).items()):
        before = ApiKey.objects.count()
        responses = [
            create(console, address, form, name=f"Key {number}", mode="live", submission=submission)
            for _ in range(2)
        ]
        made = ApiKey.objects.filter(merchant=merchant, name=f"Key {number}").count()
        if label == "NUL":
            assert [response.status_code for response in responses] == [422, 422], label
            assert made == 0
        else:
            # Without a submission of its own the second is refused for its name.
            assert [response.status_code for response in responses] == [200, 422], label
            assert made == 1
        assert ApiKey.objects.count() == before + made, label


def test_an_old_form_still_makes_a_key(
    console: Client, operator: User, address: str, form: dict[str, list[str]]
) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=3)):
        old = new_submission(operator)

    assert create(console, address, form, name="Late", mode="live", submission=old).status_code == 200


# -- Refused -------------------------------------------------------------------------------------------------------

GOOD = {"name": "Checkout", "mode": "live"}


INVISIBLE = "Remove it: retype the text rather than pasting it."
NO_NETWORK = "is not a network. Write it like 203.0.113.0/24 or 2001:db8::/32."
NO_CHOICE = "is not one of the available choices."
PASSED = "The expiry date has passed already. Choose a later one, or none."
TWO = "Two values came for this one. Choose one of them."

REFUSED = [
    ({"name": ""}, "Enter a key name."),
    ({"name": " \t "}, "Enter a key name."),
    ({"name": "\u200d"}, "Enter a key name."),
    ({"name": "x" * 81}, "Key name is 81 characters long; 80 is the most. Shorten it."),
    ({"name": "a\u202eb"}, f"Key name contains an invisible character (U+202E). {INVISIBLE}"),
    ({"name": "a\x07b"}, f"Key name contains an invisible character (U+0007). {INVISIBLE}"),
    ({"name": "a\0b"}, "Null characters are not allowed."),
    ({"description": "x" * 501}, "Description is 501 characters long; 500 is the most. Shorten it."),
    ({"description": "a\x1bb"}, f"Description contains an invisible character (U+001B). {INVISIBLE}"),
    ({"mode": ""}, "Choose Live mode or Test mode."),
    ({"mode": []}, "Choose Live mode or Test mode."),
    ({"mode": "production"}, f"Select a valid choice. production {NO_CHOICE}"),
    ({"permission_payments": "admin"}, f"Select a valid choice. admin {NO_CHOICE}"),
    ({"permission_payments": "WRITE"}, f"Select a valid choice. WRITE {NO_CHOICE}"),
    ({"permission_payments": "write\0"}, f"Select a valid choice. write\0 {NO_CHOICE}"),
    ({"permission_balances": "write"}, f"Select a valid choice. write {NO_CHOICE}"),
    ({"permission_everything": "write"}, "There is no resource called “everything”."),
    ({"permission_": "write"}, "There is no resource called “”."),
    ({"permission_Payments": "write"}, "There is no resource called “Payments”."),
    ({"permission_<b>": "write"}, "There is no resource called “<b>”."),
    ({"permission_payments": ["none", "write"]}, TWO),
    ({"mode": ["test", "live"]}, TWO),
    ({"name": ["A", "B"]}, TWO),
    ({"expires_at": "2020-01-01T00:00"}, PASSED),
    ({"expires_at": "0001-01-01T00:00"}, PASSED),
    ({"expires_at": "10000-01-01T00:00"}, "Enter a valid date/time."),
    ({"expires_at": "2036-02-30T00:00"}, "Enter a valid date/time."),
    ({"expires_at": "tomorrow"}, "Enter a valid date/time."),
    ({"allowed_networks": "nonsense"}, f"“nonsense” {NO_NETWORK}"),
    ({"allowed_networks": "10.0.0.0/33"}, f"“10.0.0.0/33” {NO_NETWORK}"),
    ({"allowed_networks": "<script>"}, f"“<script>” {NO_NETWORK}"),
    ({"allowed_networks": "fe80::1%eth0/128"}, f"“fe80::1%eth0/128” {NO_NETWORK}"),
    ({"allowed_networks": "fe80::%<script>/64"}, f"“fe80::%<script>/64” {NO_NETWORK}"),
    (
        {"allowed_networks": " ".join(f"10.0.{n}.0/24" for n in range(NETWORKS_MAX + 1))},
        "50 networks are the most for a key.",
    ),
]


def test_a_form_that_cannot_be_says_why_keeps_what_was_typed_and_makes_nothing(
    console: Client, address: str, form: dict[str, list[str]]
) -> None:
    before = HistoryEntry.objects.count()
    for typed, told in REFUSED:
        sent = form | GOOD | {"description": "Kept words", "permission_refunds": "read"} | typed
        page = page_of(console.post(address, sent), 422)

        assert errors_of(page) == [" ".join(told.split())]
        assert page.one(class_="error-summary")["role"] == "alert"
        assert page.has("h2", "One thing needs your attention"), typed
        assert inline_code(page) == [], typed
        kept = page.button("Create API key").form.values()
        for name in (
            "name",
            "description",
            "expires_at",
            "allowed_networks",
            "permission_refunds",
            "submission",
        ):
            last = sent[name][-1] if isinstance(sent[name], list) else sent[name]
            assert kept[name] == [last], (name, typed)
    assert ApiKey.objects.count() == 0
    assert HistoryEntry.objects.count() == before


def test_each_error_stands_at_its_field_and_on_top_with_a_link_to_it(
    console: Client, address: str, form: dict[str, list[str]]
) -> None:
    page = page_of(
        create(console, address, form, name="", mode="", expires_at="x", allowed_networks="y"), 422
    )

    assert page.has("h2", "4 things need your attention")
    for link in page.one(class_="error-summary").all("a"):
        target = link["href"].removeprefix("#")
        assert page.has(id=target), target
    for field in ("name", "expires_at", "allowed_networks"):
        control = page.one(id=f"id_{field}")
        assert control["aria-invalid"] == "true"
        assert f"id_{field}_error" in control["aria-describedby"].split()
        assert page.one(id=f"id_{field}_error").text
    # What is folded away would hide its error.
    assert page.one("details", class_="card").get("open") is not None


def test_a_name_in_use_is_refused_whatever_its_case_and_accents(
    console: Client, merchant: Merchant, address: str, form: dict[str, list[str]]
) -> None:
    ApiKeyFactory(merchant=merchant, name="Café")
    ApiKeyFactory(merchant=merchant, name="Gone", revoked=True)
    ApiKeyFactory(name="Elsewhere")

    for name in ("Café", "CAFE", "cafe\u0301"):
        page = page_of(create(console, address, form, name=name, mode="live"), 422)
        assert errors_of(page)[0].startswith("This merchant account already has an API key called"), name
        assert page.one(id="id_name_error").text
    for name in ("Gone", "Elsewhere"):
        fresh = page_of(console.get(address)).button("Create API key").form.values()
        assert create(console, address, fresh, name=name, mode="live").status_code == 200, name


def test_the_longest_and_strangest_names_that_are_allowed_are_made(
    console: Client, merchant: Merchant, address: str
) -> None:
    names = [
        "x" * 80,
        "🏦" * 80,
        "مفتاح الدفع",
        "👩‍👩‍👧‍👦",
        "日本橋",
        'O\'Brien & <Söhne> "GmbH"',
        "{{ 7 * 7 }}",
        "%s %(a)s {0}",
    ]
    for name in names:
        form = page_of(console.get(address)).button("Create API key").form.values()
        assert create(console, address, form, name=name, mode="live").status_code == 200, name

    developers = console.get(f"/merchants/{merchant.public_id}/developers/")
    assert set(row_names(page_of(developers))) == set(names)


def test_fields_that_are_not_of_the_form_change_nothing(
    console: Client, merchant: Merchant, address: str, form: dict[str, list[str]]
) -> None:
    other = MerchantFactory()
    create(
        console, address, form, name="Checkout", mode="live", merchant=str(other.pk), status="revoked", digest="x",
        id=str(new_id()), key_id=str(new_id()), created_by="999", permissions="payments:write", revision="9",
        duplicated_from=ApiKeyFactory().public_id, secret_ciphertext="x", head="XXXX", created_at="2001-01-01",
    )  # fmt: skip
    key = ApiKey.objects.get(name="Checkout")

    assert key.merchant == merchant
    assert (key.status, key.permissions, key.revision, key.duplicated_from) == ("enabled", "", 1, None)
    assert key.head != "XXXX"
    assert key.created_at.year > 2025
    assert re.fullmatch("[0-9A-Za-z]{4}", key.head)


def test_a_disabled_account_may_prepare_its_keys(console: Client) -> None:
    merchant = MerchantFactory(disabled=True)
    address = f"/merchants/{merchant.public_id}/developers/new/"
    form = page_of(console.get(address)).button("Create API key").form.values()

    assert create(console, address, form, name="Prepared", mode="live").status_code == 200
