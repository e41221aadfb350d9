"""Commands run within the test: what they print, and what they end with."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import CommandError, call_command


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has come to its end."""

    status: int
    out: str
    err: str
    complaint: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


Run = Callable[..., Ended]


@pytest.fixture
def run(db: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command, as in `run("apikeys", "show", key)`; whatever has a public ID stands for it."""

    def run_it(*words: object, status: int = 0) -> Ended:
        capsys.readouterr()
        ended, complaint = 0, ""
        try:
            call_command(*(str(getattr(word, "public_id", word)) for word in words))
        except CommandError as error:
            ended, complaint = error.returncode, str(error)
        except SystemExit as exit_:
            ended = int(exit_.code or 0)
        said = capsys.readouterr()
        assert ended == status, (ended, complaint, said)
        return Ended(ended, said.out, said.err, complaint)

    return run_it


class Terminal:
    """Whoever sits before the standard input, and answers what is asked."""

    def __init__(self) -> None:
        self.answers: list[str] = []

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return f"{self.answers.pop(0)}\n"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is answered to the questions to come; a question too many fails the test."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdin", terminal)
    return terminal.answers
