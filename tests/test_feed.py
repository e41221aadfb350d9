"""Hearing of changes on PostgreSQL: of all that commit, whatever gets lost on the way; and not hearing of them."""

import select
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations

import pytest
from django.db import connection

from keys import lifecycle, merchants
from keys.gateway import feed
from keys.gateway.directory import Holder, Memory
from keys.gateway.link import Link
from keys.models import Verifier
from tests.changes import CHANGES, DISABLE, ENABLE
from tests.factories import ApiKeyFactory, use
from tests.verifiers import (
    another_session,
    changes,
    database_away,
    directories,  # noqa: F401
    eventually,
    execute,
    found,
    is_acknowledged,
    status_of,
    wait_for_acknowledgement,
)

pytestmark = pytest.mark.django_db(transaction=True)

SHORT_SECONDS = 0.5


@pytest.fixture
def deaf(monkeypatch) -> None:
    """No notification ever arrives."""
    notified = Link.notified

    def never(link: Link) -> list[bytes]:
        notified(link)
        return []

    monkeypatch.setattr(Link, "notified", never)


def test_each_step_of_the_life_cycle_arrives(open_directory, api_key, actor) -> None:
    directory, merchant = open_directory(), api_key.merchant

    def seen() -> tuple[str, str]:
        wait_for_acknowledgement()
        facts = found(directory, api_key).facts
        return facts.key_status, facts.merchant_status

    assert seen() == ("enabled", "enabled")
    lifecycle.disable(key=api_key, actor=actor)
    assert seen() == ("disabled", "enabled")
    lifecycle.enable(key=api_key, actor=actor)
    assert seen() == ("enabled", "enabled")
    merchants.disable(merchant=merchant, actor=actor)
    assert seen() == ("enabled", "disabled")
    lifecycle.disable(key=api_key, actor=actor)
    lifecycle.revoke(key=api_key, actor=actor)
    assert seen() == ("revoked", "disabled")
    merchants.enable(merchant=merchant, actor=actor)
    assert seen() == ("revoked", "enabled")


@pytest.mark.parametrize(("sql", "is_seen"), CHANGES.values(), ids=CHANGES)
def test_a_change_by_hand_arrives_too(open_directory, api_key, sql: str, is_seen) -> None:
    directory = open_directory()
    wait_for_acknowledgement()
    before = found(directory, api_key)
    assert found(directory, api_key) is before
    assert not is_seen(before)
    execute(sql)
    wait_for_acknowledgement()
    assert is_seen(found(directory, api_key))


def test_recorded_requests_are_no_change(open_directory, api_key) -> None:
    directory = open_directory()
    before, told = found(directory, api_key), len(changes())
    use(api_key, succeeded=3)
    assert len(changes()) == told
    assert found(directory, api_key) is before


@pytest.mark.parametrize("of", ["key", "merchant"])
def test_what_a_notification_names_is_forgotten_before_anything_is_read(open_directory, api_key, of) -> None:
    directory = open_directory()
    found(directory, api_key)
    name = api_key.digest.hex() if of == "key" else api_key.merchant_id
    payloads = ("", "key", "key:", "key:xyz", "merchant:1", f"keys:{name}", ":", "é", f"{of}:{name}")
    with another_session() as session:
        session.execute("LOCK TABLE keys_change IN ACCESS EXCLUSIVE MODE")
        assert directory.cached_keys == 1
        execute("; ".join(f"NOTIFY keys_change, '{payload}'" for payload in payloads))
        eventually(lambda: directory.cached_keys == 0)
    assert status_of(directory, api_key) == "enabled"


def test_the_first_changes_of_a_transaction_are_named(actor) -> None:
    keys = [ApiKeyFactory() for _ in range(20)]
    with another_session() as listening:
        listening.execute("LISTEN keys_change")
        listening.commit()
        execute(f"{DISABLE} WHERE id = '{keys[0].pk}'")
        execute("UPDATE keys_merchant SET status = 'disabled'")
        (first, *others) = [notify.payload for notify in listening.notifies(timeout=0.5)]
    assert first == f"key:{keys[0].digest.hex()}"
    assert len(others) == 17
    assert set(others) < {f"merchant:{key.merchant_id}" for key in keys} | {""}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_changes_arrive_in_whatever_order_they_commit(open_directory, actor, order) -> None:
    """They get their numbers when they are made, and those that commit first must not hide the others."""
    directory = open_directory()
    keys = [ApiKeyFactory(actor=actor) for _ in order]
    with another_session() as first, another_session() as second, another_session() as third:
        sessions = [first, second, third]
        for session, key in zip(sessions, keys, strict=True):
            session.execute(f"{DISABLE} WHERE id = %s", [key.pk])
        disabled = set()
        for number in order:
            sessions[number].commit()
            disabled.add(number)
            wait_for_acknowledgement()
            for other, key in enumerate(keys):
                assert status_of(directory, key) == ("disabled" if other in disabled else "enabled")
    assert {change.subject_id for change in changes()[-3:]} == {key.pk for key in keys}


def test_a_change_in_a_savepoint_arrives_with_its_transaction_and_one_that_is_undone_never(
    open_directory, api_key
) -> None:
    directory, other = open_directory(), ApiKeyFactory()
    with another_session() as session:
        session.execute("SAVEPOINT kept")
        session.execute(f"{DISABLE} WHERE id = %s", [api_key.pk])
        session.execute("RELEASE SAVEPOINT kept")
        session.execute("SAVEPOINT undone")
        session.execute(f"{DISABLE} WHERE id = %s", [other.pk])
        session.execute("ROLLBACK TO SAVEPOINT undone")
        wait_for_acknowledgement()
        assert (status_of(directory, api_key), status_of(directory, other)) == ("enabled", "enabled")
        session.commit()
    wait_for_acknowledgement()
    assert (status_of(directory, api_key), status_of(directory, other)) == ("disabled", "enabled")


