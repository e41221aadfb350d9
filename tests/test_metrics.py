"""GET /v1/metrics: what a verifier says of itself, to whoever holds a gateway token."""

import os
import re
from pathlib import Path

import pytest
from django.conf import settings

from keys.gateway.calls import Verifier
from keys.gateway.processes import assemble
from keys.gateway.recorder import SpoolRecorder
from keys.models import RecordingLoss
from keys.permissions import catalogue
from tests.client import DirectDirectory

DOCS = Path(__file__).parent.parent / "docs" / "recording.md"
VALUE = re.compile(r'^(merchantadmin_\w+)(\{[\w=",]+\})? ([0-9.]+)$', re.MULTILINE)
OWN = f'process="{os.getpid()}"'


class PostgresLike(DirectDirectory):
    cached_keys = 7
    lease_seconds = 1.5


@pytest.fixture
def recorder(tmp_path):
    recorder = SpoolRecorder(tmp_path / "spool", limit_bytes=1000)
    yield recorder
    recorder.close()


def ask(directory, recorder, *, method: str = "GET", **headers: str) -> tuple[str, str]:
    verifier = Verifier(directory=directory, recorder=recorder, catalogue=catalogue(), trusted_proxies=0)
    told: list = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/v1/metrics", **headers}
    body = b"".join(assemble(verifier)(environ, lambda *line: told.extend(line)))
    return told[0], body.decode()


def told_by(directory, recorder) -> dict[str, float]:
    token = settings.KEYS_GATEWAY_TOKENS[0]
    status, body = ask(directory, recorder, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert status == "200 OK"
    return {name + label: float(value) for name, label, value in VALUE.findall(body)}


def test_every_metric_is_described_and_no_other(recorder) -> None:
    described = re.findall(r"^\| `(merchantadmin_\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert {name.partition("{")[0] for name in told_by(PostgresLike(), recorder)} == set(described)


def test_the_figures_are_those_of_the_moment(recorder) -> None:
    figures = told_by(PostgresLike(), recorder)
    assert figures[f"merchantadmin_cached_keys{{{OWN}}}"] == 7
    assert figures[f"merchantadmin_lease_seconds{{{OWN}}}"] == 1.5
    assert figures["merchantadmin_spool_backlog_bytes"] == 0
    assert figures["merchantadmin_spool_limit_bytes"] == 1000
    assert figures["merchantadmin_spool_drained"] == 0
    recorder.write(b"x" * 2000)
    recorder.look_after()
    recorder.write(b"x")
    figures = told_by(PostgresLike(), recorder)
    assert figures["merchantadmin_spool_backlog_bytes"] >= 2000
    lost = {
        reason: figures[f'merchantadmin_requests_lost_total{{{OWN},reason="{reason}"}}']
        for reason in RecordingLoss.Reason.values
    }
    assert lost == {"spool_full": 1, "write_failed": 0, "unreadable": 0}


def test_what_is_the_hosts_carries_no_process(recorder) -> None:
    assert sum("process" in name for name in told_by(PostgresLike(), recorder)) == 2 + len(
        RecordingLoss.Reason
    )
    assert "merchantadmin_spool_backlog_bytes" in told_by(PostgresLike(), recorder)


def test_where_every_request_asks_the_database_there_is_no_lease(recorder) -> None:
    assert not any("lease" in name for name in told_by(DirectDirectory(), recorder))


@pytest.mark.parametrize("headers", [{}, {"HTTP_AUTHORIZATION": "Bearer wrong"}, {"HTTP_X_API_KEY": "x"}])
def test_nobody_else_learns_anything(recorder, headers) -> None:
    status, body = ask(DirectDirectory(), recorder, **headers)
    assert status == "401 Unauthorized"
    assert "merchantadmin_cached" not in body


def test_it_is_only_asked(recorder) -> None:
    assert ask(DirectDirectory(), recorder, method="POST")[0] == "405 Method Not Allowed"
