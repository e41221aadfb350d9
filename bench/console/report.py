"""What was measured, as a table with its aims and as JSON."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.console.measure import Series
from bench.installation import Installation

OF_ADMIN = 0.5
OF_SMALL = 1.2


@dataclass(frozen=True, slots=True)
class Row:
    """One page of the console: on the big data set, on the small one, and the admin's list beside it."""

    page: str
    big_ms: float
    big_p95_ms: float
    small_ms: float
    admin: str
    admin_ms: float

    @property
    def of_admin(self) -> float:
        return self.big_ms / self.admin_ms

    @property
    def of_small(self) -> float:
        return self.big_ms / self.small_ms

    def as_json(self) -> dict[str, Any]:
        return {
            "page": self.page,
            "big_ms": round(self.big_ms, 2),
            "big_p95_ms": round(self.big_p95_ms, 2),
            "small_ms": round(self.small_ms, 2),
            "times_small": round(self.of_small, 3),
            "times_small_met": self.of_small <= OF_SMALL,
            "admin": self.admin,
            "admin_ms": round(self.admin_ms, 2),
            "times_admin": round(self.of_admin, 3),
            "times_admin_met": self.of_admin <= OF_ADMIN,
        }


def rows(series: list[Series]) -> list[Row]:
    found = {(each.data_set, each.page.name): each for each in series}
    return [
        Row(
            page=each.page.name,
            big_ms=each.median_ms,
            big_p95_ms=each.p95_ms,
            small_ms=found["small", each.page.name].median_ms,
            admin=each.page.beside,
            admin_ms=found["big", each.page.beside].median_ms,
        )
        for each in series
        if each.data_set == "big" and each.page.beside
    ]


def show(
    vendor: str, measured: list[Row], *, big: Installation, small: Installation, console: Console
) -> None:
    table = Table(title=f"{vendor}: {big.size}\nsmall: {small.size}", title_justify="left", title_style="")
    table.add_column("Page", no_wrap=True)
    for heading in ("Median", "95th %", "Small", f"× small ≤ {OF_SMALL}", "Admin", f"× admin ≤ {OF_ADMIN}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in measured:
        table.add_row(
            row.page,
            f"{row.big_ms:.1f} ms",
            f"{row.big_p95_ms:.1f} ms",
            f"{row.small_ms:.1f} ms",
            _judged(row.of_small, OF_SMALL),
            f"{row.admin_ms:.1f} ms",
            _judged(row.of_admin, OF_ADMIN),
        )
    console.print(table)
    console.print(f"Built in {big.build_seconds:.0f} s and {small.build_seconds:.0f} s.\n")


def _judged(ratio: float, aim: float) -> str:
    return f"{ratio:.2f} {'met' if ratio <= aim else 'NOT MET'}"


def as_json(measured: list[Row], built: dict[str, Installation]) -> dict[str, Any]:
    return {
        "data_sets": {
            name: {"size": str(each.size), "build_seconds": round(each.build_seconds, 1)}
            for name, each in built.items()
        },
        "pages": [row.as_json() for row in measured],
    }
