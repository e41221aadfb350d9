"""A connection to PostgreSQL on which nothing waits longer than it is told to."""

import socket
import time

import pytest
from django.db import connection

from keys.gateway import processes
from keys.gateway.link import Link, LinkBroken
from tests.verifiers import end_sessions, execute

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 10.0


@pytest.fixture
def link():
    link = Link(processes.conninfo(), timeout=SECONDS)
    yield link
    link.close()
    # A server that is at work for a client does not notice that the client has gone.
    end_sessions()


def test_rows_come_as_text_and_nothing_as_none(link) -> None:
    sql = b"SELECT $1::int + 1, NULL, $2::text, ''"
    for _ in range(2):
        assert link.query(sql, [b"41", "é\n".encode()], timeout=SECONDS) == [
            (b"42", None, "é\n".encode(), b"")
        ]
    assert link.query(b"SELECT 1 WHERE false", timeout=SECONDS) == []


def test_times_come_in_utc_and_text_in_utf_8(link) -> None:
    (row,) = link.query(
        b"SELECT current_setting('TimeZone'), current_setting('client_encoding')", timeout=SECONDS
    )
    assert row == (b"UTC", b"UTF8")


def test_an_answer_may_be_larger_than_a_packet(link) -> None:
    rows = link.query(b"SELECT repeat('x', 1000) FROM generate_series(1, 5000)", timeout=SECONDS)
    assert len(rows) == 5000
    assert set(rows) == {(b"x" * 1000,)}


def test_a_question_may_be_larger_than_a_packet(link) -> None:
    (row,) = link.query(b"SELECT length($1)", [b"x" * 20_000_000], timeout=SECONDS)
    assert row == (b"20000000",)


@pytest.mark.parametrize(
    "ask",
    [
        lambda link: link.query(b"SELECT pg_sleep(60)", timeout=0.05),
        lambda link: link.execute(b"SELECT pg_sleep(60)", timeout=0.05),
        lambda link: link.query(b"SELECT 1 / 0", timeout=SECONDS),
        lambda link: link.query(b"SELECT nothing", timeout=SECONDS),
        lambda link: link.execute(b"LISTEN 7", timeout=SECONDS),
    ],
)
def test_what_is_late_or_wrong_breaks_the_link(link, ask) -> None:
    began = time.monotonic()
    with pytest.raises(LinkBroken):
        ask(link)
    assert time.monotonic() - began < SECONDS / 2
    assert not link.is_open
    with pytest.raises(LinkBroken):
        link.query(b"SELECT 1", timeout=SECONDS)


def test_notifications_are_told_once_together(link) -> None:
    link.execute(b"LISTEN keys_change", timeout=SECONDS)
    assert not link.notified()
    execute("NOTIFY keys_change, 'one'; NOTIFY keys_change, 'two'")
    link.query(b"SELECT 1", timeout=SECONDS)
    assert link.notified() == [b"one", b"two"]
    assert not link.notified()


def test_a_session_that_the_server_ended_is_noticed_by_whoever_listens(link) -> None:
    (row,) = link.query(b"SELECT pg_backend_pid()", timeout=SECONDS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [int(row[0])])

    def listen() -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            link.notified()

    with pytest.raises(LinkBroken):
        listen()
    assert not link.is_open


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(LinkBroken, match="in time"):
            Link(f"host=127.0.0.1 port={silent.getsockname()[1]}", timeout=0.1)
        assert time.monotonic() - began < SECONDS / 2


@pytest.mark.parametrize("conninfo", ["host=127.0.0.1 port=1", "host=/nowhere", "port=seven", "rubbish"])
def test_a_server_that_is_not_there_is_said_to_be_so(conninfo: str) -> None:
    with pytest.raises(LinkBroken):
        Link(conninfo, timeout=SECONDS)
