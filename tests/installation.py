"""A product of its own for a test: data directory, database, port, and the processes that were started on them."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from keys.management.commands.serve import static_sources

ROOT = Path(__file__).parent.parent
PASSWORD_LINE = re.compile(r"Password +((?:[a-z2-9]{5}-){3}[a-z2-9]{5}) ")
PATIENCE_SECONDS = 60


class Installation:
    """Starts `manage.py serve` and knows what people do with it. DEMO is off unless a test asks for it."""

    def __init__(self, data: Path, database_url: str) -> None:
        self.data = data
        self.port = free_port()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")
        }
        self.environment |= {
            "DATA_DIR": str(data),
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "DEMO": "0",
        }
        self.processes: list[subprocess.Popen] = []

    def start(self, **variables: str) -> subprocess.Popen:
        """Start a server in a process group of its own, as a terminal does."""
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, **variables: str) -> str:
        """Start, wait for the first answer, stop; returns what was printed."""
        process = self.start(**variables)
        self.wait_for_answer(process)
        return stop(process)

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def open(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code

    def wait_for_answer(self, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                status = self.open("/accounts/login/")
            except OSError:
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.02)
            else:
                assert status == 200
                return

    def sign_in(self, username: str, password: str) -> bool:
        """Whether the console lets this person in, by way of its form."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        address = f"http://127.0.0.1:{self.port}/accounts/login/"
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', opener.open(address).read().decode())[1]
        form = {"csrfmiddlewaretoken": token, "login": username, "password": password}
        return urlsplit(opener.open(address, urlencode(form).encode()).url).path == "/merchants/"

    def clean_up(self) -> None:
        for process in self.processes:
            if process.poll() != 0:
                # Its worker may be there still when the process itself has gone.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def bring_static_files(data: Path) -> None:
    """Put in place what a first start would collect, which takes most of its time: in one run it is collected once."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    stock = Path(os.environ["TEST_DATA_DIR"], "collected")
    stock.mkdir(exist_ok=True)
    stamp = stock / "static.sources"
    with (stock / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not stamp.exists():
            collect(stock)
            stamp.write_text(static_sources())
    shutil.copytree(stock / "static", data / "static", dirs_exist_ok=True)
    shutil.copy(stamp, data)


def collect(data: Path) -> None:
    environment = os.environ | {
        "DATA_DIR": str(data),
        "DATABASE_URL": "sqlite://:memory:",
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
    }
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process: subprocess.Popen, *, by: int = signal.SIGTERM, whole_group: bool = False) -> str:
    """Send a signal, wait for the end; returns what was printed."""
    (os.killpg if whole_group else os.kill)(process.pid, by)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    # Granian's own words for a worker that had to be killed, or that went before it was told.
    assert not re.search(r"Traceback|WARNING|ERROR", output), output
    return output


def read_until(process: subprocess.Popen, words: str) -> str:
    seen = ""
    for line in process.stdout:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"{words!r} was never said: {seen}")
