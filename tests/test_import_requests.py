"""`manage.py import_requests`: the real statuses from an access log, each once, whatever becomes of the file."""

import json
import os
import re
import signal
import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keys.gateway import accesslog, reports
from keys.gateway.accesslog import NotImported
from keys.gateway.reports import Window
from keys.identifiers import REQUEST, encode, new_id
from keys.management.commands import import_requests
from keys.models import ApiKey, RequestLog
from tests import fuzzing
from tests.factories import RecordFactory
from tests.fuzzing import examples
from tests.recounts import assert_rollups_equal_rows

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_positions(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture(name="log")
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "access.json"


def nginx(key: ApiKey, id_: str, **fields: Any) -> bytes:
    """A line as the documented `log_format` writes it."""
    line = {
        "time": round(time.time(), 3),
        "request_id": id_,
        "merchant_id": key.merchant.public_id,
        "key_id": key.public_id,
        "method": "GET",
        "uri": "/v1/payments",
        "status": 200,
        "duration": 0.012,
        "client": "203.0.113.7",
    } | fields
    return json.dumps(line).encode() + b"\n"


def caddy(key: ApiKey, id_: str, **fields: Any) -> bytes:
    """A line as Caddy 2 writes it with the documented Caddyfile."""
    request = {
        "remote_ip": "203.0.113.7",
        "remote_port": "51234",
        "client_ip": "203.0.113.7",
        "proto": "HTTP/1.1",
        "method": "GET",
        "host": "127.0.0.1:8080",
        "uri": "/v1/payments",
    }
    line = {
        "level": "info",
        "ts": time.time(),
        "logger": "http.log.access.log0",
        "msg": "handled request",
        "request": request | fields.pop("request", {}),
        "bytes_read": 0,
        "user_id": "",
        "duration": 0.012,
        "size": 17,
        "status": 200,
        "resp_headers": {"X-Request-Id": [id_], "X-Key-Id": [key.public_id], "Server": ["Caddy"]},
    } | fields
    return json.dumps(line).encode() + b"\n"


def recorded(key: ApiKey, *, number: int = 1) -> list[str]:
    """Let so many requests be recorded by the verifier, one after another; returns their ids."""
    began = datetime.now(UTC) - timedelta(seconds=number)
    moments = [began + timedelta(milliseconds=place) for place in range(number)]
    records = [RecordFactory(key=key, at=at, request_id="") for at in moments]
    reports.ingest(records)
    return [encode(REQUEST, record.id) for record in records]


def run(log: Path, **options: Any) -> str:
    output = StringIO()
    call_command("import_requests", str(log), stdout=output, stderr=output, **options)
    return output.getvalue()


def statuses(key: ApiKey) -> list[int]:
    return list(RequestLog.objects.filter(key=key).order_by("id").values_list("status", flat=True))


@pytest.mark.parametrize("line", [nginx, caddy])
@pytest.mark.parametrize("form", ["auto", "own"])
def test_the_status_of_the_api_takes_the_place_of_the_verdicts(api_key, log, line, form: str) -> None:
    first, second, unheard = recorded(api_key, number=3)
    log.write_bytes(line(api_key, first, status=404, duration=0.25) + line(api_key, second, status=503))
    told = run(log, format=line.__name__ if form == "own" else form)
    assert told == "Imported 2 requests; 0 were known already.\n"
    assert statuses(api_key) == [404, 503, 200]
    rows = RequestLog.objects.order_by("id")
    assert [row.reported for row in rows] == [True, True, False]
    assert rows[0].duration_us == 250_000
    assert encode(REQUEST, rows[2].pk) == unheard
    assert_rollups_equal_rows()


@pytest.mark.parametrize("line", [nginx, caddy])
def test_repeating_it_counts_nothing_twice(api_key, log, settings, tmp_path, line) -> None:
    log.write_bytes(b"".join(line(api_key, id_, status=500) for id_ in recorded(api_key, number=5)))
    run(log)
    before = list(RequestLog.objects.order_by("id").values())
    # With its notes it reads nothing again; without them everything, and to no effect.
    assert run(log) == "Imported 0 requests; 0 were known already.\n"
    settings.DATA_DIR = tmp_path / "elsewhere"
    assert run(log) == "Imported 0 requests; 5 were known already.\n"
    assert list(RequestLog.objects.order_by("id").values()) == before
    assert_rollups_equal_rows()


@pytest.mark.parametrize("line", [nginx, caddy])
def test_a_request_that_the_spool_still_holds_is_recorded_from_the_log(api_key, log, line) -> None:
    id_ = new_id(datetime.now(UTC) - timedelta(seconds=3))
    log.write_bytes(line(api_key, encode(REQUEST, id_), status=201))
    assert run(log) == "Imported 1 requests; 0 were known already.\n"
    row = RequestLog.objects.get()
    assert (row.pk, row.status, row.method, row.path, row.address) == (
        id_,
        201,
        "GET",
        "/v1/payments",
        "203.0.113.7",
    )
    # What the verifier wrote down comes later, and changes nothing.
    assert reports.ingest([RecordFactory(key=api_key, id=id_, at=row.at)]) == 0
    assert_rollups_equal_rows()


@pytest.mark.parametrize("line", [nginx, caddy])
def test_an_id_that_is_not_the_verifiers_makes_a_request_of_its_own(api_key, log, line) -> None:
    moment = {nginx: "time", caddy: "ts"}[line]
    at = round(time.time() - 60, 3)
    log.write_bytes(line(api_key, "their-own", **{moment: at}, duration=2) * 2)
    assert run(log) == "Imported 1 requests; 1 were known already.\n"
    row = RequestLog.objects.get()
    assert row.request_id == "their-own"
    assert abs(row.at.timestamp() - (at - 2)) < 0.002


def test_the_documented_format_of_nginx_is_what_is_read(api_key: ApiKey) -> None:
    text = (ROOT / "docs" / "gateways" / "nginx.conf").read_text()
    form = re.search(r"log_format requests escape=json\s+((?:'[^']*'\s*)+);", text)[1]
    values = {
        "$msec": f"{time.time():.3f}",
        "$verdict_id": encode(REQUEST, new_id()),
        "$merchant_id": api_key.merchant.public_id,
        "$key_id": api_key.public_id,
        "$request_method": "POST",
        "$request_path": '/v1/payments/\\"x',
        "$status": "402",
        "$request_time": "0.007",
        "$remote_addr": "2001:db8::1",
    }
    line = re.sub(r"\$\w+", lambda name: values[name[0]], "".join(re.findall("'([^']*)'", form)))
    report = accesslog.read(line.encode(), form="auto", window=Window.around(datetime.now(UTC)))
    assert (report.method, report.path, report.status) == ("POST", '/v1/payments/"x', 402)
    assert (report.duration_us, report.address, report.key_id) == (7_000, "2001:db8::1", api_key.pk)


SKIPPED = {
    "rubbish": (lambda key, id_: b"rubbish", "no JSON"),
    "half a line": (lambda key, id_: nginx(key, id_)[:40], "no JSON"),
    "another object": (lambda key, id_: b'{"level":"info","msg":"server running"}', "of no verdict"),
    "a list": (lambda key, id_: b"[1]", "no JSON"),
    "no verdict": (lambda key, id_: nginx(key, ""), "of no verdict"),
    "refused": (lambda key, id_: nginx(key, id_, key_id="", merchant_id=""), "refused, or without a key"),
    "refused by Caddy": (
        lambda key, id_: caddy(key, id_, resp_headers={"X-Request-Id": [id_]}),
        "refused, or without a key",
    ),
    "no headers": (lambda key, id_: caddy(key, id_, resp_headers={}), "of no verdict"),
    "no headers at all": (lambda key, id_: caddy(key, id_, resp_headers=None), "no line of Caddy's"),
    "strange headers": (
        lambda key, id_: caddy(key, id_, resp_headers={"X-Request-Id": {"a": 1}}),
        "of no verdict",
    ),
    "unknown key": (
        lambda key, id_: nginx(key, id_, key_id="key_01jd9v4c2hf6w8a3s5d7f9g1hj"),
        "with a key that there is not",
    ),
    "no key": (lambda key, id_: nginx(key, id_, key_id="-"), '"key" is the id of an API key'),
    "number for key": (lambda key, id_: nginx(key, id_, key_id=7), '"key" must be a text'),
    "no status": (lambda key, id_: caddy(key, id_, status=0), '"status" must be a whole number'),
    "text for status": (lambda key, id_: nginx(key, id_, status="200"), '"status" must be a whole number'),
    "null for duration": (lambda key, id_: nginx(key, id_, duration=None), '"duration_ms" must be a number'),
    "null for path": (lambda key, id_: nginx(key, id_, uri=None), '"path" must be a text'),
    "too old": (
        lambda key, id_: nginx(key, encode(REQUEST, new_id(datetime.now(UTC) - timedelta(days=91)))),
        "older than requests are kept",
    ),
    "no time for their id": (lambda key, id_: nginx(key, "x", time="then"), '"at" is missing'),
    "an impossible time": (lambda key, id_: nginx(key, "x", time=1e300), '"at" is missing'),
}


@pytest.mark.parametrize(("make", "reason"), SKIPPED.values(), ids=SKIPPED)
def test_a_line_that_is_no_request_is_counted_and_skipped(api_key, log, make, reason: str) -> None:
    id_, other = recorded(api_key, number=2)
    log.write_bytes(make(api_key, id_).rstrip(b"\n") + b"\n\n" + nginx(api_key, other, status=500))
    told = run(log)
    assert told.startswith("Imported 1 requests; 0 were known already; skipped 1 lines (1 "), told
    assert reason in told
    assert statuses(api_key) == [200, 500]


def test_each_reason_is_counted(api_key: ApiKey, log: Path) -> None:
    log.write_bytes(b"x\n" * 1200 + nginx(api_key, "") * 3 + b"{}\n")
    assert run(log) == (
        "Imported 0 requests; 0 were known already; skipped 1,204 lines (1,200 no JSON, 4 of no verdict).\n"
    )


def test_a_format_that_was_asked_for_is_the_only_one_that_is_read(api_key: ApiKey, log: Path) -> None:
    first, second = recorded(api_key, number=2)
    log.write_bytes(nginx(api_key, first, status=500) + caddy(api_key, second, status=500))
    assert "skipped 1 lines" in run(log, format="caddy")
    assert statuses(api_key) == [200, 500]


def test_paths_are_kept_without_query_and_key_whatever_bytes_they_hold(api_key: ApiKey, log: Path) -> None:
    first, second = recorded(api_key, number=2)
    RequestLog.objects.all().delete()
    secret = api_key.secret.reveal()
    raw = nginx(api_key, second, uri="/v1/@").replace(b"@", b"\xff\xfe")
    log.write_bytes(nginx(api_key, first, uri=f"/v1/{secret}?key={secret}") + raw)
    assert "Imported 2" in run(log)
    paths = list(RequestLog.objects.order_by("id").values_list("path", flat=True))
    assert secret[12:] not in paths[0]
    assert "?" not in paths[0]
    assert paths[1].startswith("/v1/")


def test_an_address_that_is_none_is_left_out(api_key: ApiKey, log: Path) -> None:
    log.write_bytes(nginx(api_key, encode(REQUEST, new_id()), client="unix:"))
    assert "Imported 1" in run(log)
    assert RequestLog.objects.get().address is None


@pytest.mark.fuzz
@hypothesis_settings(max_examples=examples(60))
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "request",
                        "resp_headers",
                        "request_id",
                        "key_id",
                        "uri",
                        "X-Request-Id",
                        "X-Key-Id",
                        "status",
                        "duration",
                        "time",
                        "ts",
                        "client",
                        "method",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
@example(
    b'{"request_id": "x", "key_id": "key_01jd9v4c2hf6w8a3s5d7f9g1hj", "duration": 1e308, "time": -1e308}'
)
@example(b'{"request_id": "x", "key_id": "x", "duration": 1' + b"0" * 400 + b', "time": 1}')
def test_no_line_stops_it(line: bytes) -> None:
    fuzzing.count()
    window = Window.around(datetime.now(UTC))
    for form in accesslog.FORMATS:
        with pytest.raises(NotImported):
            accesslog.read(line, form=form, window=window)


def test_a_file_that_is_no_log_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        run(tmp_path / "missing")
    with pytest.raises(CommandError, match="not a regular file"):
        run(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CommandError, match="not a regular file"):
        run(tmp_path / "pipe")


@pytest.mark.django_db(transaction=True)
def test_the_database_away_ends_it_and_nothing_is_left_out_the_next_time(api_key, log, monkeypatch) -> None:
    log.write_bytes(b"".join(nginx(api_key, id_, status=500) for id_ in recorded(api_key, number=3)))

    def away(found: object) -> None:
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(reports, "take", away)
        with pytest.raises(CommandError, match="The database cannot be used: server closed the connection"):
            run(log)
    assert statuses(api_key) == [200] * 3
    assert "Imported 3" in run(log)


@pytest.mark.django_db(transaction=True)
def test_with_follow_a_database_that_is_away_is_waited_for(api_key, log, monkeypatch) -> None:
    ids = recorded(api_key, number=3)
    log.write_bytes(b"".join(nginx(api_key, id_, status=500) for id_ in ids))
    real, tries = reports.take, []

    def away(found):
        tries.append(found)
        if len(tries) < 3:
            raise OperationalError("away")
        taken = real(found)
        os.kill(os.getpid(), signal.SIGTERM)
        return taken

    monkeypatch.setattr(reports, "take", away)
    monkeypatch.setattr(import_requests, "RETRY_SECONDS", (0.001,))
    told = run(log, follow=True)
    assert told.count("The database cannot be used; trying again: away") == 1
    assert "Imported 3 requests" in told
    assert len(tries) == 3


def test_told_to_stop_before_the_end_it_says_so(api_key, log, monkeypatch) -> None:
    log.write_bytes(b"x\n" * 2500)
    real = reports.take

    def take(found):
        os.kill(os.getpid(), signal.SIGINT)
        return real(found)

    with monkeypatch.context() as patch:
        patch.setattr(reports, "take", take)
        with pytest.raises(CommandError, match="Stopped before the end") as stopped:
            run(log)
    assert stopped.value.returncode == 130
    assert "skipped 1,500 lines" in run(log)
