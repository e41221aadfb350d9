"""Columns that need a word with the database."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class FoldedField(models.CharField):  # type: ignore[type-arg]
    """Folded text (`keys.naming.fold`), compared by code point on both databases whatever the server's locale.

    SQLite does so anyway; PostgreSQL does with the collation "C", which also lets an index serve a prefix.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return dict(parameters)
