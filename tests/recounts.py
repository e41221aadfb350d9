"""Request log rows counted once more, one by one and without the product's own counting."""

from collections import Counter, defaultdict
from datetime import datetime
from uuid import UUID

from keys.models import RequestLog, UsageHour, UsageMinute
from keys.models.requestlog import CAUSES, Usage

Rollup = dict[tuple[UUID, datetime], Counter[str]]


def recounted(*, by: str) -> Rollup:
    """What the rollup of each key and merchant account should hold, by "minute" or by "hour"."""
    rollup: Rollup = defaultdict(Counter)
    rows = RequestLog.objects.values_list("key_id", "merchant_id", "at", "status", "outcome")
    for key_id, merchant_id, at, status, outcome in rows:
        start = at.replace(second=0, microsecond=0, **({"minute": 0} if by == "hour" else {}))
        for subject in (key_id, merchant_id):
            rollup[subject, start].update(_columns(status, outcome))
    return rollup


def _columns(status: int, outcome: str) -> list[str]:
    if status < 400:
        return ["succeeded"]
    if outcome == "VALID":
        return ["failed", "server_error" if status >= 500 else "client_error"]
    return ["failed", outcome.lower()]


def stored(model: type[Usage]) -> Rollup:
    """What the rollup holds."""
    columns = ("succeeded", "failed", *CAUSES)
    return {
        (subject, at): Counter({name: count for name, count in zip(columns, counts, strict=True) if count})
        for subject, at, *counts in model.objects.values_list("subject_id", "at", *columns)
    }


def assert_rollups_equal_rows() -> None:
    assert stored(UsageMinute) == recounted(by="minute")
    assert stored(UsageHour) == recounted(by="hour")
