"""Leave room for new versions of a count in its page, on PostgreSQL, where each batch of requests makes one.

A count that finds its place there need not be told to the indexes, which name the page. Only pages written from now on
have the room; nothing is rewritten, and nobody waits.
"""

from django.db import migrations

TABLES = ("keys_usageminute", "keys_usagehour")


def leave_room(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in TABLES:
            schema_editor.execute(f"ALTER TABLE {table} SET (fillfactor = 60)")


def fill(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in TABLES:
            schema_editor.execute(f"ALTER TABLE {table} RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [
        ("keys", "0012_last_use"),
    ]

    operations = [
        migrations.RunPython(leave_room, fill),
    ]
