"""The documented files are the tested ones, and say what is so."""

import re
from pathlib import Path

from granian.http import HTTP1Settings

from tests.gateways.servers import CONFIGURATIONS, SERVERS

DOCUMENT = CONFIGURATIONS.with_suffix(".md")


def test_every_file_is_tested_and_linked() -> None:
    files = {path.name for path in CONFIGURATIONS.iterdir()}
    assert files == {name for server in SERVERS.values() for name in server.files}
    assert files == set(re.findall(r"\]\(gateways/([\w.-]+)\)", DOCUMENT.read_text()))


def test_the_verifier_closes_idle_connections_when_the_files_say() -> None:
    assert HTTP1Settings().header_read_timeout == 30_000
    for name in ("nginx.conf", "Caddyfile", "haproxy.cfg", "envoy.yaml"):
        assert "30 seconds" in Path(CONFIGURATIONS, name).read_text()


def test_the_table_names_every_server() -> None:
    header = re.search(r"^\| \| nginx \|.*Traefik.*$", DOCUMENT.read_text(), re.MULTILINE)[0]
    assert [cell.strip().lower() for cell in header.strip("|").split("|")[1:]] == list(SERVERS)
