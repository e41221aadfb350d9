"""The verifier that `manage.py serve` runs: on the books while and after it runs, and with the drain it is given."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench.gateway import records
from bench.gateway.loads import Key, Keyring
from bench.gateway.servers import Server
from bench.gateway.switching import switching
from bench.installation import ROOT, Installation
from bench.server import free_port, kill, start, stop, wait_for
from tests.gateways.waiting import until
from tests.wire import Reply, exchange

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("installed")]

# Long enough to disable a key and to ask for the proof before the lease of a verifier that was killed has ended.
BOUND_MS = 8_000


@pytest.fixture(scope="module")
def keys(installed: Installation) -> list[Key]:
    return Keyring.of(installed, usable=2).usable


@contextmanager
def started(installed: Installation, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    port = free_port()
    environment = installed.environment | {"PORT": str(port)} | variables
    process = start([sys.executable, "manage.py", "serve"], environment=environment)
    try:
        wait_for(port, process)
        yield process, Server(port, process.pid)
    finally:
        kill(process)


def manage(installed: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=installed.environment, capture_output=True, text=True, check=False
    )


def on_the_books(installed: Installation, process: int) -> dict[str, Any] | None:
    """What `manage.py verifiers` says of the process; None on SQLite, where all of them read the database."""
    listed = json.loads(manage(installed, "verifiers", "--json").stdout)
    found = [each for each in listed if each["process"] == process]
    if installed.database_url.startswith("sqlite"):
        assert listed == []
        return None
    (verifier,) = found
    assert verifier["host"] == socket.gethostname()
    return verifier


def answered(port: int, key: Key, number: int) -> list[Reply]:
    """So many requests, each recorded before its answer."""
    sent = f"GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key.secret}\r\n"
    replies = exchange(
        port, f"{sent}\r\n".encode() * (number - 1) + f"{sent}Connection: close\r\n\r\n".encode()
    )
    assert [reply.status for reply in replies] == [200] * number
    return replies


def recorded(installed: Installation, replies: list[Reply]) -> int:
    """How many of these are in the request log."""
    rows = records.query(installed.database_url, "SELECT id FROM keys_requestlog")
    ids = {str(row[0]).replace("-", "") for row in rows}
    return sum(reply.request_id.replace("-", "") in ids for reply in replies)


def test_it_is_listed_while_it_runs_and_says_itself_that_it_stops(installed: Installation) -> None:
    with started(installed) as (process, server):
        worker = server.worker()
        running = on_the_books(installed, worker)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
    stopped = on_the_books(installed, worker)
    if running and stopped:
        assert (running["state"], running["stopped_at"], running["lease_ms"]) == ("running", None, 2_000)
        assert stopped["state"] == "stopped"
        assert stopped["stopped_at"] >= running["seen_at"] >= running["started_at"]
    else:
        assert "every verifier reads the database" in manage(installed, "verifiers").stdout


def test_one_that_was_killed_is_named_until_its_lease_has_ended_and_gone_then(installed, keys) -> None:
    victim = keys[1]
    variables = {"KEYS_REVOCATION_BOUND_MS": str(BOUND_MS)}
    with switching(installed) as switch, started(installed, **variables) as (process, server):
        answered(server.port, victim, 1)
        worker = server.worker()
        kill(process)
        switch.disable(victim.key_id)
    told = manage(installed, "revocation_proof", victim.key_id)
    if on_the_books(installed, worker) is None:
        assert (told.returncode, "reads the database on each request" in told.stdout) == (0, True)
        return
    name = f"{socket.gethostname()}:{worker}"
    assert (told.returncode, f"{name} has not answered; its lease ends at " in told.stdout) == (1, True), told
    until(lambda: on_the_books(installed, worker)["state"] == "gone")
    told = manage(installed, "revocation_proof", victim.key_id)
    assert (told.returncode, f"{name} did not answer; its lease ended at " in told.stdout) == (0, True), told


def test_without_a_drain_of_its_own_it_drains_nothing(installed: Installation, keys: list[Key]) -> None:
    with started(installed, KEYS_EMBEDDED_DRAIN="0") as (process, server):
        replies = answered(server.port, keys[0], 20)
        stop(process)
    assert recorded(installed, replies) == 0
    assert records.backlog_bytes(installed) > 0
    records.drain(installed)
    assert recorded(installed, replies) == 20


def test_with_one_it_drains_all_also_what_comes_last(installed: Installation, keys: list[Key]) -> None:
    with started(installed, KEYS_EMBEDDED_DRAIN="1") as (process, server):
        replies = answered(server.port, keys[0], 20)
        until(lambda: recorded(installed, replies) == 20)
        last = answered(server.port, keys[0], 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert recorded(installed, last) == 200
    assert records.backlog_bytes(installed) == 0
