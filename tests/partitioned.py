"""What tests see of the partitions of the requests, and others who are at work on them at the same time."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Barrier
from time import monotonic, sleep
from typing import Any

from django.db import connection, connections, transaction

from keys import partitions

# A time for which no other test has partitions.
NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)
MIDNIGHT = NOON.replace(hour=0)
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
WAIT_SECONDS = 20


def names() -> list[str]:
    return [partition.name for partition in partitions.existing(connection)]


def places() -> dict[str, int]:
    """How many requests each partition holds that has some."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, count(*) FROM keys_requestlog GROUP BY 1")
        return dict(cursor.fetchall())


def indexes_of(table: str) -> set[str]:
    """What each index of the table is on, whatever its name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
        return {
            re.sub(r"INDEX \w+ ON (ONLY )?public\.\w+", "INDEX", definition)
            for (definition,) in cursor.fetchall()
        }


def in_a_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """`work`, with a database connection of its own that ends with it."""

    def working() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return working


def wait_until(condition: Callable[[], bool]) -> None:
    ends = monotonic() + WAIT_SECONDS
    while not condition():
        assert monotonic() < ends, "it never happened"
        sleep(0.01)


def lock_is_waited_for() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE NOT granted AND datname = current_database())"
        )
        return cursor.fetchone()[0]


def another_reading(table: str) -> AbstractContextManager[None]:
    return another_transaction(f"SELECT FROM {table} LIMIT 1")


@contextmanager
def another_transaction(sql: str) -> Iterator[None]:
    """Somebody else, in a transaction that has said this and does not end."""
    opened, done = Barrier(2, timeout=WAIT_SECONDS), Barrier(2, timeout=WAIT_SECONDS)

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
            opened.wait()
            done.wait()

    with ThreadPoolExecutor() as threads:
        holding: Future[None] = threads.submit(in_a_thread(hold))
        opened.wait()
        try:
            yield
        finally:
            done.wait()
            holding.result(WAIT_SECONDS)


@contextmanager
def partitions_of_its_own() -> Iterator[None]:
    """Partitions that a test makes, and commits, go when it is over; those that were there are there again."""
    before = names()
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for name in names():
                if name not in before:
                    cursor.execute(f"DROP TABLE {name}")
        partitions.ensure()
