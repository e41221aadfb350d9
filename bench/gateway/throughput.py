"""How fast the verifier answers and records, beside the same server doing nothing and beside other packages.

All are served at once, the server of each on the same core; each is asked for some seconds, one after the other, and
that in several rounds, each round in another order. A figure is the median of its rounds.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from bench.errors import BenchError
from bench.gateway import loads, records, wrk
from bench.gateway.asker import expect
from bench.gateway.findings import Finding, Result, at_least, at_most
from bench.gateway.loads import Key
from bench.gateway.servers import Server, draining, processor_seconds, serving, serving_another
from bench.gateway.site import Site
from bench.peers.installation import PeerInstallation
from bench.sizes import Size

FLOOR, VERIFIED = "bare no-op", "authorize, Bearer"
PEERS = {
    "api-key": "djangorestframework-api-key",
    "token": "DRF TokenAuthentication",
    "knox": "django-rest-knox",
}
REFUSALS = ("401: unknown keys", "401: wrong checksum", "401: disabled keys")
OF_FLOOR = {"postgresql": 0.90, "sqlite": 0.80}
OF_PEER = {"postgresql": 50, "sqlite": 25}
P99_OF_FLOOR = 1.5
REFUSED_OF_FLOOR = 0.5
# More unknown keys than a server could be asked for in a second: none is sent twice in a round.
UNKNOWN_PER_SECOND = 60_000
# A peer remembers nothing between requests: what there is to warm up is warm after these.
PEER_WARM_UP = 200


@dataclass(slots=True)
class Contestant:
    """One thing that is asked for. `status` is what every answer has to be; `recorded`: with a known key."""

    name: str
    server: Server
    requests: Path
    status: int = 200
    recorded: bool = False
    runs: list[wrk.Run] = field(default_factory=list)
    processor_us: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(run.rate for run in self.runs)

    @property
    def p99_ms(self) -> float:
        return median(run.p99_ms for run in self.runs)

    def measure(self, *, connections: int, seconds: int, site: Site) -> None:
        worker = self.server.worker()
        before = processor_seconds(worker)
        run = wrk.run(
            port=self.server.port,
            requests=self.requests,
            connections=connections,
            seconds=seconds,
            cores=site.plan.load,
        )
        if run.broken or run.refused != (run.requests if self.status >= 400 else 0):
            raise BenchError(
                f"{self.name}: of {run.requests} answers {run.refused} refused, {run.broken} broken"
            )
        self.runs.append(run)
        self.processor_us.append((processor_seconds(worker) - before) / run.requests * 1e6)

    def as_json(self) -> dict[str, Any]:
        return {
            "requests_per_second": round(self.rate),
            "p50_ms": round(median(run.p50_ms for run in self.runs), 3),
            "p99_ms": round(self.p99_ms, 3),
            "processor_us_of_a_request": round(median(self.processor_us), 1),
            "requests": sum(run.requests for run in self.runs),
            "rounds_per_second": [round(run.rate) for run in self.runs],
        }


def measure(site: Site) -> Result:
    wrk.require()
    options = site.options
    with contestants(site) as found:
        records.settle(site.installation)
        before = records.count(site.installation)
        for number in range(options.gateway_rounds):
            run_round(found, number, site)
    site.tell("Draining what was recorded…")
    records.drain(site.installation)
    recorded = records.count(site.installation) - before
    answered = sum(run.requests for each in found if each.recorded for run in each.runs)
    return Result(
        "throughput",
        [
            *judge(found, vendor=site.vendor),
            Finding("answered requests without a record", max(0, answered - recorded), "", at_most(0)),
        ],
        {each.name: each.as_json() for each in found}
        | {"cores": str(site.plan), "connections": options.connections, "seconds": options.seconds},
    )


def run_round(found: list[Contestant], number: int, site: Site) -> None:
    """Each once, when nothing is left to drain of the one before."""
    options = site.options
    for each in Random(number).sample(found, len(found)):  # noqa: S311 - it shuffles
        if each.name == REFUSALS[0]:
            write_unknown(each.requests, seconds=options.seconds, seed=number)
        records.settle(site.installation)
        site.tell(f"Round {number + 1} of {options.gateway_rounds}: {each.name}")
        each.measure(connections=options.connections, seconds=options.seconds, site=site)


@contextmanager
def contestants(site: Site) -> Iterator[list[Contestant]]:
    """All that is measured, served and warm."""
    keyring, folder, server = site.keyring, site.installation.data_dir, site.plan.server
    with ExitStack() as stack:
        floor = stack.enter_context(
            serving_another("bench.gateway.noop:application", site.installation, cores=server)
        )
        product = stack.enter_context(serving(site.installation, cores=server, KEYS_EMBEDDED_DRAIN="0"))
        stack.enter_context(draining(site.installation, cores=site.plan.rest))

        def of(name: str, lines: Iterable[str], **more: Any) -> Contestant:
            file = loads.write(folder / f"{len(found)}.requests", lines)
            return Contestant(name, product, file, **more)

        found: list[Contestant] = []
        found.append(of(VERIFIED, map(Key.authorize, keyring.usable), recorded=True))
        found.append(of("authorize, Basic", map(Key.basic, keyring.usable), recorded=True))
        found.append(of("whoami", map(Key.whoami, keyring.usable), recorded=True))
        found.append(of(REFUSALS[0], (), status=401))
        found.append(of(REFUSALS[1], map(Key.malformed, keyring.usable), status=401))
        found.append(of(REFUSALS[2], map(Key.authorize, keyring.disabled), status=401, recorded=True))
        site.tell("Warming up…")
        for each in found:
            expect(
                each.server.port,
                map(loads.as_bytes, each.requests.read_text().splitlines()),
                status=each.status,
            )
        floor_too = Contestant(FLOOR, floor, found[0].requests)
        yield [floor_too, *found, *stack.enter_context(peers(site))]


def judge(found: list[Contestant], *, vendor: str) -> list[Finding]:
    """Every figure with its aim, and every ratio that has one."""
    by_name = {each.name: each for each in found}
    floor, verified = by_name[FLOOR], by_name[VERIFIED]
    findings = [Finding(each.name, each.rate, "/s") for each in found]
    findings.append(
        Finding(f"{VERIFIED} ÷ {FLOOR}", verified.rate / floor.rate, "×", at_least(OF_FLOOR[vendor]))
    )
    findings.append(
        Finding(
            f"p99 of {VERIFIED} ÷ p99 of {FLOOR}", verified.p99_ms / floor.p99_ms, "×", at_most(P99_OF_FLOOR)
        )
    )
    for key, name in PEERS.items():
        if name in by_name:
            aim = at_least(OF_PEER[vendor]) if key == "api-key" else None
            findings.append(Finding(f"{VERIFIED} ÷ {name}", verified.rate / by_name[name].rate, "×", aim))
    for name in REFUSALS:
        ratio = by_name[name].rate / floor.rate
        findings.append(Finding(f"{name} ÷ {FLOOR}", ratio, "×", at_least(REFUSED_OF_FLOOR)))
    return findings + [
        Finding(f"processor time of a request, {each.name}", median(each.processor_us), "µs")
        for each in (floor, verified)
    ]


@contextmanager
def peers(site: Site) -> Iterator[list[Contestant]]:
    """The other packages, with as many keys, behind the same server; none where they were left out."""
    if not site.options.peers:
        yield []
        return
    site.tell(f"Filling the peers with {site.options.gateway_keys:,} keys each…")
    project = peer_project(site)
    with serving_another("bench.peers.wsgi:application", project, cores=site.plan.server) as server:
        found = [
            Contestant(title, server, project.data_dir / f"{name}.requests") for name, title in PEERS.items()
        ]
        for each in found:
            lines = each.requests.read_text().splitlines()[:PEER_WARM_UP]
            expect(each.server.port, map(loads.as_bytes, lines), status=each.status)
        yield found


def peer_project(site: Site) -> PeerInstallation:
    project = PeerInstallation.at(
        site.folder / "peers",
        name="peers",
        database_url=site.address_of("peers"),
        size=Size(0, site.options.gateway_keys, 0),
    )
    project.build()
    return project


def write_unknown(path: Path, *, seconds: int, seed: int) -> None:
    """Keys that were never asked for before, enough for one round."""
    random = Random(seed)  # noqa: S311 - nothing is to be opened with them
    texts = loads.unknown_keys(seconds * UNKNOWN_PER_SECOND, random)
    loads.write(path, (loads.ask_for(f"Bearer {text}", "GET", "/v1/payments") for text in texts))
