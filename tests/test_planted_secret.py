"""A key's text, planted wherever people and merchants can put it, is found nowhere but where it was asked for."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.views.debug import ExceptionReporter

from keys import lifecycle
from keys.errors import InvalidField
from keys.gateway.calls import Verifier
from keys.gateway.drain import Drain
from keys.gateway.processes import assemble
from keys.gateway.recorder import SpoolRecorder
from keys.history import Actor
from keys.keyformat import ScrubFilter
from keys.models import ApiKey, HistoryEntry, RequestLog
from keys.permissions import catalogue
from merchantadmin.logs import JsonFormatter
from tests.client import DirectDirectory
from tests.test_spooled_secrets import environs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at DEBUG, with each statement that goes to the database."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(ScrubFilter())
    loggers = [logging.getLogger(name) for name in ("", "django", "django.db.backends", "keys")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
    loggers[0].addHandler(handler)
    force, connection.force_debug_cursor = connection.force_debug_cursor, True
    yield stream
    connection.force_debug_cursor = force
    loggers[0].removeHandler(handler)
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


@pytest.fixture
def planted(api_key: ApiKey, console: Client, tmp_path: Path, actor: Actor, log: io.StringIO) -> ApiKey:
    """A key that was copied, used, sent to the wrong places, and typed where it does not belong."""
    text = api_key.secret.reveal()
    recorder = SpoolRecorder(settings.KEYS_SPOOL_DIR, limit_bytes=1 << 40)
    gateway = assemble(
        Verifier(directory=DirectDirectory(), recorder=recorder, catalogue=catalogue(), trusted_proxies=1)
    )
    for environ in environs(api_key):
        gateway(environ, lambda status, headers: None)
    recorder.close()
    Drain(settings.KEYS_SPOOL_DIR).once()
    address = f"/keys/{api_key.public_id}/"
    for accept in ("application/json", "text/html"):
        copied = console.post(f"{address}copy/", headers={"Accept": accept, "User-Agent": f"curl {text}"})
        assert text in copied.content.decode()
    for field in ("name", "description"):
        console.post(address, {"name": "Checkout", "description": "", "revision": "1", field: text})
    console.get(f"/merchants/?q={text}", headers={"Referer": f"https://shop.example/?{text}"})
    console.get(f"/keys/{text}/")
    console.get(f"/{text}/")
    console.post("/accounts/login/", {"login": text, "password": text})
    with pytest.raises(InvalidField, match="API key"):
        lifecycle.disable(key=api_key, actor=actor, reason=f"leaked: {text}")
    assert HistoryEntry.objects.filter(key=api_key).exists()
    assert RequestLog.objects.filter(key=api_key).exists()
    return api_key


def pieces(key: ApiKey) -> list[str]:
    """What nothing may hold: every run of ten characters of the secret part, in lower case."""
    secret = key.secret.reveal().removeprefix("sk_live_").lower()
    return [secret[start : start + 10] for start in range(len(secret) - 9)]


def assert_clean(text: str, key: ApiKey, where: str) -> None:
    assert len(text) > 50, where
    found = [piece for piece in pieces(key) if piece in text.lower()]
    assert not found, f"{where} holds the key"


def test_neither_the_database_nor_a_file_has_it(planted: ApiKey) -> None:
    tables = connection.introspection.table_names()
    assert {"keys_apikey", "keys_historyentry", "django_session"} <= set(tables)
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            rows = "".join(
                repr([bytes(v) if isinstance(v, memoryview) else v for v in row]) for row in cursor
            )
            assert_clean(rows + " " * 60, planted, table)
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            path = Path(cursor.execute("PRAGMA database_list").fetchone()[2])
            for file in path.parent.glob(f"{path.name}*"):
                assert_clean(file.read_bytes().decode("latin-1") + " " * 60, planted, file.name)
    for file in Path(settings.KEYS_SPOOL_DIR).rglob("*"):
        if file.is_file():
            assert_clean(file.read_bytes().decode("latin-1") + " " * 60, planted, file.name)
    dump = io.StringIO()
    call_command("dumpdata", "keys", "sessions", exclude=["keys.RequestLog"], stdout=dump)
    assert_clean(dump.getvalue(), planted, "dumpdata")


def test_the_log_has_it_nowhere_even_at_debug(planted: ApiKey, log: io.StringIO) -> None:
    lines = list(map(json.loads, log.getvalue().splitlines()))
    assert {"DEBUG"} <= {line["level"] for line in lines}
    assert any("INSERT INTO" in line["message"] for line in lines)
    assert_clean(log.getvalue(), planted, "the log")


def test_no_page_fragment_or_export_has_it(planted: ApiKey, console: Client) -> None:
    seen = 0
    for address in addresses(planted):
        for headers in ({}, {"HX-Request": "true"}):
            answer = console.get(address, headers=headers)
            body = b"".join(answer) if answer.streaming else answer.content
            assert "no-store" in answer["Cache-Control"], address
            assert_clean(f"{body.decode()} {answer.headers} {console.cookies}", planted, address)
            seen += answer.status_code == 200
    assert seen > 40


def addresses(key: ApiKey) -> Iterator[str]:
    """Every address of the product that can be told from its route, the Django admin's among them."""
    request = RequestLog.objects.filter(key=key).first()
    subjects = {
        "merchant_id": key.merchant.public_id,
        "key_id": key.public_id,
        "request_id": request.public_id,
    }
    objects = {"apikey": key.pk, "merchant": key.merchant_id, "requestlog": request.pk}
    for route in routes(get_resolver()):
        address = re.sub(r"<(\w+):pk>", lambda match: subjects.get(match[1], match[0]), route)
        if match := re.match(r"admin/keys/(\w+)/<path:object_id>/", address):
            address = address.replace("<path:object_id>", str(objects.get(match[1], "1")))
        if not re.search(r"[<(^$]", address) and "logout" not in address:
            yield f"/{address}"


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


def test_a_report_of_an_error_in_the_midst_of_a_copy_has_it_nowhere(planted: ApiKey, actor: Actor) -> None:
    request = RequestFactory().post(f"/keys/{planted.public_id}/copy/")
    try:
        key = lifecycle.copy(key=planted, actor=actor)
        {}[f"in the midst of copying {key}"]
    except KeyError as error:
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
    assert_clean(reporter.get_traceback_html(), planted, "the report for a browser")
    assert_clean(reporter.get_traceback_text(), planted, "the report for a mail")
