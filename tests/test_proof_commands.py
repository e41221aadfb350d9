"""`manage.py verifiers` and `manage.py revocation_proof`: what they print, and what they end with."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from keys import lifecycle, merchants, proof
from keys.history import Actor
from keys.identifiers import API_KEY, MERCHANT, encode, new_id
from keys.management.commands import revocation_proof
from keys.models import ApiKey, Change, Verifier
from tests.factories import AcknowledgementFactory, ApiKeyFactory, MerchantFactory, VerifierFactory, use

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_spool")]

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
LONG_AGO = datetime(2025, 3, 29, 12, 3, 4, tzinfo=UTC)

Said = pytest.CaptureFixture[str]


@pytest.fixture
def dead(api_key: ApiKey, actor: Actor) -> ApiKey:
    """A key that was disabled at LONG_AGO, and what came after it is over too."""
    key = lifecycle.disable(key=api_key, actor=actor)
    Change.objects.filter(subject_id=key.pk, status="disabled").update(at=LONG_AGO)
    return key


def answered(key: ApiKey, *, delay_ms: int, **verifier: object) -> None:
    AcknowledgementFactory(
        change=Change.objects.filter(subject_id=key.pk).latest("id"),
        verifier=VerifierFactory(**{"seen_at": LONG_AGO} | verifier),
        delay_ms=delay_ms,
    )


def ask(said: Said, subject: object, *options: str, status: int = 0) -> str:
    """What it prints about `subject`, once it has ended with `status`."""
    said.readouterr()
    ended = 0
    try:
        call_command("revocation_proof", getattr(subject, "public_id", subject), *options)
    except CommandError as error:
        ended = error.returncode
    assert ended == status
    return said.readouterr().out


def refusal(subject: object, *options: str) -> CommandError:
    with pytest.raises(CommandError) as raised:
        call_command("revocation_proof", getattr(subject, "public_id", subject), *options)
    return raised.value


# -- revocation_proof --------------------------------------------------------------------------------------------------


def test_a_proof_is_told_line_by_line(dead: ApiKey, capsys: Said) -> None:
    answered(dead, delay_ms=12, host="web-1", process=1)
    answered(dead, delay_ms=41, host="web-2", process=1)
    VerifierFactory(host="web-3", process=7, seen_at=LONG_AGO - SECOND)
    [request] = use(dead, succeeded=1, at=LONG_AGO - SECOND)

    assert ask(capsys, dead).splitlines() == [
        f"“{dead.name}” ({dead.public_id}): API key disabled at 29 Mar 2025, 12:03:04.000 UTC.",
        "Refused by 2 of 3 verifiers after 41 ms.",
        "  web-1:1 after 12 ms",
        "  web-2:1 after 41 ms",
        "web-3:7 did not answer; its lease ended at 29 Mar 2025, 12:03:05 UTC, and it accepts nothing unread since.",
        f"Last accepted request: 29 Mar 2025, 12:03:03.000 UTC, {encode('req', request.id)}.",
    ]


def test_an_account_has_its_proof_too(dead: ApiKey, actor: Actor, capsys: Said) -> None:
    account = merchants.disable(merchant=dead.merchant, actor=actor)
    said = ask(capsys, account)
    assert said.startswith(f"“{account}” ({account.public_id}): merchant account disabled at ")
    assert said.endswith("\nLast accepted request: none on record.\n")
    [first, *_] = ask(capsys, dead).splitlines()
    assert "API key disabled at 29 Mar 2025, 12:03:04.000 UTC and merchant account disabled at " in first


def test_a_request_of_which_only_the_count_is_kept_is_told_by_its_minute(dead: ApiKey, capsys: Said) -> None:
    use(dead, succeeded=1, at=LONG_AGO - SECOND)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM keys_requestlog")
    assert ask(capsys, dead).endswith(
        "\nLast accepted request: between 29 Mar 2025, 12:03:00 UTC and 29 Mar 2025, 12:04:00 UTC.\n"
    )


def test_programs_read_the_same(dead: ApiKey, capsys: Said) -> None:
    answered(dead, delay_ms=41, host="web-1", process=1)
    VerifierFactory(host="web-3", process=7, seen_at=LONG_AGO - SECOND, stopped_at=LONG_AGO + SECOND / 2)
    [request] = use(dead, succeeded=1, at=LONG_AGO - SECOND)
    told = json.loads(ask(capsys, dead, "--json"))

    assert abs(datetime.fromisoformat(told.pop("now")) - timezone.now()) < MINUTE
    assert told == {
        "id": dead.public_id,
        "change": {"of": "key", "status": "disabled", "at": "2025-03-29T12:03:04+00:00"},
        "also": None,
        "finding": "Refused by 1 of 2 verifiers after 41 ms.",
        "reads_afresh": connection.vendor == "sqlite",
        "concerned": 2,
        "answers": [{"verifier": "web-1:1", "delay_ms": 41}],
        "silences": [
            {"verifier": "web-3:7", "ends_at": "2025-03-29T12:03:04.500000+00:00", "ended": True, "stopped": True}
        ],
        "slowest_ms": 41,
        "settled": True,
        "settled_at": "2025-03-29T12:03:04.500000+00:00",
        "last_accepted": {
            "id": encode("req", request.id),
            "at": "2025-03-29T12:03:03+00:00",
            "until": None,
        },
        "recorded_until": None,
        "contradicted": False,
    }  # fmt: skip


@pytest.fixture
def waited_for(dead: ApiKey) -> Verifier:
    """A verifier that was there when the key was disabled, is heard of now, and has not answered."""
    return VerifierFactory(host="web-9", process=9, started_at=LONG_AGO, lease_ms=3_600_000)


def test_it_says_so_while_one_does_not_answer(dead: ApiKey, waited_for: Verifier, capsys: Said) -> None:
    said = ask(capsys, dead, status=1)
    assert "Refused by 0 of 1 verifier.\nweb-9:9 has not answered; its lease ends at " in said
    assert str(refusal(dead)) == "One verifier has not answered, and may still accept requests."
    capsys.readouterr()

    told = json.loads(ask(capsys, dead, "--json", status=1))
    assert (told["settled"], told["settled_at"], told["contradicted"]) == (False, None, False)
    VerifierFactory(started_at=LONG_AGO, lease_ms=3_600_000)
    assert str(refusal(dead)).startswith("2 verifiers have not answered")


class Time:
    """A clock that only sleep moves; `at` is what happens after so many seconds."""

    def __init__(self, at: dict[float, Callable[[], None]]) -> None:
        self.now = 0.0
        self.at = at

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)
        if happens := self.at.get(self.now):
            happens()


def test_it_waits_until_all_have_answered(
    dead: ApiKey, waited_for: Verifier, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = Change.objects.filter(subject_id=dead.pk).latest("id")
    time = Time({0.5: lambda: AcknowledgementFactory(change=change, verifier=waited_for, delay_ms=41)})
    monkeypatch.setattr(revocation_proof, "time", time)
    assert "Refused by 1 of 1 verifier after 41 ms.\n" in ask(capsys, dead, "--wait", "30")
    assert time.now == 0.5


def test_it_waits_no_longer_than_it_was_told_to(
    dead: ApiKey, waited_for: Verifier, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time({})
    monkeypatch.setattr(revocation_proof, "time", time)
    assert "web-9:9 has not answered" in ask(capsys, dead, "--wait", "2", status=1)
    assert 2 <= time.now < 2.2
    ask(capsys, dead, status=1)
    assert time.now < 2.2


def test_a_key_that_is_enabled_meanwhile_ends_the_wait(
    dead: ApiKey, waited_for: Verifier, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time({1.0: lambda: lifecycle.enable(key=dead, actor=actor)})
    monkeypatch.setattr(revocation_proof, "time", time)
    assert refusal(dead, "--wait", "30").returncode == 2
    assert time.now == 1.0


def test_a_contradiction_has_an_end_of_its_own(dead: ApiKey, capsys: Said) -> None:
    answered(dead, delay_ms=41)
    use(dead, succeeded=1, at=LONG_AGO + 90 * SECOND)
    error = refusal(dead)
    assert error.returncode == 3
    assert str(error).startswith(
        "A request was accepted 89 seconds later than that. A verifier goes by old facts"
    )
    capsys.readouterr()
    assert json.loads(ask(capsys, dead, "--json", status=3))["contradicted"] is True


def test_who_is_enabled_has_nothing_to_prove(api_key: ApiKey) -> None:
    for subject in (api_key, api_key.merchant):
        error = refusal(subject)
        assert error.returncode == 2
        assert str(error) == f"There is nothing to prove: “{subject}” is enabled: requests are accepted."


def test_a_key_that_was_refused_before_anybody_was_told_has_no_proof(dead: ApiKey) -> None:
    Change.objects.all().delete()
    error = refusal(dead)
    assert error.returncode == 2
    assert str(error) == f"There is nothing to prove: “{dead}” was refused before changes were kept."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key_",
        "nothing",
        "KEY_01jd9v4c2hf6w8a3s5d7f9g1hj",
        "key_01jd9v4c2hf6w8a3s5d7f9g1hj0",
        "sk_key_01jd9v4c2hf6w8a3s5d7f9g1hj",
        "mch_\0",
        "key_\ud800",
    ],
)
def test_what_is_no_id_is_refused_and_not_repeated(text: str) -> None:
    error = refusal(text)
    assert error.returncode == 2
    assert str(error).startswith("Give the ID of an API key")


def test_a_key_in_plain_text_is_not_repeated_either(api_key: ApiKey, capsys: Said) -> None:
    secret = api_key.secret.reveal()
    error = refusal(secret)
    assert error.returncode == 2
    assert secret not in str(error)
    captured = capsys.readouterr()
    assert secret not in captured.out + captured.err


@pytest.mark.parametrize("prefix", [API_KEY, MERCHANT])
def test_an_unknown_id_is_said_to_be_unknown(api_key: ApiKey, prefix: str) -> None:
    error = refusal(encode(prefix, new_id()))
    assert (error.returncode, str(error)) == (2, "There is nothing with this ID.")


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "-inf"])
def test_a_time_that_cannot_be_waited_is_refused(dead: ApiKey, seconds: str) -> None:
    error = refusal(dead, f"--wait={seconds}")
    assert (error.returncode, str(error)) == (2, "--wait is a number of seconds, 0 or more.")


def test_a_database_that_is_away_is_no_proof(dead: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused\n")

    monkeypatch.setattr(proof, "of_key", away)
    error = refusal(dead)
    assert (error.returncode, str(error)) == (2, "The database cannot be used: connection refused")
    monkeypatch.setattr(proof, "presences", away)
    with pytest.raises(CommandError, match="The database cannot be used: connection refused"):
        call_command("verifiers")


# -- verifiers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def roll() -> None:
    """One of each state, the last heard of not the first to be named."""
    now = timezone.now()
    VerifierFactory(host="web-1", process=11, seen_at=now - MINUTE, lease_ms=600_000)
    VerifierFactory(host="web-2", process=22, started_at=LONG_AGO, seen_at=LONG_AGO + SECOND)
    VerifierFactory(
        host="web-3", process=33, started_at=LONG_AGO, seen_at=LONG_AGO + MINUTE, stopped_at=LONG_AGO + MINUTE
    )


def test_the_verifiers_are_listed_with_their_state(roll: None, capsys: Said) -> None:
    call_command("verifiers")
    head, first, second, third = capsys.readouterr().out.splitlines()

    assert head.split() == "Verifier State Started Last sign of life Lease".split()
    assert first.split()[:2] == ["web-1:11", "running"]
    assert first.rstrip().endswith("600,000 ms")
    assert second.split()[:5] == "web-3:33 stopped since 2025-03-29 12:04:04".split()
    assert third.split()[:5] == "web-2:22 gone since 2025-03-29 12:03:07".split()
    assert "2025-03-29 12:03:04 UTC" in third
    assert "2025-03-29 12:03:05 UTC" in third


def test_programs_read_the_list_of_verifiers(roll: None, capsys: Said) -> None:
    call_command("verifiers", "--json")
    listed = json.loads(capsys.readouterr().out)

    assert [(each["verifier"], each["state"]) for each in listed] == [
        ("web-1:11", "running"),
        ("web-3:33", "stopped"),
        ("web-2:22", "gone"),
    ]
    assert listed[2] == {
        "verifier": "web-2:22",
        "host": "web-2",
        "process": 22,
        "state": "gone",
        "started_at": "2025-03-29T12:03:04+00:00",
        "seen_at": "2025-03-29T12:03:05+00:00",
        "lease_ms": 2000,
        "lease_ends_at": "2025-03-29T12:03:07+00:00",
        "stopped_at": None,
    }
    assert listed[1]["stopped_at"] == "2025-03-29T12:04:04+00:00"


@pytest.mark.parametrize(("after", "state"), [(-SECOND / 1000, "running"), (0 * SECOND, "gone")])
def test_a_verifier_is_gone_when_its_lease_ends(after: timedelta, state: str) -> None:
    verifier = VerifierFactory(seen_at=LONG_AGO)
    [presence] = proof.presences(now=LONG_AGO + 2 * SECOND + after)
    assert (presence.verifier, presence.state) == (verifier, state)


def test_an_empty_list_says_why(capsys: Said) -> None:
    call_command("verifiers")
    why = {
        "sqlite": "every verifier reads the database on each request.",
        "postgresql": "no verifier has run on this database yet.",
    }[connection.vendor]
    assert capsys.readouterr().out == f"None is on the books: {why}\n"
    call_command("verifiers", "--json")
    assert json.loads(capsys.readouterr().out) == []


def test_other_keys_and_accounts_are_not_looked_at(dead: ApiKey, actor: Actor, capsys: Said) -> None:
    other = ApiKeyFactory(merchant=MerchantFactory(actor=actor), actor=actor)
    lifecycle.disable(key=other, actor=actor)
    answered(other, delay_ms=999)
    assert "999 ms" not in ask(capsys, dead)
