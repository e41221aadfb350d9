"""On SQLite a migration builds whole tables anew; what it sets aside meanwhile belongs into files.

Requests keep their small temporary tables in memory (`temp_store` in the settings). For a table of a million rows that
would be a gigabyte.
"""

from typing import Any

from django.db import connections


def spill_before_migrate(using: str, **_: Any) -> None:
    """Receiver of `pre_migrate`."""
    _store_temporaries("FILE", using)


def keep_after_migrate(using: str, **_: Any) -> None:
    """Receiver of `post_migrate`."""
    _store_temporaries("MEMORY", using)


def _store_temporaries(place: str, using: str) -> None:
    connection = connections[using]
    # Within a transaction it cannot be changed. That is a first start, whose tables are empty.
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA temp_store = {place}")
