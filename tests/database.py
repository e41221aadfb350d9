"""The test database within one test."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is undone: each example of a property starts with an empty database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
