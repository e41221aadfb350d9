"""`serve` as people meet it: a process that prepares what is missing, answers, and stops when told to."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import pytest
from django.core.management import CommandError

from keys.management.commands import serve
from merchantadmin.server import GRACE_SECONDS
from tests.installation import (
    PASSWORD_LINE,
    PATIENCE_SECONDS,
    ROOT,
    Installation,
    bring_static_files,
    read_until,
    stop,
)

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("serve")]

# Of some migrations, Django commits the tables first and then the record: the worst moment to die.
DIES_BEFORE_RECORDING = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "merchantadmin.settings"
from django.core.management import execute_from_command_line
from django.db.migrations.recorder import MigrationRecorder

record = MigrationRecorder.record_applied
MigrationRecorder.record_applied = lambda *known: os._exit(9) if known[1] == "auth" else record(*known)
execute_from_command_line(["manage.py", "serve"])
"""

GATEWAY_TOKEN = "token-of-the-gateways-0123456789-abcdef"
# The body is announced, and never comes.
UNFINISHED = f"""POST /v1/keys/verify HTTP/1.1\r
Host: 127.0.0.1\r
Authorization: Bearer {GATEWAY_TOKEN}\r
Content-Type: application/json\r
Content-Length: 9\r
Expect: 100-continue\r
\r
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, new_database):
    """An installation that has been started once."""
    installation = Installation(tmp_path_factory.mktemp("prepared") / "data", new_database())
    bring_static_files(installation.data)
    installation.run()
    yield installation
    installation.clean_up()


@pytest.fixture
def bare(tmp_path, new_database):
    """An installation that has never been started."""
    installation = Installation(tmp_path / "data", new_database())
    yield installation
    installation.clean_up()


@pytest.fixture
def installation(bare):
    """The same, but for its static files."""
    bring_static_files(bare.data)
    return bare


def test_the_first_start_makes_all_and_the_second_finds_it(bare):
    process = bare.start()
    bare.wait_for_answer(process)
    first = read_until(process, "Ctrl-C stops it")
    password = PASSWORD_LINE.search(first)[1]
    assert f"http://127.0.0.1:{bare.port}" in first
    assert bare.sign_in("operator", password)
    assert not bare.sign_in("operator", password[::-1])
    stop(process)

    for secret in ("secret_key", "encryption_key"):
        assert stat.S_IMODE((bare.data / secret).stat().st_mode) == 0o600
    kept = [path.read_bytes() for path in bare.data.rglob("*") if path.is_file()]
    assert not any(password.encode() in content for content in kept)

    second = bare.run()
    assert "User name  operator" in second
    assert "Password" not in second
    assert "done." not in second


def test_a_given_operator_signs_in_and_the_password_is_not_repeated(installation):
    given = {"DJANGO_SUPERUSER_USERNAME": "grace", "DJANGO_SUPERUSER_PASSWORD": "a debugger of moths"}
    process = installation.start(**given)
    installation.wait_for_answer(process)
    assert installation.sign_in("grace", "a debugger of moths")
    output = stop(process)
    assert "User name  grace" in output
    assert "moths" not in output


def test_a_first_start_that_is_killed_leaves_nothing_half_done(installation):
    process = installation.start(DEMO="1")
    read_until(process, "Requests:")
    process.kill()
    process.communicate()
    process = installation.start()
    installation.wait_for_answer(process)
    password = PASSWORD_LINE.search(read_until(process, "Ctrl-C stops it"))[1]
    assert installation.sign_in("operator", password)
    stop(process)
    counted = installation.manage(
        "shell",
        "--no-imports",
        "-c",
        "from keys.models import *; print(User.objects.count(), Merchant.objects.count())",
    )
    assert counted.split() == ["1", "0"]


def test_a_first_start_that_dies_between_tables_and_their_record_can_be_repeated(installation):
    died = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_RECORDING], check=False, cwd=ROOT, env=installation.environment
    )
    assert died.returncode == 9
    assert PASSWORD_LINE.search(installation.run())


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_is_interrupted_says_so_and_nothing_else(bare, by):
    process = bare.start()
    read_until(process, "Collecting")
    assert "Stopped before it was ready" in stop(process, by=by, whole_group=True)


@pytest.mark.parametrize(("by", "whole_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_running_server_stops_cleanly(prepared, by, whole_group):
    process = prepared.start()
    prepared.wait_for_answer(process)
    assert stop(process, by=by, whole_group=whole_group).endswith("Stopped.\n")
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", prepared.port))


def test_several_workers_answer_and_stop_together(prepared):
    process = prepared.start(WORKERS="2", KEYS_GATEWAY_TOKENS=GATEWAY_TOKEN)
    prepared.wait_for_answer(process)
    deadline, answered = time.monotonic() + PATIENCE_SECONDS, set()
    while len(answered) < 2:
        assert time.monotonic() < deadline, f"of two workers only {answered} answer"
        answered.add(who_answers(prepared.port))
    assert stop(process).endswith("Stopped.\n")
    for worker in answered:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def who_answers(port: int) -> int:
    """The process that a new connection reaches, as it says itself."""
    asked = Request(
        f"http://127.0.0.1:{port}/v1/metrics", headers={"Authorization": f"Bearer {GATEWAY_TOKEN}"}
    )
    with urlopen(asked, timeout=PATIENCE_SECONDS) as answer:
        return int(re.search(r'cached_keys{process="(\d+)"}', answer.read().decode())[1])


def test_signals_that_come_together_stop_it_once(prepared):
    process = prepared.start()
    prepared.wait_for_answer(process)
    for by in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.killpg(process.pid, by)
    assert stop(process).endswith("Stopped.\n")


def test_a_request_that_does_not_end_is_cut_off_and_said_to_be(prepared):
    process = prepared.start(KEYS_GATEWAY_TOKENS=GATEWAY_TOKEN)
    prepared.wait_for_answer(process)
    with socket.create_connection(("127.0.0.1", prepared.port), timeout=PATIENCE_SECONDS) as endless:
        endless.sendall(UNFINISHED.encode())
        # The server asks for the body: it is at work on the request.
        assert endless.recv(100).startswith(b"HTTP/1.1 100 ")
        started = time.monotonic()
        process.terminate()
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert time.monotonic() - started >= GRACE_SECONDS
    assert process.returncode == 0
    assert output.count("Requests that took more than 5 s to finish were cut off") == 1
    assert output.endswith("Stopped.\n")


def test_a_worker_does_not_outlive_a_server_that_was_killed(prepared):
    process = prepared.start()
    prepared.wait_for_answer(process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            serve.require_free(prepared.port)
        except CommandError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the port is still held")


def test_a_port_in_use_is_one_clear_line(prepared):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", prepared.port))
        other.listen()
        process = prepared.start()
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    taken = f"CommandError: Port {prepared.port} cannot be used: address already in use."
    assert output == f"{taken} Choose another, as in `PORT=8080 make run`.\n"


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"PORT": "eighty"}, "Configuration: PORT must be a whole number"),
        (
            {"DATABASE_URL": "postgresql://root:rosebud@127.0.0.1:1/none"},
            "CommandError: The database cannot be used",
        ),
        ({"DEBUG": "1"}, "CommandError: `serve` runs with DEBUG off"),
        ({"KEYS_ENCRYPTION_KEYS": "rosebud"}, "keys.E002"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(installation, variables, complaint):
    process = installation.start(**variables)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert complaint in output
    assert "Traceback" not in output
    assert "rosebud" not in output
