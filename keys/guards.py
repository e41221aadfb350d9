"""Triggers that keep the rules of API keys and of the history against raw SQL, the Django admin and a shell.

The rules: an API key is inserted Enabled and moves only Enabled ⇄ Disabled → Revoked; its id, merchant, mode,
permissions, digest, mask, origin, creator and creation time never change; a revoked key changes no more, but for the
time of its last use; a key, a merchant account with keys and a history row are never deleted; a history row never changes.

They are installed after every migration, and again whenever asked: on SQLite, Django alters a table by building a new
one and dropping the old, and its triggers vanish with it. The SQL lies in keys/sql/, one file for each database.
"""

import re
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

SQL = Path(__file__).parent / "sql"
TABLES = {"apikey": "keys_apikey", "merchant": "keys_merchant", "history": "keys_historyentry"}
_BOTH = {f"guard_{subject}_{event}" for subject in TABLES for event in ("update", "delete")} | {"guard_apikey_insert"}
NAMES = {
    # Only SQLite can replace a row without a word to the delete trigger,
    "sqlite": frozenset(_BOTH | {"guard_merchant_insert", "guard_history_insert"}),
    # and only PostgreSQL can empty a table without a word to the row triggers.
    "postgresql": frozenset(_BOTH | {f"guard_{subject}_truncate" for subject in TABLES}),
}


def expected(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """The names of the guards that the database should have."""
    return NAMES[connection.vendor]


def install(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers, or bring them up to date."""
    script = (SQL / f"guards.{connection.vendor}.sql").read_text()
    with connection.cursor() as cursor:
        # Statements are set apart by a line of dashes: both dialects have semicolons inside a trigger.
        for statement in re.split(r"^-{3,}$", script, flags=re.MULTILINE):
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers: for tests that empty the tables, and for a migration that must touch old rows."""
    with connection.cursor() as cursor:
        for name in installed(connection):
            table = f" ON {TABLES[name.split('_')[1]]}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {name}{table}")


def installed(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """The names of the guards that the database has now."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'guard\\_%' AND tgenabled = 'O'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'guard\\_%' ESCAPE '\\'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return frozenset(name for (name,) in cursor.fetchall())


def install_after_migrate(sender: AppConfig, using: str, plan: Any = None, **kwargs: Any) -> None:
    """Receiver of `post_migrate`; a plan that stops short of the tables is left alone."""
    connection = connections[using]
    if "keys_historyentry" in connection.introspection.table_names():
        install(connection)
