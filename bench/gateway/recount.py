"""The rollups counted once more from the rows, by SQL that has nothing of the product's own counting."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from bench.gateway.records import query
from bench.installation import Installation

# A subject (a key or a merchant account) and the beginning of a minute or an hour, as texts.
Counts = dict[tuple[str, str], Counter[str]]
CAUSES = (
    "merchant_mismatch", "merchant_disabled", "disabled", "revoked", "expired", "network_not_allowed",
    "permission_denied", "client_error", "server_error",
)  # fmt: skip
COLUMNS = ("succeeded", "failed", *CAUSES)
# By the span: the table of the rollup, and how many characters of `2026-11-23 10:41` tell one span from the next.
SPANS = {"minute": ("keys_usageminute", 16), "hour": ("keys_usagehour", 13)}


def differences(installation: Installation) -> list[str]:
    """Where a rollup is not what its rows add up to; empty if all is well."""
    found = []
    for span, (table, length) in SPANS.items():
        counted, stored = _counted(installation, length), _stored(installation, table, length)
        found += [
            f"{span} {start} of {subject}: {dict(stored[subject, start])}, by its rows {dict(counted[subject, start])}"
            for subject, start in sorted({*counted, *stored})
            if counted[subject, start] != stored[subject, start]
        ]
    return found


def _counted(installation: Installation, length: int) -> Counts:
    start = _start(installation, length)
    rows = query(
        installation.database_url,
        f"SELECT key_id, merchant_id, {start}, status, outcome, count(*) FROM keys_requestlog "  # noqa: S608
        f"GROUP BY key_id, merchant_id, {start}, status, outcome",
    )
    counts: Counts = defaultdict(Counter)
    for key, merchant, at, status, outcome, count in rows:
        for subject in (key, merchant):
            for column in columns(status, outcome):
                counts[str(subject), at][column] += count
    return counts


def columns(status: int, outcome: str) -> Iterator[str]:
    """Where a request with this status and outcome is counted."""
    if status < 400:
        yield "succeeded"
    else:
        yield "failed"
        if outcome != "VALID":
            yield outcome.lower()
        else:
            yield "server_error" if status >= 500 else "client_error"


def _stored(installation: Installation, table: str, length: int) -> Counts:
    rows = query(
        installation.database_url,
        f"SELECT subject_id, {_start(installation, length)}, {', '.join(COLUMNS)} FROM {table}",  # noqa: S608
    )
    counts: Counts = defaultdict(Counter)
    for subject, at, *numbers in rows:
        counts[str(subject), at] = Counter(
            {name: number for name, number in zip(COLUMNS, numbers, strict=True) if number}
        )
    return counts


def _start(installation: Installation, length: int) -> str:
    if installation.database_url.startswith("postgresql"):
        return f"left(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), {length})"
    return f"substr(at, 1, {length})"
