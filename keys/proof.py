"""Proof of revocation: which verifiers have applied a change that refuses requests, how soon, and what came last.

A verifier that keeps facts in memory is concerned by a change when its lease was running at that moment. It has applied
the change once it acknowledged it; and when its lease has ended, or it has stopped, it accepts nothing any more that it
has not read afresh. A change is settled when one of the two holds of each of them. Where verifiers read the database on
each request (SQLite) there are none to wait for.

Every moment here is the database's, but that of a request, which its verifier's host has stamped. What waits in the
spool of this host is no record yet, and the proof says so; the spools of other hosts cannot be seen from here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import (
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    FilteredRelation,
    IntegerField,
    Max,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Now

from keys import spool
from keys.identifiers import REQUEST, encode, first_id_at
from keys.models import ApiKey, Change, Merchant, RequestLog, UsageHour, UsageMinute, Verifier
from keys.models.verifier import ChangeKind
from keys.outcomes import Outcome

MILLISECOND = timedelta(milliseconds=1)
# The clocks of two hosts differ, and a change is stamped a moment before it commits: a request that seems to have been
# accepted this much too late need not have been.
CLOCK_ERROR = timedelta(milliseconds=250)
# Records of requests arrive a little later than the answers to them.
RECORDED_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Answer:
    """A verifier that has applied the change, and how long after it."""

    verifier: str
    delay: timedelta

    @property
    def delay_ms(self) -> int:
        """Whole milliseconds within which it was done."""
        return -(-self.delay // MILLISECOND)


@dataclass(frozen=True, slots=True)
class Silence:
    """A verifier that has not acknowledged the change; from `ends_at` on it accepts nothing unread."""

    verifier: str
    ends_at: datetime
    ended: bool
    # Whether it said itself that it stops, rather than fell silent.
    stopped: bool = False

    def sentence(self, now: datetime) -> str:
        at = clock(self.ends_at, now)
        if not self.ended:
            return f"{self.verifier} has not answered; its lease ends at {at}."
        if self.stopped:
            return f"{self.verifier} stopped at {at}, before it answered."
        return (
            f"{self.verifier} did not answer; its lease ended at {at}, and it accepts nothing unread since."
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The last request that was accepted.

    Where its record is no longer kept there is no `id`, and it was made at some time between `at` and `until`.
    """

    at: datetime
    id: UUID | None = None
    until: datetime | None = None

    @property
    def public_id(self) -> str:
        return encode(REQUEST, self.id) if self.id else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is known at `now` of how `change` is obeyed.

    `also` is the other change that refuses the key's requests, where both the key and its account are disabled.
    """

    change: Change
    now: datetime
    reads_afresh: bool = False
    answers: tuple[Answer, ...] = ()
    silences: tuple[Silence, ...] = ()
    last_accepted: Accepted | None = None
    # Where requests have waited in this host's spool for longer than they should: when the first of them came.
    recorded_until: datetime | None = None
    also: Change | None = None

    @property
    def concerned(self) -> int:
        return len(self.answers) + len(self.silences)

    @property
    def slowest_ms(self) -> int | None:
        """How long it took the slowest of those that answered."""
        return max((answer.delay_ms for answer in self.answers), default=None)

    @property
    def pending(self) -> tuple[Silence, ...]:
        """Those that do not answer, and may still go by what they remember."""
        return tuple(silence for silence in self.silences if not silence.ended)

    @property
    def over(self) -> tuple[Silence, ...]:
        """Those that did not answer, and accept nothing unread any more."""
        return tuple(silence for silence in self.silences if silence.ended)

    @property
    def settled_at(self) -> datetime | None:
        """When the last verifier had applied the change or lost its lease; None where one still has it."""
        if self.pending:
            return None
        moments = [self.change.at + answer.delay for answer in self.answers]
        return max([self.change.at, *moments, *(silence.ends_at for silence in self.silences)])

    @property
    def is_settled(self) -> bool:
        return self.settled_at is not None

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to be expected: settled, and every request of that time recorded."""
        if self.settled_at is None:
            return False
        return (self.recorded_until or self.now) >= self.settled_at + RECORDED_WITHIN

    @property
    def accepted_late(self) -> timedelta | None:
        """How long after the change had settled a request was accepted, if that contradicts it."""
        if self.settled_at is None or self.last_accepted is None:
            return None
        late = self.last_accepted.at - self.settled_at
        return late if late > CLOCK_ERROR else None

    @property
    def headline(self) -> str:
        """The finding, in one sentence."""
        if not self.concerned:
            since = f"In force since {clock(self.change.at, self.now)}"
            if self.reads_afresh:
                return f"{since}: every verifier reads the database on each request."
            return f"{since}: no verifier was running then that could remember anything else."
        verifiers = "verifier" if self.concerned == 1 else "verifiers"
        after = "" if self.slowest_ms is None or self.pending else f" after {self.slowest_ms:,} ms"
        return f"Refused by {len(self.answers):,} of {self.concerned:,} {verifiers}{after}."

    @property
    def remarks(self) -> list[str]:
        """A sentence for each verifier that did not answer: those that others wait for come first."""
        return [silence.sentence(self.now) for silence in (*self.pending, *self.over)]

    @property
    def backlog(self) -> str:
        """Why the last accepted request may not be the last one, or nothing."""
        if self.recorded_until is None:
            return ""
        until = clock(self.recorded_until, self.now)
        return (
            f"Records reach up to {until}: later requests wait on this host, and are not in the database yet."
        )

    @property
    def warning(self) -> str:
        """What contradicts the finding, or nothing."""
        if self.accepted_late is None:
            return ""
        return (
            f"A request was accepted {duration(self.accepted_late)} later than that. A verifier goes by old facts, or "
            "the clock of its host is wrong: until you know which, take it that requests are still accepted."
        )


