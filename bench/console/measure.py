"""Timing pages of several servers in turn, so that whatever else the machine does hits them all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles

from bench.console.pages import Page
from bench.console.visitor import Visitor


@dataclass(slots=True)
class Series:
    """One page of one data set, and how long each of its answers took."""

    data_set: str
    page: Page
    visitor: Visitor
    seconds: list[float] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def median_ms(self) -> float:
        return 1000 * median(self.seconds)

    @property
    def p95_ms(self) -> float:
        return 1000 * quantiles(self.seconds, n=20)[-1]

    def measure(self) -> None:
        seconds, self.size_bytes = self.visitor.time(self.page.path)
        self.seconds.append(seconds)


def run(
    series: Sequence[Series], *, rounds: int, warm_up: int, told: Callable[[int], None] = lambda done: None
) -> None:
    """Ask for every page once a round, each round in another order. The first rounds do not count."""
    random = Random(1)  # noqa: S311 - it shuffles pages
    order = list(series)
    for number in range(warm_up + rounds):
        if number == warm_up:
            for each in series:
                each.seconds.clear()
        random.shuffle(order)
        for each in order:
            each.measure()
        told(number + 1)
