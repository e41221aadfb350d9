"""The last use of a key lies beside the key: whoever records requests leaves keys alone, and keeps nobody waiting."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from keys import lifecycle, spool
from keys.gateway import ingest
from keys.gateway.batches import Batch, prepared
from keys.history import Actor
from keys.identifiers import new_id
from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory, RecordFactory

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="SQLite has one lock for all who write, and it is held for a batch",
)


def take(key: ApiKey) -> None:
    ingest.take(batch_of(key))


def take_one_by_one(key: ApiKey) -> None:
    ingest.take_one_by_one(batch_of(key))


def report(key: ApiKey) -> None:
    """A request that is recorded already, and what the API answered."""
    record = RecordFactory(key=key, at=NOON)
    ingest.ingest([record])
    ingest.ingest([RecordFactory(key=key, at=NOON, id=record.id, status=503, reported=True)])


def batch_of(key: ApiKey) -> Batch:
    return prepared(spool.line(RecordFactory(key=key, at=NOON)).decode())


each_way = pytest.mark.parametrize("record", [take, take_one_by_one, report])


@pytest.mark.django_db
@each_way
def test_recording_asks_nothing_of_the_table_of_keys(
    api_key: ApiKey, record: Callable[[ApiKey], None]
) -> None:
    with CaptureQueriesContext(connection) as asked:
        record(api_key)
    statements = [query["sql"] for query in asked]
    assert any("keys_lastuse" in statement for statement in statements)
    assert not [statement for statement in statements if "keys_apikey" in statement]
    api_key.refresh_from_db()
    assert api_key.last_used_at == NOON


@on_postgresql
@pytest.mark.django_db(transaction=True)
@each_way
def test_a_busy_key_is_disabled_before_what_is_recorded_of_it_is_committed(
    api_key: ApiKey, actor: Actor, record: Callable[[ApiKey], None]
) -> None:
    # That it was used before is what makes the row of its last use one that others could wait for.
    ingest.ingest([RecordFactory(key=api_key, at=NOON - timedelta(days=1))])
    with transaction.atomic():
        record(api_key)
        refused = elsewhere(lambda: lifecycle.disable(key=api_key, actor=actor))
        assert refused == []
    api_key.refresh_from_db()
    assert (api_key.status, api_key.last_used_at) == ("disabled", NOON)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_requests_are_recorded_while_somebody_holds_their_key(api_key: ApiKey) -> None:
    with transaction.atomic():
        ApiKey.objects.select_for_update().get(pk=api_key.pk)
        assert elsewhere(lambda: take(api_key)) == []
    assert RequestLog.objects.count() == 1


@on_postgresql
@pytest.mark.django_db
def test_moving_forward_writes_no_entry_into_an_index() -> None:
    """More rows than a page holds: each has room beside it for the row that comes in its place."""
    keys = [new_id().hex for _ in range(500)]
    # What the transactions of earlier tests did may be counted still.
    of_others = updates()
    for minute in range(2):
        ingest.move_last_uses(dict.fromkeys(keys, spool.moment(NOON + timedelta(minutes=minute))))
    expected = tuple(count + len(keys) for count in of_others)
    assert updates() == expected
    # What is not later is not written at all.
    ingest.move_last_uses(dict.fromkeys(keys, spool.moment(NOON)))
    assert updates() == expected


@pytest.mark.django_db
def test_keys_and_their_last_uses_are_one_query(django_assert_num_queries) -> None:
    used, never = ApiKeyFactory(), ApiKeyFactory()
    take(used)
    with django_assert_num_queries(1):
        keys = {key.pk: key.last_used_at for key in ApiKey.objects.select_related("last_use")}
    assert keys == {used.pk: NOON, never.pk: None}


def elsewhere(step: Callable[[], object]) -> list[Exception]:
    """Do a step on another connection, which waits for nobody; returns what it was refused with."""
    refused: list[Exception] = []

    def run() -> None:
        with waiting_for_nobody():
            try:
                step()
            except Exception as error:
                refused.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return refused


@contextmanager
def waiting_for_nobody() -> Iterator[None]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '300ms'")
        yield
    finally:
        connection.close()


def updates() -> tuple[int, int]:
    """How many rows this transaction has written anew, and how many of them within their page."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid)"
            " FROM pg_class WHERE oid = 'keys_lastuse'::regclass"
        )
        return cursor.fetchone()
