"""The access logs of nginx and Caddy have what `manage.py import_requests` needs, and no key."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from keys.models import ApiKey, RequestLog
from tests.gateways.api import Api
from tests.gateways.product import Product
from tests.gateways.servers import SERVERS, Running, running
from tests.gateways.waiting import until
from tests.gateways.wire import Client, basic, bearer, x_api_key

pytestmark = pytest.mark.gateway

LOG = "merchant-api.json"


@pytest.fixture(params=["nginx", "caddy"])
def logging_server(request, verifier: Product, api: Api, tmp_path) -> Iterator[Running]:
    with running(SERVERS[request.param], tmp_path, verifier=verifier.port, api=api.port) as server:
        yield server


def lines(server: Running) -> list[dict]:
    """The log so far, without the line of whoever looked whether the server is up."""
    log = server.place / LOG
    everything = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in map(common, everything) if line["path"] != "/"]


def common(line: dict) -> dict:
    """What both servers say of a request, under one set of names: docs/gateways.md has the table."""
    if "request" not in line:
        return {"path": line["uri"], **{name: line[name] for name in line if name != "uri"}}
    asked, told = line["request"], line["resp_headers"]
    return {
        "path": asked["uri"],
        "time": line["ts"],
        "request_id": told["X-Request-Id"][0],
        "merchant_id": None,
        "key_id": told.get("X-Key-Id", [""])[0],
        "method": asked["method"],
        "status": line["status"],
        "duration": line["duration"],
        "client": asked["remote_ip"],
    }


def test_each_request_is_one_line_that_names_its_verdict(logging_server: Running, key: ApiKey) -> None:
    credential = bearer(key.secret.reveal())
    began = time.time()
    with Client(logging_server.port, source="127.0.0.4") as client:
        allowed = client.ask("POST", "/v1/payments?limit=10&note=private", credential, b"{}")
        denied = client.ask("GET", "/v1/payouts", credential)
        unknown = client.ask("GET", "/v1/payments", bearer("sk_live_nothing"))
    until(lambda: len(lines(logging_server)) == 3)
    logged = lines(logging_server)
    assert [(line["method"], line["path"], line["status"]) for line in logged] == [
        ("POST", "/v1/payments", 200),
        ("GET", "/v1/payouts", 403),
        ("GET", "/v1/payments", 401),
    ]
    assert [line["request_id"] for line in logged] == [
        answer.headers["X-Request-Id"] for answer in (allowed, denied, unknown)
    ]
    # A refused request is in the product's own record; an allowed one is looked up by key and by request.
    assert logged[0]["key_id"] == key.public_id
    assert {line["client"] for line in logged} == {"127.0.0.4"}
    assert all(began - 1 <= line["time"] <= time.time() + 1 for line in logged)
    assert all(0 <= line["duration"] < 30 for line in logged)


def test_the_record_knows_the_request_under_the_id_in_the_log(logging_server: Running, key: ApiKey) -> None:
    with Client(logging_server.port) as client:
        client.ask("GET", "/v1/payments", bearer(key.secret.reveal()))
    recorded = RequestLog.objects.filter(key=key)
    until(lambda: recorded.exists() and lines(logging_server))
    ((row,), (line,)) = recorded, lines(logging_server)
    # Both names that the record has for a request: what others call it, and its own.
    assert line["request_id"] in {row.request_id, row.public_id}
    assert abs(timedelta(seconds=line["time"] - row.at.timestamp())) < timedelta(seconds=5)


def test_no_key_is_in_the_logs(logging_server: Running, key: ApiKey) -> None:
    secret = key.secret.reveal()
    target = f"/v1/payments?api_key={secret}"
    forms = (bearer(secret), x_api_key(secret), basic(key.merchant.public_id, secret), [])
    with Client(logging_server.port) as client:
        answers = [client.ask("GET", target, [*form, ("Cookie", secret)]) for form in forms]
    assert [answer.status for answer in answers] == [200, 200, 200, 401]
    until(lambda: len(lines(logging_server)) == 4)
    written = [path.read_text() for path in logging_server.place.rglob("*") if path.is_file()]
    assert not any(secret in text for text in written)


def test_what_a_merchant_sends_cannot_make_a_line_up(logging_server: Running, key: ApiKey) -> None:
    """Quotes and line breaks in a path stay inside its string."""
    target = '/v1/payments/"}\\n{"status":200,"x":"%0A'
    with Client(logging_server.port) as client:
        client.ask("GET", target, bearer(key.secret.reveal()))
    until(lambda: lines(logging_server))
    (line,) = lines(logging_server)
    assert line["path"].startswith("/v1/payments/")
    assert line["status"] in {400, 403}
