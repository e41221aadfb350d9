"""An API in Django: whoever may call a view, what the view knows of them, and what is recorded in the end."""

import dataclasses
from typing import BinaryIO

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import RequestFactory

from keys import lifecycle, merchants, usage
from keys.gateway import processes
from keys.gateway.integrations.django import visit_of
from keys.gateway.integrations.visits import DURATION_SECONDS_MAX
from keys.history import Actor
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey
from keys.outcomes import Outcome
from tests.factories import ApiKeyFactory
from tests.gateways.waiting import until
from tests.integrations.conftest import MIDDLEWARE, bearer

PROBLEM = "urn:merchantadmin:problem:"


def of_a_disabled_merchant() -> ApiKey:
    key = ApiKeyFactory()
    merchants.disable(merchant=key.merchant, actor=Actor.system())
    return key


CASES = [
    (ApiKeyFactory, Outcome.VALID),
    (of_a_disabled_merchant, Outcome.MERCHANT_DISABLED),
    (lambda: ApiKeyFactory(disabled=True), Outcome.DISABLED),
    (lambda: ApiKeyFactory(revoked=True), Outcome.REVOKED),
    (lambda: ApiKeyFactory(expired=True), Outcome.EXPIRED),
    (lambda: ApiKeyFactory(allowed_networks=["203.0.113.0/24"]), Outcome.NETWORK_NOT_ALLOWED),
    (lambda: ApiKeyFactory(permissions={"payments": "read"}), Outcome.PERMISSION_DENIED),
]


@pytest.mark.parametrize(("make", "outcome"), CASES, ids=[outcome.value for _, outcome in CASES])
def test_every_verdict_is_answered_and_recorded(api, recorded, make, outcome: Outcome) -> None:
    key = make()
    answer = api.post("/charge?amount=1", headers=bearer(key))
    [record] = recorded()
    assert (record.key_id, record.merchant_id) == (key.pk, key.merchant_id)
    assert (record.method, record.path, record.outcome) == ("POST", "/charge", outcome)
    assert record.status == answer.status_code == (201 if outcome is Outcome.VALID else outcome.http_status)
    assert record.reported
    assert record.public_id == answer["X-Request-Id"]
    if outcome is not Outcome.VALID:
        document = answer.json()
        assert answer["Content-Type"] == "application/problem+json"
        assert answer["Cache-Control"] == "no-store"
        assert document["status"] == answer.status_code
        assert document["request_id"] == answer["X-Request-Id"]
        assert document.get("required_permission") == (
            "payments:write" if outcome is Outcome.PERMISSION_DENIED else None
        )
        assert answer.has_header("WWW-Authenticate") is (answer.status_code == 401)


