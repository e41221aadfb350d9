"""Many at once: eight real processes on one database, and each key and its history still tell one true story."""

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from django.db import connection

from keys import lifecycle
from keys.identifiers import new_id
from keys.integrity import Verification
from keys.models import (
    ApiKey,
    HistoryEntry,
    Merchant,
    MerchantTerm,
    RequestLog,
    UsageHour,
    UsageMinute,
    User,
)
from keys.models.history import Action
from tests.factories import ActorFactory, ApiKeyFactory, InvitationFactory, MerchantFactory, UserFactory
from tests.race import Racers
from tests.race import racers as start_racers

# On one worker: two times eight processes would only wait for each other.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("races")]

PROCESSES = 8
ROUNDS = 5
STARTED = datetime(2026, 3, 29, 11, 59, tzinfo=UTC)
ACTION_OF = {
    "disable": Action.KEY_DISABLED,
    "enable": Action.KEY_ENABLED,
    "revoke": Action.KEY_REVOKED,
    "update": Action.KEY_UPDATED,
    "copy": Action.KEY_COPIED,
    "duplicate": Action.KEY_DUPLICATED,
}


@pytest.fixture(scope="module")
def racers(django_db_setup) -> Iterator[Racers]:
    with start_racers() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_else_connected(transactional_db) -> Iterator[None]:
    """The test's own connection holds no transaction that could keep the processes waiting.

    Whatever they have done, the history's chains are whole afterwards.
    """
    assert not connection.in_atomic_block
    yield
    assert list(Verification().findings()) == []


def events(key: ApiKey) -> list[HistoryEntry]:
    return list(HistoryEntry.objects.filter(key=key).order_by("at", "id"))


def winners(outcomes: list[list[dict]]) -> list[int]:
    """The one process that succeeded in each round."""
    rounds = list(zip(*outcomes, strict=True))
    for round_ in rounds:
        assert sum("done" in outcome for outcome in round_) == 1, round_
    return [next(number for number, outcome in enumerate(round_) if "done" in outcome) for round_ in rounds]


def losers(outcomes: list[list[dict]]) -> list[list[dict]]:
    return [[outcome for outcome in round_ if "refused" in outcome] for round_ in zip(*outcomes, strict=True)]


def assert_the_history_is_the_key(key: ApiKey) -> None:
    """Each event begins where the one before ended, and the last ends where the key is."""
    created, *later = events(key)
    assert created.action == Action.KEY_CREATED
    state = {"status": "enabled", **{name: created.after[name] for name in ("name", "description")}}
    for event in later:
        assert {name: state[name] for name in event.before} == event.before, event
        assert event.action != Action.KEY_COPIED or state["status"] != "revoked"
        if event.action != Action.KEY_DUPLICATED:
            state |= event.after
    key.refresh_from_db()
    assert state == {"status": key.status, "name": key.name, "description": key.description}
    assert key.revision == 1 + sum(event.action == Action.KEY_UPDATED for event in later)
    assert (key.secret_ciphertext is None) == (key.status == "revoked")


def test_a_key_under_hammers_ends_in_a_legal_state_with_a_history_that_tells_how(racers):
    key = ApiKeyFactory()
    done = racers("hammer", processes=PROCESSES, key=key.pk.hex, steps=40, seed=4711)
    assert not [racer for racer in done if "died" in racer or "killed" in racer], done
    assert_the_history_is_the_key(key)
    told = Counter((event.actor_name, event.action) for event in events(key)[1:])
    assert told == Counter(
        {
            (f"racer {number}", ACTION_OF[step]): count
            for number, counts in enumerate(done)
            for step, count in counts.items()
            if count
        }
    )
    assert told.total() > 50
    copies = list(key.duplicates.all())
    assert len(copies) == sum(counts.get("duplicate", 0) for counts in done)
    assert {event.after["duplicate"] for event in events(key) if event.action == Action.KEY_DUPLICATED} == {
        copy.public_id for copy in copies
    }
    for copy in copies:
        assert_the_history_is_the_key(copy)