class State(StrEnum):
    """What is to be expected of a verifier."""

    RUNNING = "running"
    STOPPED = "stopped"
    # It said nothing, and its lease has ended: killed, or cut off from the database.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Presence:
    """A verifier as the database knows it."""

    verifier: Verifier
    lease_ends_at: datetime
    state: State


def presences(*, now: datetime | None = None) -> list[Presence]:
    """All verifiers that are on the books: those that run first, then by their last sign of life."""
    found = []
    for verifier in with_lease().annotate(now=Now()).order_by("-seen_at", "host", "process"):
        state = State.RUNNING if verifier.lease_ends_at > (now or verifier.now) else State.GONE
        state = State.STOPPED if verifier.stopped_at else state
        found.append(Presence(verifier, verifier.lease_ends_at, state))
    return sorted(found, key=lambda presence: presence.state is not State.RUNNING)


def clock(moment: datetime, now: datetime, *, exact: bool = False) -> str:
    """“12:03:04 UTC” of the same day, otherwise with its date; with milliseconds where it is to be `exact`."""
    at, today = moment.astimezone(UTC), now.astimezone(UTC)
    time = f"{at:%H:%M:%S}{f'.{at.microsecond // 1000:03}' if exact else ''} UTC"
    if at.date() == today.date():
        return time
    return f"{at:%-d %b}{'' if at.year == today.year else f' {at.year}'}, {time}"


def duration(span: timedelta) -> str:
    """As exact as it helps at that length: “41 ms”, “75 seconds”, “3 hours”."""
    if span < timedelta(seconds=10):
        return f"{-(-span // MILLISECOND):,} ms"
    for unit, length in (("second", 1), ("minute", 60), ("hour", 3600)):
        if span < timedelta(seconds=length * 120):
            return f"{span // timedelta(seconds=length)} {unit}s"
    return f"{span.days} days"


def of_key(key: ApiKey, *, now: datetime | None = None) -> Proof | None:
    """The proof that `key` is refused; None where it is not. Of two changes that refuse it, the first one's.

    `now` is the database's, unless it is given.
    """
    changes = [] if key.is_enabled else _began(ChangeKind.KEY, key.pk, key.status)
    if not key.merchant.is_enabled:
        changes += _began(ChangeKind.MERCHANT, key.merchant_id, key.merchant.status)
    changes.sort(key=lambda change: change.at)
    return _of_changes(changes, last_accepted_of_key(key.pk), now) if changes else None


def of_merchant(merchant: Merchant, *, now: datetime | None = None) -> Proof | None:
    """The same for all keys of a merchant account; None where it is enabled."""
    if merchant.is_enabled:
        return None
    changes = _began(ChangeKind.MERCHANT, merchant.pk, merchant.status)
    return _of_changes(changes, last_accepted_of_merchant(merchant.pk), now) if changes else None


