"""The migration that gives the last uses a table of their own: none is lost on the way there, or on the way back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.core.management import call_command
from django.db import connection, connections

from keys import guards
from keys.history import Actor
from keys.models import ApiKey
from tests.factories import ApiKeyFactory, use

pytestmark = pytest.mark.django_db(transaction=True)

MIGRATION = import_module("keys.migrations.0012_last_use")
BEFORE = "0011_email_changes"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def migrate(*target: str) -> None:
    call_command("migrate", "keys", *target, verbosity=0, interactive=False)


@pytest.fixture(autouse=True)
def afterwards_as_it_is_now() -> Iterator[None]:
    yield
    migrate()


@pytest.fixture
def keys(actor: Actor) -> list[ApiKey]:
    """One in each state, used a minute after the other, and one that never was."""
    used = [ApiKeyFactory(actor=actor, **state) for state in ({}, {"disabled": True}, {"revoked": True})]
    for minute, key in enumerate(used):
        use(key, succeeded=1, at=NOON + timedelta(minutes=minute))
    return [*used, ApiKeyFactory(actor=actor)]


def rows() -> list[dict]:
    """All keys, whatever else they have."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM keys_apikey ORDER BY id")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, map(plain, row), strict=True)) for row in cursor.fetchall()]


def plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def last_uses() -> dict:
    return {key.pk: key.last_used_at for key in ApiKey.objects.select_related("last_use")}


def test_last_uses_go_there_and_back_and_the_keys_stay_as_they_are(keys):
    uses, now = last_uses(), rows()
    assert list(uses.values()).count(None) == 1
    migrate(BEFORE)
    before = rows()
    assert [row.pop("last_used_at") is None for row in before].count(True) == 1
    assert before == now
    assert guards.installed(connection) == guards.expected(connection)
    migrate()
    assert (last_uses(), rows()) == (uses, now)
    assert guards.installed(connection) == guards.expected(connection)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets nobody write meanwhile")
def test_what_is_used_while_they_are_copied_is_not_lost(keys, monkeypatch):
    """Between the copy and the lock a used key is used again, and one for the first time."""
    later = NOON + timedelta(days=1)
    locked = MIGRATION.lock

    def lock(connection) -> None:
        drain = connections.create_connection("default")
        try:
            with drain.cursor() as cursor:
                cursor.execute(
                    "UPDATE keys_apikey SET last_used_at = %s WHERE id = ANY(%s)",
                    [later, [keys[0].pk, keys[-1].pk]],
                )
        finally:
            drain.close()
        locked(connection)

    expected = last_uses() | {keys[0].pk: later, keys[-1].pk: later}
    migrate(BEFORE)
    monkeypatch.setattr(MIGRATION, "lock", lock)
    migrate()
    assert last_uses() == expected


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no lock for a table")
def test_who_holds_a_key_is_waited_for_and_keeps_nobody_else_waiting_long(keys, monkeypatch):
    """The lock is asked for again and again, for a moment each time."""
    uses = last_uses()
    migrate(BEFORE)
    holder = connections.create_connection("default")
    holder.set_autocommit(False)
    with holder.cursor() as cursor:
        cursor.execute("SELECT id FROM keys_apikey FOR UPDATE")
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        holder.rollback()

    monkeypatch.setattr(MIGRATION, "LOCK_TIMEOUT", "1ms")
    monkeypatch.setattr(MIGRATION.time, "sleep", sleep)
    try:
        migrate()
    finally:
        holder.close()
    assert waited == [1]
    assert last_uses() == uses
