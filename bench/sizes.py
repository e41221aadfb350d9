"""What is measured beside what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """How much a data set holds, as `manage.py seed_demo` makes it."""

    merchants: int
    keys: int
    requests: int

    def options(self) -> list[str]:
        return [
            f"--merchants={self.merchants}",
            f"--keys={self.keys}",
            f"--requests={self.requests}",
        ]

    def __str__(self) -> str:
        return f"{self.merchants:,} merchant accounts, {self.keys:,} API keys, {self.requests:,} requests"


BIG = Size(1_000_000, 100_000, 10_000_000)
SMALL = Size(1_000, 1_000, 10_000)
