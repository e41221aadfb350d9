"""Give each row of the history its place in a chain: see keys/chain.py and docs/decisions/0012.

The rows that are there join in the order of their times, read and written a batch at a time. It is one transaction: a
run that is interrupted leaves everything as it was.
"""

from itertools import islice

from django.db import migrations, models

from keys import chain

BATCH = 5000
# What a row says, as the table has it before it is part of a chain.
SAID = [name for name in chain.Row._fields if name not in ("sequence", "chain_version", "previous_hash", "hash")]


def begin_chains(apps, schema_editor):
    HistoryEntry = apps.get_model("keys", "HistoryEntry")
    HistoryHead = apps.get_model("keys", "HistoryHead")
    connection = schema_editor.connection
    permit_updates(connection)
    # As the index of the accounts' histories has them, read backwards: nothing is sorted.
    rows = HistoryEntry.objects.using(connection.alias).order_by("-merchant_id", "at", "id").values_list(*SAID)
    joined = joining(rows.iterator(chunk_size=BATCH))
    head = None
    while batch := list(islice(joined, BATCH)):
        ended = []
        for row in batch:
            if head and head.chain != row.chain:
                ended.append(head)
            head = chain.Head(row.chain, row.sequence, row.hash)
        store(connection, batch)
        save_heads(HistoryHead, connection, ended)
    save_heads(HistoryHead, connection, [head] if head else [])


def joining(rows):
    """Each row as it is in its chain; those of one chain have to come one after the other."""
    head = chain.start(None)
    for values in rows:
        said = dict(zip(SAID, values))
        of = said["merchant_id"] or chain.PLATFORM
        if of != head.chain:
            head = chain.start(of)
        row = chain.Row(
            **said, sequence=head.sequence + 1, chain_version=chain.VERSION, previous_hash=head.hash, hash=b""
        )
        row = row._replace(hash=chain.hash_of(row))
        head = chain.Head(of, row.sequence, row.hash)
        yield row


def store(connection, rows):
    ids = [row.id.hex if connection.vendor == "sqlite" else row.id for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE keys_historyentry SET sequence = %s, previous_hash = %s, hash = %s WHERE id = %s",
            [(row.sequence, row.previous_hash, row.hash, id) for row, id in zip(rows, ids)],
        )


def save_heads(HistoryHead, connection, heads):
    HistoryHead.objects.using(connection.alias).bulk_create(
        (HistoryHead(**head._asdict()) for head in heads), batch_size=BATCH
    )


def permit_updates(connection):
    """Drop the guard that lets no row change; all guards stand again after the migration."""
    place = " ON keys_historyentry" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER IF EXISTS guard_history_update{place}")


def end_chains(apps, schema_editor):
    """On PostgreSQL, a trigger that asks for columns that are gone would refuse every row."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER IF EXISTS guard_history_place ON keys_historyentry")


class Migration(migrations.Migration):
    dependencies = [
        ("keys", "0005_people_and_teams"),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoryHead",
            fields=[
                ("chain", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("sequence", models.PositiveBigIntegerField(default=0, editable=False)),
                ("hash", models.BinaryField(max_length=32)),
            ],
        ),
        migrations.AddField("historyentry", "sequence", models.PositiveBigIntegerField(editable=False, null=True)),
        migrations.AddField("historyentry", "previous_hash", models.BinaryField(max_length=32, null=True)),
        migrations.AddField("historyentry", "hash", models.BinaryField(max_length=32, null=True)),
        migrations.RunPython(begin_chains, end_chains),
        migrations.AddField(
            "historyentry",
            "chain_version",
            models.PositiveSmallIntegerField(db_default=1, default=1, editable=False),
        ),
        migrations.AlterField("historyentry", "sequence", models.PositiveBigIntegerField(editable=False)),
        migrations.AlterField("historyentry", "previous_hash", models.BinaryField(max_length=32)),
        migrations.AlterField("historyentry", "hash", models.BinaryField(max_length=32)),
        migrations.AddConstraint(
            "historyentry",
            models.UniqueConstraint(fields=("merchant", "sequence"), name="history_place_once"),
        ),
        migrations.AddConstraint(
            "historyentry",
            models.UniqueConstraint(
                condition=models.Q(("merchant", None)), fields=("sequence",), name="history_platform_place_once"
            ),
        ),
    ]