def test_what_no_notification_tells_comes_with_the_next_heartbeat(open_directory, api_key, deaf) -> None:
    directory = open_directory(bound_seconds=SHORT_SECONDS)
    assert status_of(directory, api_key) == "enabled"
    execute(DISABLE)
    wait_for_acknowledgement(SHORT_SECONDS + 5)
    assert status_of(directory, api_key) == "disabled"


def test_a_notification_that_comes_along_with_an_answer_is_heard_at_once(
    open_directory, api_key, monkeypatch
) -> None:
    """While one change is acknowledged, the next commits: its notification is read before the answer is."""
    directory = open_directory()
    wait_for_acknowledgement()
    query, meanwhile = Link.query, []

    def query_late(link: Link, sql: bytes, *given, timeout: float):
        if sql == feed.ACKNOWLEDGE and not meanwhile:
            meanwhile.append(True)
            execute(ENABLE)
            assert select.select([link.fileno()], [], [], 10)[0]
        return query(link, sql, *given, timeout=timeout)

    monkeypatch.setattr(Link, "query", query_late)
    execute(DISABLE)
    wait_for_acknowledgement(seconds=5)
    assert meanwhile
    assert status_of(directory, api_key) == "enabled"


def test_changes_of_another_cluster_are_no_news_with_every_heartbeat(
    open_directory, api_key, monkeypatch
) -> None:
    """A restored database has them; their transactions have numbers that are still to come here."""
    execute(
        "INSERT INTO keys_change (kind, subject_id, status, at, transaction)"
        " SELECT 'merchant', id, status, now(), 1::bigint << 40 FROM keys_merchant"
    )
    told = []
    forget = Memory.forget
    monkeypatch.setattr(Memory, "forget", lambda memory, news: (told.append(news), forget(memory, news)))
    directory = open_directory(bound_seconds=0.2)
    before = found(directory, api_key)
    first = Verifier.objects.get().seen_at
    eventually(lambda: Verifier.objects.get().seen_at > first + timedelta(seconds=0.2))
    assert not told
    assert found(directory, api_key) is before
    execute(DISABLE)
    eventually(lambda: is_acknowledged(changes()[-1]))
    assert status_of(directory, api_key) == "disabled"


def held_before_remembering(monkeypatch, meanwhile: Callable[[], None]) -> None:
    """Have the next reader do `meanwhile` with what it has read in its hands."""
    remember = Memory.remember

    def remember_late(memory: Memory, digest: bytes, holder: Holder, generation: int) -> None:
        monkeypatch.setattr(Memory, "remember", remember)
        meanwhile()
        remember(memory, digest, holder, generation)

    monkeypatch.setattr(Memory, "remember", remember_late)


def test_a_change_that_was_heard_while_a_key_was_read_is_not_undone(
    open_directory, api_key, monkeypatch
) -> None:
    directory = open_directory()
    wait_for_acknowledgement()

    def change_and_hear() -> None:
        execute(DISABLE)
        wait_for_acknowledgement()

    held_before_remembering(monkeypatch, change_and_hear)
    assert status_of(directory, api_key) == "enabled"
    assert status_of(directory, api_key) == "disabled"


def test_a_change_that_is_heard_after_an_old_fact_was_remembered_takes_it_out(
    open_directory, api_key, monkeypatch
) -> None:
    directory = open_directory()
    wait_for_acknowledgement()
    forget, remembered = Memory.forget, threading.Event()

    def forget_late(memory: Memory, news: list) -> None:
        assert remembered.wait(10)
        forget(memory, news)

    monkeypatch.setattr(Memory, "forget", forget_late)
    held_before_remembering(monkeypatch, lambda: execute(DISABLE))
    assert status_of(directory, api_key) == "enabled"
    assert status_of(directory, api_key) == "enabled"
    assert not is_acknowledged(changes()[-1])
    remembered.set()
    wait_for_acknowledgement()
    assert status_of(directory, api_key) == "disabled"


def test_what_was_read_before_a_session_is_not_remembered_in_it(open_directory, api_key, monkeypatch) -> None:
    """The change falls between two sessions, so that none of them is told of it."""
    directory = open_directory()
    wait_for_acknowledgement()

    def change_between_two_sessions() -> None:
        with database_away(), connection.cursor() as cursor:
            cursor.execute(DISABLE)
        eventually(lambda: is_acknowledged(changes()[-1]))

    held_before_remembering(monkeypatch, change_between_two_sessions)
    assert status_of(directory, api_key) == "enabled"
    assert status_of(directory, api_key) == "disabled"


def test_no_thread_answers_with_what_was_true_before_an_acknowledgement(open_directory, api_key) -> None:
    directory, last = open_directory(), 12
    execute("UPDATE keys_apikey SET name = '0'")
    wait_for_acknowledgement()
    published = [0]

    def watch() -> int:
        looks = 0
        while published[0] < last:
            known = published[0]
            assert int(found(directory, api_key).key_name) >= known
            looks += 1
        return looks

    with ThreadPoolExecutor(3) as threads:
        watching = [threads.submit(watch) for _ in range(3)]
        try:
            for number in range(1, last + 1):
                execute(f"UPDATE keys_apikey SET name = '{number}'")
                wait_for_acknowledgement()
                published[0] = number
        finally:
            published[0] = last
        assert all(each.result(20) > 0 for each in watching)
