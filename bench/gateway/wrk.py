"""wrk, which asks faster than anything in Python could: `python -m bench.gateway.wrk` finds it, or installs it.

Root gets it from apt where there is none; anybody else is told what to run. What cannot be had is an error.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.cores import Cores, pinned
from bench.errors import BenchError
from bench.server import HOST

SCRIPT = Path(__file__).with_name("load.lua")
# What the script's own line of figures begins with, among wrk's.
MARK = "figures: "
NONE_TO_BE_HAD = (
    "wrk is needed, was not found, and could not be installed. On Debian: sudo apt-get install wrk"
)


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk saw: answers with a status from 400 on are `refused`, `broken` counts connections and timeouts."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def require() -> None:
    """Have wrk, or raise BenchError."""
    if not shutil.which("wrk"):
        _install()
    if not shutil.which("wrk"):
        raise BenchError(NONE_TO_BE_HAD)


def _install() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    unattended = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "-y", "--no-install-recommends", "wrk"]):
        subprocess.run(["apt-get", "-q", *step], check=False, env=unattended, stdout=subprocess.DEVNULL)  # noqa: S603, S607


def run(*, port: int, requests: Path, connections: int, seconds: int, cores: Cores = None) -> Run:
    """Send the requests in that file (see bench.gateway.loads), again and again, for so long."""
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), f"http://{HOST}:{port}",
        "--", str(requests),
    ]  # fmt: skip
    with pinned(cores):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return read(done.stdout + done.stderr)


def read(output: str) -> Run:
    """The figures in what wrk and its script printed."""
    lines = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    if len(lines) != 1:
        raise BenchError(f"wrk gave no figures: {output[-400:]}")
    return Run(**json.loads(lines[0]))


if __name__ == "__main__":
    try:
        require()
    except BenchError as error:
        sys.exit(str(error))
