"""`python -m bench.gateway.traced FILE STATUS`: how often SQLite is asked for rows while the product answers.

The product's WSGI application answers in this process, and every connection opened in it reports its statements: those
of the thread that answers. One request goes before, so that what is done once is done. Each answer has to have STATUS.
That SQLite is asked whether anything has changed is not counted: it reads no row for it.
"""

import json
import sqlite3
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from wsgiref.util import setup_testing_defaults

# Asks whether anything has changed since the last time, which SQLite knows without looking into a table.
HAS_ANYTHING_CHANGED = "PRAGMA data_version"
# It looks like a key, and its checksum is wrong.
NO_KEY = "sk_test_" + 38 * "x"
statements: list[str] = []
connect = sqlite3.connect


def traced(*arguments: Any, **named: Any) -> Any:
    connection = connect(*arguments, **named)
    connection.set_trace_callback(note)
    return connection


def note(statement: str) -> None:
    if threading.current_thread() is threading.main_thread() and statement != HAS_ANYTHING_CHANGED:
        statements.append(statement)


def environ(line: str) -> dict[str, Any]:
    method, path, *headers = line.split("\t")
    made: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    for header in headers:
        name, _, value = header.partition(": ")
        made[f"HTTP_{name.upper().replace('-', '_')}"] = value
    setup_testing_defaults(made)
    return made


def answer(lines: Iterable[str], *, status: str) -> int:
    """Have the product answer; returns how often SQLite was asked for rows."""
    from merchantadmin.wsgi import application  # noqa: PLC0415 - it opens connections

    statuses: list[str] = []

    def start_response(line: str, headers: Any, error: Any = None) -> Any:
        statuses.append(line)

    before = len(statements)
    for line in lines:
        b"".join(application(environ(line), start_response))
    if wrong := [line for line in statuses if not line.startswith(status)]:
        raise ValueError(f"{len(wrong)} requests were not answered {status}: {wrong[0]}")
    return len(statements) - before


def main(file: Path, status: str) -> int:
    with patch("sqlite3.connect", traced), patch("sqlite3.dbapi2.connect", traced):
        answer([f"GET\t/v1/whoami\tAuthorization: Bearer {NO_KEY}"], status="401")
        return answer(file.read_text().splitlines(), status=status)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))  # noqa: T201
