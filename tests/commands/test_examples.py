"""Every example of docs/commands.md, as it stands and in its order, against demo data, while the server runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from keys.identifiers import REQUEST, encode, new_id
from tests.commands.document import SECTIONS
from tests.installation import ROOT, Installation, bring_static_files

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("serve")]

PATIENCE_SECONDS = 60
OLD_KEY, NEW_KEY = (Fernet.generate_key().decode() for _ in range(2))
# They go on until Ctrl-C, and say so, or do something that shows.
ENDLESS = (
    "./manage.py serve\n",
    "./manage.py drain\n",
    "./manage.py import_requests --follow ~/access.log\n",
)
EXAMPLES = [(section.title, example) for section in SECTIONS for example in section.examples]


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who tries what the document shows: in a shell, with a home of their own."""

    installation: Installation
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return self.installation.environment | {
            "HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KEYS_ENCRYPTION_KEYS": f"{NEW_KEY} {OLD_KEY}",
        }

    def tries(self, example: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    @contextmanager
    def starts(self, example: str) -> Iterator[None]:
        """Until Ctrl-C at the end of the block, which is to end it well."""
        log = self.home / "output"
        with (
            log.open("w") as output,
            subprocess.Popen(
                ["bash", "-euc", f"exec {example}"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                self.wait_until_it_works(process, log)
                yield
            finally:
                os.killpg(process.pid, signal.SIGINT)
                ended = process.wait(PATIENCE_SECONDS)
            assert ended == 0, log.read_text()

    def wait_until_it_works(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """It has said how to stop it, or has taken in the line that is new in the access log."""
        noted = self.noted()
        with (self.home / "access.log").open("a") as access_log:
            access_log.write("\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Ctrl-C stops it" not in log.read_text() and self.noted() == noted:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.05)

    def noted(self) -> set[int]:
        """When it was noted how far logs have been read."""
        notes = Path(self.installation.environment["DATA_DIR"], "imports").glob("*")
        return {note.stat().st_mtime_ns for note in notes}


@pytest.fixture(scope="module")
def reader(tmp_path_factory, new_database) -> Iterator[Reader]:
    """With demo data, encrypted as before the new encryption key was put in front, and an access log."""
    folder = tmp_path_factory.mktemp("reader")
    installation = Installation(folder / "data", new_database())
    installation.environment |= {"KEYS_ENCRYPTION_KEYS": OLD_KEY}
    bring_static_files(installation.data)
    installation.manage("migrate", "--verbosity", "0")
    installation.manage("seed_demo")
    key = json.loads(installation.manage("apikeys", "list", "--status", "enabled", "--limit", "1", "--json"))
    (folder / "access.log").write_text(json.dumps(nginx_line(key)) + "\n")
    yield Reader(installation, folder)
    installation.clean_up()


def nginx_line(key: dict[str, str]) -> dict[str, object]:
    """As the documented `log_format` writes it, of a request with this key."""
    return {
        "time": time.time(),
        "request_id": encode(REQUEST, new_id()),
        "merchant_id": key["merchant_id"],
        "key_id": key["id"],
        "method": "GET",
        "uri": "/v1/payments",
        "status": 200,
        "duration": 0.012,
        "client": "203.0.113.7",
    }


def test_every_example_runs_as_it_stands(reader: Reader) -> None:
    endless = [example for _, example in EXAMPLES if example in ENDLESS]
    assert sorted(endless) == sorted(ENDLESS)
    server, *others = ENDLESS
    with reader.starts(server):
        for title, example in EXAMPLES:
            if example in others:
                with reader.starts(example):
                    pass
            elif example != server:
                ended = reader.tries(example)
                assert ended.returncode == 0, (title, example, ended.stdout, ended.stderr)
                assert "Traceback" not in ended.stderr

    assert_they_left_what_they_promise(reader)


def assert_they_left_what_they_promise(reader: Reader) -> None:
    for name in ("nightly-export.key", "payouts-worker.key", "next.key"):
        assert (reader.home / name).read_text().startswith("sk_live_")
    found = json.loads(reader.tries("./manage.py rotate_encryption --check --json").stdout)["found"]
    assert [each["texts"] > 0 for each in found] == [True, False]
