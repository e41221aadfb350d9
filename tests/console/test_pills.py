"""Filters in force are pills, nonsense is told and not obeyed, and a grid says how it is sorted."""

from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from django.test import Client

from keys import lifecycle
from keys.history import Actor
from keys.models import ApiKey, Merchant
from tests.console.page import Element, page_of, row_names
from tests.console.test_filters import (
    NOON,
    address_of_the_keys,  # noqa: F401
    grid,
    pills,
)
from tests.factories import ApiKeyFactory, MerchantFactory, use

pytestmark = pytest.mark.django_db


def test_each_filter_in_force_is_a_pill_that_takes_itself_away(
    console: Client, api_key: ApiKey, developers: str
) -> None:
    query = "q=K%26y&status=enabled&mode=live&last_used=never&sort=-name&after=x&before=y&other=1"
    page = page_of(console.get(f"{developers}?{query}"))

    assert pills(page) == ["Search: K&y", "Status: Enabled", "Mode: Live mode", "Last used: Never"]
    for pill, name in zip(page.all("a", class_="pill"), ("q", "status", "mode", "last_used"), strict=False):
        assert pill["href"].startswith("?")
        kept = parse_qs(pill["href"][1:])
        assert kept.keys() == {"q", "status", "mode", "last_used", "sort", "other"} - {name}
    assert page.link("Clear all")["href"] == developers
    assert page.link("Clear filters")["href"] == developers
    assert page.one("form", role="search").values() == {
        "q": ["K&y"], "status": ["enabled"], "mode": ["live"], "last_used": ["never"], "sort": ["-name"],
    }  # fmt: skip


def test_without_filters_there_are_no_pills(console: Client, api_key: ApiKey, developers: str) -> None:
    for query in ("", "?q=&status=&mode=", "?q=%20%20", "?sort=name"):
        page = grid(console, developers + query)
        assert not page.has(class_="pills"), query
        assert row_names(page) == [api_key.name], query


def test_of_a_repeated_filter_the_last_one_counts_and_its_pill_removes_all(
    console: Client, api_key: ApiKey, developers: str
) -> None:
    page = grid(console, f"{developers}?status=revoked&status=enabled&q=zzz&q=")

    assert pills(page) == ["Status: Enabled"]
    assert row_names(page) == [api_key.name]
    assert "status" not in parse_qs(page.all("a", class_="pill")[0]["href"][1:])


def test_a_nonsense_filter_is_told_and_the_others_stay_in_force(
    console: Client, merchant: Merchant, developers: str
) -> None:
    ApiKeyFactory(merchant=merchant, name="Ant")
    ApiKeyFactory(merchant=merchant, name="Bee")
    page = grid(console, f"{developers}?q=ant&status=evil&mode=%00&last_used={'x' * 300}")

    assert row_names(page) == ["Ant"]
    assert pills(page) == [
        "Search: ant",
        "Status: “evil” is not understood, and left out",
        "Mode: “\\x00” is not understood, and left out",
        f"Last used: “{'x' * 40}” is not understood, and left out",
    ]
    assert parse_qs(page.all("a", class_="pill")[1]["href"][1:])["q"] == ["ant"]


BROKEN = [
    "q=%00", "q=a%00b", "q=%FF%FE", "q=%ED%A0%80", "q=%", "q=%u0041", "q=%E2%80%AEabc", "q=" + "x" * 201,
    "q=" + "x" * 100_000, "q=" + "%F0%9F%8F%A6" * 200, "&&&===&", "=&=", "q[]=1", "q=1;status=enabled", "?q=1", "#",
    "status=evil", "status=ENABLED", "status=enabled%20", "status=enabled&status=evil", "mode=evil", "last_used=evil",
    "sort=evil", "sort=", "sort=-", "sort=--name", "sort=id", "sort=digest", "sort=name&sort=-name", "sort=%00",
    "sort=" + "x" * 100_000, "per_page=100000", "page=-1", "after=x&before=y", "after=&before=", "after=%00",
    "before=" + "A" * 100_000, "result=evil", "outcome=MALFORMED", "outcome=evil", "key=%00", "key=" + "k" * 5000,
    "path=%00", "path=" + "x" * 201, "since=%00", "since=evil", "since=10000-01-01T00:00:00Z", "since=2026-02-30",
    "since=2026-03-01", "since=2026-03-01T12:00:00", "until=-1", "until=1e999", "since=2026-03-01T12:00:00+00:00",
    "since=2026-03-01T12:00:00%2B99:99", "__proto__=1", "csrfmiddlewaretoken=x",
    "q='%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
]  # fmt: skip


