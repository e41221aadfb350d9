"""The migration that partitions the requests: no row is lost or changed, whatever interrupts it and whoever writes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from threading import Event

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from keys import partitions
from keys.identifiers import first_id_at
from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory, use
from tests.partitioned import DAY, MIDNIGHT, NOON, in_a_thread, indexes_of, places, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "0003_partition_requests_by_day"
MIGRATION = import_module(f"keys.migrations.{NAME}")
ON_POSTGRESQL = connection.vendor == "postgresql"
DAYS = (-400, -40, -1, 0, 1, 5, 3000)


def migrate(*target: str) -> None:
    call_command("migrate", "keys", *target, verbosity=0, interactive=False)


def rows() -> list[tuple]:
    return list(RequestLog.objects.order_by("id").values_list())


def constraints() -> dict[str, dict]:
    """What Django finds on the table, by name."""
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, RequestLog._meta.db_table)


@pytest.fixture(autouse=True)
def without_last_uses(monkeypatch) -> None:
    """What records requests knows the newest tables too: that of the last uses came later than the partitions."""
    monkeypatch.setattr("keys.gateway.ingest._touch", lambda records: None)


@pytest.fixture
def key() -> ApiKey:
    """Made before the database is as it was: what makes a key knows only the newest tables."""
    return ApiKeyFactory()


@pytest.fixture
def unpartitioned(key) -> Iterator[None]:
    """The database as it was before, at NOON; afterwards it is again as a first migration makes it."""
    migrate("0002")
    with time_machine.travel(NOON):
        yield
    RequestLog.objects.all().delete()
    migrate("0002")
    migrate()


@pytest.fixture
def recorded(key, unpartitioned) -> list[tuple]:
    """Requests of several days, some of them of the future."""
    for day in DAYS:
        use(key, succeeded=2, failed=1, at=MIDNIGHT + day * DAY + timedelta(hours=1))
    return rows()


def test_requests_of_all_days_are_kept_forwards_and_backwards(recorded):
    plain = constraints()
    assert {index.name for index in RequestLog._meta.indexes} < set(plain)
    assert not partitions.is_partitioned(connection)
    migrate()
    assert rows() == recorded
    assert partitions.is_partitioned(connection) is ON_POSTGRESQL
    assert constraints() == plain
    migrate("0002")
    assert rows() == recorded
    assert not partitions.is_partitioned(connection)
    assert constraints() == plain


if ON_POSTGRESQL:

    def test_what_was_there_becomes_a_partition_and_the_coming_days_get_theirs(recorded):
        day = MIDNIGHT + 2 * DAY
        migrate()
        before = f"keys_requestlog_before_{day:%Y%m%d}"
        ahead = f"keys_requestlog_{MIDNIGHT + 5 * DAY:%Y%m%d}"
        assert places() == {before: 15, ahead: 3, partitions.DEFAULT: 3}
        first, *others = partitions.existing(connection)
        assert (first.name, first.start, first.end) == (before, partitions.LOWEST, first_id_at(day))
        assert [each.start for each in others] == [first_id_at(day + number * DAY) for number in range(6)]

    def test_every_partition_has_all_indexes(recorded):
        with connection.cursor() as cursor:
            cursor.execute("SELECT oid FROM pg_class WHERE relname = 'keys_requestlog'")
            (table,) = cursor.fetchone()
        indexes = indexes_of("keys_requestlog")
        migrate()
        for partition in partitions.existing(connection):
            assert indexes_of(partition.name) == indexes
        with connection.cursor() as cursor:
            # It is the table that was there, and no copy.
            cursor.execute("SELECT oid::regclass::text FROM pg_class WHERE oid = %s", [table])
            assert cursor.fetchone()[0].startswith("keys_requestlog_before_")

    def test_no_row_is_read_while_others_have_to_wait(recorded, monkeypatch):
        """PostgreSQL says of an ATTACH how it knows that the rows belong there."""
        told = []
        attach = MIGRATION.attach

        def attach_and_listen(cursor, *arguments) -> None:
            cursor.execute("SET LOCAL client_min_messages = debug1")
            connection.connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
            attach(cursor, *arguments)

        monkeypatch.setattr(MIGRATION, "attach", attach_and_listen)
        migrate()
        connection.close()
        assert any("_before_" in each and "implied by existing constraints" in each for each in told), told
        assert not any("verifying table" in each and "_before_" in each for each in told), told

    def test_a_table_without_rows_is_replaced(key, unpartitioned):
        migrate()
        assert partitions.existing(connection)[0].start == first_id_at(MIDNIGHT - 2 * DAY)
        use(key, succeeded=1, at=MIDNIGHT)
        assert places() == {f"keys_requestlog_{MIDNIGHT:%Y%m%d}": 1}

    @pytest.mark.parametrize("target", [(), ("0002",)], ids=["forwards", "backwards"])
    def test_nothing_is_lost_that_is_recorded_meanwhile(recorded, key, target):
        if target:
            migrate()
        done, written = Event(), []

        def write() -> None:
            while not done.is_set():
                written.extend(use(key, succeeded=1))

        with ThreadPoolExecutor() as threads:
            writing = [threads.submit(in_a_thread(write)) for _ in range(2)]
            try:
                wait_until(lambda: len(written) > 10)
                migrate(*target)
                number = len(written)
                wait_until(lambda: len(written) > number + 10)
            finally:
                done.set()
        for each in writing:
            each.result()
        kept = set(RequestLog.objects.values_list("id", flat=True))
        assert kept == {row[0] for row in recorded} | {record.id for record in written}

    @pytest.mark.parametrize("step", ["promise", "attach"])
    def test_a_run_that_is_interrupted_leaves_everything_as_it_was(recorded, step, monkeypatch):
        original, tables, plain = getattr(MIGRATION, step), tables_there(), constraints()

        def interrupted(cursor, *arguments) -> None:
            original(cursor, *arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(MIGRATION, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            migrate()
        monkeypatch.setattr(MIGRATION, step, original)
        assert rows() == recorded
        assert (tables_there(), constraints()) == (tables, plain)
        migrate()
        assert rows() == recorded

    @pytest.mark.parametrize("days", [DAYS, (3000,)], ids=["some of the future", "all of the future"])
    def test_a_run_that_was_killed_is_begun_again(key, unpartitioned, days):
        for day in days:
            use(key, succeeded=1, at=MIDNIGHT + day * DAY)
        recorded = rows()
        with transaction.atomic(), connection.cursor() as cursor:
            MIGRATION.promise(cursor, first_id_at(MIDNIGHT + 2 * DAY))
        assert len(rows()) < len(recorded)
        migrate()
        assert rows() == recorded

    def test_a_run_that_was_killed_before_it_was_noted_down_is_done(recorded):
        migrate(NAME)
        where = places()
        MigrationRecorder(connection).record_unapplied("keys", NAME)
        migrate(NAME)
        assert rows() == recorded
        assert places() == where

    def test_who_writes_tomorrow_is_not_refused_while_it_runs(recorded, key):
        with transaction.atomic(), connection.cursor() as cursor:
            MIGRATION.promise(cursor, first_id_at(MIDNIGHT + 2 * DAY))
        use(key, succeeded=1, at=MIDNIGHT + 2 * DAY - timedelta(milliseconds=1))
        assert RequestLog.objects.count() == 16


def tables_there() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'keys_requestlog%'")
        return sorted(name for (name,) in cursor.fetchall())
