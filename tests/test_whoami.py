"""GET /v1/whoami: whose key this is and what it may do; and that nobody else learns anything."""

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from keys import lifecycle, merchants
from keys.history import Actor
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.django_db

PROBLEM = {"type", "title", "status", "detail", "request_id"}


def bearer(key: ApiKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.secret.reveal()}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def test_a_key_is_told_who_it_is(client, merchant) -> None:
    key = ApiKeyFactory(merchant=merchant, name="Checkout", mode="test")
    answer = client.get("/v1/whoami", headers=bearer(key))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Request-Id"].startswith("req_")
    assert answer.json() == {
        "merchant": {"id": merchant.public_id, "name": merchant.name},
        "key": {"id": key.public_id, "name": "Checkout"},
        "mode": "test",
        "permissions": {"payments": "write", "refunds": "read"},
    }


def test_a_key_without_permissions_may_ask_too(client) -> None:
    key = ApiKeyFactory(permissions={})
    answer = client.get("/v1/whoami", headers=bearer(key))
    assert (answer.status_code, answer.json()["permissions"]) == (200, {})


@pytest.mark.parametrize(
    "headers",
    [
        bearer,
        lambda key: {"X-API-Key": key.secret.reveal()},
        lambda key: basic(key.merchant.public_id, key.secret.reveal()),
        lambda key: basic(key.secret.reveal(), ""),
    ],
)
def test_every_form_of_credential_is_accepted(client, api_key, headers) -> None:
    answer = client.get("/v1/whoami", headers=headers(api_key))
    assert answer.status_code == 200
    assert answer.json()["key"]["id"] == api_key.public_id


def test_head_has_the_headers_and_no_body(client, api_key) -> None:
    got, headed = (ask("/v1/whoami", headers=bearer(api_key)) for ask in (client.get, client.head))
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed["Content-Length"] == got["Content-Length"] == str(len(got.content))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"])
def test_other_methods_are_not_allowed(client, api_key, method: str) -> None:
    answer = client.generic(method, "/v1/whoami", headers=bearer(api_key))
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"
    assert answer["Content-Type"] == "application/problem+json"
    assert not RequestLog.objects.exists()


def nobody() -> dict[str, str]:
    return {}


def mistyped() -> dict[str, str]:
    return {"X-API-Key": PlaintextKey.generate(Mode.LIVE).reveal()[:-1] + "!"}


def invented() -> dict[str, str]:
    return {"X-API-Key": PlaintextKey.generate(Mode.LIVE).reveal()}


def of_another_merchant() -> dict[str, str]:
    return basic(MerchantFactory().public_id, ApiKeyFactory().secret.reveal())


def of_no_merchant() -> dict[str, str]:
    return basic("mch_nonsense", ApiKeyFactory().secret.reveal())


def of_a_disabled_merchant() -> dict[str, str]:
    key = ApiKeyFactory()
    merchants.disable(merchant=key.merchant, actor=Actor.system())
    return bearer(key)


def disabled() -> dict[str, str]:
    return bearer(ApiKeyFactory(disabled=True))


def revoked() -> dict[str, str]:
    return bearer(ApiKeyFactory(revoked=True))


def expired() -> dict[str, str]:
    return bearer(ApiKeyFactory(expired=True))


UNUSABLE: list[Callable[[], dict[str, str]]] = [
    nobody,
    mistyped,
    invented,
    of_another_merchant,
    of_no_merchant,
    of_a_disabled_merchant,
    disabled,
    revoked,
    expired,
]


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/authorize/v1/payments", "/v1/authorize/v1/nothing"])
def test_whoever_has_no_usable_key_learns_nothing(client, path: str) -> None:
    """All the refusals are one and the same but for the request id, headers included."""
    refusals = set()
    for headers in UNUSABLE:
        answer = client.get(path, headers=headers())
        request_id = answer["X-Request-Id"]
        assert answer.json()["request_id"] == request_id
        del answer.headers["X-Request-Id"]
        refusals.add(
            (
                answer.status_code,
                answer.content.replace(request_id.encode(), b""),
                tuple(sorted(answer.headers.items())),
            )
        )
    assert len(refusals) == 1
    ((status, _, headers),) = refusals
    assert status == 401
    assert dict(headers)["Content-Type"] == "application/problem+json"
    assert dict(headers)["X-Problem"] == "unauthorized"
    assert "X-Required-Permission" not in dict(headers)
    challenge = dict(headers)["WWW-Authenticate"]
    assert "Bearer realm=" in challenge
    assert "Basic realm=" in challenge


