"""Proof of revocation: who has applied a change, who is still waited for, and until when."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys import lifecycle, merchants, proof
from keys.gateway.ingest import ingest
from keys.history import Actor
from keys.models import Acknowledgement, ApiKey, Change, Verifier
from keys.models.verifier import ChangeKind
from keys.proof import RECORDED_WITHIN, Accepted, Answer, Proof, Silence
from tests.factories import AcknowledgementFactory, ApiKeyFactory, RecordFactory, VerifierFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_spool")]

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


@pytest.fixture(name="disabled")
def disabled_key(api_key: ApiKey, actor: Actor) -> ApiKey:
    """A key that was disabled at NOON, by the database's clock."""
    return at_noon(lifecycle.disable(key=api_key, actor=actor))


def at_noon(key: ApiKey) -> ApiKey:
    change = Change.objects.filter(subject_id=key.pk).latest("id")
    Change.objects.filter(pk=change.pk).update(at=NOON)
    return key


def change_of(key: ApiKey) -> Change:
    return Change.objects.filter(subject_id=key.pk).latest("id")


def running(**given: object) -> Verifier:
    """A verifier that gave a sign of life a second before NOON, so that its lease runs until a second after."""
    return VerifierFactory(**{"seen_at": NOON - SECOND} | given)


def answer(key: ApiKey, verifier: Verifier, delay_ms: float) -> None:
    AcknowledgementFactory(change=change_of(key), verifier=verifier, delay_ms=delay_ms)


# -- Which change ------------------------------------------------------------------------------------------------------


def test_a_key_that_works_needs_no_proof(api_key: ApiKey) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert proof.of_key(api_key) is None
        assert proof.of_merchant(api_key.merchant) is None
    assert len(queries) == 0


def test_disable_and_revoke_each_have_their_proof(api_key: ApiKey, actor: Actor) -> None:
    key = lifecycle.disable(key=api_key, actor=actor)
    told = proof.of_key(key)
    assert (told.change.kind, told.change.status, told.also) == (ChangeKind.KEY, "disabled", None)

    key = lifecycle.revoke(key=key, actor=actor)
    revoked = proof.of_key(key)
    assert (revoked.change.kind, revoked.change.status) == (ChangeKind.KEY, "revoked")
    assert revoked.change.at >= told.change.at
    assert revoked.change.pk != told.change.pk


def test_the_keys_of_a_disabled_account_are_refused_by_its_change(api_key: ApiKey, actor: Actor) -> None:
    api_key.merchant = merchants.disable(merchant=api_key.merchant, actor=actor)
    told = proof.of_key(api_key)
    assert (told.change.kind, told.change.subject_id) == (ChangeKind.MERCHANT, api_key.merchant_id)
    assert proof.of_merchant(api_key.merchant).change == told.change


@pytest.mark.parametrize("account_first", [True, False])
def test_of_two_changes_the_first_counts_and_the_other_is_told_too(
    api_key: ApiKey, actor: Actor, account_first: bool
) -> None:
    key = lifecycle.disable(key=api_key, actor=actor)
    key.merchant = merchants.disable(merchant=api_key.merchant, actor=actor)
    earlier, later = (
        (ChangeKind.MERCHANT, ChangeKind.KEY) if account_first else (ChangeKind.KEY, ChangeKind.MERCHANT)
    )
    Change.objects.filter(kind=earlier, status="disabled").update(at=NOON)
    Change.objects.filter(kind=later, status="disabled").update(at=NOON + MS)

    told = proof.of_key(key)
    assert (told.change.kind, told.also.kind) == (earlier, later)


def test_a_change_that_leaves_the_status_is_not_taken_for_the_one_that_refused(
    disabled: ApiKey, actor: Actor
) -> None:
    first = change_of(disabled)
    for name in ("Renamed", "Renamed again"):
        revision = ApiKey.objects.get(pk=disabled.pk).revision
        lifecycle.update(key=disabled, name=name, description="", revision=revision, actor=actor)
    assert change_of(disabled) != first
    assert proof.of_key(disabled).change == first


