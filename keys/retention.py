"""How long what is recorded is kept, and how it is removed: whole days at a time where they are partitions, otherwise a
batch at a time, each a short transaction of its own.

What is left of a run that was interrupted is removed by the next one, and several may run at once.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from keys import partitions, proof
from keys.errors import InvalidField
from keys.identifiers import first_id_at
from keys.models import (
    Acknowledgement,
    Change,
    RecordingLoss,
    RequestLog,
    SpoolFile,
    UsageHour,
    UsageMinute,
    Verifier,
)
from keys.partitions import Partition, TableInUse
from keys.states import ApiKeyStatus

# The figures of the last 24 hours reach into yesterday, and what was made late still has to be counted there.
REQUEST_DAYS_MIN = 2
DAYS_MAX = 10_000
# The books of what was lost and of what verifiers have applied.
BOOKS_DAYS = 30
REFUSING = (ApiKeyStatus.DISABLED, ApiKeyStatus.REVOKED)
BATCH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept: everything of today and of so many days before it, in UTC. Raises InvalidField."""

    requests_days: int
    minutes_days: int
    usage_days: int

    @classmethod
    def from_settings(cls, *, requests_days: int | None = None) -> "Retention":
        return cls(
            requests_days=settings.KEYS_REQUEST_RETENTION_DAYS if requests_days is None else requests_days,
            minutes_days=settings.KEYS_MINUTE_RETENTION_DAYS,
            usage_days=settings.KEYS_USAGE_RETENTION_DAYS,
        )

    def __post_init__(self) -> None:
        if not REQUEST_DAYS_MIN <= self.requests_days <= DAYS_MAX:
            raise InvalidField(
                "requests_days",
                f"Requests are kept for {REQUEST_DAYS_MIN} to {DAYS_MAX} days.",
                "The figures of the last 24 hours lead to requests of yesterday, and some arrive late.",
            )
        if self.minutes_days < REQUEST_DAYS_MIN:
            raise InvalidField(
                "minutes_days",
                f"Counts by minute are kept for {REQUEST_DAYS_MIN} days or more.",
                "The figures of the last 24 hours begin and end within an hour, and are made of minutes there.",
            )
        if self.usage_days < self.requests_days:
            raise InvalidField(
                "usage_days",
                f"Counts by hour are kept for {self.usage_days} days, and requests for no longer than that.",
                "KEYS_USAGE_RETENTION_DAYS says how long counts are kept.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed of one kind, or would be. `in_use` are partitions that could not be dropped."""

    kind: str
    before: datetime
    rows: int = 0
    dropped: tuple[Partition, ...] = ()
    dropped_bytes: int = 0
    in_use: tuple[Partition, ...] = ()


def prune(
    retention: Retention,
    *,
    now: datetime | None = None,
    batch: int = BATCH,
    dry_run: bool = False,
    patience_seconds: float = 30,
) -> Iterator[Pruned]:
    """Remove what is older, kind by kind, telling of each when it is done."""
    midnight = (now or timezone.now()).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    before = midnight - timedelta(days=retention.requests_days)
    if dry_run:
        yield _requests_to_prune(before)
    else:
        yield _prune_requests(before, batch=batch, patience_seconds=patience_seconds)
    for kind, days, old in (
        ("Counts by minute", retention.minutes_days, _minutes),
        ("Counts by hour", retention.usage_days, _hours),
        ("Losses", BOOKS_DAYS, _losses),
        ("Acknowledgements", BOOKS_DAYS, _acknowledgements),
        ("Changes", BOOKS_DAYS, _changes),
        ("Verifiers", BOOKS_DAYS, _verifiers),
        # A file whose place is forgotten is read anew: what is counted twice then has to be too old to be kept.
        ("Spool files", retention.usage_days, _spool_files),
    ):
        before = midnight - timedelta(days=days)
        rows = old(before)
        number = rows.count() if dry_run else _repeat(partial(_delete_some, rows, batch))
        yield Pruned(kind=kind, before=before, rows=number)


def _requests_to_prune(before: datetime) -> Pruned:
    if not partitions.is_partitioned(connection):
        rows = RequestLog.objects.filter(id__lt=first_id_at(before)).count()
        return Pruned(kind="Requests", before=before, rows=rows)
    old = tuple(partitions.older_than(before))
    return Pruned(
        kind="Requests",
        before=before,
        rows=partitions.rows_before(before),
        dropped=old,
        dropped_bytes=sum(map(partitions.size_bytes, old)),
    )


def _prune_requests(before: datetime, *, batch: int, patience_seconds: float) -> Pruned:
    dropped: list[Partition] = []
    in_use: list[Partition] = []
    size = 0
    for partition in partitions.older_than(before):
        freed = partitions.size_bytes(partition)
        try:
            if partitions.drop(partition, patience_seconds=patience_seconds):
                dropped.append(partition)
                size += freed
        except TableInUse:
            in_use.append(partition)
    # A partition that is in use is dropped another time, rather than emptied row by row.
    rows = 0 if in_use else _repeat(partial(_delete_oldest_requests, first_id_at(before), batch))
    return Pruned(
        kind="Requests",
        before=before,
        rows=rows,
        dropped=tuple(dropped),
        dropped_bytes=size,
        in_use=tuple(in_use),
    )


def _delete_oldest_requests(end: UUID, batch: int) -> int:
    """One statement that deletes a range of ids, of at most `batch` rows."""
    old = RequestLog.objects.filter(id__lt=end).order_by("id")
    last = old.values_list("id", flat=True)[batch - 1 : batch].first()
    deleted, _ = (old if last is None else old.filter(id__lte=last)).delete()
    return deleted


def _delete_some(rows: QuerySet[Any], batch: int) -> int:
    with transaction.atomic():
        # What somebody else is about to delete, or to add to, is passed by: nobody waits for anybody.
        chosen = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:batch])
        rows.model._default_manager.filter(pk__in=chosen).delete()
    return len(chosen)


