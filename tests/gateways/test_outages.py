"""The verifier restarts, is gone, hangs, or talks nonsense: then nobody is let in, and all is well again by itself."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.keyformat import Mode, PlaintextKey
from tests.factories import ApiKeyFactory
from tests.gateways.api import Api
from tests.gateways.ports import lasting_port
from tests.gateways.product import Product
from tests.gateways.servers import SERVERS, Running, Server, running
from tests.gateways.stub import GRANTED, Stub, stubbed
from tests.gateways.traffic import Traffic, flowing
from tests.gateways.waiting import until
from tests.gateways.wire import Answer, ask, bearer

pytestmark = pytest.mark.gateway

ENOUGH = 10
# HAProxy tries twice, half a second apart, before it says that nobody is there.
ENOUGH_WHILE_GONE = 3
# As long these wait for a verifier that says nothing. Traefik has no setting for it, and waits for half a minute.
PATIENCE_SECONDS = 5
IMPATIENT = [name for name in SERVERS if name != "traefik"]
UNAVAILABLE = "urn:merchantadmin:problem:unavailable"


def assert_nobody_was_let_in(answer: Answer | None, server: Server, api: Api) -> None:
    """A 5xx, and where the server can say so, a 503 that tells the merchant to try again."""
    assert answer is not None
    assert answer.status in {500, 502, 503, 504}
    assert api.traced(answer.trace) == []
    if server.explains_silence:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.document["type"] == UNAVAILABLE


# -- The product restarts under traffic, once for all servers ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restart:
    """Traffic with a good and with a bad key through one server, and when the product was away."""

    good: Traffic
    bad: Traffic
    stopping_at: float
    gone_at: float
    starting_at: float
    back_at: float


@pytest.fixture(scope="module")
def restarts(verifier: Product, api: Api, tmp_path_factory) -> Iterator[dict[str, Restart]]:
    """All servers carry traffic while the product stops, is away for a moment, and starts."""
    good = bearer(ApiKeyFactory().secret.reveal())
    bad = bearer(PlaintextKey.generate(Mode.LIVE).reveal())
    with ExitStack() as stack:
        carried = {
            name: (Traffic(port, good), Traffic(port, bad))
            for name, server in SERVERS.items()
            for port in [started(stack, server, tmp_path_factory.mktemp(name), verifier.port, api.port).port]
        }
        everything = [traffic for pair in carried.values() for traffic in pair]
        with flowing(*everything):
            until(lambda: all(len(traffic.exchanges) >= ENOUGH for traffic in everything))
            stopping_at = time.monotonic()
            verifier.end()
            gone_at = time.monotonic()
            until(lambda: all(len(traffic.since(gone_at)) >= ENOUGH_WHILE_GONE for traffic in everything))
            starting_at = time.monotonic()
            verifier.begin()
            back_at = time.monotonic()
            until(lambda: all(len(traffic.since(back_at)) >= ENOUGH for traffic in everything))
        moments = (stopping_at, gone_at, starting_at, back_at)
        yield {name: Restart(*pair, *moments) for name, pair in carried.items()}


def started(stack: ExitStack, server: Server, place: Path, verifier: int, api: int) -> Running:
    return stack.enter_context(running(server, place, verifier=verifier, api=api))


@pytest.mark.parametrize("name", SERVERS)
def test_a_restart_lets_nobody_in_and_ends_by_itself(
    restarts: dict[str, Restart], api: Api, name: str
) -> None:
    restart = restarts[name]
    assert {exchange.status for exchange in restart.good.before(restart.stopping_at)} == {200}
    assert {exchange.status for exchange in restart.bad.before(restart.stopping_at)} == {401}
    while_gone = [
        exchange
        for traffic in (restart.good, restart.bad)
        for exchange in traffic.since(restart.gone_at)
        if exchange.answered_at < restart.starting_at
    ]
    assert len(while_gone) >= ENOUGH_WHILE_GONE
    for exchange in while_gone:
        assert_nobody_was_let_in(exchange.answer, SERVERS[name], api)
    # In the seconds around, each request has its proper answer or a 5xx, and a bad key is never let in.
    assert {exchange.status for exchange in restart.good.exchanges} <= {200, 500, 502, 503, 504}
    assert {exchange.status for exchange in restart.bad.exchanges} <= {401, 500, 502, 503, 504}
    assert not any(api.traced(exchange.answer.trace) for exchange in restart.bad.exchanges)
    assert restart.good.exchanges[-1].status == 200
    assert restart.bad.exchanges[-1].status == 401


@pytest.mark.parametrize("name", SERVERS)
def test_the_verifier_is_asked_again_at_once_when_it_is_back(restarts: dict[str, Restart], name: str) -> None:
    restart = restarts[name]
    assert {exchange.status for exchange in restart.good.since(restart.back_at)} == {200}
    assert {exchange.status for exchange in restart.bad.since(restart.back_at)} == {401}


# -- In the verifier's place, something that does not decide ---------------------------------------------------------


def response(status: str, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


NOT_DECISIONS = {
    "internal error": response("500 Internal Server Error"),
    "bad gateway": response("502 Bad Gateway", "Content-Type: text/html", body="<h1>Bad gateway</h1>"),
    "not found": response("404 Not Found", "Content-Type: text/html", body="<h1>Not found</h1>"),
    "redirect": response("302 Found", "Location: http://127.0.0.1/"),
    "too many requests": response("429 Too Many Requests", "Retry-After: 3"),
    "a no that names a key": response("403 Forbidden", "X-Key-Id: key_1", "X-Merchant-Id: mch_1"),
    "bad request": response(
        "400 Bad Request", "Content-Type: application/problem+json", body='{"status": 400}'
    ),
    "hangs up": b"",
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "half a head": GRANTED[:40],
}


@pytest.fixture(scope="module", params=SERVERS)
def doubtful(request: pytest.FixtureRequest, api: Api, tmp_path_factory) -> Iterator[tuple[Running, Stub]]:
    """Each server in front of a stub."""
    place = tmp_path_factory.mktemp(request.param)
    with (
        stubbed() as stub,
        running(SERVERS[request.param], place, verifier=stub.port, api=api.port) as server,
    ):
        yield server, stub


@pytest.mark.parametrize("what", NOT_DECISIONS)
def test_what_is_no_decision_lets_nobody_in(doubtful: tuple[Running, Stub], api: Api, what: str) -> None:
    server, stub = doubtful
    stub.says = NOT_DECISIONS[what]
    answer = ask(server.port, "GET", "/v1/payments", bearer("theirs"))
    stub.says = GRANTED
    assert answer.status >= 300
    assert api.traced(answer.trace) == []
    assert ask(server.port, "GET", "/v1/payments", bearer("theirs")).status == 200


def test_the_verifiers_503_reaches_the_merchant(doubtful: tuple[Running, Stub], api: Api) -> None:
    server, stub = doubtful
    document = '{"type": "urn:merchantadmin:problem:unavailable", "status": 503}'
    head = ("Content-Type: application/problem+json", "Retry-After: 1")
    stub.says = response("503 Service Unavailable", *head, body=document)
    answer = ask(server.port, "GET", "/v1/payments", bearer("theirs"))
    stub.says = GRANTED
    assert answer.status == 503
    assert api.traced(answer.trace) == []
    # Envoy takes every 5xx of the verifier for silence.
    if server.server.name != "envoy":
        assert (answer.headers["Retry-After"], answer.document["type"]) == ("1", UNAVAILABLE)


@pytest.fixture(scope="module")
def silences(api: Api, tmp_path_factory) -> dict[str, tuple[Answer, float]]:
    """What each server says, and after how many seconds, while the verifier listens and says nothing."""
    with ExitStack() as stack:
        stub = stack.enter_context(stubbed())
        servers = {
            name: started(stack, SERVERS[name], tmp_path_factory.mktemp(name), stub.port, api.port)
            for name in IMPATIENT
        }
        stub.says = None
        with ThreadPoolExecutor(len(servers)) as pool:
            return dict(zip(servers, pool.map(timed, servers.values()), strict=True))


def timed(server: Running) -> tuple[Answer, float]:
    started_at = time.monotonic()
    answer = ask(server.port, "GET", "/v1/payments", bearer("theirs"))
    return answer, time.monotonic() - started_at


@pytest.mark.parametrize("name", IMPATIENT)
def test_a_verifier_that_hangs_lets_nobody_in(silences, api: Api, name: str) -> None:
    answer, after_seconds = silences[name]
    assert_nobody_was_let_in(answer, SERVERS[name], api)
    assert after_seconds < PATIENCE_SECONDS + 5


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("local answer = core.httpclient():get({", "local answer = nil + ({"),
        ("    if answer.status == 200", "    do return end\n    if answer.status == 200"),
        ("        grant(txn, answer)", "        grant(txn, {})"),
    ],
)
def test_a_fault_in_the_lua_file_lets_nobody_in(
    verifier: Product, api: Api, tmp_path, line: str, fault: str
) -> None:
    """HAProxy goes on with its rules after such a fault: it is the one that follows which refuses."""
    credential = bearer(ApiKeyFactory().secret.reveal())
    server = SERVERS["haproxy"]
    edited = []

    def edit(text: str) -> str:
        edited.append(line in text)
        return text.replace(line, fault)

    with running(server, tmp_path, verifier=verifier.port, api=api.port, edit=edit) as faulty:
        answer = ask(faulty.port, "GET", "/v1/payments", credential)
    assert any(edited)
    assert_nobody_was_let_in(answer, server, api)


@pytest.mark.parametrize("name", SERVERS)
def test_an_api_that_is_away_is_not_taken_for_the_verifier(verifier: Product, name: str, tmp_path) -> None:
    credential = bearer(ApiKeyFactory().secret.reveal())
    with running(SERVERS[name], tmp_path, verifier=verifier.port, api=lasting_port()) as server:
        answer = ask(server.port, "GET", "/v1/payments", credential)
    assert answer.status in {502, 503}
    assert UNAVAILABLE.encode() not in answer.body
