"""The lists of the Django admin read a bounded number of rows, whatever their tables hold.

Proved by counting: the steps that SQLite takes for a page, and by the plans that PostgreSQL makes, are the same with
some hundred rows as with three times as many. Pages and stretches are made short for it.
"""

import re
from collections.abc import Callable, Iterator
from io import StringIO
from urllib.parse import urlencode

import pytest
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.admin import changelist
from keys.console import reading
from keys.demo import bulk
from keys.demo.progress import ProgressReport
from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User
from tests.console.engine import steps_of
from tests.console.page import page_of
from tests.factories import ApiKeyFactory, use

pytestmark = pytest.mark.django_db

PAGE, STRETCH = 5, 40
LISTS = {
    "merchant": Merchant,
    "apikey": ApiKey,
    "requestlog": RequestLog,
    "historyentry": HistoryEntry,
    "user": User,
}
# Found by an index, or looked for with and without success.
QUERIES = {
    "merchant": ("", "status=enabled", "status=disabled", "q=a", "q=zzz", "q=a&status=enabled"),
    "apikey": (
        "", "status=revoked", "status=revoked&mode=test&expired=yes", "expired=soon", "q=a", "q=zzz", "q=sk_live_zzzz",
        "q=a&status=disabled", "merchant={merchant}", "merchant={merchant}&status=revoked", "q={merchant}", "q={key}",
    ),
    "requestlog": (
        "", "result=5xx&outcome=EXPIRED", "result=failed", "since=week", "since=day&result=4xx", "q=/v1/nothing",
        "q=/v1/",        "key={key}", "key={key}&result=failed", "merchant={merchant}&outcome=MALFORMED", "q={key}",
    ),
    "historyentry": (
        "", "action=secrets.rotated", "action=key.created", "kind=system", "actor={person}", "q=nobody", "since=day",
        "merchant={merchant}", "key={key}&action=key.copied",
    ),
    "user": ("", "q=nobody", "q=p", "role=viewer", "role=none", "status=deactivated"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelist, "PAGE_SIZE", PAGE)
    monkeypatch.setattr(reading, "STRETCH", STRETCH)
    monkeypatch.setattr(reading, "FOUND", 30)


@pytest.fixture
def key(operator: User) -> ApiKey:
    key = ApiKeyFactory(name="Zulu")
    use(key, succeeded=3, failed=3)
    return key


def grow(number: int) -> None:
    bulk.load(
        merchants=number, keys=number, requests=2 * number, hours=2, now=timezone.now(), seed=number,
        report=ProgressReport(StringIO()),
    )  # fmt: skip
    User.objects.bulk_create(
        User(
            username=f"p{number}-{each}",
            email=f"p{number}-{each}@example.com",
            password=UNUSABLE_PASSWORD_PREFIX,
        )
        for each in range(number)
    )


def addresses(console: Client, key: ApiKey) -> Iterator[str]:
    """Every list with every query, and a page further on."""
    named = {"merchant": key.merchant.public_id, "key": key.public_id, "person": User.objects.latest("pk").pk}
    for name, queries in QUERIES.items():
        for query in queries:
            yield f"/admin/keys/{name}/?{query.format(**named)}"
        for query in queries[:2]:
            page = page_of(console.get(f"/admin/keys/{name}/?{query}"))
            yield f"/admin/keys/{name}/{page.one('a', rel='next')['href']}"


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL tells its plans; SQLite counts its steps"
)
def test_a_page_takes_no_more_steps_of_a_larger_table(console: Client, key: ApiKey) -> None:
    grow(120)
    few = {address: steps_of(console, address) for address in addresses(console, key)}
    grow(500)
    many = {address: steps_of(console, address) for address in few}

    assert len(few) > 45
    grown = {
        address: (few[address], steps) for address, steps in many.items() if steps > 1.2 * few[address] + 12
    }
    assert grown == {}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts its steps instead")