def _repeat(delete_some: Callable[[], int]) -> int:
    """Until there is nothing more to delete: how much it was."""
    total = 0
    while True:
        began = time.monotonic()
        deleted = delete_some()
        if not deleted:
            return total
        total += deleted
        if connection.vendor == "sqlite":
            # It has one writer: half of the time belongs to the others.
            time.sleep(time.monotonic() - began)


def _minutes(before: datetime) -> QuerySet[UsageMinute]:
    return UsageMinute.objects.filter(at__lt=before).order_by("at")


def _hours(before: datetime) -> QuerySet[UsageHour]:
    return UsageHour.objects.filter(at__lt=before).order_by("at")


def _acknowledgements(before: datetime) -> QuerySet[Acknowledgement]:
    """Those of changes that refuse nothing: nobody asks who has applied them."""
    refusal = Change.objects.filter(id=OuterRef("change_id"), status__in=REFUSING)
    return Acknowledgement.objects.filter(~Exists(refusal), at__lt=before).order_by("id")


def _changes(before: datetime) -> QuerySet[Change]:
    """All but two of each key and merchant account: the newest, and the one with which it came to be as it is now.

    They go in the order in which they came, with their acknowledgements: keys.proof looks for the last other status.
    """
    of_subject = Change.objects.filter(subject_id=OuterRef("subject_id"))
    newer = of_subject.filter(id__gt=OuterRef("id"))
    previous = of_subject.filter(id__lt=OuterRef("id")).order_by("-id").values("status")[:1]
    return (
        Change.objects.alias(previous_status=Subquery(previous))
        .filter(
            Q(subject_id=None)
            | Q(Exists(newer.exclude(status=OuterRef("status"))))
            | Q(Exists(newer), previous_status=F("status")),
            at__lt=before,
        )
        .order_by("id")
    )


def _verifiers(before: datetime) -> QuerySet[Verifier]:
    """Those that no proof names, be it for their answer or for their silence."""
    changes = Change.objects.exclude(id__in=_changes(before).values("id"))
    acknowledgements = Acknowledgement.objects.filter(change_id__in=changes.values("id"))
    named = acknowledgements.exclude(id__in=_acknowledgements(before).values("id")).values("verifier_id")
    concerning = changes.filter(
        status__in=REFUSING, at__gte=OuterRef("started_at"), at__lt=OuterRef("lease_ends_at")
    )
    verifiers = proof.with_lease().filter(~Exists(concerning), lease_ends_at__lt=before)
    return verifiers.exclude(id__in=named).order_by("seen_at")


def _spool_files(before: datetime) -> QuerySet[SpoolFile]:
    return SpoolFile.objects.filter(updated_at__lt=before)


def _losses(before: datetime) -> QuerySet[RecordingLoss]:
    return RecordingLoss.objects.filter(at__lt=before).order_by("at")
