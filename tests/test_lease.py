"""The lease on PostgreSQL: nothing is accepted unread once changes are not heard of, and the database knows when."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from bench.gateway.relay import Relay
from keys.gateway import feed
from keys.gateway.directory import DirectoryUnavailable
from keys.gateway.link import Link
from keys.gateway.postgresql import PostgresDirectory
from keys.models import Acknowledgement, ApiKey, Change, Verifier
from tests.changes import DISABLE, ENABLE
from tests.factories import ApiKeyFactory
from tests.verifiers import (
    changes,
    database_away,
    database_url,
    directories,  # noqa: F401
    end_sessions,
    eventually,
    execute,
    found,
    is_acknowledged,
    status_of,
    wait_for_acknowledgement,
)

pytestmark = pytest.mark.django_db(transaction=True)

BOUND_SECONDS = 0.5


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay(database_url())
    yield relay
    relay.close()


def is_unavailable(directory: PostgresDirectory, key: ApiKey) -> bool:
    try:
        directory.find(key.secret.reveal())
    except DirectoryUnavailable:
        return True
    return False


def last_acceptance(directory: PostgresDirectory, key, seconds: float) -> float:
    """Ask until nothing is known any more, and for `seconds` after that; returns when the last that was asked, was."""
    last = asked = time.monotonic()
    ends = asked + 10
    while asked < ends:
        asked = time.monotonic()
        try:
            directory.find(key.secret.reveal())
        except DirectoryUnavailable:
            ends = min(ends, asked + seconds)
        else:
            last = asked
    return last


def test_a_verifier_that_is_cut_off_accepts_nothing_after_the_bound(open_directory, api_key, relay) -> None:
    directory = open_directory(url=relay.url, bound_seconds=BOUND_SECONDS)
    assert status_of(directory, api_key) == "enabled"
    frozen = time.monotonic()
    relay.freeze()
    execute(DISABLE)
    last = last_acceptance(directory, api_key, BOUND_SECONDS)
    assert frozen < last <= frozen + BOUND_SECONDS
    assert not directory.lease_seconds
    relay.thaw()
    answers = set()

    def is_back() -> bool:
        try:
            answers.add(status_of(directory, api_key))
        except DirectoryUnavailable:
            return False
        return directory.lease_seconds > 0

    eventually(is_back)
    assert answers == {"disabled"}
    wait_for_acknowledgement()


def test_a_verifier_that_is_cut_off_says_so_at_once_but_for_one_that_tries(
    open_directory, api_key, relay, monkeypatch
) -> None:
    monkeypatch.setattr("keys.gateway.postgresql.AWAY_SECONDS", 0.0)
    # Long enough that a busy machine does not make the quick ones slow.
    bound_seconds = 3 * BOUND_SECONDS
    directory = open_directory(url=relay.url, bound_seconds=bound_seconds)
    text = api_key.secret.reveal()
    together = threading.Barrier(4, timeout=10)

    def how_long() -> float:
        together.wait()
        began = time.monotonic()
        with pytest.raises(DirectoryUnavailable):
            directory.find(text)
        return time.monotonic() - began

    relay.freeze()
    with pytest.raises(DirectoryUnavailable):
        directory.find(text)
    eventually(lambda: not directory.lease_seconds)
    with ThreadPoolExecutor(4) as threads:
        *quick, slow = sorted(each.result(20) for each in [threads.submit(how_long) for _ in range(4)])
    assert max(quick) < bound_seconds / 2 < slow < bound_seconds * 2


def warnings_in(caplog) -> list[str]:
    records = [record for record in caplog.records if record.name == "keys.gateway.feed"]
    assert {record.levelno for record in records} <= {logging.WARNING}
    return [record.getMessage() for record in records]


def test_a_database_that_was_stopped_is_no_answer_until_it_is_back(open_directory, api_key, caplog) -> None:
    directory = open_directory(bound_seconds=BOUND_SECONDS)
    assert status_of(directory, api_key) == "enabled"
    with database_away():
        away = time.monotonic()
        assert last_acceptance(directory, api_key, 2 * BOUND_SECONDS) <= away + BOUND_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(DISABLE)
    eventually(lambda: directory.lease_seconds > 0)
    eventually(lambda: is_acknowledged(changes()[-1]))
    eventually(lambda: not is_unavailable(directory, api_key))
    assert status_of(directory, api_key) == "disabled"
    # Said once each time that it happens, however long it takes.
    assert len(warnings_in(caplog)) == 1
    end_sessions()
    eventually(lambda: len(warnings_in(caplog)) == 2)


def test_a_database_that_cannot_be_written_to_is_read_for_each_request(
    open_directory, api_key, caplog
) -> None:
    """It cannot be told of a lease then, so that there must be none."""
    directory = open_directory(bound_seconds=BOUND_SECONDS)
    with read_only():
        sessions = directory._feed.session
        eventually(lambda: directory._feed.session >= sessions + 3 and not directory.lease_seconds)
        assert status_of(directory, api_key) == "enabled"
        with connection.cursor() as cursor:
            cursor.execute(DISABLE)
        assert status_of(directory, api_key) == "disabled"
        assert len(warnings_in(caplog)) == 1
    eventually(lambda: directory.lease_seconds > 0)


@contextmanager
def read_only() -> Iterator[None]:
    """For sessions that begin from now on, and those of verifiers begin anew."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        end_sessions()
        try:
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_a_database_that_was_restarted_in_between_is_no_failure(open_directory, api_key) -> None:
    """Its sessions have ended, which each thread learns when it asks for the next key."""
    directory, other = open_directory(), ApiKeyFactory()
    assert status_of(directory, api_key) == "enabled"
    end_sessions()
    assert status_of(directory, other) == "enabled"
    execute(DISABLE)
    wait_for_acknowledgement()
    assert status_of(directory, api_key) == status_of(directory, other) == "disabled"


