"""`manage.py verifiers`: the processes that keep facts about keys in memory, and whether they are heard of."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from rich.console import Console
from rich.table import Table

from keys import proof
from keys.proof import Presence, State

COLUMNS = ("Verifier", "State", "Started", "Last sign of life", "Lease")
STYLES = {State.RUNNING: "green", State.STOPPED: "dim", State.GONE: "yellow"}
# Elsewhere than on a terminal no line is broken.
PLAIN_WIDTH = 240


class Command(BaseCommand):
    help = (
        "List the verifiers: the processes that answer requests from memory, with their last sign of life and the "
        "lease without which they accept nothing that they have not read afresh."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON list, for scripts")

    def handle(self, **options: Any) -> None:
        try:
            presences = proof.presences()
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {str(error).strip()}") from error
        if options["json"]:
            self.stdout.write(json.dumps([described(presence) for presence in presences], indent=2))
        elif presences:
            show(presences)
        elif connection.vendor == "sqlite":
            self.stdout.write("None is on the books: every verifier reads the database on each request.")
        else:
            self.stdout.write("None is on the books: no verifier has run on this database yet.")


def show(presences: list[Presence]) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=PLAIN_WIDTH)
    table = Table(*COLUMNS, box=None, pad_edge=False, header_style="bold")
    for presence in presences:
        verifier = presence.verifier
        table.add_row(
            str(verifier),
            said(presence),
            f"{verifier.started_at:%Y-%m-%d %H:%M:%S} UTC",
            f"{verifier.seen_at:%Y-%m-%d %H:%M:%S} UTC",
            f"{verifier.lease_ms:,} ms",
            style=STYLES[presence.state] if console.is_terminal else "",
        )
    console.print(table)


def said(presence: Presence) -> str:
    """The state, and since when where it is over."""
    ended = {State.STOPPED: presence.verifier.stopped_at, State.GONE: presence.lease_ends_at}
    since = ended.get(presence.state)
    return f"{presence.state} since {since:%Y-%m-%d %H:%M:%S} UTC" if since else presence.state.value


def described(presence: Presence) -> dict[str, Any]:
    verifier = presence.verifier
    return {
        "verifier": str(verifier),
        "host": verifier.host,
        "process": verifier.process,
        "state": presence.state.value,
        "started_at": verifier.started_at.isoformat(),
        "seen_at": verifier.seen_at.isoformat(),
        "lease_ms": verifier.lease_ms,
        "lease_ends_at": presence.lease_ends_at.isoformat(),
        "stopped_at": verifier.stopped_at.isoformat() if verifier.stopped_at else None,
    }
