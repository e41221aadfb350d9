"""Keys that do not exist, on PostgreSQL: however many are made up, few are looked for, and no true one is missed."""

import threading
from hashlib import sha256

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from keys.gateway import known, postgresql, processes
from keys.gateway.known import Allowance, KnownDigests
from keys.gateway.link import Link, LinkBroken
from keys.gateway.postgresql import PostgresDirectory
from keys.keyformat import MalformedKey, Mode, PlaintextKey
from keys.models import ApiKey
from tests.factories import ApiKeyFactory
from tests.verifiers import (
    database_away,
    directories,  # noqa: F401
    eventually,
    execute,
    found,
    wait_for_acknowledgement,
)

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = [field.column for field in ApiKey._meta.local_concrete_fields if not field.generated]


@pytest.fixture
def look_ups(monkeypatch) -> list[str]:
    """The digests that the database is asked for."""
    asked: list[str] = []
    query = Link.query

    def counted(link: Link, sql: bytes, values=(), *, timeout: float):
        if b"keys_merchant" in sql:
            asked.append(values[0].decode())
        return query(link, sql, values, timeout=timeout)

    monkeypatch.setattr(Link, "query", counted)
    return asked


@pytest.fixture
def none_allowed(monkeypatch) -> None:
    """The allowance for keys that do not exist is used up for the length of the test."""
    monkeypatch.setattr(postgresql, "UNKNOWN_PER_SECOND", 0.001)


def made_up() -> str:
    return PlaintextKey.generate(Mode.LIVE).reveal()


def digest(number: int) -> bytes:
    return sha256(str(number).encode()).digest()


def wait_until_known(directory: PostgresDirectory, look_ups: list[str]) -> None:
    """Until then, a key that does not exist has to be looked for."""

    def is_known() -> bool:
        look_ups.clear()
        assert directory.find(made_up()) is None
        return not look_ups

    eventually(is_known)


def insert_copies(key: ApiKey, number: int) -> list[PlaintextKey]:
    """As many new keys as that, in one statement."""
    secrets = [PlaintextKey.generate(Mode.LIVE) for _ in range(number)]
    values = {
        "id": "gen_random_uuid()",
        "digest": "new.digest",
        "name": "new.name",
        "folded_name": "new.name",
    }
    chosen = ", ".join(values.get(column, column) for column in COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO keys_apikey ({', '.join(COLUMNS)}) SELECT {chosen} FROM keys_apikey,"
            " unnest(%s::bytea[], %s::text[]) AS new (digest, name) WHERE id = %s",
            [[secret.digest for secret in secrets], [f"copy {each}" for each in range(number)], key.pk],
        )
    return secrets


def test_keys_that_do_not_exist_are_not_looked_for_beyond_the_allowance(
    open_directory, api_key, none_allowed, look_ups
) -> None:
    directory = open_directory()
    wait_until_known(directory, look_ups)
    for _ in range(200):
        assert directory.find(made_up()) is None
    assert look_ups == []
    assert found(directory, api_key).facts.key_id == api_key.pk
    assert look_ups == [api_key.secret.digest.hex()]


def test_within_the_allowance_the_database_is_asked(open_directory, look_ups, monkeypatch) -> None:
    """So that a key that was made a moment ago is found even before its change is heard of."""
    monkeypatch.setattr(postgresql, "UNKNOWN_PER_SECOND", 1_000_000)
    directory = open_directory()
    eventually(lambda: directory._known.lacks(digest(1)))
    assert directory.find(made_up()) is None
    assert len(look_ups) == 1