def test_it_is_the_latest_of_several_times(api_key: ApiKey, actor: Actor) -> None:
    first = change_of(lifecycle.disable(key=api_key, actor=actor))
    lifecycle.enable(key=api_key, actor=actor)
    key = lifecycle.disable(key=api_key, actor=actor)
    assert proof.of_key(key).change == change_of(key) != first

    # Older changes are not kept for ever.
    Change.objects.filter(subject_id=key.pk).exclude(pk=change_of(key).pk).delete()
    assert proof.of_key(key).change == change_of(key)


def test_a_change_that_is_not_told_of_proves_nothing(disabled: ApiKey) -> None:
    Change.objects.all().delete()
    assert proof.of_key(disabled) is None


def test_the_changes_of_others_are_theirs(disabled: ApiKey, actor: Actor) -> None:
    other = ApiKeyFactory(merchant=disabled.merchant, actor=actor, disabled=True)
    assert proof.of_key(disabled).change.subject_id == disabled.pk
    assert proof.of_key(other).change.subject_id == other.pk


# -- Who has applied it ------------------------------------------------------------------------------------------------


def test_every_verifier_that_was_running_answers(disabled: ApiKey) -> None:
    for number, delay_ms in ((1, 12), (2, 41), (3, 0.2)):
        answer(disabled, running(host=f"web-{number}", process=4711), delay_ms)
    told = proof.of_key(disabled, now=NOON + SECOND)

    assert [(each.verifier, each.delay_ms) for each in told.answers] == [
        ("web-3:4711", 1),
        ("web-1:4711", 12),
        ("web-2:4711", 41),
    ]
    assert (told.concerned, told.slowest_ms, told.silences) == (3, 41, ())
    assert told.settled_at == NOON + 41 * MS
    assert told.headline == "Refused by 3 of 3 verifiers after 41 ms."
    assert (told.remarks, told.warning) == ([], "")


def test_a_fraction_of_a_millisecond_is_not_rounded_away(disabled: ApiKey) -> None:
    answer(disabled, running(), 40.001)
    assert proof.of_key(disabled, now=NOON + SECOND).headline == "Refused by 1 of 1 verifier after 41 ms."


@pytest.mark.parametrize(
    ("verifier", "concerned"),
    [
        ({"started_at": NOON}, True),
        ({"started_at": NOON + MS, "seen_at": NOON + SECOND}, False),
        ({"seen_at": NOON - 2 * SECOND}, False),
        ({"seen_at": NOON - 2 * SECOND + MS}, True),
        ({"seen_at": NOON - 30 * SECOND, "lease_ms": 30_001}, True),
        ({"seen_at": NOON - 30 * SECOND, "lease_ms": 30_000}, False),
        ({"stopped_at": NOON}, False),
        ({"stopped_at": NOON + MS}, True),
        ({"stopped_at": NOON - SECOND}, False),
    ],
)
def test_it_concerns_those_whose_lease_was_running_at_that_moment(
    disabled: ApiKey, verifier: dict[str, object], concerned: bool
) -> None:
    running(**verifier)
    assert proof.of_key(disabled, now=NOON).concerned == concerned


def test_whoever_answered_was_concerned(disabled: ApiKey) -> None:
    """The change commits after its moment: who started in between knew what was before it."""
    answer(disabled, running(started_at=NOON + MS, seen_at=NOON + SECOND), 5)
    assert proof.of_key(disabled, now=NOON + SECOND).headline == "Refused by 1 of 1 verifier after 5 ms."


