"""`python -m bench`: builds what is measured, measures it beside something else, and says which aims are met.

Without a name both parts run: `pages` times the console's pages, `gateway` the verifier, its record and its promises.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.console import run as pages
from bench.databases import VENDORS
from bench.errors import BenchError
from bench.gateway import run as gateway

PARTS = {"pages": pages, "gateway": gateway}

# A table that goes into a file is not cut to the width of a terminal that is not there.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one (default: both)")
    parser.add_argument("--database", choices=VENDORS, help="only this one (default: both)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave the data there, and use it again within six hours"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    for part in PARTS.values():
        part.add_options(parser)
    options = parser.parse_args()
    for part in PARTS.values():
        part.check_options(parser, options)
    return options


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "command": sys.argv[1:],
    }


def main() -> int:
    options = arguments()
    figures: dict[str, Any] = {"machine": machine()}
    with ExitStack() as stack:
        folder = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="merchantadmin-bench-"))
        )
        for name in [options.part] if options.part else PARTS:
            figures[name] = {
                vendor: PARTS[name].run(vendor, folder=folder.resolve(), options=options, console=console)
                for vendor in ([options.database] if options.database else VENDORS)
            }
            if options.json:
                options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
