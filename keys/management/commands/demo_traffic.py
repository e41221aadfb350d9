"""Real requests with demo keys to the running server, so that the console's figures move."""

import time
from argparse import ArgumentParser
from collections import Counter
from contextlib import closing
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live

from keys.demo.live import Address, Traffic, TrafficError, find_holders

LINE_EVERY_SECONDS = 5
FRAMES_PER_SECOND = 4


class Command(BaseCommand):
    help = (
        "Send real HTTP requests with demo keys to the running server, most of them answered and some refused, until "
        "Ctrl-C. To do so it decrypts the secrets of demo keys (those made by seed_demo, and no others), which the "
        "history of the keys does not record; it sends them to this machine only and never prints them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url", default=f"http://127.0.0.1:{settings.PORT}", help="where the server listens"
        )
        parser.add_argument(
            "--rate", type=float, default=20, help="requests a second, at most 1000 (default 20)"
        )
        parser.add_argument("--seconds", type=float, help="stop after that time (default: at Ctrl-C)")
        parser.add_argument("--keys", type=int, default=40, help="with at most how many keys (default 40)")

    def handle(self, *, url: str, rate: float, seconds: float | None, keys: int, **options: Any) -> None:
        if not 0 < rate <= 1000:
            raise CommandError("--rate is a number above 0, at most 1000.")
        if keys < 1 or (seconds is not None and seconds <= 0):
            raise CommandError("--keys and --seconds are numbers above 0.")
        random = Random()  # noqa: S311 - it decides who calls, not what the secrets are
        try:
            address = Address.parse(url)
            usable, disabled = find_holders(count=keys, random=random)
            if not usable:
                raise CommandError("There are no demo keys to send with. Run `./manage.py seed_demo` first.")
            with closing(Traffic(address, usable, disabled, random)) as traffic:
                traffic.try_out()
                self._drive(traffic, rate=rate, seconds=seconds)
        except TrafficError as error:
            raise CommandError(str(error)) from error

    def _drive(self, traffic: Traffic, *, rate: float, seconds: float | None) -> None:
        began = time.monotonic()
        ends = None if seconds is None else began + seconds
        with _Ticker(traffic) as ticker:
            try:
                while ends is None or time.monotonic() < ends:
                    traffic.step()
                    ticker.tick()
                    due = began + traffic.answers.total() / rate
                    time.sleep(max(0.0, due - time.monotonic()))
            except KeyboardInterrupt:
                pass
        self.stdout.write(f"Stopped after {_said(traffic.answers)}.")


class _Ticker:
    """The counts so far: one live line on a terminal, a line now and then elsewhere."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._next = 0.0

    def __enter__(self) -> "_Ticker":
        self._console.print(f"Sending requests to {self._traffic.address}. Ctrl-C stops.")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def tick(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self._console.is_terminal:
            self._live.update(_said(self._traffic.answers), refresh=True)
            self._next = now + 1 / FRAMES_PER_SECOND
        else:
            self._console.print(_said(self._traffic.answers))
            self._next = now + LINE_EVERY_SECONDS


def _said(answers: Counter[int]) -> str:
    by_status = ", ".join(f"{count:,} × {status}" for status, count in sorted(answers.items()))
    requests = "request" if answers.total() == 1 else "requests"
    return f"{answers.total():,} {requests}: {by_status}"
