"""A client of the whole product, as the server has it: /v1/ is the gateway's, everything else is Django's.

The gateway here looks keys up through Django's connection, so that it sees what the test has not committed, and records
at once. Its real directories and its spool have tests of their own.
"""

import json
from io import BytesIO
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.http import HttpResponse
from django.test import Client

from keys.gateway import batches, ingest
from keys.gateway.calls import Verifier
from keys.gateway.directory import (
    FIND,
    DirectoryUnavailable,
    Holder,
    digest_of,
    holder_of,
    require_well_formed,
)
from keys.gateway.http import PREFIX, Gateway
from keys.gateway.processes import assemble
from keys.identifiers import RequestIds
from keys.permissions import catalogue

# One sequence for all requests of a test, as a server has it.
IDS = RequestIds()


class DirectDirectory:
    """Looks every key up, through Django's connection."""

    cached_keys = 0
    lease_seconds = None

    def find(self, key: str) -> Holder | None:
        require_well_formed(key)
        try:
            with connection.cursor() as cursor:
                cursor.execute(FIND, [digest_of(key)])
                row = cursor.fetchone()
        except Error as error:
            raise DirectoryUnavailable from error
        return holder_of(row) if row else None

    def close(self) -> None:
        pass


class DirectRecorder:
    """Takes each line into the database at once."""

    def write(self, line: bytes) -> None:
        with transaction.atomic():
            ingest.take(batches.prepared(line.decode()))

    def close(self) -> None:
        pass


class ProductClient(Client):
    """Django's test client, which hands what begins with /v1/ to the gateway."""

    def request(self, **request: Any) -> Any:
        environ = self._base_environ(**request)
        if not environ["PATH_INFO"].startswith(PREFIX):
            return super().request(**request)
        return ask(environ)


def gateway_ahead_of(django: Any) -> Any:
    """The same for `live_server`: a WSGI application of the two."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        asked = direct_gateway() if environ["PATH_INFO"].startswith(PREFIX) else django
        return asked(environ, start_response)

    return application


def direct_gateway() -> Gateway:
    return assemble(
        Verifier(
            directory=DirectDirectory(),
            recorder=DirectRecorder(),
            catalogue=catalogue(),
            trusted_proxies=settings.TRUSTED_PROXY_COUNT,
        ),
        ids=IDS,
    )


def posted(path: str, body: bytes, kind: str, token: str) -> dict[str, Any]:
    """The environ of a POST in which nothing is wrong."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "wsgi.input": BytesIO(body),
    }


def ask(environ: dict[str, Any]) -> HttpResponse:
    """The gateway's answer, with `json()` as the test client's responses have it."""
    told: list[Any] = []
    body = b"".join(direct_gateway()(environ, lambda *line: told.extend(line)))
    status, headers = told
    response = HttpResponse(body, status=int(status.split()[0]))
    for name in list(response.headers):
        del response.headers[name]
    for name, value in headers:
        assert name not in response.headers, name
        response.headers[name] = value
    response.json = lambda: json.loads(response.content)
    return response
