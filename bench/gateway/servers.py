"""The servers that are asked: the product's, and the same server around something else."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.cores import Cores
from bench.errors import BenchError
from bench.installation import Installation
from bench.server import START_SECONDS, free_port, running, start, stop


@dataclass(frozen=True, slots=True)
class Server:
    """`pid` is the main process; what answers is its worker."""

    port: int
    pid: int

    def worker(self) -> int:
        """The process that answers: the server's child with the largest memory, beside which others are small."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        if not children.exists():
            raise BenchError("this system does not say which processes belong to the server")
        return max(map(int, children.read_text().split()), key=resident_bytes)


@contextmanager
def serving(installation: Installation, *, cores: Cores, **variables: str) -> Iterator[Server]:
    """`manage.py serve`, as people start it."""
    command = [sys.executable, "manage.py", "serve"]
    with _started(command, installation.environment | variables, cores) as server:
        yield server


@contextmanager
def serving_another(application: str, installation: Installation, *, cores: Cores) -> Iterator[Server]:
    """The same server around another application, `module:name`."""
    command = [sys.executable, "-m", "bench.launch", application]
    # It has nothing to put in order before it goes.
    with _started(command, installation.environment, cores, gracefully=False) as server:
        yield server


@contextmanager
def draining(installation: Installation, *, cores: Cores) -> Iterator[int]:
    """`manage.py drain`, as a production host runs it, once it is at work; yields its process's number."""
    process = start([sys.executable, "manage.py", "drain"], environment=installation.environment, cores=cores)
    try:
        _wait_for_drain(installation.data_dir / "spool" / "drain.lock", process)
        yield process.pid
        if process.poll() is not None:
            raise BenchError(f"the drain ended with {process.returncode}")
    finally:
        stop(process)


def _wait_for_drain(lock: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody holds the lock of those who drain."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(FileNotFoundError), lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        time.sleep(0.02)
    raise BenchError("the drain did not start")


@contextmanager
def _started(
    command: list[str], environment: Mapping[str, str], cores: Cores, *, gracefully: bool = True
) -> Iterator[Server]:
    port = free_port()
    environment = {**environment, "PORT": str(port)}
    with running(command, environment=environment, port=port, cores=cores, gracefully=gracefully) as process:
        yield Server(port, process.pid)


def processor_seconds(pid: int) -> float:
    """How much of a processor's time the process has taken so far."""
    # The second field is a name in brackets, and may hold anything; the first after it is the third.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """How much memory the process has now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