def test_whoever_has_no_key_gets_one_answer_and_no_record(api, recorded, verifier) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"X-API-Key": "nonsense"},
        {"X-API-Key": PlaintextKey.generate(Mode.LIVE).reveal()},
        {"Authorization": "Basic !"},
    ):
        answer = api.post("/charge", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["type"] == f"{PROBLEM}unauthorized"
        assert 'Bearer realm="merchant API"' in answer["WWW-Authenticate"]
    assert recorded() == []


def test_the_final_status_is_recorded_and_counted(api, recorded, key: ApiKey) -> None:
    statuses = [200, 201, 302, 400, 404, 422, 500, 503]
    for status in statuses:
        assert api.get(f"/answer/{status}", headers=bearer(key)).status_code == status
    assert [(record.status, record.outcome, record.reported) for record in recorded()] == [
        (status, Outcome.VALID, True) for status in statuses
    ]
    counted = usage.last_24_hours([key.pk])[key.pk]
    assert (counted.succeeded, counted.failed) == (3, 5)
    assert (counted.causes["client_error"], counted.causes["server_error"]) == (3, 2)


def test_a_view_that_does_not_ask_gets_no_key_and_leaves_no_trace(api, recorded, key: ApiKey) -> None:
    answer = api.get("/public", headers=bearer(key))
    assert (answer.status_code, answer.json()) == (200, {"key": None})
    assert "X-Request-Id" not in answer.headers
    assert api.get("/nothing/at/all", headers=bearer(key)).status_code == 404
    assert recorded() == []


def test_a_view_knows_whose_key_it_is_and_never_the_key(api, key: ApiKey) -> None:
    answer = api.post("/charge", headers=bearer(key))
    assert answer.json()["key"] == {
        "merchant_id": key.merchant.public_id,
        "merchant_name": key.merchant.name,
        "key_id": key.public_id,
        "key_name": key.name,
        "mode": "live",
        "permissions": "payments:write refunds:read",
    }
    known = answer.wsgi_request.api_key
    assert key.secret.reveal() not in repr(known)
    with pytest.raises(dataclasses.FrozenInstanceError):
        known.merchant_id = "mch_another"


def test_without_a_permission_any_usable_key_will_do(api, recorded, verifier) -> None:
    powerless, disabled = ApiKeyFactory(permissions={}), ApiKeyFactory(disabled=True)
    assert api.get("/anybody", headers=bearer(powerless)).json()["key"]["permissions"] == ""
    assert api.get("/anybody", headers=bearer(disabled)).status_code == 401
    assert [record.outcome for record in recorded()] == [Outcome.VALID, Outcome.DISABLED]


FORGED = {
    "X-Key-Id": "key_01jd9v4c2hf6w8a3s5d7f9g1hj",
    "X-Merchant-Id": "mch_01jd9v3k7rf8x9c2v5b7n1m4qa",
    "X-Key-Mode": "test",
    "X-Key-Permissions": "payouts:write",
    "X-Original-URI": "/v1/whoami",
    "X-Original-Method": "GET",
    "merchantadmin.visit": "1",
}


def test_an_identity_in_headers_is_not_believed(api, recorded, key: ApiKey) -> None:
    assert api.post("/charge", headers=FORGED).status_code == 401
    known = api.post("/charge", headers=bearer(key) | FORGED).json()["key"]
    assert (known["key_id"], known["merchant_id"]) == (key.public_id, key.merchant.public_id)
    assert (known["mode"], known["permissions"]) == ("live", "payments:write refunds:read")
    assert [(record.method, record.path) for record in recorded()] == [("POST", "/charge")]


# By the number of proxies that are trusted: which address each X-Forwarded-For tells, from behind 192.0.2.1.
FORWARDED = [
    (0, {"": "192.0.2.1", "203.0.113.7": "192.0.2.1"}),
    (1, {"203.0.113.7": "203.0.113.7", "198.51.100.9, 203.0.113.7": "203.0.113.7", "x": None, "": None}),
    (2, {"198.51.100.9, 203.0.113.7, 192.0.2.2": "203.0.113.7", "203.0.113.7": None}),
]


@pytest.mark.parametrize(("proxies", "addresses"), FORWARDED)
def test_the_address_is_told_by_as_many_proxies_as_are_trusted(
    api, recorded, verifier, proxies: int, addresses: dict[str, str | None]
) -> None:
    verifier.trusted_proxies = proxies
    key = ApiKeyFactory(allowed_networks=["203.0.113.0/24"])
    for forwarded_for, address in addresses.items():
        headers = bearer(key) | ({"X-Forwarded-For": forwarded_for} if forwarded_for else {})
        answer = api.post("/charge", headers=headers, REMOTE_ADDR="192.0.2.1")
        assert answer.status_code == (201 if address == "203.0.113.7" else 403), forwarded_for
    assert [record.address for record in recorded()] == list(addresses.values())


def test_the_settings_say_how_many_proxies_are_trusted(settings, verifier, monkeypatch) -> None:
    assert verifier.trusted_proxies == 0
    settings.TRUSTED_PROXY_COUNT = 2
    monkeypatch.setattr(processes, "made", [])
    monkeypatch.setattr(processes, "open_directory", lambda: verifier.directory)
    another = processes.verifier()
    another.recorder.close()
    assert another.trusted_proxies == 2


@pytest.mark.usefixtures("database_away")
def test_without_its_database_nobody_is_let_in(api, recorded, key: ApiKey) -> None:
    answer = api.post("/charge", headers=bearer(key))
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == f"{PROBLEM}unavailable"
    assert recorded() == []


def test_a_key_that_is_disabled_while_the_api_runs_is_refused(api, recorded, key: ApiKey, actor) -> None:
    assert api.post("/charge", headers=bearer(key)).status_code == 201
    lifecycle.disable(key=key, actor=actor)
    until(lambda: api.post("/charge", headers=bearer(key)).status_code == 401)
    lifecycle.enable(key=key, actor=actor)
    until(lambda: api.post("/charge", headers=bearer(key)).status_code == 201)
    merchants.disable(merchant=key.merchant, actor=actor)
    until(lambda: api.post("/charge", headers=bearer(key)).status_code == 401)
    outcomes = [record.outcome for record in recorded()]
    assert [each for each in dict.fromkeys(outcomes) if each != Outcome.VALID] == [
        Outcome.DISABLED,
        Outcome.MERCHANT_DISABLED,
    ]


def test_nested_decorators_all_have_to_agree_and_record_once(api, recorded, key: ApiKey) -> None:
    answer = api.get("/nested", headers=bearer(key))
    assert answer.json()["required_permission"] == "refunds:write"
    mighty = ApiKeyFactory(permissions={"payments": "write", "refunds": "write"})
    assert api.get("/nested", headers=bearer(mighty)).status_code == 200
    assert [(record.key_id, record.status, record.outcome) for record in recorded()] == [
        (key.pk, 403, Outcome.PERMISSION_DENIED),
        (mighty.pk, 200, Outcome.VALID),
    ]


def test_a_class_is_decorated_as_a_whole_and_by_method(api, recorded, key: ApiKey) -> None:
    assert api.get("/payments", headers=bearer(key)).json()["key"]["key_id"] == key.public_id
    refused = api.post("/payments", headers=bearer(key))
    assert (refused.status_code, refused.json()["required_permission"]) == (403, "payouts:write")
    assert api.get("/payments").status_code == 401
    assert [record.status for record in recorded()] == [200, 403]


def test_a_key_in_the_path_is_not_recorded_and_neither_is_the_query(api, recorded, key: ApiKey) -> None:
    secret = key.secret.reveal()
    api.get(f"/v1/payments/{secret}?key={secret}", headers=bearer(key))
    [record] = recorded()
    assert record.path == f"/v1/payments/sk_live_{key.head}••••••"


def test_a_path_is_recorded_as_it_was_encoded(api, recorded, key: ApiKey) -> None:
    api.get("/v1/payments/a%20b%C3%A9", headers=bearer(key))
    assert recorded()[0].path == "/v1/payments/a%20b%C3%A9"


def test_an_id_that_the_api_gives_itself_stays_and_is_recorded(api, recorded, key: ApiKey, settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, "tests.integrations.test_django.naming"]
    answer = api.post("/charge", headers=bearer(key))
    assert answer["X-Request-Id"] == "order-4711"
    [record] = recorded()
    assert record.request_id == "order-4711"
    assert record.public_id.startswith("req_")


def naming(get_response):
    """A middleware that names each request."""

    def middleware(request):
        response = get_response(request)
        response["X-Request-Id"] = "order-4711"
        return response

    return middleware


def test_what_another_middleware_makes_of_the_answer_is_recorded(api, recorded, key, settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, "tests.integrations.test_django.teapot"]
    assert api.post("/charge", headers=bearer(key)).status_code == 418
    [record] = recorded()
    assert (record.status, record.outcome) == (418, Outcome.VALID)


def teapot(get_response):
    """A middleware that puts an answer of its own in the place of the view's."""

    def middleware(request):
        get_response(request)
        return HttpResponse(status=418)

    return middleware


def test_a_middleware_inside_another_records_nothing_twice(api, recorded, key: ApiKey, settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, "keys.gateway.integrations.django.ApiKeyByRouteMiddleware"]
    answer = api.get("/v1/payments", headers=bearer(key))
    assert [record.public_id for record in recorded()] == [answer["X-Request-Id"]]


def test_an_exception_that_leaves_django_is_a_500(api, recorded, key: ApiKey, settings) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with pytest.raises(RuntimeError, match="the API broke"):
        api.get("/answer/500", headers=bearer(key))
    assert [record.status for record in recorded()] == [500]


# -- Streams -------------------------------------------------------------------------------------------------------


def test_a_stream_is_recorded_when_it_has_ended(api, recorded, key: ApiKey) -> None:
    answer = api.get("/stream", headers=bearer(key))
    assert recorded() == []
    assert answer.getvalue() == b"one two"
    [record] = recorded()
    assert (record.status, record.public_id) == (206, answer["X-Request-Id"])


def test_a_stream_that_breaks_is_recorded_as_a_failure(api, recorded, key: ApiKey) -> None:
    answer = api.get("/stream?break", headers=bearer(key))
    with pytest.raises(RuntimeError, match="the API broke"):
        answer.getvalue()
    answer.close()
    assert [record.status for record in recorded()] == [500]


def test_a_stream_that_nobody_reads_to_its_end_is_recorded_as_abandoned(api, recorded, key: ApiKey) -> None:
    answer = api.get("/stream", headers=bearer(key))
    assert next(iter(answer.streaming_content)) == b"one "
    answer.close()
    [record] = recorded()
    assert (record.status, record.outcome) == (499, Outcome.VALID)


def test_a_stream_longer_than_the_log_can_tell_is_recorded_all_the_same(api, recorded, key: ApiKey) -> None:
    answer = api.get("/stream", headers=bearer(key))
    visit_of(answer.wsgi_request)._request.started_ns -= 10 * DURATION_SECONDS_MAX * 10**9
    answer.getvalue()
    [record] = recorded()
    assert DURATION_SECONDS_MAX <= record.duration_us / 10**6 < DURATION_SECONDS_MAX + 60


def test_a_file_is_sent_by_the_server_itself_and_recorded(api, recorded, key: ApiKey) -> None:
    sent: list[BinaryIO] = []

    def server_sends(file: BinaryIO, block_size: int) -> BinaryIO:
        sent.append(file)
        return file

    environ = RequestFactory(headers=bearer(key)).get("/file").environ | {"wsgi.file_wrapper": server_sends}
    file = WSGIHandler()(environ, lambda status, headers: None)
    assert sent == [file]
    assert recorded() == []
    file.close()
    assert [record.status for record in recorded()] == [200]