@pytest.mark.parametrize(
    "grid_address", ["/merchants/", "/merchants/{}/developers/", "/merchants/{}/requests/"]
)
def test_no_address_breaks_a_grid(console: Client, api_key: ApiKey, grid_address: str) -> None:
    use(api_key, succeeded=1)
    address = grid_address.format(api_key.merchant.public_id)
    for query in BROKEN:
        page = grid(console, f"{address}?{query}")
        assert page.has("table", data_grid=True) or page.has("h2", "No match"), query
        assert not page.has("script"), query


def test_a_huge_address_is_answered_with_a_page(console: Client, developers: str) -> None:
    page = page_of(console.get(f"{developers}?sort={'x' * 100_000}&q={'<' * 100_000}"))

    assert page.has("form", role="search")


def test_too_many_parameters_are_refused_with_a_page(console: Client, developers: str) -> None:
    query = "&".join(f"a{number}=1" for number in range(1000))

    assert page_of(console.get(f"{developers}?{query}"), 400)


def heads(page: Element) -> dict[str, Element]:
    return {head.text: head for head in page.one("thead").all("th")}


def test_a_column_says_how_it_is_sorted_and_a_click_turns_it(
    console: Client, api_key: ApiKey, developers: str
) -> None:
    ApiKeyFactory(merchant=api_key.merchant)
    page = page_of(console.get(f"{developers}?q=Key&after=x"))
    assert heads(page)["Status"].get("aria-sort") == "descending"
    assert [head for head in heads(page).values() if head.get("aria-sort")] == [heads(page)["Status"]]

    link = heads(page)["Key name"].one("a")
    assert parse_qs(link["href"][1:]) == {"q": ["Key"], "sort": ["name"]}
    assert link["hx-get"] == link["href"]

    page = page_of(console.get(developers + link["href"]))
    assert heads(page)["Key name"].get("aria-sort") == "ascending"
    assert heads(page)["Status"].get("aria-sort") is None
    assert parse_qs(heads(page)["Key name"].one("a")["href"][1:])["sort"] == ["-name"]

    page = page_of(console.get(f"{developers}?sort=-name"))
    assert heads(page)["Key name"].get("aria-sort") == "descending"


def test_keys_stand_by_status_and_then_newest_first(
    console: Client, merchant: Merchant, developers: str, actor: Actor
) -> None:
    keys = {
        name: ApiKeyFactory(merchant=merchant, name=name, created_at=NOON + timedelta(hours=hours))
        for hours, name in enumerate(["old", "middle", "new", "off", "gone"])
    }
    for name in ("off", "gone"):
        lifecycle.disable(key=keys[name], actor=actor)
    lifecycle.revoke(key=keys["gone"], actor=actor)

    assert row_names(grid(console, developers)) == ["new", "middle", "old", "off", "gone"]
    lifecycle.enable(key=keys["off"], actor=actor)
    assert row_names(grid(console, developers)) == ["off", "new", "middle", "old", "gone"]


def test_merchants_stand_by_name_without_regard_to_case_and_accents(console: Client) -> None:
    for name in ("éclair", "Zebra", "apple", "Eclipse", "ápp"):
        MerchantFactory(name=name)

    assert row_names(grid(console, "/merchants/")) == ["ápp", "apple", "éclair", "Eclipse", "Zebra"]
    assert row_names(grid(console, "/merchants/?sort=-name"))[0] == "Zebra"
    assert row_names(grid(console, "/merchants/?sort=-created"))[0] == "ápp"


def test_the_count_stops_at_a_thousand(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keys.console.keyset.count_up_to.__defaults__", (3,))
    for _ in range(3):
        MerchantFactory()
    assert grid(console, "/merchants/").one(id="count").text.startswith("3 merchant accounts ·")

    MerchantFactory()
    assert grid(console, "/merchants/").one(id="count").text.startswith("More than 3 merchant accounts ·")
