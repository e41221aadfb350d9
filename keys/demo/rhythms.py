"""How requests are spread over a day, and over the span that demo data covers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from random import Random

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Rhythm(Enum):
    """Relative volume by hour of the local day, midnight first."""

    SHOP = (3, 2, 1, 1, 1, 2, 4, 7, 9, 11, 12, 13, 14, 13, 12, 12, 13, 15, 18, 21, 22, 18, 12, 6)
    FOOD = (2, 1, 1, 0, 0, 1, 4, 9, 8, 5, 7, 16, 24, 18, 7, 5, 6, 12, 24, 26, 18, 10, 6, 3)
    OFFICE = (0, 0, 0, 0, 0, 1, 2, 6, 14, 20, 22, 20, 14, 18, 21, 20, 16, 9, 4, 2, 1, 1, 0, 0)
    NIGHT = (6, 20, 34, 30, 16, 6, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3)
    STEADY = (9, 9, 8, 8, 8, 9, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 10, 10, 10, 9, 9)


@dataclass(frozen=True, slots=True)
class Span:
    """The time that the requests fill: from a whole minute until the moment of the load."""

    start: datetime
    end: datetime

    @classmethod
    def of_hours(cls, hours: int, *, until: datetime) -> "Span":
        return cls((until - hours * HOUR).replace(second=0, microsecond=0), until)

    def clock_hours(self) -> list[tuple[datetime, datetime]]:
        """The span cut at the full hours, so that all requests of an hour of the rollups are in one piece."""
        edges = [self.start]
        edge = self.start.replace(minute=0) + HOUR
        while edge < self.end:
            edges.append(edge)
            edge += HOUR
        return list(zip(edges, [*edges[1:], self.end], strict=True))


def curve(
    rhythm: Rhythm, *, span: Span, utc_offset_hours: int, random: Random, roughness: float = 0.15
) -> tuple[float, ...]:
    """Requests expected in each of the span's clock hours, of one request a day; no two days are quite alike."""
    a_day = sum(rhythm.value)
    return tuple(
        rhythm.value[(start.hour + utc_offset_hours) % 24]
        / a_day
        * ((end - start) / HOUR)
        * random.lognormvariate(0, roughness)
        for start, end in span.clock_hours()
    )


class Allotment:
    """A total divided into whole numbers in proportion to shares, one after the other; fractions carry over."""

    def __init__(self, total: int, *, shares: float) -> None:
        """`shares` is the sum of all the shares to come."""
        self._scale = total / shares if shares else 0.0
        self._due = 0.0
        self._given = 0

    def next(self, share: float) -> int:
        self._due += share * self._scale
        count = round(self._due) - self._given
        self._given += count
        return count
