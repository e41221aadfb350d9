"""Each day's requests lie in a partition of their own on PostgreSQL, made ahead of time, and no insert ever fails."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from time import monotonic

import pytest
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection, models, transaction
from django.utils import timezone

from keys import partitions
from keys.identifiers import first_id_at
from keys.models import RequestLog
from keys.partitions import DEFAULT, Partition, TableInUse
from tests.factories import ApiKeyFactory, use
from tests.partitioned import (
    DAY,
    MIDNIGHT,
    MILLISECOND,
    NOON,
    WAIT_SECONDS,
    another_reading,
    in_a_thread,
    indexes_of,
    lock_is_waited_for,
    names,
    partitions_of_its_own,
    places,
    wait_until,
)

TODAY, TOMORROW = "keys_requestlog_20310514", "keys_requestlog_20310515"
OF_NOON = [f"keys_requestlog_203105{day}" for day in range(12, 22)]


@pytest.fixture
def own_partitions(transactional_db) -> Iterator[None]:
    with partitions_of_its_own():
        yield


if connection.vendor == "sqlite":

    @pytest.mark.django_db
    def test_sqlite_keeps_one_table(django_assert_num_queries):
        with django_assert_num_queries(0):
            assert partitions.ensure(now=NOON) == []
            assert partitions.older_than(NOON) == []

else:

    @pytest.mark.django_db
    def test_after_migrate_there_is_a_partition_for_today_and_each_of_the_next_seven_days():
        midnight = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        there = {(partition.start, partition.end) for partition in partitions.existing(connection)}
        days = [midnight + number * DAY for number in range(7)]
        assert {(first_id_at(day), first_id_at(day + DAY)) for day in days} <= there

    @pytest.mark.django_db
    def test_migrate_makes_what_is_missing():
        (gone,) = partitions.existing(connection)[-1:]
        assert partitions.drop(gone)
        emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
        assert gone in partitions.existing(connection)

    @pytest.mark.django_db
    def test_partitions_are_made_once_and_for_each_new_day(django_assert_num_queries):
        assert partitions.ensure(now=NOON) == OF_NOON
        with django_assert_num_queries(2):
            assert partitions.ensure(now=NOON) == []
        assert partitions.ensure(now=NOON + DAY) == ["keys_requestlog_20310522"]
        assert partitions.ensure(now=NOON, ahead_days=10, behind_days=4) == [
            "keys_requestlog_20310510",
            "keys_requestlog_20310511",
            "keys_requestlog_20310523",
            "keys_requestlog_20310524",
        ]

    @pytest.mark.django_db
    def test_a_day_is_one_of_utc():
        tokyo = NOON.replace(hour=22).astimezone(tz=timezone.get_fixed_timezone(9 * 60))
        assert tokyo.day == NOON.day + 1
        assert partitions.ensure(now=tokyo, ahead_days=0, behind_days=0) == [TODAY]

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("at", "place"),
        [
            (MIDNIGHT - MILLISECOND, "keys_requestlog_20310513"),
            (MIDNIGHT, TODAY),
            (NOON, TODAY),
            (MIDNIGHT + DAY - MILLISECOND, TODAY),
            (MIDNIGHT + DAY, TOMORROW),
            (MIDNIGHT - 2 * DAY - MILLISECOND, DEFAULT),
            (MIDNIGHT + 8 * DAY - MILLISECOND, OF_NOON[-1]),
            (MIDNIGHT + 8 * DAY, DEFAULT),
            (datetime(1970, 1, 1, tzinfo=UTC), DEFAULT),
            (datetime(2999, 1, 1, tzinfo=UTC), DEFAULT),
        ],
    )
    def test_a_request_lies_in_the_partition_of_its_day(at, place):
        partitions.ensure(now=NOON)
        use(ApiKeyFactory(), succeeded=2, at=at)
        assert places() == {place: 2}

    @pytest.mark.django_db
    def test_a_span_of_time_is_looked_for_in_its_partitions_alone():
        partitions.ensure(now=NOON)
        rows = RequestLog.objects.filter(id__gte=first_id_at(NOON), id__lt=first_id_at(NOON + DAY))
        assert set(re.findall(r" on (keys_requestlog_\w+)", rows.explain())) == {TODAY, TOMORROW}

    @pytest.mark.django_db
    def test_requests_that_came_before_their_partition_move_into_it():
        key = ApiKeyFactory()
        for at in (MIDNIGHT - MILLISECOND, MIDNIGHT, MIDNIGHT + DAY - MILLISECOND, MIDNIGHT + DAY):
            use(key, succeeded=2, failed=1, at=at)
        rows = list(RequestLog.objects.order_by("id").values_list())
        assert places() == {DEFAULT: 12}
        assert partitions.ensure(now=NOON, ahead_days=0, behind_days=0) == [TODAY]
        assert places() == {DEFAULT: 6, TODAY: 6}
        assert partitions.ensure(now=NOON) == [name for name in OF_NOON if name != TODAY]
        assert places() == {"keys_requestlog_20310513": 3, TODAY: 6, TOMORROW: 3}
        assert list(RequestLog.objects.order_by("id").values_list()) == rows

    @pytest.mark.django_db
    def test_every_partition_has_the_indexes_of_the_model_and_those_that_a_migration_adds():
        partitions.ensure(now=NOON, ahead_days=0, behind_days=0)
        added = models.Index(fields=["merchant", "-at"], name="request_by_age")
        with connection.schema_editor() as editor:
            editor.add_index(RequestLog, added)
        partitions.ensure(now=NOON + DAY, ahead_days=0, behind_days=0)
        on_parent = indexes_of("keys_requestlog")
        assert len(on_parent) == len(RequestLog._meta.indexes) + 2  # the primary key, and the new one
        for name in (*names(), DEFAULT):
            assert indexes_of(name) == on_parent, name
        with connection.schema_editor() as editor:
            editor.remove_index(RequestLog, added)
        assert {len(indexes_of(name)) for name in (*names(), DEFAULT)} == {len(on_parent) - 1}

    @pytest.mark.django_db
    def test_a_column_that_a_migration_adds_is_in_later_partitions_too():
        field = models.CharField(max_length=8, db_default="")
        field.set_attributes_from_name("region")
        field.model = RequestLog
        with connection.schema_editor() as editor:
            editor.add_field(RequestLog, field)
        use(ApiKeyFactory(), succeeded=1, at=NOON)
        partitions.ensure(now=NOON, ahead_days=0, behind_days=0)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT region, method, status FROM {TODAY}")
            assert cursor.fetchall() == [("", "GET", 200)]

    @pytest.mark.django_db
    def test_whoever_calls_goes_on_with_the_lock_timeout_that_they_had():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '7s'")
            partitions.ensure(now=NOON)
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("7s",)

    @pytest.mark.django_db
    def test_a_partition_is_old_when_its_last_millisecond_is():
        partitions.ensure(now=NOON)

        def older_than(moment: datetime) -> list[str]:
            return [each.name for each in partitions.older_than(moment) if each.name in OF_NOON]

        assert older_than(MIDNIGHT + DAY - MILLISECOND) == OF_NOON[:2]
        assert older_than(MIDNIGHT + DAY) == [*OF_NOON[:2], TODAY]

    @pytest.mark.django_db
    def test_a_partition_is_dropped_once_with_its_rows_and_no_others():
        partitions.ensure(now=NOON)
        use(ApiKeyFactory(), succeeded=2, at=MIDNIGHT)
        use(ApiKeyFactory(), succeeded=3, at=MIDNIGHT + DAY)
        (today,) = [each for each in partitions.existing(connection) if each.name == TODAY]
        assert partitions.size_bytes(today) > 0
        assert partitions.drop(today) is True
        assert places() == {TOMORROW: 3}
        assert TODAY not in names()
        assert partitions.drop(today) is False
        assert partitions.size_bytes(today) == 0

    @pytest.mark.django_db
    def test_a_table_that_has_come_to_hold_something_else_is_not_dropped():
        partitions.ensure(now=NOON)
        meant = Partition(TODAY, first_id_at(MIDNIGHT - 9 * DAY), first_id_at(MIDNIGHT - 8 * DAY))
        assert partitions.drop(meant) is False
        assert TODAY in names()

    def test_nodes_that_make_partitions_at_once_make_each_of_them_once(own_partitions):
        together = Barrier(4, timeout=WAIT_SECONDS)

        def make() -> list[str]:
            together.wait()
            return partitions.ensure(now=NOON, patience_seconds=WAIT_SECONDS)

        with ThreadPoolExecutor() as threads:
            made = [threads.submit(in_a_thread(make)) for _ in range(4)]
        assert sorted(name for each in made for name in each.result()) == OF_NOON

    def test_an_insert_that_meets_the_making_of_its_partition_waits_and_succeeds(own_partitions):
        key = ApiKeyFactory()
        with ThreadPoolExecutor() as threads:
            with transaction.atomic():
                partitions.ensure(now=NOON)
                writing = threads.submit(in_a_thread(lambda: use(key, succeeded=1, at=NOON)))
                wait_until(lock_is_waited_for)
            writing.result(WAIT_SECONDS)
        assert places() == {TODAY: 1}

    def test_nothing_is_lost_while_partitions_are_made_and_dropped(own_partitions):
        key = ApiKeyFactory()
        written = {}

        def write(day: int) -> None:
            ends = monotonic() + 1.5
            while monotonic() < ends:
                use(key, succeeded=1, at=NOON + day * DAY)
                written[day] = written.get(day, 0) + 1

        with ThreadPoolExecutor() as threads:
            writing = [threads.submit(in_a_thread(lambda day=day: write(day))) for day in (0, 1, 2)]
            wait_until(lambda: len(written) == 3)
            assert len(partitions.ensure(now=NOON, patience_seconds=WAIT_SECONDS)) == 10
            for partition in partitions.older_than(MIDNIGHT):
                if partition.name in OF_NOON:
                    assert partitions.drop(partition)
            for each in writing:
                each.result(WAIT_SECONDS)
        assert places() == {f"keys_requestlog_203105{14 + day}": number for day, number in written.items()}

    def test_who_reads_for_long_is_not_waited_for_and_nothing_is_half_done(own_partitions):
        before = names()
        with another_reading(DEFAULT):
            with pytest.raises(TableInUse):
                partitions.ensure(now=NOON, patience_seconds=0)
            assert names() == before
        assert partitions.ensure(now=NOON, patience_seconds=0) == OF_NOON

        (today,) = [each for each in partitions.existing(connection) if each.name == TODAY]
        with another_reading(TODAY):
            with pytest.raises(TableInUse):
                partitions.drop(today, patience_seconds=0)
            assert TODAY in names()
        assert partitions.drop(today, patience_seconds=0)

    def test_who_reads_no_longer_than_our_patience_is_waited_for(own_partitions):
        with ThreadPoolExecutor() as threads:
            with another_reading(DEFAULT):
                making = threads.submit(
                    in_a_thread(lambda: partitions.ensure(now=NOON, patience_seconds=WAIT_SECONDS))
                )
                wait_until(lock_is_waited_for)
            assert making.result(WAIT_SECONDS) == OF_NOON

    @pytest.mark.django_db
    def test_migrate_does_without_partitions_that_cannot_be_made_now(caplog, monkeypatch):
        def in_use(**options: object) -> list[str]:
            raise TableInUse

        monkeypatch.setattr(partitions, "ensure", in_use)
        with caplog.at_level(logging.WARNING, "keys.partitions"):
            emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
        assert "were not created" in caplog.text