def test_it_starts_without_the_database_and_goes_on_with_it(open_directory, api_key) -> None:
    with database_away():
        directory = open_directory(bound_seconds=0.2)
        with pytest.raises(DirectoryUnavailable):
            directory.find(api_key.secret.reveal())
    eventually(lambda: directory.lease_seconds > 0)
    eventually(lambda: not is_unavailable(directory, api_key))


def test_a_verifier_is_on_the_books_with_its_signs_of_life_and_its_end(open_directory, api_key) -> None:
    directory = open_directory(bound_seconds=0.4)
    began = Verifier.objects.get()
    assert (began.lease_ms, began.stopped_at) == (400, None)
    eventually(lambda: Verifier.objects.get().seen_at > began.seen_at + timedelta(seconds=0.2))
    directory.close()
    ended = Verifier.objects.annotate(now=Now()).get()
    assert ended.started_at == began.started_at
    assert began.seen_at < ended.stopped_at <= ended.now
    assert not directory.lease_seconds
    # It still answers what comes, and nothing of that is from memory.
    assert status_of(directory, api_key) == "enabled"
    execute(DISABLE)
    assert status_of(directory, api_key) == "disabled"
    directory.close()


def test_the_database_never_takes_a_lease_for_ended_that_still_runs(open_directory, monkeypatch) -> None:
    """Also where an answer takes its time: the lease counts from the question."""
    query = Link.query

    def query_slowly(link: Link, sql: bytes, *given, timeout: float):
        rows = query(link, sql, *given, timeout=timeout)
        if sql == feed.HEARTBEAT:
            time.sleep(0.15)
        return rows

    monkeypatch.setattr(Link, "query", query_slowly)
    directory = open_directory(bound_seconds=1.2)
    ends = time.monotonic() + 0.8
    while time.monotonic() < ends:
        asked, left = time.monotonic(), directory.lease_seconds
        row = Verifier.objects.annotate(now=Now()).get()
        told = (row.seen_at + timedelta(milliseconds=row.lease_ms) - row.now).total_seconds()
        assert asked + left <= time.monotonic() + told


def test_a_lease_does_not_end_while_the_database_answers(open_directory) -> None:
    directory = open_directory(bound_seconds=1.2)
    began = Verifier.objects.get().seen_at

    def has_gone_on() -> bool:
        assert directory.lease_seconds
        return Verifier.objects.get().seen_at > began + timedelta(seconds=1.4)

    eventually(has_gone_on)


def test_what_a_broken_session_missed_is_acknowledged_and_forgotten(open_directory, api_key) -> None:
    """One of the changes was made long before it was committed, as in a transaction that takes its time."""
    directory = open_directory()
    assert status_of(directory, api_key) == "enabled"
    with database_away(), connection.cursor() as cursor:
        cursor.execute(DISABLE)
        cursor.execute("UPDATE keys_merchant SET status = 'disabled'")
        cursor.execute(
            "INSERT INTO keys_change (kind, subject_id, status, at, transaction) SELECT 'merchant', id, status,"
            " now() - interval '1 hour', pg_current_xact_id()::text::bigint FROM keys_merchant"
        )
    wait_for_acknowledgement()
    facts = found(directory, api_key).facts
    assert (facts.key_status, facts.merchant_status) == ("disabled", "disabled")
    assert {answer.verifier for answer in Acknowledgement.objects.all()} == {Verifier.objects.get()}


def test_changes_of_before_it_started_are_none_of_its_concern(open_directory, api_key) -> None:
    execute(DISABLE)
    directory = open_directory()
    assert status_of(directory, api_key) == "disabled"
    execute(ENABLE)
    eventually(lambda: is_acknowledged(changes()[-1]))
    assert Acknowledgement.objects.count() == 1
    assert Change.objects.count() > 1


def test_each_of_several_verifiers_acknowledges_for_itself(open_directory, api_key) -> None:
    several = [open_directory() for _ in range(3)]
    execute(DISABLE)
    last = changes()[-1]
    eventually(lambda: Acknowledgement.objects.filter(change=last).count() == 3)
    assert [status_of(directory, api_key) for directory in several] == ["disabled"] * 3
    assert set(last.acknowledgements.values_list("verifier", flat=True)) == {
        verifier.pk for verifier in Verifier.objects.all()
    }
