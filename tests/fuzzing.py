"""How much is made up: `FUZZ_FACTOR` times as many examples, and a count of all that were tried.

`make fuzz` loads this as a plugin of pytest, which then tells the count at the end.
"""

import os
from typing import Any

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))
counted = 0


def examples(number: int) -> int:
    """For `max_examples`."""
    return number * FACTOR


def count(cases: int = 1) -> None:
    """Called once for each request, line or connection that was made up and judged."""
    global counted  # noqa: PLW0603
    counted += cases


def pytest_sessionfinish(session: Any) -> None:
    """Tell the process that started this one, where the tests run in several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["fuzzed"] = counted


def pytest_testnodedown(node: Any, error: Any) -> None:
    count(getattr(node, "workeroutput", {}).get("fuzzed", 0))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"{counted:,} cases were made up and judged.")
