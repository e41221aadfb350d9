"""On PostgreSQL, make keys_requestlog a table partitioned by ranges of its id: docs/decisions/0007.

A table without rows is replaced. One with rows becomes a partition itself, that of everything before a day to come, and
is neither copied nor locked for longer than a change of catalogue takes. A run that is interrupted is undone, or by the
next one begun again. The partitions of the days are not made here, but after each migration, by keys.partitions.
"""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import OperationalError, migrations, transaction

TABLE = "keys_requestlog"
DEFAULT = f"{TABLE}_default"
NEW = f"{TABLE}_new"
BOUND = f"{TABLE}_bound"
PRIMARY_KEY = f"{TABLE}_pkey"
INDEXES = {
    "request_by_key": "(key_id, id)",
    "request_by_merchant": "(merchant_id, id)",
    "request_failed_by_key": "(key_id, id) WHERE status >= 400",
    "request_failed_by_merch": "(merchant_id, id) WHERE status >= 400",
}
LOCK_TIMEOUT = "1s"
TRIES = 60
LOCK_NOT_AVAILABLE = "55P03"


def partition(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql" or patiently(connection, begin):
        return
    # While the rows are looked through, inserts go on, and they must not be refused when midnight passes.
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    bound = UUID(int=int(day.timestamp()) * 1000 << 80 | 7 << 76 | 2 << 62)
    try:
        patiently(connection, lambda cursor: promise(cursor, bound))
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            # Reads every row, and hinders nobody who reads or writes.
            cursor.execute(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT {BOUND}")
        patiently(connection, lambda cursor: attach(cursor, bound, f"{TABLE}_before_{day:%Y%m%d}"))
    except BaseException:
        patiently(connection, take_back)
        raise


def unpartition(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        patiently(schema_editor.connection, join)


def patiently(connection, step):
    """Do a step in a transaction of its own, again while others hold what it locks: all others queue behind it."""
    for tries_left in reversed(range(TRIES)):
        try:
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
                done = step(cursor)
                cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
                return done
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE or not tries_left:
                raise
        time.sleep(1)


def begin(cursor):
    """Undo what an interrupted run left. True if no rows are in the way, and all is done."""
    if is_partitioned(cursor):
        return True
    take_back(cursor)
    cursor.execute(f"SELECT EXISTS (SELECT FROM {TABLE})")
    if cursor.fetchone()[0]:
        return False
    replace(cursor)
    return True


def is_partitioned(cursor):
    cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)", [TABLE])
    return cursor.fetchone()[0]


def replace(cursor):
    """Put a partitioned table in the place of one without rows."""
    cursor.execute(f"CREATE TABLE {NEW} (LIKE {TABLE} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (id)")
    cursor.execute(f"DROP TABLE {TABLE}")
    cursor.execute(f"ALTER TABLE {NEW} RENAME TO {TABLE}")
    create_indexes(cursor)
    cursor.execute(f"CREATE TABLE {DEFAULT} (LIKE {TABLE} INCLUDING ALL)")
    cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {DEFAULT} DEFAULT")


def promise(cursor, bound):
    """Have the table take nothing from `bound` on, and put aside what it has of that: requests from the future."""
    cursor.execute(f"CREATE TABLE {DEFAULT} (LIKE {TABLE} INCLUDING ALL)")
    # Asked in the words that need one look at the index, whatever the planner knows of the table.
    cursor.execute(f"SELECT id FROM {TABLE} ORDER BY id DESC LIMIT 1")
    if (newest := cursor.fetchone()) and newest[0] >= bound:
        move(cursor, TABLE, DEFAULT, f"WHERE id >= '{bound}'")
    cursor.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT {BOUND} CHECK (id < '{bound}') NOT VALID")


def attach(cursor, bound, name):
    """Make the table the first partition. The constraint proves that all its rows belong there: none is read."""
    cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass(%s)", [TABLE])
    for (index,) in cursor.fetchall():
        cursor.execute(f"ALTER INDEX {index} RENAME TO {index}_before")
    cursor.execute(f"ALTER TABLE {TABLE} RENAME TO {name}")
    cursor.execute(f"CREATE TABLE {TABLE} (LIKE {DEFAULT} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (id)")
    create_indexes(cursor)
    cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM (MINVALUE) TO ('{bound}')")
    cursor.execute(f"ALTER TABLE {name} DROP CONSTRAINT {BOUND}")
    cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {DEFAULT} DEFAULT")


def take_back(cursor):
    """Undo `promise`."""
    cursor.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {BOUND}")
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [DEFAULT])
    if cursor.fetchone()[0]:
        move(cursor, DEFAULT, TABLE)
        cursor.execute(f"DROP TABLE {DEFAULT}")


def join(cursor):
    """One table again, with all rows. They are copied, and everybody waits meanwhile."""
    if not is_partitioned(cursor):
        return
    cursor.execute(f"CREATE TABLE {NEW} (LIKE {TABLE} INCLUDING ALL EXCLUDING INDEXES)")
    cursor.execute(f"INSERT INTO {NEW} SELECT * FROM {TABLE}")
    # With all its partitions, and with their indexes.
    cursor.execute(f"DROP TABLE {TABLE}")
    cursor.execute(f"ALTER TABLE {NEW} RENAME TO {TABLE}")
    create_indexes(cursor)


def move(cursor, source, target, condition=""):
    cursor.execute(
        f"WITH moved AS (DELETE FROM {source} {condition} RETURNING *) INSERT INTO {target} SELECT * FROM moved"
    )


def create_indexes(cursor):
    cursor.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT {PRIMARY_KEY} PRIMARY KEY (id)")
    for name, columns in INDEXES.items():
        cursor.execute(f"CREATE INDEX {name} ON {TABLE} {columns}")


class Migration(migrations.Migration):
    # Each step commits by itself: a lock is held for that step, not for all of them.
    atomic = False

    dependencies = [
        ("keys", "0002_verifiers_and_recording"),
    ]

    operations = [
        migrations.RunPython(partition, unpartition),
    ]
