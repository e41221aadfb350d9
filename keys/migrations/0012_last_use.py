"""Move the last use of each API key out of the table of keys: docs/decisions/0019.

The uses are copied while requests are recorded still, and only then is the table of keys locked, for as long as it takes to
look for what was used meanwhile and to forget the column. It is one transaction: a run that is interrupted leaves
everything as it was.
"""

import time

import django.db.models.deletion
from django.db import OperationalError, migrations, models, transaction

LOCK_TIMEOUT = "1s"
TRIES = 60
LOCK_NOT_AVAILABLE = "55P03"
# Those that are not there yet, so that the second run writes next to nothing.
COPY = """
    INSERT INTO keys_lastuse (key_id, at)
    SELECT id, last_used_at FROM keys_apikey
    WHERE last_used_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM keys_lastuse WHERE key_id = keys_apikey.id AND at >= last_used_at)
    ON CONFLICT (key_id) DO UPDATE SET at = excluded.at
"""


def leave_room(apps, schema_editor):
    """Half of each page stays free on PostgreSQL.

    A row that is written anew finds its place there, and the index, which names the page, need not be told.
    """
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE keys_lastuse SET (fillfactor = 50)")


def copy_out(apps, schema_editor):
    schema_editor.execute(COPY)
    if schema_editor.connection.vendor == "postgresql":
        lock(schema_editor.connection)
        schema_editor.execute(COPY)


def lock(connection):
    """Nobody else reads or writes keys from here on. All others queue behind whoever waits for that: not for long."""
    for tries_left in reversed(range(TRIES)):
        try:
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                cursor.execute("LOCK TABLE keys_apikey IN ACCESS EXCLUSIVE MODE")
                cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
                return
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE or not tries_left:
                raise
        time.sleep(1)


def copy_back(apps, schema_editor):
    schema_editor.execute(
        "UPDATE keys_apikey SET last_used_at = (SELECT at FROM keys_lastuse WHERE key_id = keys_apikey.id)"
    )


class Migration(migrations.Migration):
    dependencies = [
        ("keys", "0011_email_changes"),
    ]

    operations = [
        migrations.CreateModel(
            name="LastUse",
            fields=[
                (
                    "key",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="last_use",
                        serialize=False,
                        to="keys.apikey",
                    ),
                ),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.RunPython(leave_room, migrations.RunPython.noop),
        migrations.RunPython(copy_out, copy_back),
        migrations.RemoveField("apikey", "last_used_at"),
    ]
