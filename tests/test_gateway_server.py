"""The gateway behind the real server: what is sent on the wire, and the examples of the documentation."""

import http.client
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from keys import lifecycle, merchants
from keys.gateway.drain import Drain
from keys.identifiers import REQUEST, encode, new_id
from keys.models import Acknowledgement, ApiKey, Change, RequestLog, Verifier
from tests.factories import ApiKeyFactory

DOCS = Path(__file__).parent.parent / "docs" / "http-api.md"

# On one worker: each other would start a server of its own.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("gateway server")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def database_url() -> str:
    """The test database as the server's environment names it."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="module")
def port(django_db_setup, django_db_blocker) -> Iterator[int]:
    """The port of a running server on the test database."""
    port = free_port()
    with django_db_blocker.unblock():
        environ = os.environ | {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
        }
    command = [
        *(Path(sys.executable).with_name("granian"), "--interface", "wsgi", "--port", str(port)),
        *("--blocking-threads", "4"),
    ]
    server = subprocess.Popen([*command, "merchantadmin.wsgi:application"], env=environ)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except ConnectionRefusedError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)
        with django_db_blocker.unblock():
            # It has told the database that it is there again since the last test emptied it.
            Verifier.objects.all().delete()


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory(permissions={"payments": "write", "refunds": "read"})


def ask(
    port: int, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    client.request(method, path, body=body, headers=headers)
    answer = client.getresponse()
    answer.body = answer.read()
    client.close()
    return answer


def on_the_wire(port: int, request: bytes) -> tuple[int, bytes]:
    """The status and all that follows, for a request as it stands."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
        connected.sendall(request + b"Host: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connected.recv(65536), b""))
    head, _, rest = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def test_a_change_counts_at_once(port: int, key: ApiKey, actor) -> None:
    """On SQLite from the very next request on, on PostgreSQL as soon as its verifiers have acknowledged it."""

    def status() -> int:
        if connection.vendor == "postgresql":
            settled()
        return ask(port, "GET", "/v1/whoami", {"X-API-Key": key.secret.reveal()}).status

    assert status() == 200
    lifecycle.disable(key=key, actor=actor)
    assert status() == 401
    lifecycle.enable(key=key, actor=actor)
    assert status() == 200
    merchants.disable(merchant=key.merchant, actor=actor)
    assert status() == 401
    merchants.enable(merchant=key.merchant, actor=actor)
    lifecycle.disable(key=key, actor=actor)
    lifecycle.revoke(key=key, actor=actor)
    assert status() == 401
    Drain(settings.KEYS_SPOOL_DIR).once()
    outcomes = RequestLog.objects.filter(key=key).order_by("id").values_list("outcome", flat=True)
    assert list(outcomes) == ["VALID", "DISABLED", "VALID", "MERCHANT_DISABLED", "REVOKED"]


def test_the_wire_carries_what_the_views_answer(port: int, key: ApiKey) -> None:
    bearer = f"Authorization: Bearer {key.secret.reveal()}\r\n".encode()
    assert on_the_wire(port, b"HEAD /v1/whoami HTTP/1.1\r\n" + bearer) == (200, b"")
    assert on_the_wire(port, b"HEAD /v1/whoami HTTP/1.1\r\n") == (401, b"")
    assert on_the_wire(port, b"BREW /v1/authorize/v1/payments HTTP/1.1\r\n" + bearer)[0] == 403
    assert on_the_wire(port, b"POST /v1/authorize/v1/payments HTTP/1.1\r\n" + bearer) == (200, b"")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/v1/payments/pay_1", 200),
        (b"/v1/payments/pay%5F1?a=%2F..", 200),
        (b"/v1/payments/a%2Fb", 403),
        (b"/v1/payments/a%2Fevents", 200),
        (b"/v1/payments/%252E%252E", 403),
        (b"/v1/payments/%FF", 403),
        # The server itself refuses what is not ASCII.
        (b"/v1/payments/\xff", 400),
        (b"/v1/payments/%00", 403),
        (b"/v1/payments/%0A", 403),
        (b"/v1/payments/..%2Fpayouts", 403),
        (b"/v1//payments", 403),
        (b"/v1/payments;a=b", 403),
        (b"/v1/payments/" + b"a/" * 5000, 403),
    ],
)
def test_paths_meant_to_fool_arrive_as_they_were_meant(port: int, key: ApiKey, target, status: int) -> None:
    request = b"GET /v1/authorize" + target + b" HTTP/1.1\r\n"
    request += f"X-API-Key: {key.secret.reveal()}\r\n".encode()
    assert on_the_wire(port, request)[0] == status


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n",
        b"Authorization: Bearer {key}\r\nX-API-Key: \xff\xfe\r\n",
        b"X-API-Key: {key}\r\nX-API-Key: {key}\r\n",
        b"X-API-Key: {key}\r\nAuthorization: \r\n",
        b"Authorization: Bearer\t{key}\r\n",
        b"Authorization: Basic \xc3\xa9\r\n",
        b"Authorization: " + b"A" * 30_000 + b"\r\n",
        b"authorization:\r\n",
    ],
)
def test_malformed_headers_arrive_and_are_refused(port: int, key: ApiKey, header: bytes) -> None:
    sent = header.replace(b"{key}", key.secret.reveal().encode())
    status, body = on_the_wire(port, b"GET /v1/whoami HTTP/1.1\r\n" + sent)
    assert status == 401
    assert b"urn:merchantadmin:problem:unauthorized" in body


