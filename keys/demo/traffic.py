"""Requests with demo keys, generated in the order of time and written with their rollups and last uses."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from random import Random
from uuid import UUID

from django.db import transaction

from keys.demo import tables
from keys.demo.calls import ELSEWHERE, Call
from keys.demo.rhythms import HOUR, MINUTE, Allotment, Span
from keys.gateway.ingest import move_last_uses
from keys.gateway.rollups import COUNTS, Counts, add_usage, usage_by_hour, usage_by_minute
from keys.identifiers import REQUEST, encode, new_id
from keys.models import RequestLog, UsageHour, UsageMinute
from keys.spool import Record, moment

BATCH = 20_000
DURATIONS = 4096
MEDIAN_DURATION_US = 38_000


@dataclass(frozen=True, slots=True)
class Phase:
    """What an integration's requests are like from a moment on. `starts_at` is a whole minute."""

    starts_at: datetime
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class Client:
    """The integration that uses one key. `volumes` are relative, one for each clock hour of the span."""

    key_id: UUID
    merchant_id: UUID
    volumes: Sequence[float]
    phases: Sequence[Phase]
    addresses: Sequence[str]
    in_batches: bool = False
    volume: float = 1.0


def load(
    clients: Sequence[Client],
    *,
    span: Span,
    total: int,
    random: Random,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Write `total` requests. Each clock hour is a transaction of its own, complete with rollups and last uses.

    The keys must be new: rollups are inserted, not added to, but for the hour that is still going on.
    """
    generator = _Generator(clients, span=span, total=total, random=random)
    *past, current = span.clock_hours()
    for hour in past:
        with transaction.atomic():
            _write_past_hour(generator.hour(*hour), advance)
    with transaction.atomic():
        _write_current_hour(generator.hour(*current), advance)


def _write_past_hour(batches: Iterator[list[Record]], advance: Callable[[int], None]) -> None:
    hours: Counts = {}
    used: dict[str, str] = {}
    for records in batches:
        tables.insert_objects(RequestLog, records)
        minutes = usage_by_minute(records)
        _insert_usage(UsageMinute, minutes)
        for place, count in usage_by_hour(minutes).items():
            so_far = hours.get(place)
            hours[place] = [a + b for a, b in zip(so_far, count, strict=True)] if so_far else count
        used |= _last_uses(records)
        advance(len(records))
    _insert_usage(UsageHour, hours)
    move_last_uses(used)


def _write_current_hour(batches: Iterator[list[Record]], advance: Callable[[int], None]) -> None:
    for records in batches:
        tables.insert_objects(RequestLog, records)
        add_usage(records)
        move_last_uses(_last_uses(records))
        advance(len(records))


def _insert_usage(model: type[UsageMinute] | type[UsageHour], counts: Counts) -> None:
    rows = ((subject, at, *count) for (at, subject), count in counts.items())
    tables.insert(model, ("subject_id", "at", *COUNTS), rows)


def _last_uses(records: Sequence[Record]) -> dict[str, str]:
    """`records` are in the order of time, so the last one of each key stays."""
    last = {record.key_id: record.at for record in records}
    return {key.hex: moment(at) for key, at in last.items()}


class _Generator:
    """Requests of all clients, minute by minute, never more than a batch in memory."""

    def __init__(self, clients: Sequence[Client], *, span: Span, total: int, random: Random) -> None:
        self._clients = clients
        self._span = span
        self._random = random
        self._allotment = Allotment(
            total, shares=sum(client.volume * sum(client.volumes) for client in clients)
        )
        self._durations = [int(random.lognormvariate(0, 0.45) * MEDIAN_DURATION_US) for _ in range(DURATIONS)]
        self._calls = [client.phases[0].calls for client in clients]
        self._changes = sorted(
            (
                (phase.starts_at, place, number)
                for place, client in enumerate(clients)
                for number, phase in enumerate(client.phases)
                if number
            ),
            reverse=True,
        )

    def hour(self, start: datetime, end: datetime) -> Iterator[list[Record]]:
        """Batches of whole minutes, in the order of time. Ask for the span's hours in their order."""
        number = (start.replace(minute=0) - self._span.start.replace(minute=0)) // HOUR
        batch: list[Record] = []
        for place, callers in enumerate(self._callers(number, minutes=-(-(end - start) // MINUTE))):
            batch += self._minute(start + place * MINUTE, min(end, start + (place + 1) * MINUTE), callers)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _callers(self, number: int, *, minutes: int) -> list[list[int]]:
        """Who calls in each minute of an hour: a client's place, once for each request."""
        buckets: list[list[int]] = [[] for _ in range(minutes)]
        pick = self._random.random
        for place, client in enumerate(self._clients):
            count = self._allotment.next(client.volume * client.volumes[number])
            if client.in_batches:
                # A worker wakes up, works for some minutes, and sleeps again.
                wake = [int(pick() * minutes) for _ in range(1 + count // 60)]
                for request in range(count):
                    buckets[wake[request % len(wake)]].append(place)
            else:
                for _ in range(count):
                    buckets[int(pick() * minutes)].append(place)
        return buckets

    def _minute(self, start: datetime, end: datetime, callers: list[int]) -> list[Record]:
        while self._changes and self._changes[-1][0] <= start:
            _, place, number = self._changes.pop()
            self._calls[place] = self._clients[place].phases[number].calls
        microseconds = (end - start) // timedelta(microseconds=1)
        records = [self._record(place, start, microseconds) for place in callers]
        records.sort(key=attrgetter("at"))
        return records

    def _record(self, place: int, start: datetime, microseconds: int) -> Record:
        pick, client, calls = self._random.random, self._clients[place], self._calls[place]
        call = calls[int(pick() * len(calls))]
        at = start + timedelta(microseconds=int(pick() * microseconds))
        request_id, addresses = new_id(at), client.addresses
        return Record(
            key_id=client.key_id,
            merchant_id=client.merchant_id,
            at=at,
            method=call.method,
            path=call.path,
            status=call.status,
            outcome=call.outcome,
            duration_us=int(self._durations[int(pick() * DURATIONS)] * call.pace),
            address=ELSEWHERE if call.foreign else addresses[int(pick() * len(addresses))],
            request_id=encode(REQUEST, request_id),
            id=request_id,
        )
