"""How much SQLite's engine does for a page: a measure that no other work on the machine changes."""

from itertools import islice

from django.db import connection
from django.test import Client


def opened(console: Client, address: str) -> None:
    """The page, or the first part of a file: how far that goes is for whoever takes it."""
    response = console.get(address)
    assert response.status_code == 200, address
    if response.streaming:
        list(islice(response.streaming_content, 2))


def steps_of(console: Client, address: str) -> int:
    """How many hundreds of instructions SQLite's engine takes."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    connection.connection.set_progress_handler(count, 100)
    try:
        opened(console, address)
    finally:
        connection.connection.set_progress_handler(None, 0)
    return taken
