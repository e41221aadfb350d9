"""`kill -9` for server, drain or both, at random moments under load; then every answered request is looked for.

Clients note the id of each answer that reaches them. Killed servers and drains are started again, as whoever runs
them would do; at the end all is drained. Then each noted request has to be there, none twice, and the rollups have to
be what the rows add up to.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from bench.errors import BenchError
from bench.gateway import loads, records, recount
from bench.gateway.asker import Asker
from bench.gateway.findings import Finding, Result, at_least, at_most
from bench.gateway.loads import Keyring
from bench.gateway.servers import Server
from bench.gateway.site import Site
from bench.installation import Installation
from bench.server import free_port, kill, start, stop, wait_for
from bench.sizes import Size
from keys.identifiers import REQUEST, decode

SIZE = Size(100, 300, 0)
USABLE_KEYS = 150
CLIENTS = 8
PATIENCE_SECONDS = 60
PAUSE_SECONDS = 0.001
# A kill comes this long after all is up and answers, at the latest.
LATEST_SECONDS = 0.6
# The server with all its processes, or the one alone that answers.
VICTIMS = (("server",), ("worker",), ("drain",), ("server", "drain"))


@dataclass(slots=True)
class Clients:
    """They ask without a pause for as long as somebody answers, and note the id of each answer."""

    port: int
    requests: list[bytes]
    noted: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    failure: str = ""

    def wait_for_more(self) -> None:
        """Wait until answers come, so that it is known that all is up."""
        deadline, before = time.monotonic() + PATIENCE_SECONDS, len(self.noted)
        while len(self.noted) < before + CLIENTS:
            if self.failure or time.monotonic() > deadline:
                raise BenchError(self.failure or "the server that was started again does not answer")
            time.sleep(0.005)

    def run(self, seed: int) -> None:
        random = Random(seed)  # noqa: S311 - it picks keys
        while not self.ended.is_set():
            try:
                with Asker(self.port) as asker:
                    while not self.ended.wait(PAUSE_SECONDS):
                        answer = asker.ask(random.choice(self.requests))
                        if answer.status not in {200, 401, 403}:
                            self.failure = f"a request was answered {answer.status}"
                        self.noted.append(answer.request_id)
            except OSError:
                # Nobody answers for a moment.
                self.ended.wait(0.02)


@dataclass(slots=True)
class Host:
    """A server and a drain, each started again when it was killed."""

    installation: Installation
    port: int
    random: Random
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_missing(self) -> None:
        for name in ("drain", "server"):
            if name not in self.processes:
                # The server is sometimes one that drains too: whoever comes second waits.
                embedded = str(self.random.randrange(2))
                environment = self.installation.environment | {
                    "PORT": str(self.port),
                    "KEYS_EMBEDDED_DRAIN": embedded,
                }
                command = [sys.executable, "manage.py", "serve" if name == "server" else "drain"]
                self.processes[name] = start(command, environment=environment)
        wait_for(self.port, self.processes["server"])

    def kill(self, *names: str) -> None:
        for name in names:
            if name == "worker":
                os.kill(Server(self.port, self.processes["server"].pid).worker(), signal.SIGKILL)
                # Its server ends by itself then, or else by force: whoever runs it starts another.
                stop(self.processes.pop("server"))
            else:
                kill(self.processes.pop(name))


def measure(site: Site) -> Result:
    installation = site.prepare("crashes", SIZE)
    keyring = Keyring.of(installation, usable=USABLE_KEYS)
    requests = [loads.as_bytes(key.authorize()) for key in (*keyring.usable, *keyring.disabled)]
    random = Random(1)  # noqa: S311 - it picks moments
    host = Host(installation, free_port(), random)
    kills: Counter[str] = Counter()
    with asking(host.port, requests) as clients:
        try:
            for number in range(site.options.kills):
                site.tell(
                    f"Killing: {number + 1} of {site.options.kills}, {len(clients.noted):,} requests answered"
                )
                victims = random.choice(VICTIMS)
                strike(host, clients, victims)
                kills.update(victims)
        finally:
            host.kill(*host.processes)
    site.tell("Looking for every answered request…")
    records.drain(installation)
    return judge(installation, clients, kills)


def strike(host: Host, clients: Clients, victims: Sequence[str]) -> None:
    """Have all running and answering, and kill the victims at a moment that nobody expects."""
    host.start_missing()
    clients.wait_for_more()
    time.sleep(host.random.uniform(0, LATEST_SECONDS))
    host.kill(*victims)


def judge(installation: Installation, clients: Clients, kills: Counter[str]) -> Result:
    rows = records.query(installation.database_url, "SELECT id FROM keys_requestlog")
    recorded = Counter(UUID(str(row[0])) for row in rows)
    answered = [decode(REQUEST, text) for text in clients.noted]
    wrong = recount.differences(installation)
    lost = records.query(
        installation.database_url, "SELECT coalesce(sum(requests), 0) FROM keys_recordingloss"
    )
    return Result(
        "crashes",
        [
            Finding("kills of the server", kills["server"] + kills["worker"], "", at_least(1)),
            Finding("kills of the drain", kills["drain"], "", at_least(1)),
            Finding("answered requests", len(answered), "", at_least(1)),
            Finding("of them not recorded", sum(each not in recorded for each in answered), "", at_most(0)),
            Finding("requests recorded twice", sum(recorded.values()) - len(recorded), "", at_most(0)),
            Finding("rollups that are not what their rows add up to", len(wrong), "", at_most(0)),
            Finding("requests that the product itself counts as lost", int(lost[0][0]), "", at_most(0)),
            Finding("bytes left in the spool", records.backlog_bytes(installation), "", at_most(0)),
        ],
        {"rows": len(rows), "differences": wrong[:20]},
    )


@contextmanager
def asking(port: int, requests: list[bytes]) -> Iterator[Clients]:
    """Clients at work until the context ends."""
    clients = Clients(port, requests)
    threads = [threading.Thread(target=clients.run, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.ended.set()
        for thread in threads:
            thread.join()