def test_a_path_told_in_two_headers_of_one_name_is_refused(port: int, key: ApiKey) -> None:
    request = b"GET /v1/authorize HTTP/1.1\r\nX-Original-Method: GET\r\n"
    request += b"X-Original-URI: /v1/whoami?\r\nX-Original-URI: /v1/payouts\r\n"
    assert on_the_wire(port, request + f"X-API-Key: {key.secret.reveal()}\r\n".encode())[0] == 400


def settled() -> None:
    """Wait until the last change has been acknowledged."""
    deadline = time.monotonic() + 5
    last = Change.objects.order_by("id").last()
    while not Acknowledgement.objects.filter(change=last).exists():
        assert time.monotonic() < deadline, "the server does not hear of changes"
        time.sleep(0.002)


def examples() -> list[tuple[int, str]]:
    """Each curl command of the documentation, and the status that stands above it."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return [
        (int(status), command)
        for block in blocks
        for status, command in re.findall(r"^# (\d+)\n(curl .*)$", block, re.MULTILINE)
    ]


def test_all_commands_of_the_documentation_are_among_the_examples() -> None:
    assert len(examples()) == DOCS.read_text().count("curl http") + DOCS.read_text().count("curl -X") >= 9


@pytest.mark.parametrize(("status", "command"), examples())
def test_the_examples_of_the_documentation_work(port: int, key: ApiKey, status: int, command: str) -> None:
    values = {
        "$KEY": key.secret.reveal(),
        "$KEY_ID": key.public_id,
        "$MERCHANT": key.merchant.public_id,
        "$REQUEST_ID": encode(REQUEST, new_id()),
        "$TOKEN": settings.KEYS_GATEWAY_TOKENS[0],
    }
    command = re.sub(r"\$[A-Z_]+", lambda match: values[match[0]], command)
    method, path, headers, body = "GET", "", {}, None
    words = iter(shlex.split(command)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-u":
            headers["Authorization"] = "Basic " + b64encode(next(words).encode()).decode()
        elif word == "-d":
            body = next(words)
        else:
            path = word.removeprefix("http://127.0.0.1:8000")
    answer = ask(port, method, path, headers, body)
    assert answer.status == status, answer.body
    assert answer.body or path.startswith("/v1/authorize")
