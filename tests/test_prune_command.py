"""`manage.py prune_requests`: what it says, what it refuses, and what goes on beside it."""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from uuid import UUID

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError

from keys import partitions, retention
from keys.errors import InvalidField
from keys.models import (
    ApiKey,
    RequestLog,
    UsageMinute,
)
from keys.retention import Pruned, Retention
from tests.factories import ApiKeyFactory, use
from tests.partitioned import (
    DAY,
    MIDNIGHT,
    NOON,
    WAIT_SECONDS,
    another_reading,
    another_transaction,
    in_a_thread,
    names,
)
from tests.test_prune_requests import (  # noqa: F401
    ON_POSTGRESQL,
    clock_at_noon,
    clock_at_noon_with_commits,
    everything,
    pruned,
)

patiently = partitions._patiently


def command(*arguments: str) -> int:
    """The exit code of `manage.py prune_requests`."""
    try:
        call_command("prune_requests", *arguments)
    except CommandError as error:
        sys.stdout.write(f"{error}\n")
        return error.returncode
    return 0


class TestCommand:
    @pytest.fixture
    def old(self, noon) -> ApiKey:
        """A key with requests of nine days."""
        key = ApiKeyFactory()
        for day in range(9):
            use(key, succeeded=2, failed=1, at=NOON - day * DAY)
        return key

    def test_it_says_what_it_removed(self, old, capsys):
        assert command("--days", "3") == 0
        lines = capsys.readouterr().out.splitlines()
        if ON_POSTGRESQL:
            assert lines[0].startswith("Requests before 2031-05-11: 2 partitions dropped (")
            assert lines[0].endswith(" kB), 9 rows deleted.")
        else:
            assert lines[0] == "Requests before 2031-05-11: 15 rows deleted."
        # Of the key and of its account.
        assert lines[1] == "Counts by minute before 2031-05-12: 12 rows deleted."
        assert lines[2] == "Counts by hour before 2029-05-14: 0 rows deleted."
        assert [line.split(" before ")[0] for line in lines[3:]] == [
            "Losses",
            "Acknowledgements",
            "Changes",
            "Verifiers",
            "Spool files",
        ]

    def test_a_dry_run_says_the_same_and_changes_nothing(self, old, capsys):
        before, tables = everything(), names()
        assert command("--days", "3", "--dry-run") == 0
        assert (everything(), names()) == (before, tables)
        dry = capsys.readouterr().out.splitlines()
        assert command("--days", "3") == 0
        done = capsys.readouterr().out.splitlines()
        assert dry.pop() == "Nothing was changed."
        assert [line.replace("to delete", "deleted").replace("to drop", "dropped") for line in dry] == done

    def test_a_second_run_finds_nothing_to_do(self, old):
        assert command("--days", "3") == 0
        before = everything()
        assert command("--days", "3") == 0
        assert everything() == before
        again = pruned(Retention.from_settings(requests_days=3))
        assert not any(each.rows or each.dropped for each in again.values())

    def test_without_days_the_setting_counts(self, old, settings):
        settings.KEYS_REQUEST_RETENTION_DAYS = 4
        assert command() == 0
        assert RequestLog.objects.earliest("id").at == NOON - 4 * DAY

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--days", "1"], "Requests are kept for 2 to 10000 days. The figures of the last 24 hours"),
            (["--days", "-1"], "Requests are kept for 2 to 10000 days."),
            (["--days", "10001"], "Requests are kept for 2 to 10000 days."),
            (["--days", "731"], "Counts by hour are kept for 730 days, and requests for no longer"),
            (["--batch", "0"], "--batch is a number from 1 to 100000."),
            (["--batch", "100001"], "--batch is a number from 1 to 100000."),
        ],
    )
    def test_what_would_break_the_figures_is_refused(self, old, arguments, said, capsys):
        before = everything()
        assert command(*arguments) == 1
        assert said in capsys.readouterr().out
        assert everything() == before

    def test_minutes_are_kept_for_two_days(self):
        with pytest.raises(InvalidField, match="Counts by minute are kept for 2 days or more"):
            Retention(requests_days=2, minutes_days=1, usage_days=2)

    if ON_POSTGRESQL:

        def test_it_makes_the_partitions_of_the_coming_days(self, db, capsys):
            with time_machine.travel(NOON):
                assert command() == 0
            assert "Partitions created: keys_requestlog_20310512, " in capsys.readouterr().out
            assert "keys_requestlog_20310521" in names()

    def test_a_database_that_cannot_be_used_is_told_in_a_line(self, db, monkeypatch, capsys):
        def away(*arguments, **options) -> None:
            raise OperationalError("connection refused\n")

        monkeypatch.setattr(retention, "prune", away)
        assert command() == 1
        assert capsys.readouterr().out.splitlines()[-1] == "The database cannot be used: connection refused"

    def test_it_can_be_interrupted_at_any_batch_and_goes_on_the_next_time(self, old, monkeypatch, capsys):
        steps = {name: getattr(retention, name) for name in ("_delete_oldest_requests", "_delete_some")}
        due = Counter()

        def interrupting(name: str, at_batch: int):
            def step(*arguments):
                due[name] += 1
                if due[name] > at_batch:
                    raise KeyboardInterrupt
                return steps[name](*arguments)

            return step

        for name in steps:
            with monkeypatch.context() as patch:
                patch.setattr(retention, name, interrupting(name, at_batch=1))
                assert command("--days", "3", "--batch", "2") == 130
        assert "the next run goes on" in capsys.readouterr().out
        assert command("--days", "3", "--batch", "2") == 0
        assert RequestLog.objects.earliest("id").at == NOON - 3 * DAY
        assert UsageMinute.objects.earliest("at").at == NOON - 2 * DAY


