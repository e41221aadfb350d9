"""`manage.py prune_requests`: remove what is older than its retention. Run it once a day."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console
from rich.filesize import decimal

from keys import partitions, retention
from keys.errors import InvalidField
from keys.partitions import TableInUse
from keys.retention import Pruned, Retention

# Beside 0, done, and 1, refused or no database.
IN_USE, INTERRUPTED = 3, 130
BATCH_MAX = 100_000


class Command(BaseCommand):
    help = (
        "Remove requests, their counts and the books of verifiers that are older than their retention, without "
        "keeping anybody waiting, and create the partitions of the coming days. It may be interrupted, repeated, and "
        "run more than once at a time. Ends with 0 when all is done, 1 when it was refused or the database cannot be "
        "used, 3 when a partition is in use and stays until the next run, 130 at Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days",
            type=int,
            help="keep the requests of so many days before today (default KEYS_REQUEST_RETENTION_DAYS)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be removed, change nothing"
        )
        parser.add_argument(
            "--batch",
            type=int,
            default=retention.BATCH,
            help=f"delete at most so many rows at once (default {retention.BATCH})",
        )

    def handle(self, *, days: int | None, dry_run: bool, batch: int, **options: Any) -> None:
        if not 1 <= batch <= BATCH_MAX:
            raise CommandError(f"--batch is a number from 1 to {BATCH_MAX}.")
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        try:
            self.prune(Retention.from_settings(requests_days=days), dry_run=dry_run, batch=batch)
        except InvalidField as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {str(error).strip()}") from error
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. What is gone is gone; the next run goes on from there.", returncode=INTERRUPTED
            ) from None

    def prune(self, kept: Retention, *, dry_run: bool, batch: int) -> None:
        in_use = []
        if not dry_run:
            try:
                self.tell_of_new(partitions.ensure())
            except TableInUse:
                in_use.append("the table of requests, which gets no partitions for the coming days")
        with self.console.status("Pruning…"):
            for pruned in retention.prune(kept, dry_run=dry_run, batch=batch):
                self.console.print(sentence(pruned, dry_run=dry_run))
                in_use += [partition.name for partition in pruned.in_use]
        if dry_run:
            self.console.print("Nothing was changed.")
        if in_use:
            raise CommandError(f"In use: {', '.join(in_use)}. Run it again later.", returncode=IN_USE)

    def tell_of_new(self, names: list[str]) -> None:
        if names:
            self.console.print(f"Partitions created: {', '.join(names)}.")


def sentence(pruned: Pruned, *, dry_run: bool) -> str:
    """As in “Requests before 2026-08-25: 2 partitions dropped (1.2 GB), 12 rows deleted.”"""
    parts = [
        f"{pruned.rows:,} {'row' if pruned.rows == 1 else 'rows'} {'to delete' if dry_run else 'deleted'}"
    ]
    if pruned.dropped:
        number = len(pruned.dropped)
        noun = "partition" if number == 1 else "partitions"
        done = "to drop" if dry_run else "dropped"
        parts.insert(0, f"{number} {noun} {done} ({decimal(pruned.dropped_bytes)})")
    return f"{pruned.kind} before {pruned.before:%Y-%m-%d}: {', '.join(parts)}."
