"""Servers of the benchmark's own: a port for each, a wait until one listens, an end that leaves nothing behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.cores import Cores, pinned
from bench.errors import BenchError
from bench.installation import ROOT

HOST = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 20
LOG = "bench.log"


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    port: int,
    cores: Cores = None,
    gracefully: bool = True,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server that `command` starts, listening on `port`, for as long as the context lasts."""
    process = start(command, environment=environment, cores=cores)
    try:
        wait_for(port, process)
        yield process
    finally:
        stop(process) if gracefully else kill(process)


def start(
    command: Sequence[str], *, environment: Mapping[str, str], cores: Cores = None
) -> subprocess.Popen[bytes]:
    """The command in a process group of its own, and on `cores` alone where the system can do that.

    What it says goes into a file in its data directory.
    """
    with pinned(cores), Path(environment["DATA_DIR"], LOG).open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it as people do, and whatever is left of its group afterwards by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """`kill -9` for the process and all that it started; returns when all of it is gone, and its port free."""
    deadline = time.monotonic() + STOP_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.poll()
            time.sleep(0.002)
    process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(
                f"a server ended with {process.returncode}; its last words are in {LOG} of its data"
            )
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchError("the server did not start")
