"""How fast a drain moves what is written down into the database, with its rollups: one process, on one core.

The lines are those of requests made within a minute, as a verifier would have written them, busy keys before others.
A drain is at work already when their file gets its name; the time runs until all of it is in the database.
"""

import time
from pathlib import Path
from statistics import median

from bench.errors import BenchError
from bench.gateway import records
from bench.gateway.findings import Finding, Result, at_least
from bench.gateway.servers import draining, processor_seconds
from bench.gateway.site import Site

ROUNDS = 3
AIM = {"postgresql": 100_000}
POLL_SECONDS = 0.002


def measure(site: Site) -> Result:
    installation, lines = site.installation, site.options.lines
    rounds = min(ROUNDS, site.options.gateway_rounds)
    seconds: list[float] = []
    processor_us: list[float] = []
    records.drain(installation)
    with draining(installation, cores=site.plan.server) as drain:
        for number in range(rounds):
            site.tell(f"Writing down {lines:,} requests: {number + 1} of {rounds}")
            before = records.count(installation)
            draft = Path(installation.ask("bench.gateway.spooling", str(lines), str(number)).strip())
            site.tell(f"Draining them: {number + 1} of {rounds}")
            taken = processor_seconds(drain)
            began = time.perf_counter()
            draft.rename(draft.with_suffix(".spool"))
            records.settle(installation, poll_seconds=POLL_SECONDS)
            seconds.append(time.perf_counter() - began)
            processor_us.append((processor_seconds(drain) - taken) / lines * 1e6)
            if (drained := records.count(installation) - before) != lines:
                raise BenchError(f"of {lines:,} lines {drained:,} became rows")
    rates = [lines / each for each in seconds]
    aim = at_least(AIM[site.vendor]) if site.vendor in AIM else None
    return Result(
        "drain",
        [
            Finding("rows drained, with both rollups", median(rates), "/s", aim),
            Finding("processor time of the drain, a row", median(processor_us), "µs"),
        ],
        {
            "seconds": [round(each, 3) for each in seconds],
            "rates": [round(each) for each in rates],
            "lines": lines,
        },
    )
