"""The gateway of one process, put together as the settings say."""

import threading
from collections.abc import Callable, Sequence
from functools import cache

from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

from keys.gateway import metrics, openapi, reports, verify
from keys.gateway.apart import Apart
from keys.gateway.calls import Verifier
from keys.gateway.directory import Directory
from keys.gateway.http import Call, Gateway
from keys.gateway.metrics import Metrics
from keys.gateway.postgresql import PostgresDirectory
from keys.gateway.recorder import SpoolRecorder
from keys.gateway.reports import Report, ReportsCall, Taken
from keys.gateway.sqlite import SqliteDirectory
from keys.gateway.tokens import GatewayTokens, TokenCall
from keys.gateway.verify import VerifyCall
from keys.identifiers import RequestIds
from keys.permissions import catalogue

MEBIBYTE = 1024 * 1024
# Empty until somebody asks for the verifier of this process. A test may put one of its own here.
made: list[Verifier] = []
_making = threading.Lock()

# Parameters of psycopg's own connections.
NOT_LIBPQ = {
    "client_encoding",
    "cursor_factory",
    "context",
    "prepare_threshold",
    "server_side_binding",
    "autocommit",
}


@cache
def gateway() -> Gateway:
    """The gateway of this process."""
    return assemble(verifier(), take=Apart(reports.take))


def verifier() -> Verifier:
    """The verifier of this process. It listens for changes and writes a spool file until the process ends."""
    if not made:
        # Requests that come together must not make two, of which one would never be retired.
        with _making:
            if not made:
                made.append(_make())
    return made[0]


def _make() -> Verifier:
    return Verifier(
        directory=open_directory(),
        recorder=SpoolRecorder(settings.KEYS_SPOOL_DIR, limit_bytes=settings.KEYS_SPOOL_LIMIT_MB * MEBIBYTE),
        catalogue=catalogue(),
        trusted_proxies=settings.TRUSTED_PROXY_COUNT,
    )


def assemble(
    verifier: Verifier,
    *,
    ids: RequestIds | None = None,
    take: Callable[[Sequence[Report]], Taken] = reports.take,
) -> Gateway:
    """The gateway with all its calls; `take` records what is reported."""
    tokens = GatewayTokens(settings.KEYS_GATEWAY_TOKENS)
    calls: dict[str, Call] = {
        verify.PATH: TokenCall(
            tokens, VerifyCall(verifier), kinds=verify.KINDS, limit_bytes=verify.LIMIT_BYTES
        ),
        reports.PATH: TokenCall(
            tokens, ReportsCall(take), kinds=reports.KINDS, limit_bytes=reports.LIMIT_BYTES
        ),
        openapi.PATH: openapi.Description(verifier.catalogue),
        metrics.PATH: Metrics(verifier, tokens),
    }
    return Gateway(verifier, calls=calls, ids=ids)


def retire() -> None:
    """Tell the database that this process stops. It still answers what comes, and reads for each request."""
    if made:
        made[0].directory.close()


def open_directory() -> Directory:
    if connection.vendor == "sqlite":
        return SqliteDirectory(
            str(connection.settings_dict["NAME"]), cached_keys_max=settings.KEYS_CACHED_KEYS_MAX
        )
    return PostgresDirectory(
        conninfo(),
        bound_seconds=settings.KEYS_REVOCATION_BOUND_MS / 1000,
        cached_keys_max=settings.KEYS_CACHED_KEYS_MAX,
    )


def conninfo() -> str:
    """The address of Django's database, for libpq; times as text come in UTC."""
    libpq = {
        name: str(value)
        for name, value in connection.get_connection_params().items()
        if isinstance(value, str | int) and name not in NOT_LIBPQ
    }
    return make_conninfo(
        **libpq | {"application_name": "merchantadmin verifier", "options": "-c TimeZone=UTC"}
    )
