"""Bodies go to the API, however large, and never to the verifier; a refusal does not wait for them."""

import secrets
import time

import pytest

from keys.models import ApiKey
from tests.gateways.api import Api
from tests.gateways.servers import SERVERS, Running, running
from tests.gateways.stub import stubbed
from tests.gateways.wire import Client, bearer

pytestmark = pytest.mark.gateway

LARGE_BYTES = 20 * 1024 * 1024
EARLY_SECONDS = 5


@pytest.fixture(scope="module")
def large() -> bytes:
    return secrets.token_bytes(LARGE_BYTES)


def test_a_large_body_arrives_whole(server: Running, key: ApiKey, large: bytes) -> None:
    with Client(server.port) as client:
        credential = bearer(key.secret.reveal())
        assert client.ask("POST", "/v1/payments", credential, large).seen.body_size == LARGE_BYTES
        assert client.ask("GET", "/v1/payments", credential).seen.body_size == 0


def test_a_body_in_chunks_arrives_whole(server: Running, key: ApiKey, large: bytes) -> None:
    chunk = large[:65536]
    with Client(server.port) as client:
        headers = [*bearer(key.secret.reveal()), ("Transfer-Encoding", "chunked")]
        trace = client.send_head("POST", "/v1/payments", headers)
        for _ in range(32):
            client.socket.sendall(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
        client.socket.sendall(b"0\r\n\r\n")
        assert client.receive("POST", trace).seen.body_size == 32 * len(chunk)


@pytest.mark.parametrize("more", [[], [("Expect", "100-continue")]])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_does_not_wait_for_the_body(
    server: Running, key: ApiKey, api: Api, status: int, more
) -> None:
    """The merchant announces 20 MB, sends hardly any of it, and has the answer."""
    secret, path = (
        ("sk_live_nothing", "/v1/payments") if status == 401 else (key.secret.reveal(), "/v1/payouts")
    )
    with Client(server.port) as client:
        started = time.monotonic()
        headers = [*bearer(secret), *more, ("Content-Length", str(LARGE_BYTES))]
        trace = client.send_head("POST", path, headers)
        if server.server.name == "caddy":
            # Its newer versions take in 256 KB before they send a refusal.
            client.socket.sendall(bytes(300_000))
        elif not more:
            client.socket.sendall(b"{")
        answer = client.receive("POST", trace)
        assert answer.status == status
        assert time.monotonic() - started < EARLY_SECONDS
    assert api.traced(answer.trace) == []


@pytest.mark.parametrize("name", SERVERS)
def test_the_verifier_is_asked_over_kept_connections_and_never_sent_a_body(
    name: str, api: Api, tmp_path, large: bytes
) -> None:
    with stubbed() as stub, running(SERVERS[name], tmp_path, verifier=stub.port, api=api.port) as server:
        asked, connections = len(stub.asked), stub.connections
        for _ in range(4):
            with Client(server.port) as client:
                for _ in range(6):
                    client.ask("POST", "/v1/payments", bearer("theirs"), large[:100_000])
        assert len(stub.asked) - asked == 24
        assert stub.connections - connections <= 4
        heads = [request.partition(b"\r\n\r\n") for request in stub.asked[asked:]]
        assert {body for _, _, body in heads} == {b""}
        assert not any(b"transfer-encoding" in head.lower() for head, _, _ in heads)
