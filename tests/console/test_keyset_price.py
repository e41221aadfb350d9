"""The price of a page: read along an index, wherever it lies."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from keys.console.filters import LAST_USED, ApiKeyFilter, MerchantFilter
from keys.console.keyset import Ordering, cursor_for, paginate
from keys.console.tables import ApiKeyTable, MerchantTable, RequestTable
from keys.gateway.ingest import ingest
from keys.management.terminal.selection import BY_AGE
from keys.models import ApiKey, Merchant, RequestLog
from tests.console.test_keyset import NOON, insert
from tests.factories import RecordFactory

pytestmark = pytest.mark.django_db


def plan(queryset: QuerySet) -> str:
    """What the database would do, were the table so large that neither reading nor sorting it is worth a thought."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
    return queryset.explain()


def is_walked_along_an_index(text: str) -> bool:
    if connection.vendor == "postgresql":
        # A merge of partitions has a sort key too, and sorts nothing.
        return "Index" in text and "Sort  (cost" not in text and "Seq Scan" not in text
    return "USING INDEX" in text and "TEMP B-TREE" not in text


class Explained(Exception):
    pass


def explained(
    queryset: QuerySet, ordering: Ordering, monkeypatch: pytest.MonkeyPatch, **given: object
) -> str:
    """The plan of exactly what `paginate` would ask."""
    plans = []

    def explain_instead(rows: QuerySet) -> None:
        plans.append(plan(rows))
        raise Explained

    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "_fetch_all", explain_instead)
        with pytest.raises(Explained):
            paginate(queryset, ordering, size=25, **given)
    return plans[0]


@pytest.mark.parametrize("sort", MerchantTable.orderings)
def test_a_page_of_merchants_is_read_along_an_index(sort: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ordering = MerchantTable.orderings[sort]
    cursor = cursor_for(insert([("m", NOON)])[0], ordering)
    for rows in (Merchant.objects.all(), Merchant.objects.filter(status="disabled")):
        for place in ({}, {"after": cursor}, {"before": cursor}):
            text = explained(rows, ordering, monkeypatch, **place)
            assert is_walked_along_an_index(text), text
            if place and connection.vendor == "sqlite":
                # Straight to the row, rather than past all the rows before it.
                assert f"({ordering.columns[0]},id)" in text, text
            if place and connection.vendor == "postgresql":
                assert re.search(r"Index Cond: .*ROW\(\(?\w+\)?(::text)?, id\)", text), text


def test_a_page_of_keys_and_of_requests_is_read_along_an_index(
    api_key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([RecordFactory(key=api_key, at=NOON, status=500)])
    entry = RequestLog.objects.get()
    account = api_key.merchant
    log = RequestLog.objects.filter(merchant=account)
    for rows, ordering, row in (
        (ApiKey.objects.filter(merchant=account), ApiKeyTable.orderings["status"], api_key),
        (log, RequestTable.orderings["-time"], entry),
        (log, RequestTable.orderings["time"], entry),
        (log.filter(status__gte=400), RequestTable.orderings["-time"], entry),
    ):
        row.refresh_from_db()
        for place in ({}, {"after": cursor_for(row, ordering)}):
            text = explained(rows, ordering, monkeypatch, **place)
            assert is_walked_along_an_index(text), text


@pytest.mark.parametrize("used", dict(LAST_USED))
def test_keys_are_told_by_their_last_use_along_the_index_of_their_order(
    api_key: ApiKey, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one account, and of all: a plan that began with the last uses would sort all of them for each page."""
    ingest([RecordFactory(key=api_key, at=NOON)])
    api_key.refresh_from_db()
    if connection.vendor == "sqlite":
        pretend_that_a_quarter_of_many_keys_was_used()
    every = ApiKey.objects.select_related("last_use")
    for keys, ordering in (
        (every.filter(merchant=api_key.merchant), ApiKeyTable.orderings["status"]),
        (every, BY_AGE),
    ):
        filtered = ApiKeyFilter(QueryDict(f"last_used={used}"), queryset=keys).qs
        for place in ({}, {"after": cursor_for(api_key, ordering)}):
            text = explained(filtered, ordering, monkeypatch, **place)
            assert is_walked_along_an_index(text), text


def pretend_that_a_quarter_of_many_keys_was_used() -> None:
    """SQLite's statistics, as they are then: without any it takes every table for one of the same size."""
    stat = "%s || substr(stat, instr(stat, ' '))"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute(f"UPDATE sqlite_stat1 SET stat = {stat} WHERE tbl = 'keys_apikey'", [100_000])
        cursor.execute(f"UPDATE sqlite_stat1 SET stat = {stat} WHERE tbl = 'keys_lastuse'", [25_000])
        # Of one account, of one status.
        cursor.execute("UPDATE sqlite_stat1 SET stat = '100000 50000 25000 1 1' WHERE idx = 'apikey_grid'")
        cursor.execute("ANALYZE sqlite_schema")


@pytest.mark.parametrize("sort", MerchantTable.orderings)
def test_what_a_search_found_is_sorted_and_not_looked_for_along_the_order(
    sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordering = MerchantTable.orderings[sort]
    cursor = cursor_for(insert([("m", NOON)])[0], ordering)
    monkeypatch.setattr("keys.search.find", lambda text, among: [uuid4() for _ in range(200)])
    query = QueryDict("q=m&status=disabled")
    searched = MerchantFilter(query, queryset=Merchant.objects.all())
    found = searched.qs
    assert searched.few

    for place in ({}, {"after": cursor}, {"before": cursor}):
        text = explained(found, ordering, monkeypatch, few=searched.few, **place)
        if connection.vendor == "postgresql":
            assert "Sort Key: (COALESCE" in text
            assert "ROW(" not in text.partition("Index Cond")[2].partition("Filter")[0], text
        else:
            assert "sqlite_autoindex_keys_merchant_1" in text, text
            assert "USE TEMP B-TREE FOR ORDER BY" in text, text


@pytest.mark.parametrize("query", ["", "&result=failed", "&result=5xx&path=/v1"])
def test_the_requests_of_one_key_are_not_looked_for_among_all_of_the_account(
    console: Client, api_key: ApiKey, query: str
) -> None:
    ingest([RecordFactory(key=api_key, at=NOON, status=500)])
    with CaptureQueriesContext(connection) as captured:
        console.get(f"/merchants/{api_key.merchant.public_id}/requests/?key={api_key.public_id}{query}")
    asked = [entry["sql"] for entry in captured if 'FROM "keys_requestlog"' in entry["sql"]]
    assert len(asked) == 2  # the rows, and their number

    index = "request_failed_by_key" if query else "request_by_key"
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        for sql in asked:
            cursor.execute(f"{explain} {sql.replace('%', '%%')}")
            text = str(cursor.fetchall())
            if connection.vendor == "postgresql":
                # Of a table as small as this one it may read any index whole; what counts is what it looks up.
                assert "Index Cond: (merchant_id" not in text, text
            else:
                assert index in text, text
