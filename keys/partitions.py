"""The requests of each UTC day in a partition of their own: made ahead of time, and dropped whole when they are old.

PostgreSQL only; on SQLite there is one table, and nothing here does anything. `keys_requestlog` is partitioned by
ranges of its id, which begins with the time (docs/decisions/0007-a-partition-for-each-day.md). Rows of a day that has
no partition go to the default one, so that no insert ever fails for want of one; they move when their day gets its own.

Every step takes the same advisory lock, so that several nodes may be at it at once, and none stands in front of a lock
for longer than LOCK_TIMEOUT: whoever comes after it would have to wait as long.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from psycopg.errors import DeadlockDetected, LockNotAvailable

from keys.identifiers import first_id_at
from keys.models import RequestLog

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TABLE = RequestLog._meta.db_table
DEFAULT = f"{TABLE}_default"
DAY = timedelta(days=1)
AHEAD_DAYS = 7
# Spool files of a host that was down, and demo data, bring requests of the last two days.
BEHIND_DAYS = 2
ADVISORY_LOCK = 7_265_402
LOCK_TIMEOUT = "250ms"
PAUSE_SECONDS = 0.25

LOWEST, HIGHEST = UUID(int=0), UUID(int=(1 << 128) - 1)
_BOUNDS = re.compile(r"FOR VALUES FROM \((?:MINVALUE|'([^']+)')\) TO \((?:MAXVALUE|'([^']+)')\)")


class TableInUse(Exception):
    """Somebody held a lock on the requests for longer than we were ready to wait. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The requests with ids from `start` (inclusive) to `end` (exclusive). `name` is as SQL has to write it."""

    name: str
    start: UUID
    end: UUID

    def overlaps(self, start: UUID, end: UUID) -> bool:
        return self.start < end and start < self.end


def ensure(
    *,
    ahead_days: int = AHEAD_DAYS,
    behind_days: int = BEHIND_DAYS,
    now: datetime | None = None,
    using: str = DEFAULT_DB_ALIAS,
    patience_seconds: float = 3,
) -> list[str]:
    """Create what is missing of the partitions of today, of `ahead_days` after and of `behind_days` before it.

    The names of those that were created. Costs one short query where none is missing. Raises TableInUse.
    """
    connection = connections[using]
    if not is_partitioned(connection):
        return []
    today = (now or timezone.now()).astimezone(UTC).date()
    days = [today + number * DAY for number in range(-behind_days, ahead_days + 1)]
    partitions = existing(connection)
    missing = [day for day in days if not _is_taken(day, partitions)]
    made = (_patiently(partial(_create, connection, day), patience_seconds) for day in missing)
    return [name for name in made if name]


def ensure_after_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Receiver of `post_migrate`."""
    try:
        ensure(using=using)
    except TableInUse:
        # The default partition takes the rows until whoever drains or prunes comes by.
        logger.warning("The partitions of the coming days were not created: the requests are in use.")


def is_partitioned(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)", [TABLE])
        found: tuple[bool] | None = cursor.fetchone()
    return found == (True,)


def existing(connection: BaseDatabaseWrapper) -> list[Partition]:
    """The partitions, oldest first, without the default one; none on SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_class.oid::regclass::text, pg_get_expr(relpartbound, pg_class.oid) "
            "FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass(%s)",
            [TABLE],
        )
        # The bounds of one that is dropped at this moment are NULL.
        found = [(name, _BOUNDS.fullmatch(bounds or "")) for name, bounds in cursor.fetchall()]
    partitions = [
        Partition(name, UUID(match[1]) if match[1] else LOWEST, UUID(match[2]) if match[2] else HIGHEST)
        for name, match in found
        if match
    ]
    return sorted(partitions, key=lambda partition: partition.start)


def older_than(moment: datetime, *, using: str = DEFAULT_DB_ALIAS) -> list[Partition]:
    """The partitions that hold nothing of `moment` and later."""
    end = first_id_at(moment)
    return [partition for partition in existing(connections[using]) if partition.end <= end]


def size_bytes(partition: Partition, *, using: str = DEFAULT_DB_ALIAS) -> int:
    """What it takes on disk, with its indexes; 0 when it is gone."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT coalesce(pg_total_relation_size(to_regclass(%s)), 0)", [partition.name])
        return int(cursor.fetchone()[0])


def rows_before(moment: datetime, *, using: str = DEFAULT_DB_ALIAS) -> int:
    """How many requests before `moment` would be left, were the partitions that hold nothing else dropped."""
    connection, end = connections[using], first_id_at(moment)
    names = [partition.name for partition in existing(connection) if partition.start < end < partition.end]
    with connection.cursor() as cursor:
        total = 0
        for name in (*names, DEFAULT):
            cursor.execute(f"SELECT count(*) FROM {name} WHERE id < %s", [end])  # noqa: S608
            total += cursor.fetchone()[0]
    return total


def drop(partition: Partition, *, using: str = DEFAULT_DB_ALIAS, patience_seconds: float = 30) -> bool:
    """Drop it with all its rows; False if somebody else has done so. Raises TableInUse."""
    return _patiently(partial(_drop, connections[using], partition), patience_seconds)


def _drop(connection: BaseDatabaseWrapper, partition: Partition) -> bool:
    with _alone(connection) as cursor:
        # Looked up anew under the lock: only what has these bounds still is what was meant.
        if partition not in existing(connection):
            return False
        cursor.execute(f"DROP TABLE {partition.name}")
    return True


def _create(connection: BaseDatabaseWrapper, day: date) -> str | None:
    """The name of the new partition; None if somebody else was quicker."""
    start, end = _bounds(day)
    name = f"{TABLE}_{day:%Y%m%d}"
    with _alone(connection) as cursor:
        if _is_taken(day, existing(connection)):
            return None
        # Writers wait until it is done. One that had found the default partition already would be refused by it.
        cursor.execute(f"LOCK TABLE ONLY {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        # `CREATE TABLE … PARTITION OF` is shorter, and has readers wait too.
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING ALL)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE id >= %s AND id < %s RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved",
            [start, end],
        )
        cursor.execute(
            f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"
        )
    return name


def _bounds(day: date) -> tuple[UUID, UUID]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first_id_at(midnight), first_id_at(midnight + DAY)


def _is_taken(day: date, partitions: list[Partition]) -> bool:
    """Whether any of it lies in a partition, such as the one of all that was before there were partitions."""
    return any(partition.overlaps(*_bounds(day)) for partition in partitions)


@contextmanager
def _alone(connection: BaseDatabaseWrapper) -> Iterator[CursorWrapper]:
    """A transaction that no other node's runs beside, and in which nothing waits for longer than LOCK_TIMEOUT."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        (before,) = cursor.fetchone()
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        yield cursor
        # Whoever called may be in a transaction of their own, which goes on.
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])


def _patiently(step: Callable[[], Result], seconds: float) -> Result:
    """Do `step`, again and again while others hold what it has to lock; they go on in the pauses."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step()
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                raise
            if time.monotonic() > deadline:
                raise TableInUse("Others have held the table of requests for too long.") from error
        time.sleep(PAUSE_SECONDS)
