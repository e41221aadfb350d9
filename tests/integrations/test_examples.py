"""The examples of docs/applications.md, exactly as they stand there, behind a real server."""

import http.client
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from keys import lifecycle
from keys.gateway.drain import Drain
from keys.models import ApiKey, RequestLog, Verifier
from keys.outcomes import Outcome
from tests.factories import ApiKeyFactory
from tests.gateways.waiting import until
from tests.installation import free_port
from tests.test_gateway_server import database_url

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "applications.md").read_text()
BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"```sh\n(.*?)\n```", re.DOTALL)
SECTIONS = ["Django", "Django REST framework", "ASGI"]

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def project(tmp_path) -> tuple[Path, dict[str, str]]:
    """A folder with the settings of the document, and the environment that they read."""
    folder = tmp_path / "api"
    folder.mkdir()
    ((name, code),) = BLOCK.findall(section("Settings"))
    (folder / name).write_text(code)
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SECRET_KEY": "signs-nothing",
        "DATABASE_URL": database_url(),
        "KEYS_PERMISSION_CATALOGUE": str(settings.KEYS_PERMISSION_CATALOGUE),
        "KEYS_SPOOL_DIR": str(tmp_path / "spool"),
    }
    return folder, environ


@pytest.fixture
def port(project, request) -> Iterator[int]:
    """The port of the server that the section's command starts on the section's code."""
    folder, environ = project
    text = section(request.param)
    for name, code in BLOCK.findall(text):
        (folder / name).write_text(code)
    words = shlex.split(COMMAND.search(text)[1])
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    port = free_port()
    server = subprocess.Popen(
        [*words[len(variables) :], "--port", str(port)],
        cwd=folder,
        env=environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: server.poll() is not None or listens(port))
        assert server.poll() is None, server.stdout.read()
        yield port
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=20)
    assert not re.search(r"Traceback|ERROR", output), output


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pay(port: int, key: ApiKey | None = None, **headers: str) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    if key:
        headers["Authorization"] = f"Bearer {key.secret.reveal()}"
    client.request("POST", "/payments", headers=headers)
    answer = client.getresponse()
    answer.body = answer.read().decode()
    client.close()
    return answer


@pytest.mark.parametrize("port", SECTIONS, indirect=True)
def test_the_example_lets_in_refuses_and_records(port: int, project, actor) -> None:
    key, powerless = ApiKeyFactory(), ApiKeyFactory(permissions={})
    until(lambda: pay(port, key).status == 201)
    allowed = pay(port, key)
    assert key.merchant.public_id in allowed.body
    nobody = pay(port, **{"X-Merchant-Id": key.merchant.public_id, "X-Key-Id": key.public_id})
    assert (nobody.status, "Bearer" in nobody.headers["WWW-Authenticate"]) == (401, True)
    refused = pay(port, powerless)
    assert refused.status == 403
    assert "payments:write" in refused.body
    lifecycle.disable(key=key, actor=actor)
    until(lambda: pay(port, key).status == 401)
    Drain(Path(project[1]["KEYS_SPOOL_DIR"])).once()
    records = {record.public_id: record for record in RequestLog.objects.all()}
    assert {record.reported for record in records.values()} == {True}
    assert {record.path for record in records.values()} == {"/payments"}
    assert {record.address for record in records.values()} == {"127.0.0.1"}
    for answer, outcome in ((allowed, Outcome.VALID), (refused, Outcome.PERMISSION_DENIED)):
        record = records[answer.headers["X-Request-Id"]]
        assert (record.status, record.outcome) == (answer.status, outcome)
    assert Outcome.DISABLED in {record.outcome for record in records.values()}
    if connection.vendor == "postgresql":
        assert Verifier.objects.filter(stopped_at=None).count() == 1


def test_the_settings_of_the_document_are_all_that_are_needed(project) -> None:
    folder, environ = project
    (folder / "urls.py").write_text("urlpatterns = []\n")
    check = subprocess.run(
        [sys.executable, "-m", "django", "check", "--database", "default"],
        cwd=folder,
        env=environ | {"DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (check.returncode, check.stderr) == (0, "")
    assert "no issues" in check.stdout


def test_no_example_of_the_document_is_left_out() -> None:
    assert DOCUMENT.count("```python") == len(BLOCK.findall(DOCUMENT)) == len(SECTIONS) + 1
    assert DOCUMENT.count("```sh") == len(SECTIONS)
