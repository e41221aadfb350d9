"""/v1/authorize: may this key make that request? Asked by proxies, each in its own way."""

from itertools import product

import pytest

from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory(permissions={"payments": "write", "refunds": "read", "reports": "read"})


@pytest.fixture
def ask(client, key: ApiKey):
    """Ask with `key`; headers by keyword: `x_original_uri="/v1/payments"`."""

    def ask(path: str = "/v1/authorize", method: str = "GET", **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.generic(method, path, headers={"X-API-Key": key.secret.reveal(), **named})

    return ask


def nginx(method: str, uri: str) -> dict:
    return {"x_original_method": method, "x_original_uri": uri}


def caddy(method: str, uri: str) -> dict:
    return {"x_forwarded_method": method, "x_forwarded_uri": uri}


def envoy(method: str, uri: str) -> dict:
    return {"path": f"/v1/authorize{uri}", "method": method}


WAYS = [nginx, caddy, envoy]


@pytest.mark.parametrize("way", WAYS)
def test_an_allowed_request_gets_the_identity_in_headers(ask, key: ApiKey, way) -> None:
    answer = ask(**way("POST", "/v1/payments?expand=customer"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["X-Merchant-Id"] == key.merchant.public_id
    assert answer["X-Key-Id"] == key.public_id
    assert answer["X-Key-Mode"] == "live"
    assert answer["X-Key-Permissions"] == "payments:write refunds:read reports:read"
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Length"] == "0"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("method", "uri", "status"),
    [
        ("GET", "/v1/payments", 200),
        ("HEAD", "/v1/payments/pay_1", 200),
        ("PATCH", "/v1/payments/pay_1", 200),
        ("GET", "/v1/whoami", 200),
        ("GET", "/v1/refunds/re_1", 200),
        ("GET", "/v1/reports/r/files/2026/march.csv", 200),
        ("POST", "/v1/refunds", 403),
        ("GET", "/v1/payouts", 403),
        ("DELETE", "/v1/payments/pay_1", 403),
        ("GET", "/v1/unheard-of", 403),
        ("GET", "/", 403),
        ("GET", "/v1/payments/", 403),
        ("GET", "//v1/payments", 403),
        ("GET", "/v1/payments/../payouts", 403),
        ("GET", "/v1/payments/%2e%2e/payouts", 403),
        ("GET", "/v1/payments/%252e%252e", 403),
        ("GET", "/v1/payments/a;b", 403),
        ("GET", "/v1/payments/a%00", 403),
        ("GET", "/v1/payments/%ff", 403),
        ("GET", "/v1/reports/r/files/" + "a/" * 500 + "a", 200),
        ("GET", "/v1/payments/" + "a" * 9000, 403),
        ("BREW", "/v1/payments", 403),
    ],
)
def test_method_and_path_decide_which_permission_is_needed(ask, way, method, uri, status) -> None:
    assert ask(**way(method, uri)).status_code == status


def test_a_refusal_names_the_permission_that_lacks(ask) -> None:
    answer = ask(**nginx("POST", "/v1/refunds"))
    document = answer.json()
    assert (answer["X-Problem"], answer["X-Required-Permission"]) == ("permission-denied", "refunds:write")
    assert document["outcome"] == "PERMISSION_DENIED"
    assert document["required_permission"] == "refunds:write"
    assert "refunds:write" in document["detail"]
    answer = ask(**nginx("GET", "/v1/unheard-of"))
    document = answer.json()
    assert (answer["X-Problem"], "X-Required-Permission" in answer) == ("permission-denied", False)
    assert document["outcome"] == "PERMISSION_DENIED"
    assert "required_permission" not in document
    assert "no route" in document["detail"]


@pytest.mark.parametrize("own_method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_with_headers_any_method_may_ask(ask, own_method: str) -> None:
    assert ask(method=own_method, **nginx("POST", "/v1/payments")).status_code == 200
    assert ask(method=own_method, **nginx("POST", "/v1/refunds")).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_original_uri": "/v1/payments"},
        {"x_original_method": "GET"},
        {"x_forwarded_uri": "/v1/payments"},
        {"x_forwarded_method": "GET"},
        {"x_original_method": "GET", "x_forwarded_uri": "/v1/payments"},
        {"x_original_method": "", "x_original_uri": "/v1/payments"},
        {"x_original_method": "GET", "x_original_uri": " "},
        {**nginx("GET", "/v1/payments"), "x_forwarded_uri": "/v1/payments"},
        {"path": "/v1/authorize/v1/payments", "x_original_uri": "/v1/payments"},
    ],
)
def test_a_proxy_that_tells_too_little_is_told_what_to_send(ask, headers: dict) -> None:
    answer = ask(**headers)
    assert answer.status_code == 400
    document = answer.json()
    assert document["type"] == "urn:merchantadmin:problem:original-request-missing"
    for name in ("X-Original-Method", "X-Original-URI", "X-Forwarded-Method", "X-Forwarded-Uri"):
        assert name in document["detail"]
    assert not RequestLog.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {**nginx("GET", "/v1/whoami"), **caddy("GET", "/v1/payouts")},
        {**nginx("GET", "/v1/payouts"), **caddy("GET", "/v1/whoami")},
        {**nginx("GET", "/v1/payments"), **caddy("POST", "/v1/payments")},
        {**nginx("GET", "/v1/payments/a%2Fb"), **caddy("GET", "/v1/payments/a/b")},
        {**envoy("GET", "/v1/payouts"), **nginx("GET", "/v1/whoami")},
        {**envoy("POST", "/v1/payouts"), **caddy("GET", "/v1/payouts")},
        nginx("GET", "/v1/whoami,/v1/payouts"),
        nginx("GET", "/v1/payouts, /v1/whoami"),
        nginx("GET", "/v1/whoami?,/v1/payouts"),
        nginx("GET,POST", "/v1/payments"),
    ],
)
def test_who_tells_two_things_gets_neither(ask, headers: dict) -> None:
    """A merchant's forged header beside the proxy's own must not choose the permission."""
    answer = ask(**headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:merchantadmin:problem:original-request-contradictory"
    assert not RequestLog.objects.exists()


@pytest.mark.parametrize(("one", "other"), list(product(WAYS, WAYS)))
def test_who_tells_the_same_twice_is_believed(ask, one, other) -> None:
    told = {**one("POST", "/v1/payments?a=1"), **other("POST", "/v1/payments?b=2")}
    assert ask(**told).status_code == 200
    told = {**one("POST", "/v1/refunds"), **other("POST", "/v1/refunds")}
    assert ask(**told).status_code == 403


def test_an_encoded_slash_told_in_a_header_stays_one(ask) -> None:
    told = {**envoy("GET", "/v1/payments/a%2Fevents"), **nginx("GET", "/v1/payments/a%2Fevents")}
    assert ask(**told).status_code == 403
    assert ask(**envoy("GET", "/v1/payments/a%2Fevents")).status_code == 200
    assert RequestLog.objects.order_by("id").first().path == "/v1/payments/a%2Fevents"


def test_a_slash_that_may_have_been_encoded_is_refused_where_it_matters(client, settings, tmp_path) -> None:
    settings.KEYS_PERMISSION_CATALOGUE = tmp_path / "catalogue.toml"
    settings.KEYS_PERMISSION_CATALOGUE.write_text(
        """
        [[resources]]
        name = "files"
        read = ["GET /files/{file}"]
        [[resources]]
        name = "secrets"
        read = ["GET /files/{file}/secrets"]
        """
    )
    headers = {"X-API-Key": ApiKeyFactory(permissions={"files": "read", "secrets": "read"}).secret.reveal()}
    assert client.get("/v1/authorize/files/1", headers=headers).status_code == 200
    assert client.get("/v1/authorize/files/1/secrets", headers=headers).status_code == 403
    headers |= {"X-Original-Method": "GET", "X-Original-URI": "/files/1/secrets"}
    assert client.get("/v1/authorize", headers=headers).status_code == 200
    assert client.get("/v1/authorize/files/1/secrets", headers=headers).status_code == 200


def test_a_path_that_breaks_lines_is_recorded_on_one(ask) -> None:
    assert ask("/v1/authorize/v1/payments/a%0D%0AX-Key-Id:%20me").status_code == 403
    assert RequestLog.objects.get().path == "/v1/payments/a%0D%0AX-Key-Id%3A%20me"


def test_a_key_in_the_path_is_not_recorded(ask, key: ApiKey) -> None:
    for way in WAYS:
        ask(**way("GET", f"/v1/payments/{key.secret.reveal()}?key={key.secret.reveal()}"))
    for record in RequestLog.objects.all():
        assert record.path == f"/v1/payments/sk_live_{key.head}••••••"


def test_a_form_that_was_posted_is_not_read(client, key: ApiKey) -> None:
    answer = client.post(
        "/v1/authorize/v1/payments",
        data=b"x" * 3_000_000,
        content_type="multipart/form-data; boundary=broken",
        headers={"X-API-Key": key.secret.reveal()},
    )
    assert answer.status_code == 200
