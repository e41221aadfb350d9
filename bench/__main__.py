"""`python -m bench`: builds the data sets, serves them, measures the pages, and says which aims are met."""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench import measure, report
from bench.client import BenchError, serving
from bench.databases import VENDORS, installations
from bench.installation import Installation
from bench.measure import Series
from bench.pages import admin_pages, pages
from bench.sizes import BIG, SMALL, Size

console = Console(highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--database", choices=VENDORS, help="only this one (default: both)")
    for name in ("merchants", "keys", "requests"):
        parser.add_argument(f"--{name}", type=int, default=getattr(BIG, name), help="in the big data set")
        parser.add_argument(
            f"--small-{name}", type=int, default=getattr(SMALL, name), help="in the small one"
        )
    parser.add_argument("--rounds", type=int, default=60, help="how often each page is timed (default 60)")
    parser.add_argument(
        "--warm-up", type=int, default=20, help="rounds before, that do not count (default 20)"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave the data there, and use it again within six hours"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.rounds < 2 or options.warm_up < 0:
        parser.error("--rounds is at least 2, --warm-up at least 0")
    return options


def measure_pages(found: dict[str, Installation], *, rounds: int, warm_up: int) -> list[Series]:
    """The same pages of each installation, and the admin's of the big one, timed in turn."""
    word = found["small"].probe("")["word"]
    asked = {name: pages(installation.probe(word)) for name, installation in found.items()}
    asked["big"] += admin_pages()
    series: list[Series] = []
    with ExitStack() as stack:
        for name, installation in found.items():
            visitor = stack.enter_context(serving(installation))
            series += [Series(name, page, visitor) for page in asked[name]]
        with console.status("Measuring…") as status:
            total = rounds + warm_up
            measure.run(
                series,
                rounds=rounds,
                warm_up=warm_up,
                told=lambda done: status.update(f"Measuring: round {done} of {total}"),
            )
    return series


def main() -> int:
    options = arguments()
    sizes = {
        "small": Size(options.small_merchants, options.small_keys, options.small_requests),
        "big": Size(options.merchants, options.keys, options.requests),
    }
    measured: dict[str, list[report.Row]] = {}
    built: dict[str, dict[str, Installation]] = {}
    with ExitStack() as stack:
        folder = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="merchantadmin-bench-"))
        )
        for vendor in [options.database] if options.database else VENDORS:
            console.print(f"{vendor}: preparing {sizes['big']}")
            with installations(vendor, folder=folder.resolve(), sizes=sizes) as found:
                series = measure_pages(found, rounds=options.rounds, warm_up=options.warm_up)
                measured[vendor], built[vendor] = report.rows(series), found
                report.show(vendor, measured[vendor], big=found["big"], small=found["small"], console=console)
        if options.json:
            figures = report.as_json(measured, built, options.rounds)
            options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
