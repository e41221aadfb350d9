"""Keyset pages: each row exactly once, in order, both ways, whatever happens in between."""

import json
import random
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.console.keyset import BadCursor, Ordering, cursor_for, paginate
from keys.console.tables import ApiKeyTable, MerchantTable, RequestTable
from keys.gateway.ingest import ingest
from keys.identifiers import new_id
from keys.models import ApiKey, Merchant, RequestLog
from keys.naming import fold
from tests.console.page import page_of, row_names
from tests.factories import ApiKeyFactory, RecordFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Few names and few moments, so that many rows are equal; moments of one millisecond; letters of every width.
NAMES = st.sampled_from(
    ["a", "A", "b", "aa", "é", "z", "Ω", "漢字", "🏦", "a" * 120, "🏦" * 120, '"\\', "%", "_"]
)
MOMENTS = st.integers(0, 5).map(lambda number: NOON + timedelta(microseconds=number * 300))
ROWS = st.lists(st.tuples(NAMES, MOMENTS), max_size=12)
SIZES = st.integers(1, 5)


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is written inside is gone afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def insert(rows: list[tuple[str, datetime]]) -> list[Merchant]:
    return Merchant.objects.bulk_create(
        [Merchant(name=name, sort_name=fold(name), created_at=at) for name, at in rows]
    )


def in_order(ordering: Ordering) -> list[UUID]:
    """The ids as Python sorts them: by code point, as both databases do."""
    rows = Merchant.objects.values_list(*ordering.columns)
    return [row[-1] for row in sorted(rows, reverse=ordering.descending)]


def forward(ordering: Ordering, size: int, *, few: bool = False) -> Iterator[list[Merchant]]:
    after, pages = "", 0
    while True:
        page = paginate(Merchant.objects.all(), ordering, size=size, after=after, few=few)
        yield page.rows
        after, pages = page.next_cursor, pages + 1
        assert pages < 100
        if not after:
            return


def backward(ordering: Ordering, size: int, start: str, *, few: bool = False) -> Iterator[list[Merchant]]:
    before, pages = start, 0
    while before:
        page = paginate(Merchant.objects.all(), ordering, size=size, before=before, few=few)
        yield page.rows
        before, pages = page.previous_cursor, pages + 1
        assert pages < 100


@pytest.mark.parametrize("sort", MerchantTable.orderings)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, size=SIZES, few=st.booleans())
def test_every_row_comes_once_in_order_forward_and_backward(
    sort: str, rows: list[tuple[str, datetime]], size: int, few: bool
) -> None:
    ordering = MerchantTable.orderings[sort]
    with undone():
        insert(rows)
        expected = in_order(ordering)

        pages = list(forward(ordering, size, few=few))
        assert [row.pk for page in pages for row in page] == expected
        assert all(len(page) == size for page in pages[:-1])

        if expected:
            last = pages[-1][-1]
            back = list(backward(ordering, size, cursor_for(last, ordering), few=few))
            assert [row.pk for page in reversed(back) for row in page] == expected[:-1]


@pytest.mark.parametrize("sort", MerchantTable.orderings)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, more=ROWS, size=SIZES)
def test_rows_that_arrive_in_between_disturb_nobody(
    sort: str, rows: list[tuple[str, datetime]], more: list[tuple[str, datetime]], size: int
) -> None:
    ordering = MerchantTable.orderings[sort]
    with undone():
        first = {row.pk for row in insert(rows)}
        pages = forward(ordering, size)
        seen = list(next(pages))
        insert(more)
        seen += [row for page in pages for row in page]

        ids = [row.pk for row in seen]
        assert len(set(ids)) == len(ids)
        assert first <= set(ids)
        assert ids == [pk for pk in in_order(ordering) if pk in set(ids)]