class TestTogether:
    def test_two_runs_at_once_share_the_work(self, committed_noon):
        key = ApiKeyFactory()
        for day in range(12):
            use(key, succeeded=40, at=NOON - day * DAY)
        before = RequestLog.objects.count(), UsageMinute.objects.count()
        together = Barrier(2, timeout=WAIT_SECONDS)

        def prune() -> dict[str, Pruned]:
            together.wait()
            return pruned(batch=9)

        with ThreadPoolExecutor() as threads:
            runs = [threads.submit(in_a_thread(prune)) for _ in range(2)]
        done = [each.result() for each in runs]
        dropped = [partition.name for each in done for partition in each["Requests"].dropped]
        assert len(dropped) == len(set(dropped)) == (2 if ON_POSTGRESQL else 0)
        rows = sum(each["Requests"].rows for each in done) + 40 * len(dropped)
        assert (before[0] - rows, RequestLog.objects.count()) == (160, 160)
        minutes = sum(each["Counts by minute"].rows for each in done)
        assert before[1] - minutes == UsageMinute.objects.count() == 6

    def test_recording_goes_on_and_nothing_new_is_lost(self, committed_noon):
        key = ApiKeyFactory()
        for day in range(4, 12):
            use(key, succeeded=60, at=NOON - day * DAY)
        written: list[UUID] = []
        pruning_is_done = Event()

        def write() -> None:
            while not pruning_is_done.wait(0.01) or len(written) < 10:
                written.extend(record.id for record in use(key, succeeded=1, at=NOON - DAY))

        with ThreadPoolExecutor() as threads:
            writing = threads.submit(in_a_thread(write))
            try:
                pruned(batch=20)
            finally:
                pruning_is_done.set()
            writing.result(WAIT_SECONDS)
        assert set(RequestLog.objects.values_list("id", flat=True)) == set(written)
        assert sum(UsageMinute.objects.filter(subject_id=key.pk).values_list("succeeded", flat=True)) == len(
            written
        )

    if ON_POSTGRESQL:

        def test_a_count_that_somebody_adds_to_is_passed_by(self, committed_noon):
            for number in range(3):
                UsageMinute.objects.create(subject_id=UUID(int=number), at=MIDNIGHT - 9 * DAY)
            adding = f"UPDATE keys_usageminute SET succeeded = 5 WHERE subject_id = '{UUID(int=1)}'"
            with another_transaction(adding):
                assert pruned()["Counts by minute"].rows == 2
            assert pruned()["Counts by minute"].rows == 1

        def test_a_partition_that_somebody_reads_for_long_stays_until_the_next_run(
            self, committed_noon, capsys, monkeypatch
        ):
            key = ApiKeyFactory()
            for day in (4, 5, 9):
                use(key, succeeded=2, at=NOON - day * DAY)
            monkeypatch.setattr(partitions, "_patiently", lambda step, seconds: patiently(step, 0))
            with another_reading("keys_requestlog_20310510"):
                assert command("--days", "3") == 3
                assert "In use: keys_requestlog_20310510. Run it again later." in capsys.readouterr().out
                left = list(RequestLog.objects.order_by("id").values_list("at", flat=True))
                # Its rows are not deleted one by one, nor are those of the default partition now.
                assert left == [NOON - 9 * DAY] * 2 + [NOON - 4 * DAY] * 2
                assert not UsageMinute.objects.exists()
            assert command("--days", "3") == 0
            assert not RequestLog.objects.exists()
