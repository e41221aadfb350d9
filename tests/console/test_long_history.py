"""The filters of a long history: whatever they match, a page reads no more rows of a chain three times as long.

Proved by counting: the steps that SQLite takes for a page, and by the plans that PostgreSQL makes. Stretches are made
short for it. What is found is compared with the rows themselves.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from keys import chain, history
from keys.console import reading
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, HistoryHead, Merchant, User
from keys.models.history import Action
from tests.console.engine import opened, steps_of
from tests.console.page import page_of, rows_of
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db

STRETCH = 40
START = datetime(2026, 3, 1, tzinfo=UTC)
ADA, GRACE, NIGHTLY = Actor(name="Ada Lovelace"), Actor(name="Grace Hopper"), Actor.command("nightly")


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "STRETCH", STRETCH)


@pytest.fixture
def key(operator: User) -> ApiKey:
    """A key whose account begins with a few rare rows, under many of the same kind."""
    with time_machine.travel(START - timedelta(hours=1)):
        key = ApiKeyFactory(name="Checkout", merchant=MerchantFactory(actor=ADA), actor=ADA)
        other = ApiKeyFactory(name="Reporting", merchant=key.merchant, actor=ADA)
    for of in (key.merchant, None):
        with transaction.atomic():
            rare = history.compose(Action.MERCHANT_UPDATED, actor=GRACE, merchant=of, at=START)
            history.append([rare])
    grow(key.merchant, other, 1_200)
    return key


def grow(merchant: Merchant, key: ApiKey, number: int) -> None:
    """Add copies of one key by the same two, and as many rows of the platform's own: more than are counted."""
    for of, action, subject in ((merchant, Action.KEY_COPIED, key), (None, Action.SECRETS_ROTATED, None)):
        head = history.head_of(chain.PLATFORM if of is None else of.pk)
        rows = []
        for place in range(head.sequence, head.sequence + number):
            actor = ADA if place % 10 else NIGHTLY
            at = START + timedelta(minutes=5 * place)
            entry = history.compose(action, actor=actor, merchant=of, key=subject, at=at)
            head = chain.join(entry, head)
            rows.append(entry)
        HistoryEntry.objects.bulk_create(rows)
        HistoryHead.objects.filter(pk=head.chain).update(sequence=head.sequence, hash=head.hash)


# Nothing, little and much, by an index and without one; days before, within and after.
QUERIES = (
    "", "sort=time", "action=key.revoked", "action=merchant.updated", "action=key.copied", "actor=nobody",
    "actor=grace", "actor=ada", "actor=a", "actor=a&action=key.revoked", "actor=grace&action=key.copied",
    "actor=ada&action=merchant.updated", "since=2026-03-01&until=2026-03-01&actor=a", "until=2026-03-01&sort=time",
    "until=2020-01-01", "since=2030-01-01", "since=2020-01-01&until=2026-03-01&action=secrets.rotated&actor=ada",
)  # fmt: skip
OF_KEYS = (
    "key=nothing",
    "key=check",
    "key=e",
    "key={key}",
    "key={key}&actor=nobody",
    "key=report&actor=grace",
)


