"""What is recorded, read from the spool's folder and the database with nothing of the product's."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from bench.errors import BenchError
from bench.installation import Installation

SETTLE_SECONDS = 900


def query(database_url: str, statement: str) -> Sequence[Sequence[Any]]:
    """The rows that one statement gives."""
    if database_url.startswith("sqlite:///"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=60)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    with psycopg.connect(database_url, autocommit=True) as postgresql:
        return postgresql.execute(statement.encode()).fetchall()


def count(installation: Installation) -> int:
    """The rows of the request log."""
    return int(query(installation.database_url, "SELECT count(*) FROM keys_requestlog")[0][0])


def drain(installation: Installation) -> None:
    """Have all that is written down in the database, with no other drain at work."""
    installation.manage("drain", "--once", quietly=True)


def settle(installation: Installation, *, poll_seconds: float = 0.05) -> None:
    """Wait until the drain at work has nothing left to do."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while backlog_bytes(installation):
        if time.monotonic() > deadline:
            raise BenchError(f"nobody drains the spool: {backlog_bytes(installation):,} bytes are left in it")
        time.sleep(poll_seconds)


def backlog_bytes(installation: Installation) -> int:
    """What the spool files hold beyond the positions that the drain has noted beside them."""
    return sum(
        max(0, _size(file) - _position(file.with_suffix(".position")))
        for file in (installation.data_dir / "spool").glob("*.spool")
    )


def _size(file: Path) -> int:
    # The drain removes files between our looking for them and our looking at them.
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0


def _position(file: Path) -> int:
    with suppress(FileNotFoundError):
        return int.from_bytes(file.read_bytes())
    return 0
