"""A verifier of this process's own, as the application of a platform has it: the real directory, the real spool.

Everything is committed here, for the verifier reads by connections of its own.
"""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client

from keys.gateway import processes
from keys.gateway.calls import Verifier
from keys.gateway.drain import Drain
from keys.gateway.postgresql import PostgresDirectory
from keys.gateway.sqlite import SqliteDirectory
from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory
from tests.installation import free_port

MIDDLEWARE = "keys.gateway.integrations.django.ApiKeyMiddleware"


@pytest.fixture
def slashes_that_matter(settings, tmp_path) -> None:
    """A catalogue in which a path needs one permission, and another if a slash in it was encoded."""
    settings.KEYS_PERMISSION_CATALOGUE = tmp_path / "catalogue.toml"
    settings.KEYS_PERMISSION_CATALOGUE.write_text(
        """
        [[resources]]
        name = "files"
        read = ["GET /v1/{file}"]
        [[resources]]
        name = "secrets"
        read = ["GET /v1/{file}/secrets"]
        """
    )


@pytest.fixture
def verifier(transactional_db, tmp_path, settings, monkeypatch) -> Iterator[Verifier]:
    settings.KEYS_SPOOL_DIR = tmp_path / "spool"
    monkeypatch.setattr(processes, "made", [])
    verifier = processes.verifier()
    yield verifier
    verifier.directory.close()
    verifier.recorder.close()


@pytest.fixture
def key(verifier) -> ApiKey:
    """An Enabled key that may write payments and read refunds; its plain text is in `key.secret`."""
    return ApiKeyFactory()


@pytest.fixture
def recorded(verifier) -> Callable[[], list[RequestLog]]:
    """Drain the spool; returns all requests in the log, the oldest first."""

    def recorded() -> list[RequestLog]:
        Drain(configured.KEYS_SPOOL_DIR).once()
        return list(RequestLog.objects.order_by("id"))

    return recorded


@pytest.fixture
def database_away(verifier, tmp_path) -> Iterator[None]:
    """The verifier's database cannot be reached. That of the test can."""
    if connection.vendor == "sqlite":
        away = SqliteDirectory(str(tmp_path / "absent" / "database"), cached_keys_max=1000)
    else:
        nowhere = f"host=127.0.0.1 port={free_port()} user=nobody dbname=nothing"
        away = PostgresDirectory(nowhere, bound_seconds=0.1, cached_keys_max=1000)
    present, verifier.directory = verifier.directory, away
    yield
    verifier.directory = present
    away.close()


@pytest.fixture
def api(verifier, settings) -> Client:
    """A client of the API in tests/integrations/api.py, which answers 500 rather than raise."""
    settings.ROOT_URLCONF = "tests.integrations.api"
    settings.MIDDLEWARE = [MIDDLEWARE]
    return Client(raise_request_exception=False)


def bearer(key: ApiKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.secret.reveal()}"}