@pytest.mark.parametrize(
    ("state", "step"), [("enabled", "disable"), ("disabled", "enable"), ("disabled", "revoke")]
)
def test_of_many_who_take_the_same_step_one_succeeds_and_the_others_hear_of_it(racers, state, step):
    first = ActorFactory(user=None, name="somebody long ago")
    keys = [ApiKeyFactory(state=state, actor=first) for _ in range(ROUNDS)]
    outcomes = racers("same_step", processes=PROCESSES, step=step, keys=[key.pk.hex for key in keys])
    for key, winner, refused in zip(keys, winners(outcomes), losers(outcomes), strict=True):
        assert {outcome["refused"] for outcome in refused} == {"IllegalTransition"}
        assert all(f"by racer {winner}." in outcome["said"] for outcome in refused), (winner, refused)
        assert events(key)[-1].actor_name == f"racer {winner}"
        assert_the_history_is_the_key(key)


def test_many_keys_moved_at_once_by_many_stand_in_nobody_s_way_for_good(racers):
    """Whoever holds some of the rows waits for none that another holds who waits for those."""
    keys = [ApiKeyFactory() for _ in range(6)]
    keys += [ApiKeyFactory(merchant=key.merchant) for key in keys[:3]]
    done = racers("sweep", processes=PROCESSES, keys=[key.pk.hex for key in keys], rounds=8, seed=17)
    assert not [racer for racer in done if "died" in racer or "killed" in racer], done
    for key in keys:
        assert_the_history_is_the_key(key)
    assert sum(racer["moved"] for racer in done) == sum(len(events(key)) - 1 for key in keys) > PROCESSES


def test_a_revocation_and_an_enabling_at_once_leave_one_of_both_and_no_ciphertext_behind(racers):
    keys = [ApiKeyFactory(disabled=True) for _ in range(2 * ROUNDS)]
    outcomes = racers("enable_or_revoke", processes=PROCESSES, keys=[key.pk.hex for key in keys])
    for key, winner, refused in zip(keys, winners(outcomes), losers(outcomes), strict=True):
        assert_the_history_is_the_key(key)
        assert key.status == ("revoked" if winner % 2 else "enabled")
        assert all(f"by racer {winner}." in outcome["said"] for outcome in refused)


def test_of_many_who_save_the_same_page_one_succeeds_and_the_others_see_what_it_saved(racers):
    keys = [ApiKeyFactory(name=f"Key {number}") for number in range(ROUNDS)]
    outcomes = racers("same_update", processes=PROCESSES, keys=[key.pk.hex for key in keys])
    for key, winner, refused in zip(keys, winners(outcomes), losers(outcomes), strict=True):
        now = {"name": f"{key.name} by {winner}", "description": ""}
        assert {outcome["refused"] for outcome in refused} == {"StaleEdit"}
        assert all(outcome["said"].startswith(f"racer {winner} saved this key") for outcome in refused)
        assert all(outcome["changes"] == now for outcome in refused)
        assert_the_history_is_the_key(key)


def test_of_many_who_rename_an_account_one_succeeds_and_its_words_are_those_of_its_name(racers):
    accounts = [MerchantFactory() for _ in range(ROUNDS)]
    outcomes = racers(
        "same_merchant_update", processes=PROCESSES, merchants_=[account.pk.hex for account in accounts]
    )
    for account, winner, refused in zip(accounts, winners(outcomes), losers(outcomes), strict=True):
        account.refresh_from_db()
        assert account.name == f"Account by {winner}"
        assert all(outcome["said"].startswith(f"racer {winner} saved") for outcome in refused)
        terms = MerchantTerm.objects.filter(merchant=account).values_list("term", flat=True)
        assert set(terms) == {"account", "by", str(winner)}


def test_when_all_administrators_leave_at_once_one_stays(racers):
    """Each of them alone could leave: the others are there."""
    people_ = [UserFactory(role="administrator") for _ in range(PROCESSES)]
    outcomes = racers(
        "leave_office",
        processes=PROCESSES,
        administrators=[person.pk for person in people_],
        rounds=ROUNDS,
    )
    for round_ in zip(*outcomes, strict=True):
        [refused] = [outcome for outcome in round_ if "refused" in outcome]
        assert refused["refused"] == "LastAdministrator"


