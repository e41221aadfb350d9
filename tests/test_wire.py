"""The running server against whatever can be sent to its port: it answers what is right, and goes on."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.gateway import records
from bench.gateway.loads import Key, Keyring
from bench.gateway.servers import serving
from bench.installation import Installation
from keys.keyformat import Mode, PlaintextKey
from tests import fuzzing
from tests.fuzzing import examples
from tests.gateways.waiting import until
from tests.wire import Reply, connect, exchange, parsed, received

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("installed")]

TOKEN = "token-of-the-gateways-0123456789-abcdef"
CLOSE = b"Connection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def key(installed: Installation) -> Key:
    return Keyring.of(installed, usable=1).usable[0]


@pytest.fixture(scope="module")
def port(installed: Installation) -> Iterator[int]:
    with serving(installed, cores=None, KEYS_GATEWAY_TOKENS=TOKEN) as server:
        yield server.port


@pytest.fixture(autouse=True)
def it_goes_on(port: int, key: Key) -> Iterator[None]:
    """After each test the server still tells a key from another text."""
    yield
    for _ in range(4):
        assert [reply.status for reply in exchange(port, whoami(key.secret, CLOSE))] == [200]
        assert [reply.status for reply in exchange(port, whoami("nobody", CLOSE))] == [401]


def request(method: str, path: str, *headers: bytes, version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n".encode() + b"".join(headers) + b"\r\n"


def whoami(secret: str, *headers: bytes, method: str = "GET", version: str = "1.1") -> bytes:
    sent = f"X-API-Key: {secret}\r\n".encode()
    return request(method, "/v1/whoami", sent, *headers, version=version)


def report(*headers: bytes) -> bytes:
    """The head of a request whose body is read."""
    kind = b"Content-Type: application/x-ndjson\r\n"
    return request(
        "POST", "/v1/requests", b"Authorization: Bearer " + TOKEN.encode() + b"\r\n", kind, *headers
    )


def recorded(installed: Installation, replies: list[Reply]) -> list[int]:
    """How often each of the answered requests is in the record."""
    records.settle(installed)
    rows = records.query(installed.database_url, "SELECT id FROM keys_requestlog")
    ids = [str(row[0]).replace("-", "") for row in rows]
    return [ids.count(reply.request_id.replace("-", "")) for reply in replies]


def test_pipelined_requests_are_answered_in_order_and_recorded_once(port, key, installed) -> None:
    many = [
        (whoami(key.secret), "GET", 200),
        (whoami("nobody"), "GET", 401),
        (whoami(key.secret, method="HEAD"), "HEAD", 200),
        (request("GET", "/v1/authorize/v1/nowhere", f"X-API-Key: {key.secret}\r\n".encode()), "GET", 403),
        (request("GET", "/v1/nothing"), "GET", 404),
        (request("POST", "/v1/whoami", b"Content-Length: 3\r\n") + b"GET", "POST", 405),
    ] * 5
    sent = b"".join(each[0] for each in many) + whoami(key.secret, CLOSE)
    replies = exchange(port, sent, methods=[each[1] for each in many])
    assert [reply.status for reply in replies] == [*(each[2] for each in many), 200]
    assert all(key.key_id.encode() in reply.body for reply in (replies[0], replies[-1]))
    assert len({reply.request_id for reply in replies}) == len(replies)
    assert recorded(installed, replies) == [int(reply.status in {200, 403}) for reply in replies]


def test_connections_that_have_sent_half_a_head_keep_nobody_waiting(port: int, key: Key) -> None:
    sent = whoami(key.secret, CLOSE)
    with ExitStack() as stack:
        half_open = [stack.enter_context(connect(port)) for _ in range(60)]
        for place, connected in enumerate(half_open):
            connected.sendall(sent[: 1 + place])
        for _ in range(20):
            assert exchange(port, sent)[0].status == 200
        for place, connected in enumerate(half_open[::2]):
            connected.sendall(sent[1 + 2 * place :])
            assert [reply.status for reply in parsed(received(connected))] == [200]


def test_of_a_body_that_breaks_off_nothing_counts_twice(port: int, key: Key, installed: Installation) -> None:
    """Where it has said its length, nothing of it counts. Chunks do not tell: what came whole counts, once."""
    told = {"key": key.key_id, "at": datetime.now(UTC).isoformat(), "method": "GET", "path": "/v1/payments"}
    lines = {
        name: json.dumps(told | {"id": f"{name} broke off", "status": 200, "duration_ms": 1}).encode() + b"\n"
        for name in ("length", "chunk", "chunks")
    }
    starts = {
        "length": report(b"Content-Length: 5000\r\n"),
        "chunk": report(CHUNKED) + b"1388\r\n",
        "chunks": report(CHUNKED) + b"%x\r\n%b\r\n1388\r\n" % (len(lines["chunks"]), lines["chunks"]),
    }
    for name, start in starts.items():
        with connect(port) as connected:
            connected.sendall(start + lines[name] + lines[name][:-2])
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert set(broken_off(installed)) <= {"chunk broke off", "chunks broke off"}

    body = b"".join(lines.values())
    again = report(b"Content-Length: %d\r\n" % len(body), CLOSE) + body
    # As long as the pieces are still on their way into the database, there is no room for more.
    until(lambda: exchange(port, again)[0].status == 200)
    assert sorted(broken_off(installed)) == [f"{name} broke off" for name in sorted(lines)]


def broken_off(installed: Installation) -> list[str]:
    """Which of the requests in bodies that broke off are in the record."""
    records.settle(installed)
    found = "SELECT request_id FROM keys_requestlog WHERE request_id LIKE '% broke off'"
    return [row[0] for row in records.query(installed.database_url, found)]


def test_a_slow_body_is_taken_and_keeps_nobody_waiting(port: int, key: Key) -> None:
    body = b'{"id": "slow"}\n'
    with connect(port) as slow:
        slow.sendall(report(f"Content-Length: {len(body)}\r\n".encode(), CLOSE))
        for place in range(len(body)):
            slow.sendall(body[place : place + 1])
            assert exchange(port, whoami(key.secret, CLOSE))[0].status == 200
        (reply,) = parsed(received(slow))
    assert (reply.status, b'"rejected_lines":1' in reply.body.replace(b" ", b"")) == (200, True)


def test_a_body_without_end_is_refused_when_it_is_too_long(port: int) -> None:
    """What comes after the limit is not waited for: the answer is there while the chunks still come."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with connect(port) as connected:
        connected.sendall(report(b"Transfer-Encoding: chunked\r\n"))
        endless = threading.Thread(target=send_until_refused, args=(connected, chunk))
        endless.start()
        first = connected.recv(65536)
        endless.join()
    assert first.startswith(b"HTTP/1.1 413 ")
    assert b"urn:merchantadmin:problem:body-too-large" in first


