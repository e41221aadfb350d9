"""`POST /v1/requests`: whoever answered the requests reports them, with the status that the merchant got.

A report under the verifier's own id of the request corrects what the verifier recorded; under any other id it is a
request of its own. Either way the same report counts once, however often it comes (keys.gateway.ingest).
"""

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import Error

from keys.gateway import bodies, problems
from keys.gateway.answers import Answer, as_json
from keys.gateway.bodies import BodyMalformed, BodyTooLarge
from keys.gateway.calls import Request
from keys.gateway.ingest import ingest
from keys.identifiers import API_KEY, REQUEST, InvalidIdentifier, decode, derived_id, time_of
from keys.keyformat import scrub
from keys.models import ApiKey
from keys.outcomes import Outcome
from keys.spool import REQUEST_ID_MAX, Record

logger = logging.getLogger(__name__)

PATH = "/v1/requests"
KINDS = ("application/x-ndjson", "application/jsonl", "application/json")
LIMIT_BYTES = 1024 * 1024
LINES_MAX = 10_000
REJECTED_SHOWN_MAX = 100
MEMBERS = ("id", "key", "at", "method", "path", "status", "duration_ms", "address", "outcome")
# Of a request without a known key there is nothing to report.
OUTCOMES = tuple(
    outcome.value for outcome in Outcome if outcome not in {Outcome.MALFORMED, Outcome.NOT_FOUND}
)
CLOCKS_APART = timedelta(minutes=5)
# What a line of the spool holds, 16 minutes; whatever took longer is recorded as that.
DURATION_US_MAX = 999_999_999
UNKNOWN_KEY = '"key" is no API key that there is.'
NOT_TAKEN = "The report cannot be recorded now. Send it again: nothing counts twice."
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


class Window(NamedTuple):
    """The times that a report may tell of."""

    oldest: datetime
    latest: datetime

    @classmethod
    def around(cls, now: datetime) -> "Window":
        return cls(now - timedelta(days=settings.KEYS_REQUEST_RETENTION_DAYS), now + CLOCKS_APART)

    def require(self, at: datetime) -> None:
        if at < self.oldest:
            raise BodyMalformed("The request is older than requests are kept.")
        if at > self.latest:
            raise BodyMalformed("The request is in the future.")


@dataclass(frozen=True, slots=True)
class Report:
    """One finished request. `foreign_id` is what others call it, where it is not by our id."""

    id: UUID
    key_id: UUID
    at: datetime
    method: str
    path: str
    status: int
    outcome: str
    duration_us: int
    address: str | None
    foreign_id: str = ""

    def record(self, merchant_id: UUID) -> Record:
        return Record(
            id=self.id,
            key_id=self.key_id,
            merchant_id=merchant_id,
            at=self.at,
            method=self.method,
            path=self.path,
            status=self.status,
            outcome=self.outcome,
            duration_us=self.duration_us,
            address=self.address,
            request_id=self.foreign_id,
            reported=True,
        )


class Taken(NamedTuple):
    """`unknown` are the places, in what was given, of reports with a key that nobody has."""

    accepted: int
    duplicates: int
    unknown: Sequence[int]


def take(reports: Sequence[Report]) -> Taken:
    """Record these requests, all in one transaction. Of two with the same id, the first counts."""
    merchants = _merchants({report.key_id for report in reports})
    known = [report for report in reports if report.key_id in merchants]
    first: dict[UUID, Report] = {}
    for report in known:
        first.setdefault(report.id, report)
    news = ingest(report.record(merchants[report.key_id]) for report in first.values())
    unknown = [place for place, report in enumerate(reports) if report.key_id not in merchants]
    return Taken(news, len(known) - news, unknown)


