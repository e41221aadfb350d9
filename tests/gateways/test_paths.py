"""The path that is judged is the path that the API gets, however it is written."""

import socket
from http.client import HTTPException

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keys.models import ApiKey
from keys.permissions import Grants, catalogue
from tests.factories import ApiKeyFactory
from tests.gateways.api import Api, Seen
from tests.gateways.servers import Running
from tests.gateways.wire import Answer, Client, bearer

pytestmark = pytest.mark.gateway

PERMISSIONS = {"payments": "read", "reports": "read"}
METHODS = ("GET", "POST", "HEAD", "PATCH", "get", "BREW", "OPTIONS")
PIECES = (
    *("/", "//", "/./", "/../", "/..%2f", "%2F", "%2f", "%5C", "\\", "%252F", "%2e%2e/", "%2E%2E%2F"),
    *(";", ";a=b", "?", "?a=/v1/payouts", "#", "%23", "%3F", "%3B", "%00", "%0A", "%20", "%", "%zz", "%FF"),
    *(
        "\xc3\xa9",
        "%C3%A9",
        "+",
        "~",
        "%7E",
        "|",
        '"',
        "{}",
        "payments",
        "payouts",
        "whoami",
        "v1",
        "V1",
        "pay_1",
    ),
    *("capture", "files", "%70ayouts", "p%61yments", "http://api.example.com", "@", ":", "*"),
)


@pytest.fixture(scope="session")
def reader(verifier) -> ApiKey:
    """A key that may read payments and reports."""
    return ApiKeyFactory(permissions=PERMISSIONS)


def ask(server: Running, method: str, target: str, key: ApiKey) -> Answer | None:
    """The answer; None where the server hung up on what is no HTTP."""
    with Client(server.port) as client:
        try:
            return client.ask(method, target, bearer(key.secret.reveal()))
        except (HTTPException, ConnectionError):
            return None


def allowed(seen: Seen) -> bool:
    """Whether the key may do what the API understood."""
    path = seen.target.removeprefix("http://api.example.com")
    need = catalogue().need(seen.method, path)
    return need is not None and (need.permission is None or need.permission.granted_by(Grants(PERMISSIONS)))


@example(method="GET", target="/v1/payments/../payouts")
@example(method="GET", target="/v1/payments/..%2Fpayouts")
@example(method="GET", target="/v1/payouts/..%2Fpayments")
@example(method="GET", target="/v1/payouts/%2e%2e/payments")
@example(method="GET", target="/v1/payouts/../payments")
@example(method="GET", target="/v1/whoami/%2e%2e/payouts")
@example(method="GET", target="//v1/payments")
@example(method="GET", target="/v1//payments")
@example(method="POST", target="/v1/payouts?/../whoami")
@example(method="POST", target="/v1/payouts#/../whoami")
@example(method="POST", target="/v1/payouts;/../../v1/whoami")
@example(method="GET", target="/v1/payments/pay_1%2Fcapture")
@example(method="GET", target="/v1/reports/1/files/a%2Fb")
@example(method="GET", target="http://api.example.com/v1/payouts")
@example(method="GET", target="http://api.example.com/v1/payments")
@example(method="GET", target="http://evil.example.com/v1/payments?http://api.example.com/v1/payouts")
@example(method="GET", target="/verify")
@example(method="GET", target="/v1/authorize/v1/whoami")
@example(method="OPTIONS", target="*")
@example(method="GET", target="v1/payments")
@example(method="GET", target="/v1/payments\xff")
@given(
    method=st.sampled_from(METHODS),
    target=st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(
        lambda pieces: "/v1/" + "".join(pieces)
    ),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_reaches_the_api_is_what_the_key_may_do(
    server: Running, api: Api, reader: ApiKey, method: str, target: str
) -> None:
    """A reference that knows nothing of proxies judges what the API really got."""
    before = len(api.seen)
    answer = ask(server, method, target, reader)
    arrived = api.seen[before:]
    assert len(arrived) <= 1
    assert all(allowed(seen) for seen in arrived), arrived
    # Go's HTTP server answers `OPTIONS *` by itself.
    if not arrived and target != "*":
        assert answer is None or answer.status >= 300, answer


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/payments?limit=10&after=%2F..%2Fpayouts", 200),
        ("/v1/payments/pay%5F1", 200),
        ("/v1/payments/caf%C3%A9", 200),
        ("/v1/payments/" + "a" * 3000, 200),
        ("/v1/reports/1/files/2026/07/statement.csv", 200),
        ("/v1/payouts", 403),
        ("/V1/payments", 403),
        ("/v1/payments/", 403),
        ("/v1/payments%2Fpay_1", 403),
    ],
)
def test_ordinary_targets_are_answered_as_they_should(
    server: Running, reader: ApiKey, target: str, status: int
) -> None:
    answer = ask(server, "GET", target, reader)
    if "%2F" in target.partition("?")[0] and server.server.name == "envoy":
        # It refuses an encoded slash itself.
        status = 400
    assert answer.status == status
    if status == 200:
        # Traefik writes what need not be encoded without encoding, before it asks.
        sent = target.replace("%5F", "_") if server.server.name == "traefik" else target
        assert answer.seen.target == sent


def test_a_second_request_hidden_in_the_first_is_judged_too(
    server: Running, api: Api, reader: ApiKey
) -> None:
    """Content-Length and Transfer-Encoding disagree about where the first one ends."""
    credential = f"Authorization: Bearer {reader.secret.reveal()}\r\n"
    hidden = f"GET /v1/payouts HTTP/1.1\r\nHost: api.example.com\r\n{credential}\r\n"
    body = f"0\r\n\r\n{hidden}"
    for framing in (
        f"Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(body)}\r\n",
        f"Transfer-Encoding: xchunked\r\nContent-Length: {len(body)}\r\n",
        f"Transfer-Encoding : chunked\r\nContent-Length: {len(body)}\r\n",
        f"Content-Length: 0\r\nContent-Length: {len(body)}\r\n",
        f"Content-Length: +{len(body)}\r\n",
        f"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: {len(body)}\r\n",
    ):
        before = len(api.seen)
        head = f"GET /v1/payments HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n{credential}{framing}\r\n"
        exchange(server.port, (head + body).encode())
        assert all(allowed(seen) for seen in api.seen[before:]), framing


def exchange(port: int, sent: bytes) -> bytes:
    """Send `sent` and read until the server hangs up, or has nothing more to say."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.7) as connection:
        connection.sendall(sent)
        try:
            while more := connection.recv(65536):
                received += more
        except (TimeoutError, ConnectionError):
            pass
    return received
