"""The audit of the packages that run: it finds what is known, and says what it could not look for."""

import json
import subprocess
import sys

import pytest

from scripts import audit

SOUND = {"name": "django", "version": "5.2.8", "vulns": []}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found"}
HOLE = {"id": "CVE-2026-1", "fix_versions": ["5.2.9"], "aliases": [], "description": "…"}
OPEN = {"id": "CVE-2026-2", "fix_versions": [], "aliases": [], "description": "…"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, ""),
        ([SOUND | {"vulns": [HOLE]}], 1, "django 5.2.8, CVE-2026-1, mended in 5.2.9."),
        ([SOUND | {"vulns": [OPEN]}, UNKNOWN], 1, "CVE-2026-2, not mended yet."),
        ([SOUND, UNKNOWN], 0, "1 of 2 packages not looked for"),
        (None, 0, "cannot be had here"),
    ],
)
def test_what_is_found_fails_and_what_cannot_be_known_is_said(packages, code, said, capsys) -> None:
    assert audit.report(packages) == code
    printed = capsys.readouterr().out
    assert said in printed
    assert bool(printed) is bool(said)


@pytest.mark.parametrize(
    ("code", "output", "answered"),
    [
        (0, json.dumps({"dependencies": [SOUND]}), True),
        (1, json.dumps({"dependencies": [SOUND]}), True),
        (2, json.dumps({"dependencies": [SOUND]}), False),
        (1, "", False),
    ],
)
def test_an_answer_is_told_from_a_failure(code: int, output: str, answered: bool, monkeypatch) -> None:
    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == sys.executable
        assert str(audit.LOCK) in command
        return subprocess.CompletedProcess(command, code, output, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert (audit.audit() is not None) is answered


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(monkeypatch) -> None:
    def run(command: list[str], *, timeout: float, **options: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.audit() is None
