"""The product as people run it: `manage.py serve`, DEBUG off, in a process of its own, on a free port of 127.0.0.1."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keys import keyformat
from tests.factories import PASSWORD
from tests.installation import bring_static_files

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "operator"
START_SECONDS = 150
STOP_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answered to a request of a merchant's server."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Product:
    """A running server. Its operator signs in as OPERATOR with `tests.factories.PASSWORD`."""

    url: str

    def request_with(self, key: str) -> Answer:
        """What a merchant's server does: GET /v1/whoami with an API key."""
        request = urllib.request.Request(f"{self.url}/v1/whoami", headers={"Authorization": f"Bearer {key}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read().decode())


@contextmanager
def serving(data_dir: Path) -> Iterator[Product]:
    """Serve from `data_dir`, which may be empty. It must stop cleanly, and its log must not tell a secret."""
    port = free_port()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
        "DATA_DIR": str(data_dir),
        "DEBUG": "0",
        "DEMO": "0",
        "DJANGO_SUPERUSER_USERNAME": OPERATOR,
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "PORT": str(port),
    }
    bring_static_files(data_dir)
    log = data_dir / "serve.log"
    product = Product(f"http://127.0.0.1:{port}")
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for_answer(product, server, log)
            yield product
        finally:
            server.terminate()
            status = server.wait(timeout=STOP_SECONDS)
    said = log.read_text()
    assert status == 0, said
    assert PASSWORD not in said
    assert not keyformat.PATTERN.search(said), "an API key is in the log"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_answer(product: Product, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"The server did not start:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(f"{product.url}/accounts/login/", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"The server does not answer after {START_SECONDS} seconds:\n{log.read_text()}")
