"""`disable`, `enable` and `revoke`: one by one, and all that a filter leaves."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from keys import history, lifecycle
from keys.history import Actor
from keys.management.terminal import moves, selection
from keys.models import ApiKey, HistoryEntry, Merchant
from keys.models.history import Action
from tests.commands.conftest import Run
from tests.factories import ApiKeyFactory, MerchantFactory

SOMEBODY = Actor.command("somebody")


def statuses(*keys: ApiKey) -> list[str]:
    found = dict(ApiKey.objects.filter(pk__in=[key.pk for key in keys]).values_list("pk", "status"))
    return [found[key.pk] for key in keys]


@pytest.fixture
def many(merchant: Merchant) -> list[ApiKey]:
    """Five enabled keys of one account, read in batches of two."""
    return [ApiKeyFactory(merchant=merchant, name=f"Key {number}") for number in range(5)]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "BATCH", 2)
    monkeypatch.setattr(moves, "AT_ONCE", 2)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Something that happens once, when the first keys have been read and are about to be moved."""
    move_many, events = lifecycle.move_many, list[Callable[[], object]]()

    def beside(**step: object) -> object:
        while events:
            events.pop()()
        return move_many(**step)

    monkeypatch.setattr(lifecycle, "move_many", beside)
    return events.append


# -- With IDs ----------------------------------------------------------------------------------------------------------


def test_a_key_goes_all_the_way(run: Run, api_key: ApiKey) -> None:
    said = run("apikeys", "disable", api_key, "--reason", "leaked").out
    assert said == (
        f"Disabled “{api_key.name}” ({api_key.public_id}). Requests with it are refused from now on.\n"
    )
    run("apikeys", "enable", api_key)
    run("apikeys", "disable", api_key)
    [record] = run("apikeys", "revoke", api_key, "--yes", "--json").records
    assert (record["id"], record["status"], record["can_be_copied"]) == (api_key.public_id, "revoked", False)
    assert HistoryEntry.objects.get(action=Action.KEY_DISABLED, reason="leaked").key_id == api_key.pk


def test_an_account_is_disabled_and_enabled(run: Run, merchant: Merchant) -> None:
    [record] = run("merchants", "disable", merchant, "--json").records
    assert record["status"] == "disabled"
    assert "answered again" in run("merchants", "enable", merchant).out


def test_who_is_too_late_is_told_who_was_first(run: Run, api_key: ApiKey) -> None:
    lifecycle.disable(key=api_key, actor=SOMEBODY)
    assert "Disabled already, by somebody" in run("apikeys", "disable", api_key, status=4).complaint


def test_a_rule_is_no_conflict(run: Run, api_key: ApiKey) -> None:
    assert "Disable it first" in run("apikeys", "revoke", api_key, "--yes", status=1).complaint
    revoked = ApiKeyFactory(revoked=True)
    assert "Revoked is final" in run("apikeys", "enable", revoked, status=1).complaint
    run("apikeys", "disable", api_key, "--reason", "x" * 501, status=1)
    assert statuses(api_key, revoked) == ["enabled", "revoked"]


def test_of_several_each_is_taken_by_itself(run: Run, many: list[ApiKey]) -> None:
    lifecycle.disable(key=many[1], actor=SOMEBODY)
    ended = run("apikeys", "disable", *many[:3], many[0], status=4)
    assert statuses(*many[:4]) == ["disabled", "disabled", "disabled", "enabled"]
    assert len(ended.lines) == 2
    assert many[1].public_id in ended.err


def test_one_that_is_not_there_holds_up_all(run: Run, api_key: ApiKey) -> None:
    run("apikeys", "disable", api_key, api_key.public_id[:-4] + "0000", status=3)
    assert statuses(api_key) == ["enabled"]


def test_to_revoke_its_name_is_typed(run: Run, answers: list[str]) -> None:
    key = ApiKeyFactory(name="Café", disabled=True)
    answers += ["Cafe"]
    run("apikeys", "revoke", key, status=1)
    answers += ["Cafe\u0301"]
    assert f"({key.public_id}) for ever, type its name:" in run("apikeys", "revoke", key).err
    assert statuses(key) == ["revoked"]


def test_with_nobody_to_ask_nothing_is_revoked(run: Run) -> None:
    key = ApiKeyFactory(disabled=True)
    assert "--yes" in run("apikeys", "revoke", key, status=2).complaint
    assert statuses(key) == ["disabled"]


# -- With a filter -----------------------------------------------------------------------------------------------------


def test_all_that_a_filter_leaves(run: Run, many: list[ApiKey], merchant: Merchant) -> None:
    other = ApiKeyFactory()
    lifecycle.disable(key=many[0], actor=SOMEBODY)
    words = ("apikeys", "disable", "--merchant", merchant, "--reason", "contract ended")
    ended = run(*words, "--yes")
    assert ended.out == "Disabled 4 API keys.\n"
    assert "1 API key that is disabled" in ended.err
    assert set(statuses(*many)) == {"disabled"}
    assert statuses(other) == ["enabled"]
    assert HistoryEntry.objects.filter(action=Action.KEY_DISABLED, reason="contract ended").count() == 4
    assert run(*words, "--yes").out == "No enabled API key is like that.\n"


def test_accounts_too(run: Run) -> None:
    found = [MerchantFactory(name="Corner shop"), MerchantFactory(name="Corner café")]
    other = MerchantFactory(name="Elsewhere")
    records = run("merchants", "disable", "--search", "corner", "--yes", "--json").records
    assert {record["id"] for record in records} == {merchant.public_id for merchant in found}
    other.refresh_from_db()
    assert other.is_enabled


