"""Search and filters: what is asked for is what is shown."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from keys.gateway.ingest import ingest
from keys.keyformat import MASK_DOTS
from keys.models import ApiKey, Merchant
from keys.outcomes import Outcome
from tests.console.page import Element, page_of, row_names
from tests.factories import ApiKeyFactory, MerchantFactory, RecordFactory, use

pytestmark = pytest.mark.django_db

FRAGMENT = {"HX-Request": "true"}


def grid(console: Client, address: str, query: object = None) -> Element:
    return page_of(console.get(address, query, headers=FRAGMENT))


def found(console: Client, address: str, **query: str) -> set[str]:
    return set(row_names(grid(console, address, query)))


def pills(page: Element) -> list[str]:
    return [pill.text.removeprefix("Remove filter ") for pill in page.all("a", class_="pill")][:-1]


@pytest.fixture(name="developers")
def address_of_the_keys(merchant: Merchant) -> str:
    return f"/merchants/{merchant.public_id}/developers/"


@pytest.fixture
def log(merchant: Merchant) -> str:
    return f"/merchants/{merchant.public_id}/requests/"


# -- Merchants -----------------------------------------------------------------------------------------------------


def test_merchants_are_found_by_the_beginnings_of_words_whatever_their_case_and_accents(
    console: Client,
) -> None:
    for name in ("Café Zürich", "Zurich Insurance", "Northwind Traders", "ΟΔΥΣΣΕΥΣ", "日本橋", "50% Off"):
        MerchantFactory(name=name)
    MerchantFactory(name="Elsewhere", website="northwind.example")

    for query, names in {
        "ZURICH": {"Café Zürich", "Zurich Insurance"},
        "zür caf": {"Café Zürich"},
        "north": {"Northwind Traders", "Elsewhere"},
        "wind": set(),
        "οδυσσευς": {"ΟΔΥΣΣΕΥΣ"},
        "日本": {"日本橋"},
        "%": set(),
        "_": set(),
        "50%": {"50% Off"},
        "' OR 1=1": set(),
        "  north   trad ": {"Northwind Traders"},
    }.items():
        assert found(console, "/merchants/", q=query) == names, query


def test_a_merchant_is_found_by_its_id_alone(console: Client) -> None:
    one, _ = MerchantFactory(), MerchantFactory()

    page = grid(console, "/merchants/", {"q": f" {one.public_id} "})
    assert row_names(page) == [one.name]
    assert page.one(id="count").text.startswith("1 merchant account ·")

    nobody = grid(
        console, "/merchants/", {"q": one.public_id[:-1] + ("0" if one.public_id[-1] != "0" else "1")}
    )
    assert row_names(nobody) == []
    assert nobody.one("h2").text == "No match"
    assert nobody.one(id="count").text.startswith("0 merchant accounts ·")


def test_merchants_are_filtered_by_status_with_and_without_a_search(console: Client) -> None:
    MerchantFactory(name="Ant")
    MerchantFactory(name="Antelope", disabled=True)
    MerchantFactory(name="Bee", disabled=True)

    assert found(console, "/merchants/", status="disabled") == {"Antelope", "Bee"}
    assert found(console, "/merchants/", status="enabled") == {"Ant"}
    assert found(console, "/merchants/", status="disabled", q="ant") == {"Antelope"}
    assert found(console, "/merchants/", status="enabled", q="bee") == set()


def test_a_search_that_finds_too_many_says_so(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keys.search.FOUND", 2)
    for number in range(4):
        MerchantFactory(name=f"Ant {number}")

    page = grid(console, "/merchants/", {"q": "ant"})
    assert page.one(id="count").text.startswith("More than 2 matches")
    assert len(row_names(page)) == 2
    exact = grid(console, "/merchants/", {"q": "ant 3"})
    assert exact.one(id="count").text.startswith("1 merchant account ·")


# -- Keys ----------------------------------------------------------------------------------------------------------


def test_keys_are_found_by_name_and_description_whatever_the_case_on_either_database(
    console: Client, merchant: Merchant, developers: str
) -> None:
    described = {
        "Checkout backend": "For the SHOP in Århus",
        "Ärger Straße": "",
        "ΣΊΣΥΦΟΣ": "ÉTÉ",
        "\uff46\uff55\uff4c\uff4c": "",
        "naïve": "été",
        "Emoji 🏦": "",
    }
    for name, description in described.items():
        ApiKeyFactory(merchant=merchant, name=name, description=description)
    ApiKeyFactory(name="Checkout of somebody else")

    for query, names in {
        "CHECKOUT": {"Checkout backend"},
        "out back": {"Checkout backend"},
        "ärger": {"Ärger Straße"},
        "ARGER STRASSE": {"Ärger Straße"},
        "σίσυφος": {"ΣΊΣΥΦΟΣ"},
        "full": {"\uff46\uff55\uff4c\uff4c"},
        "NAIVE": {"naïve"},
        "nai\u0308ve": {"naïve"},
        "🏦": {"Emoji 🏦"},
        "shop": {"Checkout backend"},
        "åRHUS": {"Checkout backend"},
        "ÉTÉ": {"ΣΊΣΥΦΟΣ", "naïve"},
        "été": {"ΣΊΣΥΦΟΣ", "naïve"},
        "nothing": set(),
        "\u200d": set(),
    }.items():
        assert found(console, developers, q=query) == names, query


def test_what_others_take_for_wildcards_is_looked_for_as_it_is(
    console: Client, merchant: Merchant, developers: str
) -> None:
    for name in (
        "50% off",
        "500 off",
        "a_b",
        "axb",
        "c-d",
        "back\\slash",
        "quote's",
        "star*",
        "what?",
        "[x]",
    ):
        ApiKeyFactory(merchant=merchant, name=name, description=f"is {name}")

    for query, names in {
        "%": {"50% off"},
        "50%": {"50% off"},
        "50% o": {"50% off"},
        "_": {"a_b"},
        "a_b": {"a_b"},
        "a-b": set(),
        "c_d": set(),
        "\\": {"back\\slash"},
        "'": {"quote's"},
        "*": {"star*"},
        "?": {"what?"},
        "[": {"[x]"},
        "%%": set(),
        "a%b": set(),
    }.items():
        assert found(console, developers, q=query) == names, query


def test_a_key_is_found_by_its_id_its_mask_or_itself(
    console: Client, merchant: Merchant, developers: str
) -> None:
    one, other = ApiKeyFactory(merchant=merchant), ApiKeyFactory(merchant=merchant, test_mode=True)

    for query in (one.public_id, one.masked, one.masked[:12], f"  {one.masked} "):
        assert found(console, developers, q=query) == {one.name}, query
    assert found(console, developers, q="sk_test_") == {other.name}
    assert found(console, developers, q=one.masked.replace(one.tail, "0000")) == set()
    assert found(console, developers, q=f"sk_live_{one.head.swapcase()}{MASK_DOTS}") <= {other.name}
    assert found(console, developers, q=ApiKeyFactory().public_id) == set()


@pytest.mark.parametrize("page", ["/merchants/", "/merchants/{}/developers/", "/merchants/{}/requests/"])
def test_a_key_that_is_pasted_without_scripts_does_not_stay_in_the_address(
    console: Client, api_key: ApiKey, page: str
) -> None:
    secret = api_key.secret.reveal()
    address = page.format(api_key.merchant.public_id)
    response = console.get(address, {"q": f" {secret}", "path": secret, "status": "enabled", "sort": "name"})

    assert response.status_code == 302
    assert secret[12:] not in response["Location"]
    query = parse_qs(urlsplit(response["Location"]).query)
    assert query["q"] == [f" sk_live_{api_key.head}{MASK_DOTS}"]
    assert query["status"] == ["enabled"]

    followed = console.get(response["Location"])
    assert secret[12:] not in followed.content.decode()
    assert page_of(followed)
    if "developers" in page:
        assert row_names(page_of(followed)) == [api_key.name]


def test_keys_are_filtered_by_status_mode_and_last_use(
    console: Client, merchant: Merchant, developers: str
) -> None:
    now = timezone.now()
    ApiKeyFactory(merchant=merchant, name="idle")
    for name, age, given in (
        ("busy", timedelta(minutes=2), {}),
        ("weekly", timedelta(days=6), {"disabled": True}),
        ("old", timedelta(days=31), {"revoked": True}),
        ("tester", timedelta(hours=25), {"test_mode": True}),
    ):
        use(ApiKeyFactory(merchant=merchant, name=name, **given), succeeded=1, at=now - age)

    assert found(console, developers, status="enabled") == {"idle", "busy", "tester"}
    assert found(console, developers, status="disabled") == {"weekly"}
    assert found(console, developers, status="revoked") == {"old"}
    assert found(console, developers, mode="test") == {"tester"}
    assert found(console, developers, last_used="day") == {"busy"}
    assert found(console, developers, last_used="week") == {"busy", "tester", "weekly"}
    assert found(console, developers, last_used="idle") == {"old"}
    assert found(console, developers, last_used="never") == {"idle"}
    assert found(console, developers, status="enabled", mode="live", last_used="never", q="IDL") == {"idle"}


# -- Requests ------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def requests(api_key: ApiKey) -> ApiKey:
    other = ApiKeyFactory(merchant=api_key.merchant, name="Other")
    ingest([
        RecordFactory(key=api_key, at=NOON, path="/v1/payments"),
        RecordFactory(key=api_key, at=NOON + timedelta(hours=1), path="/v1/payments/100%", status=500),
        RecordFactory(key=api_key, at=NOON + timedelta(hours=2), path="/v1/payouts", status=399),
        RecordFactory(
            key=other, at=NOON + timedelta(hours=3), path="/v1/refunds_", status=403, outcome=Outcome.PERMISSION_DENIED
        ),
        RecordFactory(key=ApiKeyFactory(), at=NOON, path="/v1/elsewhere"),
    ])  # fmt: skip
    return api_key


def test_requests_are_filtered_by_result_outcome_path_key_and_time(
    console: Client, requests: ApiKey, log: str
) -> None:
    everything = {"/v1/payments", "/v1/payments/100%", "/v1/payouts", "/v1/refunds_"}
    other = ApiKey.objects.get(name="Other")
    stranger = ApiKey.objects.exclude(merchant=requests.merchant).get()
    one, two = (quote((NOON + timedelta(hours=hours)).isoformat()) for hours in (1, 2))
    for query, paths in {
        "": everything,
        "result=failed": {"/v1/payments/100%", "/v1/refunds_"},
        "result=succeeded": {"/v1/payments", "/v1/payouts"},
        "result=4xx": {"/v1/refunds_"},
        "result=5xx": {"/v1/payments/100%"},
        "outcome=PERMISSION_DENIED": {"/v1/refunds_"},
        "outcome=VALID": everything - {"/v1/refunds_"},
        "path=/v1/pay": {"/v1/payments", "/v1/payments/100%", "/v1/payouts"},
        "path=/v1/payments/100%25": {"/v1/payments/100%"},
        "path=%25": set(),
        "path=_": set(),
        "path=/v1/refunds_": {"/v1/refunds_"},
        "path=/v1/refund__": set(),
        "path=/V1": set(),
        f"key={requests.public_id}": everything - {"/v1/refunds_"},
        f"key={other.public_id}": {"/v1/refunds_"},
        f"key={other.public_id}&result=succeeded": set(),
        f"key={stranger.public_id}": set(),
        f"key={requests.merchant.public_id}": set(),
        "key=nonsense": set(),
        f"since={one}": everything - {"/v1/payments"},
        f"until={one}": {"/v1/payments"},
        f"since={one}&until={two}": {"/v1/payments/100%"},
        f"since={two}&until={one}": set(),
        "since=2026-03-01T14:00:00%2B01:00": everything - {"/v1/payments"},
        "since=0001-01-01T00:00:00%2B05:00": everything,
        "until=0001-01-01T00:00:00%2B05:00": set(),
        "until=9999-12-31T23:59:59-05:00": everything,
        "since=9999-12-31T23:59:59-05:00": set(),
    }.items():
        page = grid(console, f"{log}?{query}")
        assert {name.removeprefix("GET ") for name in row_names(page)} == paths, query
        assert page.one(id="count").text.startswith(f"{len(paths)} request"), query


def test_the_pills_of_the_request_log_say_what_they_are(console: Client, requests: ApiKey, log: str) -> None:
    query = f"key={requests.public_id}&result=failed&since=2026-03-01T13:00:00%2B01:00&path=/v1"
    page = grid(console, f"{log}?{query}")

    assert pills(page) == [
        f"Key: {requests.name}",
        "Result: Failed",
        "Path: /v1",
        "Since: 1 Mar 2026 12:00 UTC",
    ]
    toolbar = page_of(console.get(f"{log}?{query}")).one("form", role="search").values()
    assert toolbar["key"] == [requests.public_id]
    assert toolbar["since"] == ["2026-03-01T13:00:00+01:00"]
