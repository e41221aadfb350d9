"""The process that disables keys (bench.gateway.switch), seen from outside."""

import json
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast

from bench.errors import BenchError
from bench.installation import ROOT, Installation

PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Moments:
    """When the commit of a disable began, and when it had returned, on the system's one clock."""

    began_ns: int
    returned_ns: int


@dataclass(slots=True)
class Switch:
    """Disables one key at a time; who asks need not wait for it."""

    orders: IO[str]
    answers: IO[str]
    asked: bool = False

    def ask(self, key_id: str) -> None:
        self.orders.write(f"{key_id}\n")
        self.orders.flush()
        self.asked = True

    def answered(self, *, within_seconds: float = 0) -> list[Moments]:
        """The moments, in a list of one, or an empty list while there is no answer."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            if not selector.select(within_seconds):
                return []
        line = self.answers.readline()
        if not line:
            raise BenchError("the process that disables keys has ended")
        self.asked = False
        return [Moments(**json.loads(line))]

    def disable(self, key_id: str) -> Moments:
        self.ask(key_id)
        for moments in self.answered(within_seconds=PATIENCE_SECONDS):
            return moments
        raise BenchError("a key could not be disabled in time")


@contextmanager
def switching(installation: Installation) -> Iterator[Switch]:
    """A process that disables the installation's keys, until the context ends."""
    command = [sys.executable, "-m", "bench.gateway.switch"]
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=ROOT,
        env=installation.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            # Popen has both wherever both are asked for.
            yield Switch(cast("IO[str]", process.stdin), cast("IO[str]", process.stdout))
        finally:
            process.kill()
