"""How fast a drain moves what is written down into the database, with its rollups: one process, on one core.

The lines are those of requests made within a minute, as a verifier would have written them, busy keys before others.
The time of a drain that has nothing to do, which is that of starting, is taken off.
"""

import time
from statistics import median

from bench.cores import pinned
from bench.gateway import records
from bench.gateway.findings import Finding, Result, at_least
from bench.gateway.site import Site
from bench.server import BenchError

ROUNDS = 3
AIM = {"postgresql": 100_000}


def measure(site: Site) -> Result:
    installation, lines = site.installation, site.options.lines
    drain(site)
    seconds: list[float] = []
    for number in range(ROUNDS):
        site.tell(f"Writing down {lines:,} requests: {number + 1} of {ROUNDS}")
        before = records.count(installation)
        installation.ask("bench.gateway.spooling", str(lines), str(number))
        site.tell(f"Draining them: {number + 1} of {ROUNDS}")
        seconds.append(drain(site))
        if (drained := records.count(installation) - before) != lines:
            raise BenchError(f"of {lines:,} lines {drained:,} became rows")
    idle = median(drain(site) for _ in range(ROUNDS))
    rates = [lines / (each - idle) for each in seconds]
    aim = at_least(AIM[site.vendor]) if site.vendor in AIM else None
    return Result(
        "drain",
        [
            Finding("rows drained, with both rollups", median(rates), "/s", aim),
            Finding("the start that was taken off", idle * 1000, "ms"),
        ],
        {
            "seconds": [round(each, 3) for each in seconds],
            "rates": [round(each) for each in rates],
            "lines": lines,
        },
    )


def drain(site: Site) -> float:
    """Seconds that a drain takes until nothing is left."""
    with pinned(site.plan.server):
        began = time.perf_counter()
        records.drain(site.installation)
        return time.perf_counter() - began
