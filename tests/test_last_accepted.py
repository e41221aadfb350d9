"""The last request that was accepted, and one that was accepted after all verifiers had answered."""

import re
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from keys import merchants, proof
from keys.gateway.ingest import ingest
from keys.history import Actor
from keys.models import ApiKey, Change, RequestLog, UsageHour, UsageMinute
from keys.proof import CLOCK_ERROR, Accepted
from tests.factories import ApiKeyFactory, RecordFactory, use
from tests.test_proof import (
    MS,
    NOON,
    SECOND,
    accept,
    answer,
    disabled_key,  # noqa: F401
    plan_of,
    running,
)

pytestmark = pytest.mark.django_db


def refuse(key: ApiKey, at: datetime, outcome: str = "DISABLED", count: int = 1) -> None:
    ingest([RecordFactory(key=key, at=at, status=401, outcome=outcome) for _ in range(count)])


def test_without_a_request_nothing_was_accepted(disabled: ApiKey) -> None:
    refuse(disabled, NOON)
    assert proof.of_key(disabled).last_accepted is None


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_valid_request_was_accepted_whatever_the_api_answered(disabled: ApiKey, status: int) -> None:
    accept(disabled, NOON - 59 * SECOND)
    last = accept(disabled, NOON - SECOND, status=status)
    for outcome, seconds in (("PERMISSION_DENIED", 0.5), ("DISABLED", -1), ("DISABLED", -7_200)):
        refuse(disabled, NOON - SECOND * seconds, outcome)
    other = ApiKeyFactory(merchant=disabled.merchant)
    accept(other, NOON)

    assert proof.of_key(disabled).last_accepted == last
    assert proof.last_accepted_of_key(other.pk).at == NOON
    assert proof.last_accepted_of_merchant(disabled.merchant_id).at == NOON
    assert last.public_id.startswith("req_")


def test_requests_of_one_minute_are_told_apart(disabled: ApiKey) -> None:
    minute = NOON.replace(minute=7)
    accept(disabled, minute)
    last = accept(disabled, minute + timedelta(seconds=59, microseconds=999_000))
    refuse(disabled, minute + timedelta(seconds=59, microseconds=999_500), count=3)
    refuse(disabled, minute + timedelta(minutes=1))
    assert proof.last_accepted_of_key(disabled.pk) == last


def test_counts_by_the_hour_serve_when_those_by_the_minute_are_no_longer_kept(disabled: ApiKey) -> None:
    last = accept(disabled, NOON + timedelta(minutes=31))
    refuse(disabled, NOON + timedelta(minutes=59))
    UsageMinute.objects.all().delete()
    assert proof.last_accepted_of_key(disabled.pk) == last

    RequestLog.objects.all().delete()
    told = proof.last_accepted_of_key(disabled.pk)
    assert told == Accepted(NOON, until=NOON + timedelta(hours=1))
    assert told.public_id == ""
    UsageHour.objects.all().delete()
    assert proof.last_accepted_of_key(disabled.pk) is None


@pytest.mark.parametrize("minutes_kept", [True, False])
def test_it_is_found_along_the_index_of_the_key_s_own_requests(disabled: ApiKey, minutes_kept: bool) -> None:
    accept(disabled, NOON)
    many_others_at_noon()
    if not minutes_kept:
        UsageMinute.objects.all().delete()
    for ask, subject, index in (
        (proof.last_accepted_of_key, disabled.pk, "request_by_key"),
        (proof.last_accepted_of_merchant, disabled.merchant_id, "request_by_merchant"),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert ask(subject).at == NOON
        asked = [query["sql"] for query in queries]
        assert len(asked) == (2 if minutes_kept else 3)
        *rollups, rows = [plan_of(sql) for sql in asked]
        column = f"{index.rpartition('_')[2]}_id"
        assert all(is_looked_up(plan, "subject_id=?") for plan in rollups), rollups
        assert is_looked_up(rows, f"{column}=? AND id>? AND id<?"), rows
        assert connection.vendor == "postgresql" or f"USING INDEX {index} " in rows, rows


def many_others_at_noon() -> None:
    """Enough that on PostgreSQL no other index leads to the key's own rows as well."""
    ingest(
        [RecordFactory(key=key, at=NOON) for key in (ApiKeyFactory(), ApiKeyFactory()) for _ in range(300)]
    )
    for model in (UsageMinute, UsageHour):
        model.objects.bulk_create(model(subject_id=uuid4(), at=NOON, succeeded=1) for _ in range(300))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE keys_requestlog, keys_usageminute, keys_usagehour")


def is_looked_up(plan: str, terms: str) -> bool:
    """Whether the plan goes straight to the rows of which `terms` hold, and sorts none of them."""
    if connection.vendor == "sqlite":
        return f"({terms})" in plan and "SCAN" not in plan and "TEMP B-TREE" not in plan
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    wanted = [re.sub(r"\W+$", "", term) for term in terms.split(" AND ")]
    return (
        "Sort" not in plan
        and bool(conditions)
        and all(re.search(rf"\b{term} [=<>]", line) for term in wanted for line in conditions)
    )


@pytest.mark.parametrize(
    ("after", "contradicts"),
    [
        (-SECOND, False),
        (timedelta(0), False),
        (CLOCK_ERROR, False),
        (CLOCK_ERROR + MS, True),
        (90 * SECOND, True),
    ],
)
def test_what_was_accepted_after_all_had_answered_contradicts_them(
    disabled: ApiKey, after: timedelta, contradicts: bool
) -> None:
    answer(disabled, running(), 41)
    accept(disabled, NOON + 41 * MS + after)
    told = proof.of_key(disabled, now=NOON + 120 * SECOND)
    assert told.accepted_late == (after if contradicts else None)
    assert bool(told.warning) == contradicts


def test_nothing_is_too_late_while_a_lease_still_runs(disabled: ApiKey) -> None:
    running()
    accept(disabled, NOON + 900 * MS)
    assert proof.of_key(disabled, now=NOON + 999 * MS).accepted_late is None
    assert proof.of_key(disabled, now=NOON + SECOND).accepted_late is None
    accept(disabled, NOON + SECOND + CLOCK_ERROR + MS)
    assert proof.of_key(disabled, now=NOON + 2 * SECOND).accepted_late == CLOCK_ERROR + MS


def test_an_account_is_contradicted_by_any_of_its_keys(api_key: ApiKey, actor: Actor) -> None:
    merchant = merchants.disable(merchant=api_key.merchant, actor=actor)
    Change.objects.filter(subject_id=merchant.pk).update(at=NOON)
    other = ApiKeyFactory(merchant=merchant)
    use(api_key, succeeded=1, at=NOON - SECOND)
    assert not proof.of_merchant(merchant, now=NOON + SECOND).warning
    use(other, succeeded=1, at=NOON + SECOND)
    assert proof.of_merchant(merchant, now=NOON + SECOND).warning.startswith(
        "A request was accepted 1,000 ms later"
    )
