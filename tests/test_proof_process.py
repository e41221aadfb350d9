"""The proof against real servers: those that answer, one that hangs, and what it does when it goes on."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from keys import lifecycle, proof
from keys.gateway.drain import Drain
from keys.history import Actor
from keys.models import ApiKey
from keys.proof import State
from tests.factories import ApiKeyFactory

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

BOUND_MS = 1_500
ROOT = Path(__file__).parent.parent
# As `manage.py serve` does it, on a database that is prepared, and without a drain.
SERVE = """
import sys
from merchantadmin import server
server.serve(port=int(sys.argv[1]), workers=1, blocking_threads=2, drain=None)
"""
PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A verifier with a process group of its own, listening on `port`."""

    process: subprocess.Popen[bytes]
    port: int

    def whoami(self, key: ApiKey) -> int:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        client.request("GET", "/v1/whoami", headers={"X-API-Key": key.secret.reveal()})
        status = client.getresponse().status
        client.close()
        return status

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While this lasts, it neither answers nor hears; its connections stay open."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)


def database_url() -> str:
    """The test database as the server's environment names it."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{name}").geturl()


@contextmanager
def serving() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
        "KEYS_REVOCATION_BOUND_MS": str(BOUND_MS),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    try:
        wait_until(lambda: process.poll() is not None or listens(port))
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two of them."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving()) for _ in range(2)]


@pytest.fixture
def key(servers: list[Server]) -> ApiKey:
    """A key that both servers have accepted, and remember where they remember any."""
    key = ApiKeyFactory()
    assert [server.whoami(key) for server in servers] == [200, 200]
    return key


def disabled(key: ApiKey) -> ApiKey:
    return lifecycle.disable(key=ApiKey.objects.get(pk=key.pk), actor=Actor.command("tests"))


def said(capsys: pytest.CaptureFixture[str], key: ApiKey) -> list[str]:
    """What the command prints once it ends with 0."""
    Drain(settings.KEYS_SPOOL_DIR).once()
    capsys.readouterr()
    call_command("revocation_proof", key.public_id, "--wait", str(PATIENCE_SECONDS))
    return capsys.readouterr().out.splitlines()


def test_all_servers_refuse_and_prove_it(
    servers: list[Server], key: ApiKey, capsys: pytest.CaptureFixture[str]
) -> None:
    disabled(key)
    _, finding, *answers, last = said(capsys, key)

    assert [server.whoami(key) for server in servers] == [401, 401]
    if connection.vendor == "sqlite":
        assert finding.endswith("every verifier reads the database on each request.")
        assert answers == []
    else:
        assert finding.startswith("Refused by 2 of 2 verifiers after ")
        assert len(answers) == 2
        running = [each for each in proof.presences() if each.state is State.RUNNING]
        assert {str(each.verifier) for each in running} == {line.split()[0] for line in answers}
        assert {each.verifier.lease_ms for each in running} == {BOUND_MS}
    assert last.startswith("Last accepted request: ")
    assert "req_" in last


def test_a_server_that_hangs_is_named_until_its_lease_ends_and_refuses_when_it_goes_on(
    servers: list[Server], key: ApiKey, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = servers
    remembering = connection.vendor == "postgresql"
    with second.frozen():
        dead = disabled(key)
        wait_until(lambda: len(proof.of_key(dead).answers) == remembering)
        told = proof.of_key(dead)
        assert first.whoami(key) == 401
        assert len(told.silences) == remembering
        for silence in told.silences:
            # It had been heard of before the change.
            assert told.change.at < silence.ends_at
            assert (silence.ends_at - told.change.at).total_seconds() <= BOUND_MS / 1000
        _, finding, *names, _ = said(capsys, key)
        assert finding.startswith("Refused by 1 of 2 verifiers after " if remembering else "In force since ")
        if remembering:
            assert names[-1].startswith(f"{told.silences[0].verifier} did not answer; its lease ended at ")
    # The very first answer after that, whatever it remembered.
    assert second.whoami(key) == 401
    wait_until(lambda: len(proof.of_key(dead).answers) == 2 * remembering)
    assert proof.of_key(dead).warning == ""


def test_a_server_that_is_stopped_says_so(servers: list[Server], key: ApiKey) -> None:
    second = servers[1]
    second.process.terminate()
    second.process.wait(timeout=PATIENCE_SECONDS)
    dead = disabled(key)
    wait_until(lambda: not proof.of_key(dead).pending)
    states = sorted(each.state for each in proof.presences())
    if connection.vendor == "postgresql":
        assert states == [State.RUNNING, State.STOPPED]
        assert proof.of_key(dead).headline.startswith("Refused by 1 of 1 verifier after ")
    else:
        assert states == []