def test_a_wrong_checksum_costs_no_look_up(open_directory, look_ups) -> None:
    directory = open_directory()
    text = made_up()
    with pytest.raises(MalformedKey):
        directory.find(text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert look_ups == []


@pytest.mark.parametrize("number", [1, 100, 101, 400])
def test_new_keys_are_found_whatever_is_asked_for_besides(
    open_directory, api_key, none_allowed, look_ups, number: int
) -> None:
    """A hundred are told one by one; of more, only that there are some."""
    directory = open_directory()
    wait_until_known(directory, look_ups)
    secrets = insert_copies(api_key, number)
    wait_for_acknowledgement()
    for secret in (secrets[0], secrets[-1]):
        assert directory.find(secret.reveal()) is not None
    wait_until_known(directory, look_ups)
    assert all(directory.find(secret.reveal()) is not None for secret in secrets)


def test_a_session_that_broke_forgets_what_there_was(open_directory, api_key, none_allowed, look_ups) -> None:
    directory = open_directory()
    wait_until_known(directory, look_ups)
    with database_away():
        (secret,) = insert_copies(api_key, 1)
    wait_for_acknowledgement()
    assert directory.find(secret.reveal()) is not None


def test_nothing_is_unknown_before_all_is_known(api_key) -> None:
    digests = KnownDigests(processes.conninfo())
    assert not digests.lacks(digest(1))
    digests.add([digest(2)])
    assert not digests.lacks(digest(1))
    digests.read_anew()
    eventually(lambda: digests.lacks(digest(1)))
    assert not digests.lacks(api_key.secret.digest)


def test_what_is_added_while_all_are_read_stays_known(monkeypatch, api_key) -> None:
    """The reader is stopped after its last row, and a key is made and told that it does not see any more."""
    read, told = KnownDigests._read, threading.Event()
    started = threading.Event()

    def read_and_wait(digests: KnownDigests):
        heads = read(digests)
        started.set()
        assert told.wait(10)
        return heads

    monkeypatch.setattr(KnownDigests, "_read", read_and_wait)
    digests = KnownDigests(processes.conninfo())
    digests.read_anew()
    assert started.wait(10)
    digests.add([digest(1)])
    told.set()
    eventually(lambda: digests.lacks(digest(2)))
    assert not digests.lacks(digest(1))
    assert not digests.lacks(api_key.secret.digest)


def test_what_was_read_before_it_was_asked_for_anew_is_not_believed(monkeypatch) -> None:
    """Many keys were made while the reader was at work, and only that was told."""
    read, turns = KnownDigests._read, []
    digests = KnownDigests(processes.conninfo())

    def read_and_be_asked_again(digests: KnownDigests):
        heads = read(digests)
        turns.append(len(heads))
        if len(turns) == 1:
            ApiKeyFactory()
            connection.close()
            digests.read_anew()
        return heads

    monkeypatch.setattr(KnownDigests, "_read", read_and_be_asked_again)
    digests.read_anew()
    eventually(lambda: digests.lacks(digest(1)))
    assert turns == [0, 1]
    assert not digests.lacks(bytes(ApiKey.objects.get().digest))


def test_all_are_read_as_soon_as_the_database_answers(monkeypatch, api_key) -> None:
    link, failures = known.Link, []

    def broken_at_first(*arguments, **options) -> Link:
        if len(failures) < 2:
            failures.append(True)
            raise LinkBroken("not yet")
        return link(*arguments, **options)

    monkeypatch.setattr(known, "Link", broken_at_first)
    monkeypatch.setattr(known, "AGAIN_SECONDS", 0.01)
    digests = KnownDigests(processes.conninfo())
    digests.read_anew()
    assert not digests.lacks(digest(1))
    eventually(lambda: digests.lacks(digest(1)))
    assert len(failures) == 2


def test_a_directory_that_is_closed_does_not_go_on_reading(monkeypatch) -> None:
    monkeypatch.setattr(KnownDigests, "_read", lambda digests: None)
    digests = KnownDigests(processes.conninfo())
    digests.read_anew()
    digests.close()
    eventually(lambda: "known-digests" not in {thread.name for thread in threading.enumerate()})
    digests.read_anew()
    assert "known-digests" not in {thread.name for thread in threading.enumerate()}


def test_all_digests_are_read_however_many_statements_it_takes(monkeypatch, api_key) -> None:
    secrets = [api_key.secret, *insert_copies(api_key, 50)]
    monkeypatch.setattr(known, "CHUNK", known.CHUNK.replace(b"20000", b"7"))
    digests = KnownDigests(processes.conninfo())
    digests.read_anew()
    eventually(lambda: digests.lacks(digest(1)))
    assert not any(digests.lacks(secret.digest) for secret in secrets)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_exactly_what_was_neither_read_nor_added_is_lacking(there: set[int], added: set[int]) -> None:
    digests = KnownDigests("")
    digests._read = lambda: known.array("Q", sorted(int.from_bytes(digest(each)[:8]) for each in there))
    digests.read_anew()
    eventually(lambda: digests.lacks(digest(100)))
    digests.add(map(digest, added))
    assert {each for each in range(61) if not digests.lacks(digest(each))} == there | added


def test_after_very_many_new_keys_all_are_read_anew(monkeypatch, api_key) -> None:
    monkeypatch.setattr(known, "ADDED_MAX", 10)
    digests = KnownDigests(processes.conninfo())
    digests.read_anew()
    eventually(lambda: digests.lacks(digest(1)))
    digests.add(digest(number) for number in range(11))
    eventually(lambda: digests.lacks(digest(1)))
    assert not digests.lacks(api_key.secret.digest)


def test_an_allowance_is_so_many_a_second_and_no_more_at_once(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(known.time, "monotonic", lambda: now[0])
    allowance = Allowance(5)

    def taken() -> int:
        return sum(allowance.take() for _ in range(50))

    assert (taken(), taken()) == (5, 0)
    now[0] += 0.4
    assert taken() == 2
    now[0] += 3600
    assert taken() == 5


def test_memory_is_bounded_by_what_the_settings_allow(open_directory) -> None:
    keys = [ApiKeyFactory() for _ in range(5)]
    directory = open_directory(cached_keys_max=3)
    for _ in range(2):
        for key in keys:
            assert found(directory, key).facts.key_id == key.pk
            assert directory.cached_keys <= 3
    execute("UPDATE keys_apikey SET status = 'disabled'")
    wait_for_acknowledgement()
    assert {found(directory, key).facts.key_status for key in keys} == {"disabled"}
