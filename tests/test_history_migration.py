"""The migration that chains the history that is there: in the order of its times, in batches, and as if written now."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from keys import guards, history, lifecycle
from keys.integrity import Verification
from keys.models import HistoryEntry, HistoryHead
from keys.models.history import Action
from tests.factories import ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.django_db(transaction=True)

MIGRATION = import_module("keys.migrations.0006_history_chain")
BEFORE = "0005_people_and_teams"


def migrate(*target: str) -> None:
    call_command("migrate", "keys", *target, verbosity=0, interactive=False)


def stored() -> tuple[list, list]:
    return tuple(
        [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows]
        for rows in (
            HistoryEntry.objects.order_by("id").values_list(),
            HistoryHead.objects.order_by("chain").values_list(),
        )
    )


@pytest.fixture(autouse=True)
def afterwards_as_it_is_now() -> Iterator[None]:
    yield
    migrate()


@pytest.mark.parametrize("batch", [1, 4, 5000])
def test_rows_that_are_there_are_chained_as_if_they_were_written_now(actor, monkeypatch, batch):
    """A batch ends within a chain, between two, and never."""
    for number in range(3):
        key = ApiKeyFactory(actor=actor, merchant=MerchantFactory(actor=actor))
        for _ in range(number):
            lifecycle.copy(key=key, actor=actor)
        with transaction.atomic():
            history.write(Action.SECRETS_ROTATED, actor=actor, merchant=None)
    before = stored()
    monkeypatch.setattr(MIGRATION, "BATCH", batch)
    migrate(BEFORE)
    assert "hash" not in columns()
    migrate()
    assert stored() == before
    verification = Verification()
    assert list(verification.findings()) == []
    assert (verification.rows, verification.chains) == (12, 4)
    assert guards.installed(connection) == guards.expected(connection)
    lifecycle.disable(key=key, actor=actor)
    assert list(Verification().findings()) == []


def test_without_rows_there_is_nothing_to_chain():
    migrate(BEFORE)
    migrate()
    assert stored() == ([], [])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL alters tables where they are")
def test_a_table_is_built_anew_through_files_and_not_through_memory(monkeypatch):
    def temp_store() -> int:
        with connection.cursor() as cursor:
            return cursor.execute("PRAGMA temp_store").fetchone()[0]

    meanwhile = []
    joining = MIGRATION.joining
    monkeypatch.setattr(MIGRATION, "joining", lambda rows: meanwhile.append(temp_store()) or joining(rows))
    migrate(BEFORE)
    migrate()
    files, memory = 1, 2
    assert (meanwhile, temp_store()) == ([files], memory)
    # As a first start does, which makes everything or nothing.
    with transaction.atomic():
        migrate()
    assert temp_store() == memory


def columns() -> set[str]:
    with connection.cursor() as cursor:
        table = connection.introspection.get_table_description(cursor, HistoryEntry._meta.db_table)
        return {column.name for column in table}
