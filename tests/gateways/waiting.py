"""Waiting for what happens elsewhere: with a deadline, and no longer than it takes."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60


def until(condition: Callable[[], object]) -> None:
    """Return as soon as `condition` holds; fail if it does not in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