def _began(kind: ChangeKind, subject_id: UUID, status: str) -> list[Change]:
    """The change with which the subject came to be `status`, where it is told of: none or one, with the time `now`.

    A key that is disabled may be renamed: that is a change too, and leaves it disabled.
    """
    told = Change.objects.filter(kind=kind, subject_id=subject_id)
    others = told.exclude(status=status).order_by().values("kind").annotate(last=Max("id")).values("last")
    rows = told.filter(status=status, id__gt=Coalesce(others, Value(0)))
    return list(rows.annotate(now=Now()).order_by("id")[:1])


def _of_changes(changes: list[Change], accepted: Accepted | None, now: datetime | None) -> Proof:
    change = changes[0]
    now = now or change.now  # type: ignore[attr-defined]
    answers, silences = [], []
    for verifier in _concerned(change):
        name = str(verifier)
        if verifier.answered_at is not None:
            answers.append(Answer(name, verifier.answered_at - change.at))
            continue
        ends_at = min(verifier.lease_ends_at, verifier.stopped_at or verifier.lease_ends_at)
        silences.append(Silence(name, ends_at, ends_at <= now, verifier.stopped_at == ends_at))
    return Proof(
        change=change,
        now=now,
        reads_afresh=connection.vendor == "sqlite",
        answers=tuple(sorted(answers, key=lambda answer: answer.delay)),
        silences=tuple(sorted(silences, key=lambda silence: silence.ends_at)),
        last_accepted=accepted,
        recorded_until=_recorded_until(now),
        also=changes[1] if len(changes) > 1 else None,
    )


def _recorded_until(now: datetime) -> datetime | None:
    waiting_since = spool.waiting_since(spool.directory())
    return waiting_since if waiting_since and waiting_since + RECORDED_WITHIN < now else None


def with_lease() -> "QuerySet[Any]":
    """Verifiers with `lease_ends_at`: from then on they accept nothing unread, unless they are heard of again."""
    lease = Cast(Cast("lease_ms", IntegerField()) * Value(MILLISECOND), DurationField())
    ends = ExpressionWrapper(F("seen_at") + lease, output_field=DateTimeField())
    verifiers: QuerySet[Any] = Verifier.objects.annotate(lease_ends_at=ends)
    return verifiers


def _concerned(change: Change) -> "QuerySet[Any]":
    """Who may have remembered what was true before, each with the moment of its acknowledgement.

    One that acknowledged was concerned, though it may have started between the change's moment and its commit.
    """
    running = Q(started_at__lte=change.at, lease_ends_at__gt=change.at) & (
        Q(stopped_at=None) | Q(stopped_at__gt=change.at)
    )
    concerned: QuerySet[Any] = (
        with_lease()
        .alias(answer=FilteredRelation("acknowledgements", condition=Q(acknowledgements__change=change.pk)))
        .annotate(answered_at=F("answer__at"))
        .filter(running | Q(answered_at__isnull=False))
        .order_by("host", "process")
    )
    return concerned


def last_accepted_of_key(key_id: UUID) -> Accepted | None:
    return _last_accepted(key_id, RequestLog.objects.filter(key=key_id))


def last_accepted_of_merchant(merchant_id: UUID) -> Accepted | None:
    return _last_accepted(merchant_id, RequestLog.objects.filter(merchant=merchant_id))


def _last_accepted(subject_id: UUID, requests: "QuerySet[RequestLog]") -> Accepted | None:
    """The rollups say in which minute or hour it was, so that no other row has to be looked at."""
    accepted = Q(succeeded__gt=0) | Q(client_error__gt=0) | Q(server_error__gt=0)
    for rollup, span in ((UsageMinute, timedelta(minutes=1)), (UsageHour, timedelta(hours=1))):
        spans = rollup.objects.filter(accepted, subject_id=subject_id).order_by("-at")
        at = spans.values_list("at", flat=True).first()
        if at is not None:
            rows = requests.filter(
                id__gte=first_id_at(at), id__lt=first_id_at(at + span), outcome=Outcome.VALID
            )
            row = rows.order_by("-id").values_list("at", "id").first()
            return Accepted(*row) if row else Accepted(at, until=at + span)
    return None
