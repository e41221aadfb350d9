"""The test database within one test, and after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.contrib.auth.models import Group
from django.db import connection, transaction

from keys import access, guards, partitions

# What migrating leaves there: no test adds a model, and the groups are set right where one touched them.
FURNITURE = {"django_content_type", "auth_permission"}
GROUPS = {"auth_group", "auth_group_permissions"}


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is undone: each example of a property starts with an empty database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def groups() -> list[tuple[str, int | None]]:
    """Each group with its permissions."""
    return sorted(Group.objects.values_list("name", "permissions"), key=str)


@cache
def fresh_groups() -> list[tuple[str, int | None]]:
    """The same as they were at the first call: before a test had committed anything."""
    return groups()


def filled() -> set[str]:
    """The tables that have rows."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    looks = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        return {table for (table,) in cursor.fetchall()}


def empty() -> None:
    """Leave what a fresh database has, whatever a test has committed.

    Django's own flush empties every table and then does all that follows a migration, which takes ten times as long.
    """
    kept = FURNITURE | (GROUPS if groups() == fresh_groups() else set())
    guards.remove(connection)
    with transaction.atomic(), connection.cursor() as cursor:
        for table in filled() - kept:
            cursor.execute(f"DELETE FROM {table}")
    guards.install(connection)
    if GROUPS - kept:
        access.ensure_groups()
    partitions.ensure()