def test_no_page_needs_to_scan_or_to_sort_a_table(console: Client, key: ApiKey) -> None:
    grow(150)
    found = list(addresses(console, key))
    assert len(found) > 45
    # Where an index serves, it is taken then, however small the table is or is thought to be.
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    for address in found:
        with CaptureQueriesContext(connection) as captured:
            console.get(address)
        for query in captured:
            assert "COUNT(" not in query["sql"], address
            if not re.search(
                r'FROM "keys_(merchant|apikey|requestlog|historyentry|user)" .*LIMIT', query["sql"]
            ):
                continue
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"])
                plan = "\n".join(line for (line,) in cursor.fetchall())
            scanned = re.findall(
                r"Seq Scan on (keys_(?:merchant|apikey|requestlog\w*|historyentry|user))\b", plan
            )
            assert scanned == [], (address, plan)
            # What a search has named is sorted, FOUND rows at most; so may be the few people of one platform role.
            few = re.search("q=|role=", address)
            assert few or not re.search(r"-> +(Incremental )?Sort\b|^Sort", plan), (address, plan)


def test_nothing_is_counted_and_no_rows_are_skipped(console: Client, key: ApiKey) -> None:
    grow(50)
    for address in addresses(console, key):
        with CaptureQueriesContext(connection) as captured:
            console.get(address)
        for query in captured:
            assert "COUNT(*) AS" not in query["sql"] or "keys_merchantterm" in query["sql"], (
                address,
                query["sql"],
            )
            skipped = re.findall(r"OFFSET (\d+)", query["sql"])
            assert all(int(number) < STRETCH for number in skipped), (address, query["sql"])


def walk(console: Client, address: str, rel: str = "next") -> Iterator[tuple[list[str], str]]:
    """The rows of each page from `address` on, and where it is."""
    path = address.partition("?")[0]
    while True:
        page = page_of(console.get(address))
        rows = page.one(id="result_list").one("tbody").all("tr") if page.has(id="result_list") else []
        yield [row.one("th").all("a")[0]["href"].split("/")[4] for row in rows], address
        if not (links := page.all("a", rel=rel)):
            return
        address = path + links[0]["href"]


def expected(name: str) -> dict[str, Callable[[], list[object]]]:
    ordered = {
        "merchant": Merchant.objects.order_by("sort_name", "id"),
        "apikey": ApiKey.objects.order_by("-created_at", "-id"),
        "requestlog": RequestLog.objects.order_by("-id"),
        "historyentry": HistoryEntry.objects.order_by("-id"),
        "user": User.objects.order_by("username"),
    }[name]
    narrowed = {
        "merchant": {"status": "disabled"},
        "apikey": {"status": "revoked"},
        "requestlog": {"outcome": "VALID"},
        "historyentry": {"action": "key.revoked"},
        "user": {"is_active": True},
    }[name]
    query = {"is_active": "status=active"}.get(next(iter(narrowed)), urlencode(narrowed))
    return {"": ordered.all, query: ordered.filter(**narrowed).all}


@pytest.mark.parametrize("name", LISTS)
def test_who_goes_on_sees_every_row_once_and_comes_back_the_same_way(
    console: Client, key: ApiKey, name: str
) -> None:
    grow(24)
    for query, rows in expected(name).items():
        whole = [str(row.pk) for row in rows()]
        pages = list(walk(console, f"/admin/keys/{name}/?{query}"))
        assert [row for found, _ in pages for row in found] == whole, query
        if not query:
            assert len(pages) > 4
            back = list(walk(console, pages[-1][1], "prev"))
            assert [row for found, _ in reversed(back) for row in found] == whole


def test_a_page_says_how_far_it_looked(console: Client, key: ApiKey) -> None:
    grow(20)
    page = page_of(console.get("/admin/keys/historyentry/?action=secrets.rotated"))
    assert f"No match among {STRETCH} history" in page.text
    assert page.one("a", rel="next").text == "Look further"
    last = list(walk(console, "/admin/keys/historyentry/?action=secrets.rotated"))[-1][1]
    assert "Nothing here matches." in page_of(console.get(last)).text
    assert page_of(console.get(last)).one("a", "First page")["href"] == "?action=secrets.rotated"


def test_a_search_that_finds_too_much_says_so(console: Client, key: ApiKey) -> None:
    ApiKeyFactory(name="Zulu two")
    assert "More than" not in page_of(console.get("/admin/keys/apikey/?q=zulu")).text
    for number in range(31):
        ApiKeyFactory(merchant=key.merchant, name=f"Zulu {number}")
    assert "More than" in page_of(console.get("/admin/keys/apikey/?q=zulu")).text
