"""Real servers in front of the verifier, from the very files in docs/gateways/: only ports and places are others."""

import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.gateways.programs import find
from tests.installation import free_port

CONFIGURATIONS = Path(__file__).parents[2] / "docs" / "gateways"
# The ports in the files: the entrance, the verifier, the API.
ENTRANCE, VERIFIER, API = "8080", "8000", "9000"
LOGS = re.compile("/var/log/(?:nginx|caddy)")
PATIENCE_SECONDS = 30

# Debian's nginx buffers bodies in places of root's.
NGINX_PLACES = "".join(
    f"\n    {name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


@dataclass(frozen=True, slots=True)
class Server:
    """One of the servers: its files, the first of them the one it is started with, and how it is started."""

    name: str
    files: tuple[str, ...]
    arguments: Callable[[Path], list[str]]
    # Whether a verifier that cannot be asked is a 503 with Retry-After and a problem document.
    explains_silence: bool = True
    # Whether the merchant's answer has the id of the verdict.
    tells_request_id: bool = True


def nginx(configuration: Path) -> list[str]:
    place = configuration.parent
    # Its workers become another user where root starts them, who could not write into the test's directory.
    user = "user root; " if os.geteuid() == 0 else ""
    return ["-p", str(place), "-c", str(configuration), "-g", f"{user}daemon off; pid {place}/nginx.pid;"]


SERVERS = {
    server.name: server
    for server in (
        Server("nginx", ("nginx.conf",), nginx),
        Server(
            "caddy", ("Caddyfile",), lambda file: ["run", "--adapter", "caddyfile", "--config", str(file)]
        ),
        Server("haproxy", ("haproxy.cfg", "haproxy.lua"), lambda file: ["-db", "-f", str(file)]),
        Server(
            "traefik",
            ("traefik.yaml", "traefik-dynamic.yaml"),
            lambda file: [f"--configFile={file}"],
            explains_silence=False,
            tells_request_id=False,
        ),
        Server(
            "envoy",
            ("envoy.yaml",),
            lambda file: ["-c", str(file), "--disable-hot-restart", "--concurrency", "2", "-l", "error"],
            explains_silence=False,
            tells_request_id=False,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: its entrance is on `port` of 127.0.0.1, its logs are in `place`."""

    server: Server
    port: int
    place: Path


@contextmanager
def running(
    server: Server, place: Path, *, verifier: int, api: int, edit: Callable[[str], str] = str
) -> Iterator[Running]:
    """Start `server` in the empty directory `place`, in front of the verifier and the API on these ports.

    `edit` may change the text of its files further.
    """
    port = free_port()
    written = write_configuration(server, place, {ENTRANCE: port, VERIFIER: verifier, API: api}, edit)
    log = place / "said.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [find(server.name), *server.arguments(written)],
            cwd=place,
            # Caddy keeps its state at home.
            env=os.environ | {"HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(port, process, log)
            yield Running(server, port, place)
        finally:
            process.terminate()
            process.wait(timeout=20)


def write_configuration(
    server: Server, place: Path, ports: dict[str, int], edit: Callable[[str], str]
) -> Path:
    """Copy the server's files with other ports and places; returns the first one."""
    channel = f"merchant-api-verifier-{secrets.token_hex(4)}"
    found = set()
    for name in server.files:
        text = (CONFIGURATIONS / name).read_text()
        for documented, port in ports.items():
            text, count = re.subn(rf"\b{documented}\b(?=[\s;,}}/]|$)", str(port), text, flags=re.MULTILINE)
            found |= {documented} if count else set()
        text = LOGS.sub(str(place), text).replace("merchant-api-verifier", channel)
        if server.name == "nginx":
            text = text.replace("\nhttp {", "\nhttp {" + NGINX_PLACES)
        (place / name).write_text(edit(text))
    assert found == set(ports), f"{server.files} must name the ports {', '.join(ports)}"
    return place / server.files[0]


def wait_until_ready(port: int, process: subprocess.Popen, log: Path) -> None:
    """Wait for the first answer that is not Traefik's 404, which it gives for two seconds before it has routes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while answer_of(port) in {None, 404}:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"it does not answer: {log.read_text()}"
        time.sleep(0.02)


def answer_of(port: int) -> int | None:
    """The status of a request without a key; None where nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