def test_a_neighbour_is_offered_only_where_there_is_one() -> None:
    ordering = MerchantTable.orderings["name"]
    insert([(name, NOON) for name in "abcde"])

    first = paginate(Merchant.objects.all(), ordering, size=2)
    second = paginate(Merchant.objects.all(), ordering, size=2, after=first.next_cursor)
    third = paginate(Merchant.objects.all(), ordering, size=2, after=second.next_cursor)

    assert [[row.name for row in page.rows] for page in (first, second, third)] == [
        ["a", "b"], ["c", "d"], ["e"]
    ]  # fmt: skip
    assert first.previous_cursor == ""
    assert second.previous_cursor
    assert third.previous_cursor
    assert third.next_cursor == ""
    assert paginate(Merchant.objects.all(), ordering, size=2, before=second.previous_cursor) == first


def test_the_grid_of_keys_turns_its_pages_in_every_order(console: Client, merchant: Merchant) -> None:
    for number in range(28):
        ApiKeyFactory(
            merchant=merchant,
            name=f"{random.choice('aäbß')} {number}",
            created_at=NOON + timedelta(microseconds=random.randrange(4)),
            state=random.choice(["enabled", "disabled", "revoked"]),
        )
    address = f"/merchants/{merchant.public_id}/developers/"

    for sort, ordering in ApiKeyTable.orderings.items():
        rows = ApiKey.objects.values_list(*ordering.columns, "name")
        expected = [row[-1] for row in sorted(rows, reverse=ordering.descending)]
        page = page_of(console.get(address, {"sort": sort}))
        following = page_of(console.get(address + page.one("a", rel="next")["href"]))
        back = page_of(console.get(address + following.one("a", rel="prev")["href"]))

        assert row_names(page) + row_names(following) == expected
        assert row_names(back) == expected[:25]


@pytest.mark.parametrize("sort", RequestTable.orderings)
def test_the_request_log_turns_its_pages(console: Client, api_key: ApiKey, sort: str) -> None:
    ingest([RecordFactory(key=api_key, at=NOON, path=f"/v1/{number}") for number in range(27)])
    expected = [f"GET {entry.path}" for entry in RequestLog.objects.order_by("id")]
    if sort == "-time":
        expected.reverse()
    address = f"/merchants/{api_key.merchant.public_id}/requests/"

    page = page_of(console.get(address, {"sort": sort}))
    following = page_of(console.get(address + page.one("a", rel="next")["href"]))

    assert row_names(page) + row_names(following) == expected


# -- Broken cursors ------------------------------------------------------------------------------------------------

ID = str(new_id())
MOMENT = "2026-03-01T12:00:00+00:00"


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()).decode()


def raw(text: bytes) -> str:
    return urlsafe_b64encode(text).decode().rstrip("=")