def test_an_answer_to_another_change_is_none_to_this(api_key: ApiKey, actor: Actor) -> None:
    verifier = running()
    for _ in range(2):
        answer(at_noon(lifecycle.disable(key=api_key, actor=actor)), verifier, 7)
        lifecycle.enable(key=api_key, actor=actor)
    key = at_noon(lifecycle.disable(key=api_key, actor=actor))
    assert Acknowledgement.objects.count() == 2

    told = proof.of_key(key, now=NOON)
    assert (told.answers, [each.verifier for each in told.silences]) == ((), [str(verifier)])


@pytest.mark.parametrize(
    ("now", "settled"), [(NOON + SECOND - MS, False), (NOON + SECOND, True), (NOON + SECOND + MS, True)]
)
def test_who_does_not_answer_is_waited_for_until_its_lease_ends(
    disabled: ApiKey, now: datetime, settled: bool
) -> None:
    answer(disabled, running(host="web-1", process=1), 41)
    running(host="web-2", process=4711)
    told = proof.of_key(disabled, now=now)

    assert told.silences == (Silence("web-2:4711", NOON + SECOND, settled),)
    assert (told.is_settled, told.settled_at) == (settled, NOON + SECOND if settled else None)
    if settled:
        assert told.headline == "Refused by 1 of 2 verifiers after 41 ms."
        assert told.remarks == [
            "web-2:4711 did not answer; its lease ended at 12:00:01 UTC, and it accepts nothing unread since."
        ]
    else:
        assert told.headline == "Refused by 1 of 2 verifiers."
        assert told.remarks == ["web-2:4711 has not answered; its lease ends at 12:00:01 UTC."]


def test_a_sign_of_life_without_an_answer_moves_the_end(disabled: ApiKey) -> None:
    verifier = running()
    Verifier.objects.filter(pk=verifier.pk).update(seen_at=NOON + 60 * SECOND)
    told = proof.of_key(disabled, now=NOON + 61 * SECOND)
    assert told.pending == (Silence(str(verifier), NOON + 62 * SECOND, ended=False),)


def test_who_stopped_is_waited_for_no_longer(disabled: ApiKey) -> None:
    running(host="web-2", process=9, stopped_at=NOON + 300 * MS)
    told = proof.of_key(disabled, now=NOON + 300 * MS)

    assert told.silences == (Silence("web-2:9", NOON + 300 * MS, ended=True, stopped=True),)
    assert told.settled_at == NOON + 300 * MS
    assert told.remarks == ["web-2:9 stopped at 12:00:00 UTC, before it answered."]


def test_a_lease_that_ended_before_it_stopped_counts_from_its_end(disabled: ApiKey) -> None:
    verifier = running(stopped_at=NOON + 5 * SECOND)
    told = proof.of_key(disabled, now=NOON + 6 * SECOND)
    assert told.silences == (Silence(str(verifier), NOON + SECOND, ended=True),)


def test_who_answered_and_is_gone_has_answered(disabled: ApiKey) -> None:
    answer(disabled, running(stopped_at=NOON + 10 * MS), 7)
    told = proof.of_key(disabled, now=NOON + 3_600 * SECOND)
    assert told.headline == "Refused by 1 of 1 verifier after 7 ms."
    assert told.settled_at == NOON + 7 * MS


def test_those_who_are_waited_for_are_named_first(disabled: ApiKey) -> None:
    running(host="gone", process=1, seen_at=NOON - SECOND)
    running(host="late", process=1, seen_at=NOON + SECOND)
    told = proof.of_key(disabled, now=NOON + 2 * SECOND)
    assert [remark.split()[0] for remark in told.remarks] == ["late:1", "gone:1"]
    assert told.headline == "Refused by 0 of 2 verifiers."


def test_with_nobody_to_wait_for_it_is_in_force_from_the_start(disabled: ApiKey) -> None:
    told = proof.of_key(disabled, now=NOON)
    assert (told.concerned, told.slowest_ms, told.settled_at) == (0, None, NOON)
    reason = {
        "sqlite": "every verifier reads the database on each request.",
        "postgresql": "no verifier was running then that could remember anything else.",
    }[connection.vendor]
    assert told.headline == f"In force since 12:00:00 UTC: {reason}"


