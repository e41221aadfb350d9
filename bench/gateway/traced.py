"""`python -m bench.gateway.traced FILE`: how many statements SQLite is asked while the product answers those requests.

The product's WSGI application answers in this process, and every connection opened in it reports its statements:
those of the thread that answers. One request goes before, so that what is done once is done.
"""

import json
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

statements: list[str] = []


def trace(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect/handle":
        arguments[0].set_trace_callback(note)


def note(statement: str) -> None:
    if threading.current_thread() is threading.main_thread():
        statements.append(statement)


def environ(line: str) -> dict[str, Any]:
    method, path, *headers = line.split("\t")
    made: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    for header in headers:
        name, _, value = header.partition(": ")
        made[f"HTTP_{name.upper().replace('-', '_')}"] = value
    setup_testing_defaults(made)
    return made


def answer(lines: Iterable[str]) -> int:
    """Have the product answer; returns how many statements that took."""
    from merchantadmin.wsgi import application  # noqa: PLC0415 - after the hook is in place

    before = len(statements)
    for line in lines:
        b"".join(application(environ(line), lambda status, headers, error=None: lambda data: None))
    return len(statements) - before


if __name__ == "__main__":
    sys.addaudithook(trace)
    answer(["GET\t/v1/whoami"])
    print(json.dumps(answer(Path(sys.argv[1]).read_text().splitlines())))  # noqa: T201
