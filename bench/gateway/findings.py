"""What was found, each with the aim that it is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Aim:
    """At least, or at most, so much."""

    sign: str
    bound: float

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.sign == "≥" else value <= self.bound


def at_least(bound: float) -> Aim:
    return Aim("≥", bound)


def at_most(bound: float) -> Aim:
    return Aim("≤", bound)


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure; `unit` is `×` for a ratio. Without an aim it is reported, and nothing is held against it."""

    what: str
    value: float
    unit: str
    aim: Aim | None = None

    @property
    def met(self) -> bool | None:
        return self.aim.met_by(self.value) if self.aim else None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "NOT MET", None: ""}[self.met]

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"what": self.what, "value": round(self.value, 4), "unit": self.unit}
        if self.aim:
            told |= {"aim": f"{self.aim.sign} {self.aim.bound:g}", "met": self.met}
        return told


@dataclass(frozen=True, slots=True)
class Result:
    """What one part found; `details` is what the figures were made of, for the JSON alone."""

    part: str
    findings: Sequence[Finding]
    details: Mapping[str, Any] = field(default_factory=dict)
    # Why the part could not be measured.
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"findings": [each.as_json() for each in self.findings]}
        if self.failure:
            told["failure"] = self.failure
        return told | {"details": dict(self.details)}


def show(title: str, results: Sequence[Result], *, console: Console) -> None:
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column("Part", no_wrap=True)
    table.add_column("What")
    for heading in ("Figure", "Aim", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        part = result.part
        for each in result.findings:
            aim = f"{each.aim.sign} {_figure(each.aim.bound, each.unit)}" if each.aim else ""
            table.add_row(part, each.what, _figure(each.value, each.unit), aim, each.verdict)
            part = ""
        if result.failure:
            table.add_row(part, result.failure, "", "", "FAILED")
    console.print(table)


def _figure(value: float, unit: str) -> str:
    digits = 0 if value == int(value) or abs(value) >= 1000 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()