def test_a_dry_run_says_which_and_changes_nothing(run: Run, many: list[ApiKey], merchant: Merchant) -> None:
    words = ("apikeys", "disable", "--merchant", merchant, "--dry-run")
    ended = run(*words)
    assert {line.split("\t")[0] for line in ended.lines} == {key.public_id for key in many}
    assert "Would disable 5 API keys. Nothing was changed." in ended.err
    assert len(run(*words, "--json").records) == 5
    assert run("apikeys", "disable", many[0], "--dry-run").out.startswith(many[0].public_id)
    assert set(statuses(*many)) == {"enabled"}


def test_a_dry_run_of_some_says_which_would_be_refused(run: Run, many: list[ApiKey]) -> None:
    lifecycle.disable(key=many[1], actor=SOMEBODY)
    ended = run("apikeys", "disable", *many[:2], "--dry-run", "--json")
    assert [record["id"] for record in ended.records] == [many[0].public_id]
    assert "Left alone: 1 API key that is disabled." in ended.err
    assert "Would disable 1 API key." in ended.err


def test_many_are_asked_for(run: Run, many: list[ApiKey], merchant: Merchant, answers: list[str]) -> None:
    words = ("apikeys", "disable", "--merchant", merchant)
    answers += ["n"]
    ended = run(*words, status=1)
    assert "Disable 5 API keys? [y/N]" in ended.err
    assert set(statuses(*many)) == {"enabled"}
    answers += ["y"]
    run(*words)
    answers += ["y"]
    run("apikeys", "revoke", "--merchant", merchant, status=1)
    assert set(statuses(*many)) == {"disabled"}
    answers += ["5"]
    run("apikeys", "revoke", "--merchant", merchant)
    assert set(statuses(*many)) == {"revoked"}


def test_what_is_made_while_it_asks_was_not_meant(
    run: Run, many: list[ApiKey], merchant, monkeypatch
) -> None:
    made = []
    monkeypatch.setattr(
        moves.questions, "ask_yes", lambda *_, **__: made.append(ApiKeyFactory(merchant=merchant))
    )
    run("apikeys", "disable", "--merchant", merchant)
    assert statuses(*many, *made) == ["disabled"] * 5 + ["enabled"]


@pytest.mark.parametrize("words", ["", "--yes", "{} --all", "{} --status enabled", "--all --mode live"])
def test_it_takes_one_way_to_say_which(run: Run, api_key: ApiKey, words: str) -> None:
    run("apikeys", "disable", *words.format(api_key.public_id).split(), status=2)
    assert statuses(api_key) == ["enabled"]


def test_all_are_all(run: Run, many: list[ApiKey]) -> None:
    run("apikeys", "disable", "--all", "--yes")
    assert set(statuses(*many)) == {"disabled"}


def test_who_was_first_is_no_refusal_but_another_end_is(run: Run, many: list[ApiKey], meanwhile) -> None:
    """Two people beside a run over all: one disables a key, the other revokes one."""

    def others() -> None:
        for key in (many[0], many[1]):
            lifecycle.disable(key=key, actor=SOMEBODY)
        lifecycle.revoke(key=many[1], actor=SOMEBODY)

    meanwhile(others)
    ended = run("apikeys", "disable", "--all", "--yes", status=4)
    assert ended.out == "Disabled 3 API keys.\n"
    assert many[1].public_id in ended.err
    assert many[0].public_id not in ended.err
    assert ended.complaint == "1 API key refused it."


def test_ctrl_c_finishes_what_is_under_way_and_the_next_run_goes_on(
    run: Run, many: list[ApiKey], meanwhile
) -> None:
    meanwhile(lambda: os.kill(os.getpid(), signal.SIGINT))
    ended = run("apikeys", "disable", "--all", "--yes", status=130)
    assert ended.out == "Disabled 2 API keys.\n"
    assert statuses(*many) == ["disabled"] * 2 + ["enabled"] * 3
    assert run("apikeys", "disable", "--all", "--yes").out == "Disabled 3 API keys.\n"


def test_a_step_that_fails_half_way_leaves_those_of_its_batch_as_they_were(
    run: Run, many: list[ApiKey], monkeypatch
) -> None:
    append, written = history.append, []

    def fail_later(entries: object) -> None:
        append(entries)
        written.append(entries)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(history, "append", fail_later)
    run("apikeys", "disable", "--all", "--yes", status=6)
    assert statuses(*many) == ["disabled"] * 2 + ["enabled"] * 3
    assert HistoryEntry.objects.filter(action=Action.KEY_DISABLED).count() == 2


def test_long_work_says_how_far_it_is(run: Run, many: list[ApiKey], monkeypatch) -> None:
    monkeypatch.setattr("keys.management.terminal.output.LONG_WORK", 5)
    ended = run("apikeys", "disable", "--all", "--yes", "--json")
    assert len(ended.records) == 5
    assert "Disabling: 2 of 5" in ended.err


def test_what_is_disabled_was_made_before(run: Run, api_key: ApiKey) -> None:
    ApiKeyFactory(created_at=timezone.now() - timedelta(days=3))
    assert run("apikeys", "disable", "--created-before", "1d", "--yes").out == "Disabled 1 API key.\n"
    assert statuses(api_key) == ["enabled"]