def test_a_problem_document_has_its_five_members(client) -> None:
    answer = client.get("/v1/whoami")
    document = answer.json()
    assert set(document) == PROBLEM
    assert document["status"] == answer.status_code == 401


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/authorize/v1/payments"])
def test_each_change_counts_from_the_very_next_request(client, actor, api_key, path: str) -> None:
    def status() -> int:
        return client.get(path, headers=bearer(api_key)).status_code

    merchant = api_key.merchant
    assert status() == 200
    lifecycle.disable(key=api_key, actor=actor)
    assert status() == 401
    lifecycle.enable(key=api_key, actor=actor)
    assert status() == 200
    merchants.disable(merchant=merchant, actor=actor)
    assert status() == 401
    merchants.enable(merchant=merchant, actor=actor)
    assert status() == 200
    with connection.cursor() as cursor:
        cursor.execute("UPDATE keys_apikey SET status = 'disabled'")
    assert status() == 401
    lifecycle.revoke(key=api_key, actor=actor)
    assert status() == 401


def test_a_key_expires_at_its_moment(client, time_machine) -> None:
    moment = timezone.now() + timedelta(hours=1)
    key = ApiKeyFactory(expires_at=moment)
    time_machine.move_to(moment - timedelta(microseconds=1), tick=False)
    assert client.get("/v1/whoami", headers=bearer(key)).status_code == 200
    time_machine.move_to(moment, tick=False)
    assert client.get("/v1/whoami", headers=bearer(key)).status_code == 401


@pytest.mark.parametrize(
    ("trusted_proxies", "forwarded_for", "status"),
    [
        (0, "", 403),
        (0, "203.0.113.7", 403),
        (1, "203.0.113.7", 200),
        (1, "203.0.113.7, 192.0.2.1", 403),
        (1, "192.0.2.1, 203.0.113.7", 200),
        (2, "203.0.113.7, 192.0.2.1", 200),
        (2, "203.0.113.7", 403),
        (1, "unknown", 403),
        (1, "", 403),
    ],
)
def test_a_key_for_some_networks_is_refused_elsewhere(
    client, settings, trusted_proxies: int, forwarded_for: str, status: int
) -> None:
    settings.TRUSTED_PROXY_COUNT = trusted_proxies
    key = ApiKeyFactory(allowed_networks=["203.0.113.0/24"])
    answer = client.get("/v1/whoami", headers={**bearer(key), "X-Forwarded-For": forwarded_for})
    assert answer.status_code == status
    if status == 403:
        document = answer.json()
        assert document["outcome"] == "NETWORK_NOT_ALLOWED"
        assert set(document) == PROBLEM | {"outcome"}


@pytest.mark.parametrize(("headers", "queries"), [(nobody, 0), (mistyped, 0), (invented, 1)])
def test_a_key_that_cannot_exist_costs_no_look_up(
    client, django_assert_num_queries, headers, queries: int
) -> None:
    sent = headers()
    with django_assert_num_queries(queries):
        client.get("/v1/whoami", headers=sent)


@pytest.mark.parametrize("path", ["/v1/", "/v1/nothing", "/v1/whoami/", "/v1/payments", "/v1/authorized"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_call_is_a_problem_and_never_a_redirect(client, path: str, method: str) -> None:
    answer = client.generic(method, path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == PROBLEM


@pytest.mark.parametrize("host", ["api.example.com", "127.0.0.1", "junk host\x00", "[", ""])
def test_any_host_name_and_plain_http_will_do(client, api_key, settings, host: str) -> None:
    """A proxy asks under the name of the API, and without TLS on an inner network."""
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["console.example.com"]
    answer = client.get("/v1/whoami", headers=bearer(api_key), HTTP_HOST=host)
    assert answer.status_code == 200


def test_no_session_and_no_cookie_is_involved(client, console, api_key) -> None:
    answer = console.get("/v1/whoami", headers=bearer(api_key))
    assert answer.status_code == 200
    assert not answer.cookies
    assert "Vary" not in answer.headers
    assert console.get("/v1/whoami").status_code == 401


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/authorize/v1/payments"])
def test_without_its_database_it_lets_nobody_in_and_says_so(client, api_key, caplog, path: str) -> None:
    def unreachable(*args):
        raise OperationalError(f"connection refused; the key was {api_key.secret.reveal()}")

    with connection.execute_wrapper(unreachable):
        answer = client.get(path, headers=bearer(api_key))
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert set(answer.json()) == PROBLEM
    assert "connection refused" in caplog.text
    assert api_key.secret.reveal() not in answer.content.decode()
    assert client.get(path, headers=bearer(api_key)).status_code == 200


def test_a_row_written_by_hand_that_makes_no_sense_lets_nobody_in(client, console, api_key) -> None:
    ApiKey.objects.filter(pk=api_key.pk).update(allowed_networks="the office")
    assert client.get("/v1/whoami", headers=bearer(api_key)).status_code == 503
    page = console.get(api_key.get_absolute_url())
    assert page.status_code == 200
    assert "office" in page.content.decode()


def test_a_fault_of_our_own_is_a_problem_too(client, api_key, monkeypatch, caplog) -> None:
    def broken(*args):
        raise RuntimeError("broken")

    monkeypatch.setattr("keys.gateway.decision.verdict", broken)
    answer = client.get("/v1/whoami", headers=bearer(api_key))
    assert answer.status_code == 500
    assert set(answer.json()) == PROBLEM
    assert b"broken" not in answer.content
    assert "RuntimeError: broken" in caplog.text
