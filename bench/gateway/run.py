"""Runs the parts on one database after the other, and shows what each found with the aim that it is held against."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import cores
from bench.databases import databases
from bench.errors import BenchError
from bench.gateway import crashes, draining, findings, footprint, frozen, reads, revocation, throughput
from bench.gateway.findings import Result
from bench.gateway.site import Site

PARTS: dict[str, Callable[[Site], Result]] = {
    "drain": draining.measure,
    "throughput": throughput.measure,
    "footprint": footprint.measure,
    "reads": reads.measure,
    "revocation": revocation.measure,
    "frozen": frozen.measure,
    "crashes": crashes.measure,
}
# A part that asks for something that only one database has.
ONLY_ON = {"frozen": "postgresql"}


def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("gateway")
    group.add_argument(
        "--only", type=_parts, default=list(PARTS), metavar="PART,…", help=f"of {', '.join(PARTS)}"
    )
    group.add_argument("--gateway-keys", type=int, default=100_000, help="usable keys, all of them warm")
    group.add_argument(
        "--gateway-rounds", type=int, default=5, help="of everything that is compared (default 5)"
    )
    group.add_argument("--seconds", type=int, default=5, help="that each is asked in a round (default 5)")
    group.add_argument(
        "--connections", type=int, default=32, help="from which it is asked at once (default 32)"
    )
    group.add_argument("--no-peers", dest="peers", action="store_false", help="without the other packages")
    group.add_argument("--disables", type=int, default=200, help="of a key under load (default 200)")
    group.add_argument("--freezes", type=int, default=10, help="of a verifier's connections (default 10)")
    group.add_argument("--lines", type=int, default=500_000, help="to drain (default 500,000)")
    group.add_argument("--kills", type=int, default=200, help="of server and drain (default 200)")


def check_options(parser: ArgumentParser, options: Namespace) -> None:
    amounts = (
        "gateway_keys",
        "gateway_rounds",
        "seconds",
        "connections",
        "disables",
        "freezes",
        "lines",
        "kills",
    )
    for name in amounts:
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is at least 1")


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PARTS):
        raise ValueError(unknown)
    return names


def run(vendor: str, *, folder: Path, options: Namespace, console: Console) -> dict[str, Any]:
    """Measure on one database, show the table, and return the figures for JSON."""
    plan = cores.plan()
    console.print(f"{vendor}: {plan}")
    # Whatever is started within and not told otherwise keeps away from the server's core: PostgreSQL above all.
    with cores.pinned(plan.rest), databases(vendor, folder=folder) as address_of, _status(console) as tell:
        site = Site(vendor, folder / vendor, address_of, options, plan, tell)
        results = [_measured(part, site) for part in options.only if ONLY_ON.get(part, vendor) == vendor]
    findings.show(f"{vendor}: {options.gateway_keys:,} keys", results, console=console)
    return {result.part: result.as_json() for result in results}


def _measured(part: str, site: Site) -> Result:
    """What the part found; one that cannot be measured does not keep the others from it."""
    try:
        return PARTS[part](site)
    except BenchError as error:
        return Result(part, [], failure=str(error))


@contextmanager
def _status(console: Console) -> Iterator[Callable[[str], None]]:
    with console.status("Measuring…") as status:
        yield status.update
