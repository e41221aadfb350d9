"""Questions before what cannot be undone. They go to the standard error, so that the output stays clean."""

import sys
from unicodedata import normalize

from keys.management.terminal.exits import Exit, failure, usage_error
from keys.naming import printable


def ask_yes(question: str, *, otherwise: str) -> None:
    """Go on only after a yes; `otherwise` is the option that answers beforehand."""
    if _answer(f"{question} [y/N] ", otherwise=otherwise).strip().lower() not in {"y", "yes"}:
        raise failure("Nothing was done.", Exit.REFUSED)


def ask_for(text: str, question: str, *, otherwise: str) -> None:
    """Go on only where `text` is typed."""
    if not is_same(_answer(f"{question} ", otherwise=otherwise), text):
        raise failure("That is something else. Nothing was done.", Exit.REFUSED)


def is_same(typed: str, text: str) -> bool:
    """Names are stored in NFC, with single spaces; keyboards and clipboards may write them otherwise."""
    typed, text = (" ".join(normalize("NFC", each).split()) for each in (typed, text))
    return typed == text


def _answer(question: str, *, otherwise: str) -> str:
    if not sys.stdin.isatty():
        raise usage_error(f"There is nobody to ask: the standard input is no terminal. {otherwise} answers.")
    sys.stderr.write(printable(question, len(question)))
    sys.stderr.flush()
    return sys.stdin.readline()
