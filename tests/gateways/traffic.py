"""Merchants who do not stop: threads that send one request after another, and remember what became of each."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.gateways.wire import Answer, Client, Headers

# Slow enough that many servers and their traffic share two cores.
PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, by the clock of time.monotonic; without an answer, the server hung up."""

    sent_at: float
    answered_at: float
    answer: Answer | None

    @property
    def status(self) -> int | None:
        return self.answer.status if self.answer else None


@dataclass(slots=True)
class Traffic:
    """What one credential's requests through one server came to, in the order in which they were answered."""

    port: int
    headers: Headers
    exchanges: list[Exchange] = field(default_factory=list)

    def since(self, moment: float) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.sent_at >= moment]

    def before(self, moment: float) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.answered_at <= moment]

    def run(self, stopping: threading.Event) -> None:
        """Send requests over a kept connection, a new one wherever it broke."""
        while not stopping.is_set():
            with suppress(OSError), Client(self.port) as client:
                while not stopping.is_set() and self.send(client):
                    stopping.wait(PAUSE_SECONDS)

    def send(self, client: Client) -> bool:
        """Send one request; whether the connection can be used again."""
        sent_at, answer = time.monotonic(), None
        with suppress(OSError, HTTPException):
            answer = client.ask("GET", "/v1/payments", self.headers)
        self.exchanges.append(Exchange(sent_at, time.monotonic(), answer))
        return answer is not None and answer.headers.get("Connection") != "close"


@contextmanager
def flowing(*traffics: Traffic, threads: int = 1) -> Iterator[None]:
    """Run each of these in `threads` threads until the block ends."""
    stopping = threading.Event()
    runners = [
        threading.Thread(target=traffic.run, args=(stopping,)) for traffic in traffics for _ in range(threads)
    ]
    for runner in runners:
        runner.start()
    try:
        yield
    finally:
        stopping.set()
        for runner in runners:
            runner.join()
