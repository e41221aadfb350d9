"""Builds the data sets, serves them, and times their pages side by side."""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.console import measure, report
from bench.console.measure import Series
from bench.console.pages import admin_pages, pages
from bench.console.visitor import serving, serving_stock_admin
from bench.databases import installations
from bench.installation import Installation
from bench.sizes import BIG, SMALL, Size


def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("pages")
    for name in ("merchants", "keys", "requests"):
        group.add_argument(f"--{name}", type=int, default=getattr(BIG, name), help="in the big data set")
        group.add_argument(f"--small-{name}", type=int, default=getattr(SMALL, name), help="in the small one")
    group.add_argument("--rounds", type=int, default=60, help="how often each page is timed (default 60)")
    group.add_argument(
        "--warm-up", type=int, default=20, help="rounds before, that do not count (default 20)"
    )


def check_options(parser: ArgumentParser, options: Namespace) -> None:
    if options.rounds < 2 or options.warm_up < 0:
        parser.error("--rounds is at least 2, --warm-up at least 0")


def run(vendor: str, *, folder: Path, options: Namespace, console: Console) -> dict[str, Any]:
    """Measure on one database, show the table, and return the figures for JSON."""
    sizes = {
        "small": Size(options.small_merchants, options.small_keys, options.small_requests),
        "big": Size(options.merchants, options.keys, options.requests),
    }
    console.print(f"{vendor}: preparing {sizes['big']}")
    with installations(vendor, folder=folder, sizes=sizes) as found:
        series = _measure(found, rounds=options.rounds, warm_up=options.warm_up, console=console)
        rows = report.rows(series)
        report.show(vendor, rows, big=found["big"], small=found["small"], console=console)
        return {"rounds": options.rounds} | report.as_json(rows, found)


def _measure(found: dict[str, Installation], *, rounds: int, warm_up: int, console: Console) -> list[Series]:
    """The same pages of each installation, and the admin's of the big one, timed in turn."""
    word = found["small"].probe("")["word"]
    series: list[Series] = []
    with ExitStack() as stack:
        for name, installation in found.items():
            visitor = stack.enter_context(serving(installation))
            series += [Series(name, page, visitor) for page in pages(installation.probe(word))]
        admin = stack.enter_context(serving_stock_admin(found["big"]))
        series += [Series("big", page, admin) for page in admin_pages()]
        with console.status("Measuring…") as status:
            total = rounds + warm_up
            measure.run(
                series,
                rounds=rounds,
                warm_up=warm_up,
                told=lambda done: status.update(f"Measuring: round {done} of {total}"),
            )
    return series
