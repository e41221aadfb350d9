"""What is older than its retention goes, to the millisecond; what is kept, and every figure, stays as it is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from keys import partitions, proof, retention, usage
from keys.identifiers import first_id_at
from keys.models import (
    Acknowledgement,
    ApiKey,
    Change,
    RecordingLoss,
    RequestLog,
    SpoolFile,
    UsageHour,
    UsageMinute,
    Verifier,
)
from keys.models.verifier import ChangeKind
from keys.retention import Pruned, Retention
from tests.factories import ApiKeyFactory, use
from tests.partitioned import (
    DAY,
    MIDNIGHT,
    MILLISECOND,
    NOON,
    names,
    partitions_of_its_own,
)

TABLES = (
    RequestLog,
    UsageMinute,
    UsageHour,
    Change,
    Acknowledgement,
    Verifier,
    SpoolFile,
    RecordingLoss,
    ApiKey,
)
ON_POSTGRESQL = connection.vendor == "postgresql"
KEPT = Retention(requests_days=3, minutes_days=2, usage_days=5)
# Older requests than these are in the default partition, and the others in those of their days.
PARTITIONED_DAYS = 5
UNUSED = UUID(int=7)


@pytest.fixture(name="noon")
def clock_at_noon(db) -> Iterator[None]:
    """It is NOON, the partitions of the days before are there, and no verifier of another test is."""
    Verifier.objects.all().delete()
    with time_machine.travel(NOON, tick=False):
        partition_afresh()
        yield


@pytest.fixture(name="committed_noon")
def clock_at_noon_with_commits(transactional_db) -> Iterator[None]:
    """The same, for others to see."""
    with partitions_of_its_own(), time_machine.travel(NOON):
        partition_afresh()
        yield


def partition_afresh() -> None:
    for partition in partitions.existing(connection):
        partitions.drop(partition)
    partitions.ensure(behind_days=PARTITIONED_DAYS)


def pruned(kept: Retention = KEPT, **options) -> dict[str, Pruned]:
    return {each.kind: each for each in retention.prune(kept, **options)}


def everything() -> dict[str, list[tuple]]:
    return {model.__name__: list(model.objects.order_by("pk").values_list()) for model in TABLES}


class TestRequests:
    @pytest.mark.parametrize("days", [2, 3, 90])
    def test_the_last_millisecond_before_goes_and_the_first_after_stays(self, noon, days):
        key = ApiKeyFactory()
        boundary = MIDNIGHT - days * DAY
        times = [boundary - DAY, boundary - MILLISECOND, boundary, boundary + MILLISECOND, NOON]
        for at in times:
            use(key, succeeded=1, at=at)
        # The very first id of that millisecond.
        use(key, succeeded=1, at=boundary, id=first_id_at(boundary))
        pruned(Retention(requests_days=days, minutes_days=2, usage_days=730))
        kept = RequestLog.objects.order_by("id").values_list("at", flat=True)
        assert list(kept) == [boundary, *times[2:]]

    def test_exactly_what_is_older_goes_wherever_it_lies(self, noon):
        key, random = ApiKeyFactory(), Random(5)
        times = [NOON - 10 * DAY * random.random() for _ in range(200)]
        for at in times:
            use(key, succeeded=1, at=at.replace(microsecond=0))
        before = list(RequestLog.objects.order_by("id").values_list())
        done = pruned(batch=7)["Requests"]
        cut = MIDNIGHT - KEPT.requests_days * DAY
        at = [field.attname for field in RequestLog._meta.concrete_fields].index("at")
        left = list(RequestLog.objects.order_by("id").values_list())
        assert left == [row for row in before if row[at] >= cut]
        assert 0 < len(left) < len(before)
        assert done.before == cut
        if ON_POSTGRESQL:
            days = [cut - number * DAY for number in (2, 1)]
            assert [each.name for each in done.dropped] == [f"keys_requestlog_{day:%Y%m%d}" for day in days]
            assert done.rows == sum(row[at] < days[0] for row in before) > 0
            assert not {each.name for each in done.dropped} & set(names())
        else:
            assert done.dropped == ()
            assert done.rows == len(before) - len(left)

    def test_rows_are_deleted_a_batch_at_a_time_and_others_write_in_between(self, noon, monkeypatch):
        key, pauses = ApiKeyFactory(), []
        use(key, succeeded=11, at=MIDNIGHT - 9 * DAY)
        monkeypatch.setattr(retention.time, "sleep", pauses.append)
        with CaptureQueriesContext(connection) as captured:
            assert pruned(batch=4)["Requests"].rows == 11
        deleting = [each for each in captured if each["sql"].startswith('DELETE FROM "keys_requestlog"')]
        # Four, four and three, and then nothing.
        assert len(deleting) == 4
        assert all(" AND " in each["sql"] for each in deleting[:2])
        assert not pauses if ON_POSTGRESQL else len(pauses) > 3

    def test_nothing_that_could_go_is_left_for_want_of_a_whole_batch(self, noon):
        for number in (3, 4, 5):
            use(ApiKeyFactory(), succeeded=number, at=MIDNIGHT - 9 * DAY)
            assert pruned(batch=4)["Requests"].rows == number
            assert not RequestLog.objects.exists()


class TestFigures:
    def test_those_of_the_last_24_hours_stay_as_they_are(self, noon):
        key, random = ApiKeyFactory(), Random(3)
        subjects = (key.pk, key.merchant_id)
        for hour in range(0, 8 * 24, 5):
            at = NOON - timedelta(hours=hour, minutes=random.randrange(60), seconds=1)
            use(key, succeeded=random.randrange(3), failed=random.randrange(3), at=at)
        before = usage.last_24_hours(subjects), usage.totals(subjects), usage.last_hour(key.pk)
        assert before[1][key.pk].total > 5
        rows = everything()
        done = pruned(Retention(requests_days=2, minutes_days=2, usage_days=2))
        assert min(done[kind].rows for kind in ("Counts by minute", "Counts by hour")) > 0
        assert (usage.last_24_hours(subjects), usage.totals(subjects), usage.last_hour(key.pk)) == before
        assert everything()["ApiKey"] == rows["ApiKey"]

    @pytest.mark.parametrize(
        ("model", "days"), [(UsageMinute, KEPT.minutes_days), (UsageHour, KEPT.usage_days)]
    )
    def test_counts_go_when_their_own_time_has_come(self, noon, model, days):
        boundary = MIDNIGHT - days * DAY
        span = timedelta(minutes=1) if model is UsageMinute else timedelta(hours=1)
        for at in (boundary - DAY, boundary - span, boundary, NOON):
            model.objects.create(subject_id=UNUSED, at=at, succeeded=1)
        pruned(batch=1)
        assert list(model.objects.order_by("at").values_list("at", flat=True)) == [boundary, NOON]


class TestBooks:
    """Of changes, verifiers and spool files: for 30 days, and longer where a proof or a count depends on them."""

    OLD = MIDNIGHT - 30 * DAY - MILLISECOND
    YOUNG = MIDNIGHT - 30 * DAY

    @pytest.fixture(autouse=True)
    def nothing_else(self, noon):
        Change.objects.all().delete()

    def change(self, at: datetime, status: str, subject: UUID | None = UNUSED) -> Change:
        kind = ChangeKind.KEYS if subject is None else ChangeKind.KEY
        return Change.objects.create(kind=kind, subject_id=subject, status=status, at=at)

    def verifier(self, seen_at: datetime, **given) -> Verifier:
        times = {"started_at": seen_at - DAY, "seen_at": seen_at}
        return Verifier.objects.create(host="a", process=1, lease_ms=2000, **times | given)

    def acknowledge(self, verifier: Verifier, *changes: Change) -> None:
        for change in changes:
            Acknowledgement.objects.create(change=change, verifier=verifier, at=change.at)

    @pytest.mark.parametrize(
        ("statuses", "kept"),
        [
            # d, e and r: what a subject came to be, one change after the other, long ago.
            ("e", [0]),
            ("ed", [1]),
            ("ede", [2]),
            ("eded", [3]),
            ("eeee", [0, 3]),
            ("eddd", [1, 3]),
            ("edd", [1, 2]),
            ("eddr", [3]),
            ("dedde", [4]),
        ],
    )
    def test_of_each_subject_the_newest_change_and_that_to_its_present_status_stay(self, statuses, kept):
        words = {"e": "enabled", "d": "disabled", "r": "revoked"}
        for subject in (UNUSED, UUID(int=8)):
            for number, status in enumerate(statuses):
                self.change(self.OLD - DAY + number * MILLISECOND, words[status], subject)
        number = len(statuses)
        changes = list(Change.objects.order_by("id"))
        expected = [changes[at] for at in kept] + [changes[number + at] for at in kept]
        assert pruned(batch=2)["Changes"].rows == 2 * (number - len(kept))
        assert list(Change.objects.order_by("id")) == expected

    def test_changes_of_the_last_thirty_days_stay(self):
        self.change(self.OLD, "", subject=None)
        kept = [self.change(self.YOUNG, "disabled") for _ in range(3)]
        kept += [self.change(self.YOUNG, "", subject=None)]
        assert pruned()["Changes"].rows == 1
        assert list(Change.objects.order_by("id")) == kept

    def test_acknowledgements_stay_for_as_long_as_their_change_refuses(self):
        verifier = self.verifier(NOON)
        enabled, disabled = self.change(self.OLD, "enabled"), self.change(self.OLD, "disabled", UUID(int=8))
        young = self.change(self.YOUNG, "enabled", UUID(int=9))
        superseded, renamed = (self.change(self.OLD - DAY, "enabled", UUID(int=9)) for _ in range(2))
        self.acknowledge(verifier, enabled, disabled, young, superseded, renamed)
        assert pruned(batch=1)["Acknowledgements"].rows == 3
        kept = Acknowledgement.objects.order_by("change_id").values_list("change_id", flat=True)
        assert list(kept) == [disabled.pk, young.pk]

    def test_the_proof_of_an_old_revocation_stays_as_it_was(self):
        key = ApiKeyFactory(disabled=True)
        Change.objects.all().delete()
        disabled_at = self.OLD - 20 * DAY
        changes = [
            self.change(disabled_at - 2 * DAY, "disabled", key.pk),
            self.change(disabled_at - DAY, "enabled", key.pk),
            self.change(disabled_at, "disabled", key.pk),
            self.change(disabled_at + DAY, "disabled", key.pk),
            self.change(disabled_at + 2 * DAY, "disabled", key.pk),
        ]
        self.acknowledge(self.verifier(disabled_at + 5 * DAY, started_at=self.OLD - 90 * DAY), *changes)
        self.verifier(disabled_at + MILLISECOND)
        self.verifier(disabled_at - timedelta(seconds=2))
        before = proof.of_key(key, now=NOON)
        assert (len(before.answers), len(before.silences), before.change) == (1, 1, changes[2])
        done = pruned(batch=1)
        assert (done["Changes"].rows, done["Verifiers"].rows) == (3, 1)
        assert proof.of_key(key, now=NOON) == before

    def test_a_verifier_goes_when_nothing_names_it_any_more(self):
        # The lease of the first ends a moment too late.
        young, _, _, witness, once, never = (
            self.verifier(at - timedelta(seconds=2)) for at in (self.YOUNG, *[self.OLD] * 5)
        )
        superseded, newest = (
            self.change(self.OLD - 9 * DAY, "disabled"),
            self.change(self.OLD - 9 * DAY, "revoked"),
        )
        self.acknowledge(witness, newest)
        self.acknowledge(once, superseded)
        self.acknowledge(never, self.change(self.OLD, "enabled", UUID(int=9)))
        assert pruned(dry_run=True)["Verifiers"].rows == 4
        assert pruned()["Verifiers"].rows == 4
        assert set(Verifier.objects.all()) == {young, witness}

    def test_losses_go_after_thirty_days(self):
        for host, at in (("old", self.OLD), ("young", self.YOUNG)):
            RecordingLoss.objects.create(host=host, reason="spool_full", requests=3, at=at)
        assert pruned()["Losses"].rows == 1
        assert RecordingLoss.objects.get().host == "young"

    def test_the_place_in_a_spool_file_is_known_for_as_long_as_its_counts(self):
        boundary = MIDNIGHT - KEPT.usage_days * DAY
        for name, at in (("old", boundary - MILLISECOND), ("young", boundary)):
            SpoolFile.objects.create(name=name, updated_at=at)
        assert pruned()["Spool files"].rows == 1
        assert SpoolFile.objects.get().name == "young"