def send_until_refused(connected: socket.socket, chunk: bytes) -> None:
    try:
        for _ in range(64 * MIB // len(chunk)):
            connected.sendall(chunk)
    except OSError:
        return
    raise AssertionError("it went on reading")


EXPECT = b"Expect: 100-continue\r\n"


@pytest.mark.parametrize("wanted", [True, False])
def test_who_asks_before_it_sends_a_body_is_told_to_go_on_only_if_the_body_is_read(port, key, wanted) -> None:
    length = b"Content-Length: 3\r\n"
    with connect(port) as connected:
        if wanted:
            connected.sendall(report(EXPECT, length, CLOSE))
            assert connected.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connected.sendall(b"{}\n")
        else:
            sent = f"X-API-Key: {key.secret}\r\n".encode()
            connected.sendall(request("POST", "/v1/authorize/v1/nowhere", sent, EXPECT, length, CLOSE))
        (reply,) = parsed(received(connected))
    assert reply.status == (200 if wanted else 403)


def test_the_old_version_closes_unless_it_is_asked_not_to(port: int, key: Key) -> None:
    (reply,) = exchange(port, whoami(key.secret, version="1.0"))
    assert (reply.status, key.key_id.encode() in reply.body) == (200, True)
    kept = whoami(key.secret, b"Connection: keep-alive\r\n", version="1.0")
    replies = exchange(port, kept, kept, whoami(key.secret, version="1.0"), pause_seconds=0.05)
    assert [reply.status for reply in replies] == [200, 200, 200]


# What is sent before a right request on the same connection, and what it is answered. 200 for that right one comes
# last where the server still knows where one request ends and the next begins; otherwise it must not answer it.
FIRST = {
    "chunks": ([CHUNKED], b"3\r\nabc\r\n0\r\n\r\n", [403, 200]),
    "chunks with extensions": ([CHUNKED], b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n', [403, 200]),
    "chunks with a trailer": ([CHUNKED], b"1\r\na\r\n0\r\nX-API-Key: x\r\n\r\n", [403, 200]),
    "chunks without a size": ([CHUNKED], b"zz\r\nabc\r\n0\r\n\r\n", [403]),
    "chunks of a negative size": ([CHUNKED], b"-1\r\nabc\r\n0\r\n\r\n", [403]),
    "chunks of a size without end": ([CHUNKED], b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n", [403]),
    "chunks longer than their size": ([CHUNKED], b"1\r\nabc\r\n0\r\n\r\n", [403]),
    "chunks and a length": ([CHUNKED, b"Content-Length: 4\r\n"], b"0\r\n\r\n", [403]),
    "a length and chunks": ([b"Content-Length: 4\r\n", CHUNKED], b"0\r\n\r\n", [403]),
    "chunks that are compressed": ([b"Transfer-Encoding: chunked, gzip\r\n"], b"0\r\n\r\n", [400]),
    "almost chunks": ([b"Transfer-Encoding: xchunked\r\n"], b"0\r\n\r\n", [400]),
    "chunks behind a space": ([b"Transfer-Encoding : chunked\r\n"], b"0\r\n\r\n", [400]),
    "a length": ([b"Content-Length: 3\r\n"], b"abc", [403, 200]),
    "one length twice": ([b"Content-Length: 3\r\n"] * 2, b"abc", [403, 200]),
    "two lengths": ([b"Content-Length: 3\r\n", b"Content-Length: 4\r\n"], b"abc", [400]),
    "a list of lengths": ([b"Content-Length: 3, 3\r\n"], b"abc", [400]),
    "a negative length": ([b"Content-Length: -1\r\n"], b"", [400]),
    "a length with a sign": ([b"Content-Length: +3\r\n"], b"abc", [400]),
    "a length in hexadecimals": ([b"Content-Length: 0x3\r\n"], b"abc", [400]),
    "a length that is no number": ([b"Content-Length: three\r\n"], b"abc", [400]),
    "no length": ([b"Content-Length:\r\n"], b"abc", [400]),
    "a length without end": ([b"Content-Length: " + b"9" * 30 + b"\r\n"], b"abc", [400]),
    "a NUL in a header": ([b"X-Trace: a\0b\r\n"], b"", [400]),
    "a carriage return in a header": ([b"X-Trace: a\rX-API-Key: b\r\n"], b"", [400]),
    "a header on two lines": ([b"X-Trace: a\r\n b\r\n"], b"", [400]),
    "a header without a name": ([b": a\r\n"], b"", [400]),
    "a header without a colon": ([b"X-Trace\r\n"], b"", [400]),
    "as many headers as are taken": ([b"X: a\r\n"] * 90, b"", [403, 200]),
    "too many headers": ([b"X: a\r\n"] * 2_000, b"", [431]),
    "a header that is too long": ([b"X: " + b"a" * MIB + b"\r\n"], b"", [431]),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_where_a_request_ends_is_never_guessed(port: int, key: Key, name: str) -> None:
    headers, body, statuses = FIRST[name]
    sent = f"X-API-Key: {key.secret}\r\n".encode()
    first = request("POST", "/v1/authorize/v1/nowhere", sent, *headers)
    replies = exchange(port, first + body + whoami(key.secret, CLOSE))
    assert [reply.status for reply in replies] == statuses
    assert not any(key.secret.encode() in reply.body for reply in replies)


GARBAGE = {
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + bytes(range(160)),
    "octets": b"\xff\xfe\x00\x01 \r\n\r\n",
    "a request without a version": b"GET /v1/whoami\r\n\r\n",
    "a version that does not exist": b"GET /v1/whoami HTTP/1.7\r\n\r\n",
    "a NUL in the target": b"GET /v1/\0whoami HTTP/1.1\r\n\r\n",
    "a space in the target": b"GET /v1/who ami HTTP/1.1\r\n\r\n",
    "a target without a slash": b"GET v1/whoami HTTP/1.1\r\n\r\n",
    "a target without end": b"GET /v1/" + b"a" * MIB + b" HTTP/1.1\r\n\r\n",
    "a method that is none": b"G@T /v1/whoami HTTP/1.1\r\n\r\n",
    "another protocol": b"EHLO example.com\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_request_is_refused_and_its_connection_closed(port: int, key: Key, name: str) -> None:
    (reply,) = exchange(port, GARBAGE[name] + whoami(key.secret, CLOSE))
    assert reply.status in {400, 414, 431}


def test_whoever_speaks_tls_to_it_is_turned_away(port: int) -> None:
    context = ssl.create_default_context()
    with connect(port) as connected, pytest.raises(ssl.SSLError):
        context.wrap_socket(connected, server_hostname="localhost")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "http://elsewhere.example/v1/whoami", 200),
        ("GET", "https://elsewhere.example:1/v1/authorize/v1/nowhere?x", 403),
        ("GET", "http://elsewhere.example/v1/nothing", 404),
        ("OPTIONS", "*", 404),
        ("CONNECT", "localhost:443", 403),
    ],
)
def test_other_forms_of_targets_open_nothing_else(port, key, method: str, target: str, status: int) -> None:
    replies = exchange(port, request(method, target, f"X-API-Key: {key.secret}\r\n".encode(), CLOSE))
    assert [reply.status for reply in replies] == [status]


octets = st.binary(max_size=40)
LINES = [
    b"GET /v1/whoami HTTP/1.1\r\n",
    b"POST /v1/requests HTTP/1.1\r\n",
    b"PUT /v1/authorize/v1/payments/..%2f HTTP/1.0\r\n",
    b"Host: localhost\r\n",
    b"Content-Length: 4\r\n",
    CHUNKED,
    EXPECT,
    CLOSE,
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\n",
    b"Content-Type: application/json\r\n",
    b"\r\n",
    b"4\r\nabcd\r\n",
    b"0\r\n\r\n",
]
NOBODY = f"X-API-Key: {PlaintextKey.generate(Mode.LIVE).reveal()}\r\n".encode()
lines = st.sampled_from([*LINES, NOBODY]) | st.builds(
    lambda name, value: name + b":" + value + b"\r\n", octets, octets
)


@pytest.mark.fuzz
def test_no_octets_break_it_or_are_taken_for_a_key(port: int) -> None:
    statuses: set[int] = set()

    @settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
    @given(
        sent=st.lists(lines, max_size=8).map(b"".join)
        | st.builds(bytes.__add__, st.sampled_from(LINES), octets)
    )
    @example(sent=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    def send(sent: bytes) -> None:
        fuzzing.count()
        with connect(port) as connected:
            with suppress(OSError):
                connected.sendall(sent + b"\r\n\r\n" + whoami("nobody", CLOSE))
            # Where it takes all that for the beginning of a body, it waits for the rest.
            answered = received(connected, patience_seconds=0.3)
        statuses.update(map(int, re.findall(rb"HTTP/1\.[01] (\d{3}) ", answered)))

    send()
    assert statuses >= {400, 401}
    assert statuses <= {100, 400, 401, 404, 405, 413, 415, 431}