NAME_CURSORS = {
    "not base64": "!!!",
    "base64 of half a character": "a",
    "beyond ASCII": "é",
    "a NUL": "\0",
    "not JSON": raw(b"["),
    "not UTF-8": raw(b"\xff\xfe\xff"),
    "not a list": encoded({"name": "a"}).rstrip("="),
    "a number": encoded(5).rstrip("="),
    "nested without end": raw(b"[" * 700),
    "too few values": encoded(["a"]).rstrip("="),
    "too many values": encoded(["a", ID, ID]).rstrip("="),
    "null": encoded(["a", None]).rstrip("="),
    "no name": encoded([None, ID]).rstrip("="),
    "a list for a name": encoded([["a"], ID]).rstrip("="),
    "a number for a name": encoded([5, ID]).rstrip("="),
    "true for an id": encoded(["a", True]).rstrip("="),
    "a number for an id": encoded(["a", 5]).rstrip("="),
    "an object for an id": encoded(["a", {}]).rstrip("="),
    "not an id": encoded(["a", "key"]).rstrip("="),
    "an id in capitals": encoded(["a", ID.upper()]).rstrip("="),
    "a NUL in a name": raw(json.dumps(["a\0", ID]).encode()),
    "half a surrogate pair": raw(b'["\\ud800","%s"]' % ID.encode()),
    "a name longer than any": encoded(["a" * 300, ID]).rstrip("="),
    "too long": encoded(["a" * 2000, ID]).rstrip("="),
    "huge": "A" * 100_000,
    "padding": encoded(["a", ID]) + "=",
    "white space inside": raw(json.dumps(["a", ID]).encode()),
    "another ordering": encoded([MOMENT, ID]).rstrip("=")[:-1],
}
MOMENT_CURSORS = {
    "a name": encoded(["a", ID]).rstrip("="),
    "a number": encoded([5, ID]).rstrip("="),
    "infinity": raw(b'[Infinity,"%s"]' % ID.encode()),
    "without a zone": encoded(["2026-03-01T12:00:00", ID]).rstrip("="),
    "in another zone": encoded(["2026-03-01T12:00:00+05:00", ID]).rstrip("="),
    "before the beginning of time": encoded(["0001-01-01T00:00:00+23:59", ID]).rstrip("="),
    "after its end": encoded(["9999-12-31T23:59:59-23:59", ID]).rstrip("="),
    "a day": encoded(["2026-03-01", ID]).rstrip("="),
    "no such day": encoded(["2026-02-30T12:00:00+00:00", ID]).rstrip("="),
    "the year 10000": encoded(["10000-01-01T00:00:00+00:00", ID]).rstrip("="),
}
STATUS_CURSORS = {
    "a word for a rank": encoded(["enabled", MOMENT, ID]).rstrip("="),
    "a list for a rank": encoded([[3], MOMENT, ID]).rstrip("="),
    "an object for a rank": encoded([{"a": 1}, MOMENT, ID]).rstrip("="),
    "a fraction": encoded([2.5, MOMENT, ID]).rstrip("="),
    "a number no database holds": encoded([10**30, MOMENT, ID]).rstrip("="),
    "a number no column holds": encoded([2**63, MOMENT, ID]).rstrip("="),
    "true": encoded([True, MOMENT, ID]).rstrip("="),
    "digits": encoded(["3", MOMENT, ID]).rstrip("="),
}


@pytest.mark.parametrize("way", ["after", "before"])
def test_a_broken_cursor_is_refused_before_the_database_sees_it(way: str) -> None:
    for model, ordering, cursors in (
        (Merchant, MerchantTable.orderings["name"], NAME_CURSORS),
        (Merchant, MerchantTable.orderings["-created"], MOMENT_CURSORS),
        (ApiKey, ApiKeyTable.orderings["status"], STATUS_CURSORS),
    ):
        for label, cursor in cursors.items():
            try:
                paginate(model.objects.all(), ordering, size=2, **{way: cursor})
            except BadCursor:
                continue
            pytest.fail(f"taken for a cursor: {label}")


@pytest.mark.parametrize("way", ["after", "before"])
@pytest.mark.parametrize("label", ["not base64", "a NUL", "half a surrogate pair", "huge"])
def test_a_broken_cursor_shows_the_first_page(console: Client, way: str, label: str) -> None:
    insert([("a", NOON), ("b", NOON)])

    page = page_of(console.get("/merchants/", {way: NAME_CURSORS[label]}))

    assert row_names(page) == ["a", "b"]
    assert not page.has("nav", aria_label="Pages")


@settings(max_examples=60)
@given(text=st.one_of(st.text(max_size=60), st.binary(max_size=60).map(raw), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(ID) | st.just(MOMENT),
    lambda inner: st.lists(inner, max_size=4), max_leaves=6,
).map(lambda value: raw(json.dumps(value).encode()))))  # fmt: skip
def test_whatever_is_typed_for_a_cursor_is_answered(text: str) -> None:
    for ordering in (*MerchantTable.orderings.values(), ApiKeyTable.orderings["status"]):
        model = ApiKey if "status_rank" in ordering.columns else Merchant
        try:
            rows = paginate(model.objects.all(), ordering, size=2, after=text).rows
        except BadCursor:
            continue
        # What is left has the form of a cursor, and both databases can answer it.
        assert rows == []


def test_a_cursor_beyond_the_last_row_shows_the_first_page(console: Client) -> None:
    insert([("a", NOON), ("b", NOON)])
    beyond = encoded(["zzz", ID]).rstrip("=")

    assert row_names(page_of(console.get("/merchants/", {"after": beyond}))) == ["a", "b"]
