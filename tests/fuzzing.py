"""How much is made up, and how much was: the tests that are marked `fuzz`.

Usually they try a few cases each. `FUZZ_CASES` asks for so many in all: `make fuzz` sets it, and loads this as a plugin
of pytest, which tells the count at the end and fails a run that came to fewer.
"""

import math
import os
from typing import Any

CASES = int(os.environ.get("FUZZ_CASES", "0"))
# What all tests together make up where nobody asks for more, schemathesis apart.
USUAL_CASES = 2_800
FACTOR = max(1, math.ceil(CASES / USUAL_CASES))
counted = 0


def examples(number: int) -> int:
    """For `max_examples`: `number` of them usually."""
    return number * FACTOR


def count(cases: int = 1) -> None:
    """Called once for each request, line or connection that was made up and judged."""
    global counted  # noqa: PLW0603
    counted += cases


def pytest_sessionfinish(session: Any) -> None:
    """Tell the process that started this one, where the tests run in several; that one judges the sum."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["fuzzed"] = counted
    elif counted < CASES:
        session.exitstatus = session.exitstatus or 1


def pytest_testnodedown(node: Any, error: Any) -> None:
    count(getattr(node, "workeroutput", {}).get("fuzzed", 0))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    few = counted < CASES
    wanted = f" At least {CASES:,} were asked for." if few else ""
    terminalreporter.write_line(f"{counted:,} cases were made up and judged.{wanted}", red=few)
