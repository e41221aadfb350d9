"""Triggers that keep the rules of API keys and of the history against raw SQL, the Django admin and a shell.

The rules: an API key is inserted Enabled and moves only Enabled ⇄ Disabled → Revoked; its id, merchant,
mode, permissions, digest, mask, origin, creator and creation time never change; a revoked key changes no
more; a key, a merchant account and a history row are never deleted; a history row never changes, and joins
its chain at the end; the head of a chain only moves forward. (An account has a history from its creation on,
so there is no empty one to delete.) Whether a hash is right only `keys.integrity` can tell.

Beside these guards, which refuse, stand the triggers of the feed (keys/sql/feed.*.sql), which tell verifiers of every
change that a verdict depends on, whoever makes it.

They are installed after every migration, and again whenever asked: on SQLite, Django alters a table by
building a new one and dropping the old, and its triggers vanish with it. The SQL lies in keys/sql/, one
file for each database: only SQLite can replace a row, and only PostgreSQL empty a table, without a word to
delete triggers.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

SQL = Path(__file__).parent / "sql"
_TRIGGER = re.compile(
    r"^CREATE (?:OR REPLACE )?TRIGGER ((?:guard|feed)_\w+) \w+ \w+(?: OF [\w, ]+)? ON (\w+)", re.MULTILINE
)

# Name, table, and whether it fires in every session: on PostgreSQL a trigger can be disabled.
_PRESENT = {
    "sqlite": (
        "SELECT name, tbl_name, 1 FROM sqlite_master "
        "WHERE type = 'trigger' AND (name GLOB 'guard_*' OR name GLOB 'feed_*')"
    ),
    "postgresql": (
        "SELECT tgname, relname, tgenabled = 'A' FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE (starts_with(tgname, 'guard_') OR starts_with(tgname, 'feed_')) AND pg_table_is_visible(tgrelid)"
    ),
}


def expected(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """The names of the guards that the database should have."""
    return frozenset(_defined(connection.vendor))


def installed(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """The names of the guards that the database has now, in force."""
    return frozenset(name for name, _, in_force in _present(connection) if in_force)


def install(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers, or bring them up to date, in one transaction: no moment is unguarded."""
    defined = _defined(connection.vendor)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        # PostgreSQL replaces a trigger under a lock that lets readers pass; SQLite has to drop it first.
        kept = defined if connection.vendor == "postgresql" else {}
        _drop(connection, {name: table for name, table, _ in _present(connection) if name not in kept})
        # Statements are set apart by a line of dashes: both dialects have semicolons inside a trigger.
        for statement in re.split(r"^-{3,}$", _script(connection.vendor), flags=re.MULTILINE):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            # An ordinary trigger is silent after `SET session_replication_role = replica`.
            for name, table in defined.items():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def remove(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers: for tests that empty the tables, and for a migration that must touch old rows."""
    with transaction.atomic(using=connection.alias):
        _drop(connection, {name: table for name, table, _ in _present(connection)})


def install_after_migrate(sender: AppConfig, using: str, plan: Any = None, **kwargs: Any) -> None:
    """Receiver of `post_migrate`; a plan that stops short of the tables is left alone."""
    connection = connections[using]
    if "keys_historyhead" in connection.introspection.table_names():
        install(connection)


def _present(connection: BaseDatabaseWrapper) -> list[tuple[str, str, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(_PRESENT[connection.vendor])
        return [(name, table, bool(in_force)) for name, table, in_force in cursor.fetchall()]


def _drop(connection: BaseDatabaseWrapper, triggers: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        for name, table in triggers.items():
            place = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {name}{place}")


@cache
def _script(vendor: str) -> str:
    return "\n---\n".join((SQL / f"{name}.{vendor}.sql").read_text() for name in ("guards", "feed"))


@cache
def _defined(vendor: str) -> dict[str, str]:
    """The guards of keys/sql/ by name, with their tables."""
    return dict(_TRIGGER.findall(_script(vendor)))