def addresses(key: ApiKey) -> Iterator[str]:
    merchant = f"/merchants/{key.merchant.public_id}/"
    yield merchant
    for query in (*QUERIES, *OF_KEYS):
        asked = query.format(key=key.public_id)
        yield f"{merchant}history/?{asked}"
        yield f"{merchant}history/export/?{asked}"
    for query in QUERIES[:9]:
        yield f"/keys/{key.public_id}/history/?{query}"
        yield f"/history/?{query}"
    yield f"/people/{UserFactory().pk}/"


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL tells its plans; SQLite counts its steps"
)
def test_a_filter_takes_no_more_steps_of_a_longer_chain(
    console: Client, key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keys.console.exports.BATCH", 10)
    few = {address: steps_of(console, address) for address in addresses(key)}
    grow(key.merchant, ApiKey.objects.get(name="Reporting"), 2_400)
    many = {address: steps_of(console, address) for address in few}
    grown = {
        address: (few[address], more) for address, more in many.items() if more > 1.2 * few[address] + 12
    }
    assert len(few) > 60
    assert grown == {}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts its steps instead")
def test_a_filter_needs_neither_to_scan_the_history_nor_to_sort_it(console: Client, key: ApiKey) -> None:
    # Where an index serves, it is taken then, however small the table is or is thought to be.
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    asked = 0
    for address in addresses(key):
        with CaptureQueriesContext(connection) as captured:
            opened(console, address)
        for query in captured:
            if not re.search('FROM "?keys_historyentry"?', query["sql"]):
                continue
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"])
                plan = "\n".join(line for (line,) in cursor.fetchall())
            asked += 1
            assert not re.search(r"Seq Scan on keys_historyentry|\bSort\b", plan), (address, plan)
    assert asked > 100


def fits(entry: HistoryEntry, asked: dict[str, str]) -> bool:
    """The filters in plain words."""
    day = entry.at.date().isoformat()
    return (
        asked.get("actor", "") in entry.actor_name.lower()
        and asked.get("action", entry.action) == entry.action
        and asked.get("since", day) <= day <= asked.get("until", day)
        and ("key" not in asked or (entry.key is not None and asked["key"] in entry.key.name.lower()))
    )


def test_who_looks_further_finds_each_row_once_in_the_page_and_in_the_file(
    console: Client, key: ApiKey
) -> None:
    ordered = HistoryEntry.objects.filter(merchant=key.merchant).select_related("key").order_by("at", "id")
    address = f"/merchants/{key.merchant.public_id}/history/"
    for asked, number in (
        ({"actor": "nobody"}, 0),
        ({"actor": "grace"}, 1),
        ({"actor": "a", "action": "merchant.updated"}, 1),
        ({"actor": "nightly", "action": "key.copied", "since": "2026-03-01", "until": "2026-03-01"}, 28),
        ({"actor": "nightly", "key": "e", "since": "2026-03-02"}, 92),
        ({"actor": "ada", "key": "check", "until": "2026-03-31"}, 1),
    ):
        expected = [entry.sequence for entry in ordered if fits(entry, asked)]
        assert len(expected) == number
        for sort in ("", "time"):
            shown = list(walk(console, address, urlencode(asked | {"sort": sort})))
            assert shown == (expected if sort else expected[::-1])
        file = b"".join(console.get(f"{address}export/?{urlencode(asked)}").streaming_content).decode()
        assert [int(row["sequence"]) for row in csv.DictReader(io.StringIO(file))] == expected


def walk(console: Client, address: str, query: str) -> Iterator[int]:
    """The places of the rows of each page, from one to the next."""
    while True:
        page = page_of(console.get(f"{address}?{query}"))
        for row in rows_of(page) if page.has("table") else []:
            yield int(row.all("td")[-1].text.replace(",", ""))
        if not (links := page.all("a", rel="next")):
            return
        query = links[0]["href"].removeprefix("?")


def test_a_page_says_how_far_it_looked_and_goes_on_to_the_end(console: Client, key: ApiKey) -> None:
    address = f"/keys/{ApiKey.objects.get(name='Reporting').public_id}/history/"
    page = page_of(console.get(f"{address}?action=key.created"))
    reached = START + timedelta(minutes=5 * (1_204 - STRETCH))
    empty = page.one("div", class_="empty")
    assert empty.text.startswith(
        f"No match so farLooked through 40 events, as far as {reached:%-d %b %Y, %H:%M:%S} UTC."
    )
    assert empty.link("Look further")["href"] == page.one("a", rel="next")["href"]
    assert page.one(id="count").text.startswith("0 events on this page")

    pages = [page]
    while links := pages[-1].all("a", rel="next"):
        pages.append(page_of(console.get(address + links[0]["href"])))
    assert len(pages) == 31
    assert [len(rows_of(each)) for each in pages if each.has("table")] == [1]
    assert pages[-1].one(id="count").text.startswith("1 event on this page")


def test_the_end_of_a_search_without_a_match_is_told_as_such(console: Client, key: ApiKey) -> None:
    address = f"/keys/{ApiKey.objects.get(name='Reporting').public_id}/history/"
    assert list(walk(console, address, "actor=nobody")) == []
    page = page_of(console.get(f"{address}?actor=nobody"))
    while links := page.all("a", rel="next"):
        page = page_of(console.get(address + links[0]["href"]))
    assert page.one("div", class_="empty").one("h2").text == "No further match"
    assert page.link("First page")["href"] == "?actor=nobody"
    page = page_of(console.get(f"/keys/{key.public_id}/history/?actor=nobody"))
    assert page.one("div", class_="empty").one("h2").text == "No match"


def test_a_page_with_fewer_matches_than_it_holds_says_so(console: Client, key: ApiKey) -> None:
    address = f"/keys/{ApiKey.objects.get(name='Reporting').public_id}/history/"
    page = page_of(console.get(f"{address}?actor=nightly"))
    assert len(rows_of(page)) == 4
    assert page.one("p", class_="searched").text.startswith(
        "These are all matches among 40 events, as far as"
    )
    assert page.one("a", rel="next").text == "Look further"
    further = page_of(console.get(address + page.one("a", rel="next")["href"]))
    assert page_of(console.get(address + further.one("a", rel="prev")["href"])).has("table")


def test_where_very_many_have_acted_a_name_is_looked_for_in_the_rows(
    console: Client, key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(history.actors(key.merchant) or ()) == ["Ada Lovelace", "Grace Hopper", "nightly"]
    monkeypatch.setattr(history, "ACTORS_MAX", 2)
    assert history.actors(key.merchant) is None
    address = f"/merchants/{key.merchant.public_id}/history/"
    assert list(walk(console, address, "actor=HOPPER")) == [4]
