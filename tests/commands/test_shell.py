"""Commands as a shell meets them: pipes that close, Ctrl-C, terminals, full disks, and what cannot be foreseen."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from keys.models import ApiKey, Merchant
from tests.factories import ApiKeyFactory, MerchantFactory
from tests.installation import ROOT
from tests.test_gateway_server import database_url

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

PATIENCE_SECONDS = 60
Shell = Callable[..., subprocess.CompletedProcess[str]]


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(settings.DATA_DIR),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **variables,
    }


@pytest.fixture
def shell(merchant: Merchant) -> Shell:
    def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    return run


def test_a_pipe_that_closes_early_is_no_accident(shell: Shell, merchant: Merchant) -> None:
    for _ in range(40):
        MerchantFactory(name="x" * 100)
    ended = shell("./manage.py merchants list --json | true; echo ${PIPESTATUS[0]}")
    assert ended.stderr == ""
    assert ended.stdout == "141\n"


def test_an_output_that_cannot_be_written_is_said(shell: Shell, merchant: Merchant) -> None:
    ended = shell("./manage.py merchants list > /dev/full")
    assert ended.returncode == 6
    assert ended.stderr == "CommandError: The output cannot be written: No space left on device.\n"


def test_what_goes_wrong_unforeseen_shows_no_data(shell: Shell) -> None:
    ended = shell("./manage.py merchants list", DATABASE_URL="sqlite:////nowhere/at/all.sqlite3")
    assert ended.returncode == 6
    assert ended.stderr.startswith("CommandError: The database cannot be used: ")
    assert "Traceback" not in ended.stderr


def test_usage_errors_end_with_2_and_mask_keys(shell: Shell, api_key: ApiKey) -> None:
    secret = api_key.secret.reveal()
    for words in (f"apikeys show {secret}", f"apikeys {secret}", f"apikeys list --foo {secret}", "apikeys"):
        ended = shell(f"./manage.py {words}")
        assert ended.returncode == 2, words
        assert secret[12:] not in ended.stderr
        assert "usage: manage.py apikeys" in ended.stderr


def test_the_text_of_a_key_is_no_argument_of_any_process(shell: Shell, merchant: Merchant, tmp_path) -> None:
    """Of those that run while it is made: the shell's own and the command's."""
    file, seen = tmp_path / "secret", tmp_path / "seen"
    script = (
        f"(while [ ! -s {file} ]; do cat /proc/[0-9]*/cmdline; sleep 0.02; done > {seen} 2>/dev/null) & "
        f"./manage.py apikeys create --merchant {merchant.public_id} --name x --mode live --preset read-only "
        f"--secret-file {file}; wait"
    )
    assert shell(script).returncode == 0
    assert "apikeys" in seen.read_text(errors="replace")
    assert file.read_text()[8:40] not in seen.read_text(errors="replace")


def test_on_a_terminal_a_secret_is_asked_about_twice(api_key: ApiKey) -> None:
    words = ["apikeys", "copy", api_key.public_id, "--show-secret"]
    said = at_a_terminal(words, [("[y/N]", "y"), ("name of the key:", api_key.name)])
    assert api_key.secret.reveal() in said
    assert api_key.secret.reveal() not in at_a_terminal(words, [("[y/N]", "n")], status=1)


def test_ctrl_c_in_the_midst_of_many_ends_well(merchant: Merchant) -> None:
    keys = [ApiKeyFactory(merchant=merchant) for _ in range(400)]
    process = subprocess.Popen(
        [sys.executable, "manage.py", "apikeys", "disable", "--all", "--yes"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ApiKey.objects.filter(status="disabled").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    done = ApiKey.objects.filter(status="disabled").count()
    assert process.returncode == 130, (out, err)
    assert 0 < done < len(keys)
    assert out == f"Disabled {done} API key{'' if done == 1 else 's'}.\n"
    assert "Traceback" not in err


def at_a_terminal(words: list[str], dialogue: list[tuple[str, str]], status: int = 0) -> str:
    """What a person sees who answers each question as it comes."""
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment(),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
    )
    os.close(its_end)
    seen = ""
    while True:
        try:
            seen += os.read(terminal, 4096).decode()
        except OSError:
            break
        if dialogue and dialogue[0][0] in seen:
            os.write(terminal, f"{dialogue.pop(0)[1]}\n".encode())
    os.close(terminal)
    assert process.wait(PATIENCE_SECONDS) == status, seen
    assert not dialogue
    return seen