def _merchants(key_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Which merchant account each of these keys belongs to."""
    return dict(ApiKey.objects.filter(pk__in=list(key_ids)).values_list("pk", "merchant_id"))


def read(members: Mapping[str, Any], window: Window) -> Report:
    """The report in a JSON object. Raises BodyMalformed."""
    bodies.require_known(members, MEMBERS)
    key_id = _key_id(bodies.text(members, "key"))
    id_, at, foreign_id = _identity(members, key_id, window)
    address = bodies.address(members, "address")
    return Report(
        id=id_,
        key_id=key_id,
        at=at,
        method=bodies.text(members, "method"),
        path=scrub(bodies.text(members, "path").partition("?")[0]),
        status=_status(members),
        outcome=_outcome(members),
        duration_us=_duration_us(members),
        address=str(address) if address else None,
        foreign_id=foreign_id,
    )


def _identity(members: Mapping[str, Any], key_id: UUID, window: Window) -> tuple[UUID, datetime, str]:
    """The id of the request, its time, and the id by which others know it."""
    told = bodies.text(members, "id")
    at = _moment(bodies.text(members, "at")) if "at" in members else None
    if len(told) > REQUEST_ID_MAX:
        raise BodyMalformed(f'"id" is longer than {REQUEST_ID_MAX} characters.')
    if ours := _our_id(told):
        # A range of time is read as a range of ids, so the time of the request is that of its id.
        window.require(ours[1])
        return *ours, ""
    if at is None:
        raise BodyMalformed('"at" is missing; only an id of ours, req_…, tells the time by itself.')
    window.require(at)
    return derived_id(at, f"{key_id}:{told}".encode()), at, scrub(told)


def _our_id(text: str) -> tuple[UUID, datetime] | None:
    try:
        found = decode(REQUEST, text)
        return (found, time_of(found)) if found.version == 7 else None
    except (InvalidIdentifier, OverflowError):
        # Others call their requests req_… too.
        return None


@lru_cache(maxsize=10_000)
def _decoded_key_id(text: str) -> UUID:
    return decode(API_KEY, text)


def _key_id(text: str) -> UUID:
    try:
        return _decoded_key_id(text)
    except InvalidIdentifier:
        # Without its message: what was sent may be the key itself.
        raise BodyMalformed('"key" is the id of an API key, key_…, and never the key itself.') from None


def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BodyMalformed('"at" must be a time with a zone, such as 2026-03-01T12:34:56.789Z.')


def _status(members: Mapping[str, Any]) -> int:
    status = bodies.required(members, "status")
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
        raise BodyMalformed('"status" must be a whole number from 100 to 599.')
    return status


def _duration_us(members: Mapping[str, Any]) -> int:
    duration = bodies.required(members, "duration_ms")
    if not isinstance(duration, int | float) or isinstance(duration, bool):
        raise BodyMalformed('"duration_ms" must be a number.')
    if not 0 <= duration < math.inf:
        raise BodyMalformed('"duration_ms" must be a number of milliseconds, 0 or more.')
    return round(min(duration, DURATION_US_MAX // 1000) * 1000)


def _outcome(members: Mapping[str, Any]) -> str:
    if "outcome" not in members:
        return Outcome.VALID.value
    outcome = bodies.text(members, "outcome")
    if outcome not in OUTCOMES:
        raise BodyMalformed(f'"outcome" must be one of {", ".join(OUTCOMES)}.')
    return outcome


class ReportsCall:
    """Takes every line that is a report, and names those that are not."""

    def __init__(self, take: Callable[[Sequence[Report]], Taken]) -> None:
        self._take = take

    def __call__(self, request: Request, body: bytes) -> Answer:
        lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        if not lines:
            raise BodyMalformed("There is no line in it.")
        if len(lines) > LINES_MAX:
            raise BodyTooLarge(f"The most is {LINES_MAX:,} lines.")
        window = Window.around(datetime.fromtimestamp(request.at_ns / 1e9, UTC))
        reports: list[tuple[int, Report]] = []
        rejected: list[tuple[int, str]] = []
        for number, line in lines:
            try:
                reports.append((number, read(bodies.json_object(line), window)))
            except BodyMalformed as error:
                rejected.append((number, str(error)))
        try:
            taken = self._take([report for _, report in reports])
        except (Error, TimeoutError) as error:
            logger.error("A report of %d requests was not taken: %s", len(reports), error)  # noqa: TRY400
            return problems.document(problems.UNAVAILABLE, request_id=request.id, detail=NOT_TAKEN)
        rejected += [(reports[place][0], UNKNOWN_KEY) for place in taken.unknown]
        return as_json(_told(taken, sorted(rejected)))


def _told(taken: Taken, rejected: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {
        "accepted": taken.accepted,
        "duplicates": taken.duplicates,
        "rejected_lines": len(rejected),
        "rejected": [{"line": number, "detail": detail} for number, detail in rejected[:REJECTED_SHOWN_MAX]],
    }
