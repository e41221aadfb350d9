"""Verifiers on PostgreSQL that run within a test: their directories, what they have acknowledged, and other sessions.

Those who hear of changes do so in threads of their own: what is expected of them is waited for, with a deadline.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from keys.gateway import processes
from keys.gateway.directory import Holder
from keys.gateway.postgresql import PostgresDirectory
from keys.models import Acknowledgement, ApiKey, Change, Verifier

PATIENCE_SECONDS = 10
# Nothing comes with a heartbeat: the next one is in a quarter of that.
NO_HEARTBEAT_SECONDS = 60.0


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until it holds; fails where it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.005)


@pytest.fixture(name="open_directory")
def directories() -> Iterator[Callable[..., PostgresDirectory]]:
    """Open directories on the test database; they stop listening at the end."""
    opened = []

    def open_one(*, url: str = "", bound_seconds: float = NO_HEARTBEAT_SECONDS, cached_keys_max: int = 1000):
        conninfo = make_conninfo(url, options="-c TimeZone=UTC") if url else processes.conninfo()
        directory = PostgresDirectory(conninfo, bound_seconds=bound_seconds, cached_keys_max=cached_keys_max)
        opened.append(directory)
        return directory

    try:
        yield open_one
    finally:
        for directory in opened:
            directory.close()


def database_url() -> str:
    """The test database, as a URL."""
    name = connection.settings_dict["NAME"]
    return urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{name}").geturl()


@contextmanager
def another_session() -> Iterator[psycopg.Connection]:
    """A connection that begins and ends its transactions when it is told to."""
    with psycopg.connect(database_url()) as session:
        yield session
        session.rollback()


def execute(sql: str) -> None:
    """Commit a change on a connection that is there for nothing else."""
    with psycopg.connect(database_url(), autocommit=True) as session:
        session.execute(sql)


def changes() -> list[Change]:
    return list(Change.objects.order_by("id"))


def is_acknowledged(change: Change) -> bool:
    return Acknowledgement.objects.filter(change=change).exists()


def wait_for_acknowledgement(seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the one verifier has acknowledged every change since it started."""
    unheard = Change.objects.filter(at__gt=Verifier.objects.get().started_at, acknowledgements=None)
    eventually(lambda: not unheard.exists(), seconds)


def found(directory: PostgresDirectory, key: ApiKey) -> Holder:
    holder = directory.find(key.secret.reveal())
    assert holder is not None
    return holder


def status_of(directory: PostgresDirectory, key: ApiKey) -> str:
    return found(directory, key).facts.key_status


@contextmanager
def database_away() -> Iterator[None]:
    """The server ends every verifier's session and lets none begin: its sockets are closed, as when it has stopped."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(os.environ["TEST_DATABASE_URL"], autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            end_sessions()
            yield
        finally:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def end_sessions() -> None:
    """End every session of a verifier, as a server that is restarted does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'merchantadmin verifier' AND datname = current_database()"
        )
