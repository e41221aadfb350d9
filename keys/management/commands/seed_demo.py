"""Demo data: the standard set, or any number of merchant accounts, API keys and requests."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from keys.demo import bulk, story
from keys.demo.progress import ProgressReport
from keys.demo.story import Loaded
from keys.models import Merchant

AT_MOST = {"merchants": 1_000_000, "keys": 1_000_000, "requests": 10_000_000}
HOURS_AT_MOST = 48


class Command(BaseCommand):
    help = (
        "Without numbers: load the standard demo data (fifty merchant accounts with genuine API keys and thirty hours "
        "of requests) into a database without merchant accounts, all of it or nothing. With numbers: add that many "
        "merchant accounts, API keys and requests to whatever is there, to see the product at size."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--merchants", type=int, help="merchant accounts to add, at most a million")
        parser.add_argument("--keys", type=int, help="API keys to add, at most a million")
        parser.add_argument("--requests", type=int, help="requests to add, at most ten million")
        parser.add_argument(
            "--hours",
            type=int,
            help=f"with --requests: over how many hours, at most 48 (default {story.HOURS})",
        )
        parser.add_argument("--seed", type=int, default=1, help="another number makes other data (default 1)")
        parser.add_argument(
            "--if-empty",
            action="store_true",
            help="do nothing, and say nothing, where there are merchant accounts already",
        )

    def handle(self, **options: Any) -> None:
        if options["if_empty"] and Merchant.objects.exists():
            return
        numbers = {name: options[name] for name in (*AT_MOST, "hours")}
        began = time.monotonic()
        with ProgressReport() as report:
            if all(number is None for number in numbers.values()):
                loaded = self._load_story(seed=options["seed"], report=report)
            else:
                loaded = bulk.load(
                    **_checked(numbers), now=timezone.now(), seed=options["seed"], report=report
                )
        if loaded:
            self.stdout.write(f"Loaded {loaded} in {time.monotonic() - began:.1f} s.")

    def _load_story(self, *, seed: int, report: ProgressReport) -> Loaded | None:
        if Merchant.objects.exists() and not story.is_loaded():
            raise CommandError(
                "There are merchant accounts in this database already, so the demo data was not loaded. "
                "Choose another database with DATA_DIR or DATABASE_URL."
            )
        try:
            return story.load(now=timezone.now(), seed=seed, report=report)
        except story.AlreadyLoaded as error:
            self.stdout.write(error.message)
            return None


def _checked(numbers: dict[str, int | None]) -> dict[str, int]:
    """All amounts, those not given as 0; raises CommandError for what cannot be."""
    amounts = {name: numbers[name] or 0 for name in AT_MOST}
    for name, most in AT_MOST.items():
        if not 0 <= amounts[name] <= most:
            raise CommandError(f"--{name} is a number from 0 to {most:,}.")
    if amounts["keys"] and not amounts["merchants"]:
        raise CommandError("--keys needs --merchants: the new keys belong to new merchant accounts.")
    if amounts["requests"] and not amounts["keys"]:
        raise CommandError("--requests needs --keys: the new requests are made with new keys.")
    hours = story.HOURS if numbers["hours"] is None else numbers["hours"]
    if not 1 <= hours <= HOURS_AT_MOST:
        raise CommandError(
            f"--hours is a number from 1 to {HOURS_AT_MOST}: minutes are counted for two days."
        )
    return amounts | {"hours": hours}
