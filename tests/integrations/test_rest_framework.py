"""The same in Django REST framework: keys as its users, permissions as its permissions, one record for each request."""

import pytest
from django.core.cache import cache
from django.test import Client

from keys import usage
from keys.gateway import problems
from keys.gateway.integrations.rest_framework import KeyRefused
from keys.models import ApiKey
from keys.outcomes import Outcome
from tests.factories import ApiKeyFactory
from tests.integrations.conftest import bearer
from tests.integrations.test_django import CASES, FORGED

PROBLEM = "urn:merchantadmin:problem:"


@pytest.fixture
def rest(api, settings) -> Client:
    settings.ROOT_URLCONF = "tests.integrations.rest_api"
    return api


@pytest.mark.parametrize(("make", "outcome"), CASES, ids=[outcome.value for _, outcome in CASES])
def test_every_verdict_is_answered_and_recorded(rest, recorded, make, outcome: Outcome) -> None:
    key = make()
    answer = rest.post("/payments?page=1", {"amount": 10}, headers=bearer(key))
    [record] = recorded()
    assert (record.key_id, record.merchant_id) == (key.pk, key.merchant_id)
    assert (record.method, record.path, record.outcome) == ("POST", "/payments", outcome)
    assert record.status == answer.status_code == (201 if outcome is Outcome.VALID else outcome.http_status)
    assert record.reported
    assert record.public_id == answer["X-Request-Id"]
    if outcome is not Outcome.VALID:
        document = answer.json()
        assert document["type"].startswith(PROBLEM)
        assert (document["status"], document["request_id"]) == (answer.status_code, record.public_id)
        assert answer.has_header("WWW-Authenticate") is (answer.status_code == 401)


def test_a_view_knows_whose_key_it_is(rest, key: ApiKey) -> None:
    answer = rest.get("/payments", headers=bearer(key) | FORGED)
    assert answer.json() == {
        "merchant": key.merchant.public_id,
        "key": key.public_id,
        "same": key.public_id,
    }


def test_whoever_has_no_key_gets_one_answer_and_no_record(rest, recorded, verifier) -> None:
    for headers in ({}, FORGED, {"Authorization": "Token abc"}, {"X-API-Key": "nonsense"}):
        for path in ("/payments", "/members", "/broken"):
            answer = rest.get(path, headers=headers)
            assert (answer.status_code, answer["WWW-Authenticate"]) == (401, problems.CHALLENGE), path
    assert recorded() == []


def test_the_final_status_is_recorded_and_counted(rest, recorded, key: ApiKey) -> None:
    rest.post("/payments", {"amount": 10}, headers=bearer(key))
    rest.post("/payments", {"amount": 0}, headers=bearer(key))
    rest.get("/payments?format=unknown", headers=bearer(key) | {"Accept": "text/nonsense"})
    rest.get("/broken", headers=bearer(key))
    assert [(record.status, record.outcome) for record in recorded()] == [
        (201, Outcome.VALID),
        (400, Outcome.VALID),
        (500, Outcome.VALID),
    ]
    counted = usage.last_24_hours([key.pk])[key.pk]
    assert (counted.succeeded, counted.failed) == (1, 2)


def test_each_method_needs_what_the_view_names_for_it(rest, recorded, verifier) -> None:
    reader = ApiKeyFactory(permissions={"payments": "read"})
    statuses = {"GET": 200, "HEAD": 200, "POST": 403, "DELETE": 403, "PUT": 403, "OPTIONS": 403}
    for method, status in statuses.items():
        assert rest.generic(method, "/payments", headers=bearer(reader)).status_code == status, method
    assert rest.delete("/payments", headers=bearer(reader)).json()["required_permission"] == "payouts:write"
    assert "required_permission" not in rest.put("/payments", headers=bearer(reader)).json()
    assert {record.outcome for record in recorded() if record.status == 403} == {Outcome.PERMISSION_DENIED}


@pytest.mark.parametrize("path", ["/forgotten", "/misspelt"])
def test_a_view_that_does_not_say_what_it_needs_lets_nobody_in(rest, key: ApiKey, path: str) -> None:
    assert rest.get(path, headers=bearer(key)).status_code == 500


def test_nobody_gets_in_while_the_middleware_is_missing(rest, key: ApiKey, settings) -> None:
    settings.MIDDLEWARE = []
    assert rest.get("/payments", headers=bearer(key)).status_code == 500


@pytest.mark.usefixtures("database_away")
def test_without_its_database_nobody_is_let_in(rest, recorded, key: ApiKey) -> None:
    answer = rest.get("/payments", headers=bearer(key))
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == f"{PROBLEM}unavailable"
    assert recorded() == []


def test_throttles_count_by_merchant_account(rest, recorded, key: ApiKey, actor) -> None:
    cache.clear()
    sibling, stranger = ApiKeyFactory(merchant=key.merchant), ApiKeyFactory()
    asked = [key, sibling, key, stranger]
    statuses = [rest.get("/throttled", headers=bearer(each)).status_code for each in asked]
    assert statuses == [200, 200, 429, 200]
    assert [record.status for record in recorded()] == statuses


def test_a_key_is_one_way_among_others_to_be_somebody(rest, recorded, key: ApiKey) -> None:
    assert rest.get("/known", headers={"X-Staff": "1"}).json() == {"user": "somebody", "key": None}
    assert rest.get("/known").json() == {"user": "AnonymousUser", "key": None}
    assert rest.get("/known", headers=bearer(key)).json()["key"] == key.public_id
    assert rest.get("/known", headers={"X-API-Key": "nonsense"}).status_code == 401
    assert [record.status for record in recorded()] == [200]


def test_a_function_is_decorated_like_any_view(rest, recorded, key: ApiKey) -> None:
    assert rest.get("/decorated", headers=bearer(key)).json() == {"key": key.public_id}
    assert rest.post("/decorated", headers=bearer(key)).status_code == 405
    assert rest.get("/decorated").status_code == 401
    assert [record.status for record in recorded()] == [200, 405]


def test_a_refusal_can_be_taken_apart_by_handlers_of_the_api_s_own() -> None:
    refused = KeyRefused(problems.document(problems.UNAVAILABLE, request_id="req_1"))
    assert (refused.get_codes(), refused.wait, refused.auth_header) == ("unavailable", 1, None)
    assert refused.get_full_details()["request_id"] == "req_1"
