"""What is measured beside what."""

from dataclasses import dataclass

KEYS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much a data set holds, as `manage.py seed_demo` makes it."""

    merchants: int
    keys: int
    requests: int

    def loads(self) -> list[list[str]]:
        """The options of each `seed_demo` that it takes: one loads at most so many keys."""
        times = max(1, -(-self.keys // KEYS_AT_ONCE))
        shares = zip(
            _shares(self.merchants, times),
            _shares(self.keys, times),
            _shares(self.requests, times),
            strict=True,
        )
        return [
            [f"--merchants={merchants}", f"--keys={keys}", f"--requests={requests}", f"--seed={number}"]
            for number, (merchants, keys, requests) in enumerate(shares, start=1)
        ]

    def __str__(self) -> str:
        return f"{self.merchants:,} merchant accounts, {self.keys:,} API keys, {self.requests:,} requests"


def _shares(total: int, times: int) -> list[int]:
    return [total // times + (place < total % times) for place in range(times)]


BIG = Size(1_000_000, 100_000, 10_000_000)
SMALL = Size(1_000, 1_000, 10_000)