def test_nothing_more_is_expected_when_the_last_records_have_had_their_time(disabled: ApiKey) -> None:
    answer(disabled, running(), 41)
    end = NOON + 41 * MS + RECORDED_WITHIN
    assert not proof.of_key(disabled, now=end - MS).is_final
    assert proof.of_key(disabled, now=end).is_final
    running()
    assert not proof.of_key(disabled, now=NOON + SECOND - MS).is_final


def test_now_is_the_database_s_whatever_this_host_thinks(api_key: ApiKey, actor: Actor) -> None:
    began = timezone.now()
    key = lifecycle.disable(key=api_key, actor=actor)
    running(started_at=began - SECOND, seen_at=began, lease_ms=3_600_000)
    with time_machine.travel(began + timedelta(days=3650), tick=False):
        told = proof.of_key(key)
        assert not told.is_settled
    for moment in (told.now, told.change.at):
        assert abs(moment - began) < timedelta(minutes=1)


def accept(key: ApiKey, at: datetime, **given: object) -> Accepted:
    record = RecordFactory(key=key, at=at, **given)
    ingest([record])
    return Accepted(at, record.id)


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of tables as small as these it would read every row.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        cursor.execute(f"{explain} {sql.replace('%', '%%')}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


# -- Any number of everything, and words -------------------------------------------------------------------------------


def test_any_number_of_verifiers_takes_the_same_queries(disabled: ApiKey) -> None:
    accept(disabled, NOON - SECOND)
    counts = []
    for number in (0, 1, 40):
        for _ in range(number):
            answer(disabled, running(), 5)
        with CaptureQueriesContext(connection) as queries:
            assert proof.of_key(disabled).concerned in {0, 1, 41}
        counts.append(len(queries))
    # The change; its verifiers; the minute, and the request in it.
    assert counts == [4, 4, 4]


def test_the_answers_of_one_change_are_not_looked_for_among_all(disabled: ApiKey) -> None:
    answer(disabled, running(), 5)
    for _ in range(30):
        AcknowledgementFactory(change=Change(pk=uuid4().int % 10**9 + 10**6, at=NOON), verifier=running())
    with CaptureQueriesContext(connection) as queries:
        proof.of_key(disabled)
    [sql] = [query["sql"] for query in queries if "keys_acknowledgement" in query["sql"]]
    plan = plan_of(sql)
    if connection.vendor == "sqlite":
        assert "acknowledge" in plan, plan
        assert "(change_id=?" in plan, plan
    else:
        assert "Index Cond: (change_id = " in plan or "Index Cond: ((change_id = " in plan, plan


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOON, "12:00:00 UTC"),
        (NOON + timedelta(hours=11, minutes=59, seconds=59), "23:59:59 UTC"),
        (NOON + timedelta(hours=12), "30 Mar, 00:00:00 UTC"),
        (NOON - timedelta(days=365), "29 Mar 2025, 12:00:00 UTC"),
    ],
)
def test_a_time_is_told_with_its_date_where_that_is_another(moment: datetime, text: str) -> None:
    assert proof.clock(moment, NOON) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.251, "251 ms"),
        (9.9995, "10,000 ms"),
        (10, "10 seconds"),
        (119.9, "119 seconds"),
        (120, "2 minutes"),
        (7_199, "119 minutes"),
        (7_200, "2 hours"),
        (120 * 3_600, "5 days"),
    ],
)
def test_a_length_of_time_is_told_as_exactly_as_it_helps(seconds: float, text: str) -> None:
    assert proof.duration(timedelta(seconds=seconds)) == text


def test_thousands_are_set_apart() -> None:
    answers = tuple(Answer(f"web:{number}", timedelta(seconds=2)) for number in range(1_200))
    told = Proof(change=Change(at=NOON), now=NOON, answers=answers)
    assert told.headline == "Refused by 1,200 of 1,200 verifiers after 2,000 ms."