def test_a_link_used_many_times_at_once_makes_one_account(racers):
    invitation = InvitationFactory()
    outcomes = racers("same_link", processes=PROCESSES, invitation=invitation.pk.hex)
    [winner] = winners(outcomes)
    assert all(each["refused"] == "InvitationEnded" for each in losers(outcomes)[0])
    assert [user.username for user in User.objects.all()] == [f"racer{winner}"]


def test_a_form_sent_many_times_at_once_makes_one_key(racers):
    merchant = MerchantFactory()
    ids = [new_id().hex for _ in range(ROUNDS)]
    outcomes = racers("same_submission", processes=PROCESSES, merchant=merchant.pk.hex, ids=ids)
    for key_id, winner, refused in zip(ids, winners(outcomes), losers(outcomes), strict=True):
        assert {outcome["refused"] for outcome in refused} == {"AlreadyCreated"}
        assert ApiKey.objects.get(pk=key_id).name == f"{key_id} {winner}"
    assert ApiKey.objects.count() == HistoryEntry.objects.exclude(key=None).count() == ROUNDS


def test_a_name_asked_for_many_times_at_once_is_given_once(racers):
    merchant = MerchantFactory()
    names = [f"Checkout {number}" for number in range(ROUNDS)]
    outcomes = racers("same_name", processes=PROCESSES, merchant=merchant.pk.hex, names=names)
    assert len(winners(outcomes)) == ROUNDS
    for name, refused in zip(names, losers(outcomes), strict=True):
        assert all(f"already has an API key called “{name}”" in outcome["said"] for outcome in refused)
    assert sorted(ApiKey.objects.values_list("name", flat=True)) == names


@pytest.mark.parametrize("days_apart", [0, 1], ids=["in the same minutes", "on different days"])
def test_requests_recorded_by_many_at_once_are_all_counted(racers, days_apart):
    merchant = MerchantFactory()
    keys = [ApiKeyFactory(merchant=merchant) for _ in range(12)]
    recorded = racers(
        "ingest",
        processes=PROCESSES,
        keys=[key.pk.hex for key in keys],
        merchant=merchant.pk.hex,
        batches=10,
        start=STARTED.isoformat(),
        days_apart=days_apart,
    )
    total = PROCESSES * 10 * len(keys)
    assert recorded == [total // PROCESSES] * PROCESSES, recorded
    rows = list(RequestLog.objects.all())
    assert len(rows) == total
    for model in (UsageMinute, UsageHour):
        for subject in (*keys, merchant):
            mine = [row for row in rows if subject.pk in {row.key_id, row.merchant_id}]
            counted = model.objects.filter(subject_id=subject.pk).values_list(
                "succeeded", "failed", "server_error"
            )
            failed = sum(row.status >= 400 for row in mine)
            assert tuple(map(sum, zip(*counted, strict=True))) == (len(mine) - failed, failed, failed)
    for key in keys:
        key.refresh_from_db()
        assert key.last_used_at == max(row.at for row in rows if row.key_id == key.pk)


STEPS = [
    "create",
    "duplicate",
    "update",
    "enable",
    "revoke",
    "enable many",
    "copy",
    "merchant",
    "disable the account",
    "ingest",
]


def test_a_process_killed_in_the_middle_of_a_step_leaves_nothing_half_done(racers):
    key = ApiKeyFactory(disabled=True)
    tables = (ApiKey, Merchant, MerchantTerm, HistoryEntry, RequestLog, UsageMinute, UsageHour)

    def everything() -> list[list]:
        return [list(model.objects.order_by("pk").values()) for model in tables]

    before = everything()
    for step in STEPS:
        (outcome,) = racers(
            "killed_in_the_middle", processes=1, key=key.pk.hex, merchant=key.merchant_id.hex, step=step
        )
        assert outcome == {"killed": signal.SIGKILL}, (step, outcome)
        assert everything() == before, step
    # And no lock is left behind.
    lifecycle.enable(key=key, actor=ActorFactory(user=None))


def test_the_events_of_a_hammered_key_are_in_the_order_of_time(racers):
    key = ApiKeyFactory()
    racers("hammer", processes=4, key=key.pk.hex, steps=10, seed=1)
    moments = [event.at for event in events(key)]
    assert all(earlier < later for earlier, later in pairwise(moments))
