"""The benchmark of a frozen connection: a relay that passes nothing, and what is accepted meanwhile."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.gateway import frozen
from bench.gateway.relay import Relay
from tests.test_bench_gateway import KEY, OTHER, answering


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.kill()


ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


def test_a_frozen_relay_keeps_connections_open_and_passes_nothing_until_it_thaws(echo) -> None:
    with closing(Relay(f"postgresql://postgres:@127.0.0.1:{echo}/name")) as relay:
        assert relay.url.endswith("/name")
        port = int(relay.url.rpartition(":")[2].partition("/")[0])
        with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as before:
            before.sendall(b"one")
            assert before.recv(10) == b"one"
            relay.freeze()
            before.sendall(b"two")
            with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as after:
                after.sendall(b"three")
                for each in (before, after):
                    each.settimeout(0.1)
                    with pytest.raises(TimeoutError):
                        each.recv(10)
                    each.settimeout(5)
                relay.thaw()
                assert (before.recv(10), after.recv(10)) == (b"two", b"three")


class FakeRelay:
    """Frozen, so far as the server that is asked through it knows: it has two moments."""

    def __init__(self) -> None:
        self.frozen_at = self.thawed_at = float("inf")

    def freeze(self) -> int:
        self.frozen_at = time.monotonic()
        return time.monotonic_ns()

    def thaw(self) -> int:
        self.thawed_at = time.monotonic()
        return time.monotonic_ns()


class FakeDisabling:
    def __init__(self) -> None:
        self.disabled: set[str] = set()

    def disable(self, key_id: str) -> None:
        self.disabled.add(key_id)


@pytest.mark.parametrize(
    ("lease_seconds", "then", "late", "not_unavailable"),
    [(0.1, 503, False, False), (0.4, 503, True, True), (0.1, 401, False, True)],
)
def test_a_freeze_shows_what_was_accepted_after_the_bound(
    monkeypatch, lease_seconds, then, late, not_unavailable
) -> None:
    monkeypatch.setattr(frozen, "BOUND_MS", 200)
    monkeypatch.setattr(frozen, "WATCHED_SECONDS", 0.4)
    relay, switch = FakeRelay(), FakeDisabling()

    def status(authorization: str) -> int:
        now = time.monotonic()
        if relay.frozen_at + lease_seconds < now < relay.thawed_at:
            return then
        refused = now > relay.thawed_at and KEY.secret in authorization
        return 401 if refused else 200

    with answering(status) as server:
        shown = frozen.freeze(relay, switch, port=server.port, disabled=KEY, kept=OTHER)
    assert switch.disabled == {KEY.key_id}
    assert (shown.accepted_late > 0) == late
    assert (shown.not_unavailable > 0) == not_unavailable
    assert shown.accepted_after_thaw == shown.lost == 0
    assert 0 < shown.last_accepted_ms < 1000 * (lease_seconds + 0.3)
