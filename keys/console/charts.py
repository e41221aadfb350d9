"""Geometry of the bars: numbers for an SVG, no looks.

The axis of time is true: the window's first and last bars, which are parts of a clock hour, are as wide as they are
long, and the bars fill the 24 hours without a hole.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from keys.usage import HOUR, Bar, Usage

# A failure must be seen: one failed request in a million is still this high.
LEAST_HEIGHT = 2.0
LEAST_WIDTH = 0.5
LATE_PERCENT = 80


@dataclass(frozen=True, slots=True)
class Column:
    bar: Bar
    x: float
    width: float
    succeeded_y: float
    succeeded_height: float
    failed_y: float
    failed_height: float

    @property
    def span(self) -> str:
        return f"{self.bar.start:%H:%M} to {self.bar.end:%H:%M}"

    @property
    def words(self) -> str:
        return f"{self.span}: {self.bar.succeeded:,} succeeded, {self.bar.failed:,} failed"

    @property
    def query(self) -> str:
        """What the request log is asked for to show this bar's requests."""
        return urlencode({"since": self.bar.start.isoformat(), "until": self.bar.end.isoformat()})


@dataclass(frozen=True, slots=True)
class Tick:
    """A label under the bars; `x` is in per cent of the width, so that its text keeps its size on any screen."""

    x: float
    label: str

    @property
    def is_late(self) -> bool:
        """Whether it would run into “now” where the chart is as narrow as a phone."""
        return self.x > LATE_PERCENT


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    height: int
    columns: list[Column]
    ticks: list[Tick]


def draw(usage: Usage, *, width: int, height: int, gap: float) -> Chart:
    """The columns of `usage` in a box of `width` × `height` units, with `gap` units between them."""
    start, end = usage.window.start, usage.window.end
    scale = width / (end - start).total_seconds()
    highest = max((bar.total for bar in usage.bars), default=0)

    def place(moment: datetime) -> float:
        return (moment - start).total_seconds() * scale

    columns = []
    for bar in usage.bars:
        # A part of an hour may be shorter than the gap; it is seen all the same, and stays inside the box.
        bar_width = max(place(bar.end) - place(bar.start) - gap, LEAST_WIDTH)
        x = min(place(bar.start), width - bar_width)
        failed = _length(bar.failed, highest, height)
        total = max(_length(bar.total, highest, height), failed)
        columns.append(
            Column(
                bar=bar,
                x=round(x, 2),
                width=round(bar_width, 2),
                succeeded_y=round(height - total, 2),
                succeeded_height=round(total - failed, 2),
                failed_y=round(height - failed, 2),
                failed_height=round(failed, 2),
            )
        )
    ticks = [
        Tick(round(place(bar.start) / width * 100, 2), f"{bar.start:%H:%M}")
        for bar in usage.bars
        if bar.start.minute == 0 and bar.start.hour % 4 == 0 and end - bar.start > HOUR
    ]
    return Chart(width, height, columns, ticks)


@dataclass(frozen=True, slots=True)
class Spark:
    """The small chart of a row, as the outlines of two SVG paths."""

    succeeded: str
    failed: str


def spark(usage: Usage, *, width: int, height: int) -> Spark:
    chart = draw(usage, width=width, height=height, gap=1)
    return Spark(
        "".join(
            f"M{c.x} {c.succeeded_y}h{c.width}v{c.succeeded_height}h-{c.width}z"
            for c in chart.columns
            if c.succeeded_height
        ),
        "".join(
            f"M{c.x} {c.failed_y}h{c.width}v{c.failed_height}h-{c.width}z"
            for c in chart.columns
            if c.failed_height
        ),
    )


def _length(count: int, highest: int, height: int) -> float:
    return max(count / highest * height, LEAST_HEIGHT) if count else 0.0
