"""The same API with permissions by the route; and mistakes of those who write it, which let nobody in."""

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from keys.gateway.integrations.django import require_api_key, visit_of
from keys.models import ApiKey, RequestLog
from keys.outcomes import Outcome
from keys.permissions import Catalogue
from tests.factories import ApiKeyFactory
from tests.integrations.conftest import bearer

ROUTES = [
    ("GET /v1/payments", 200),
    ("HEAD /v1/payments", 200),
    ("POST /v1/payments/pay_1/capture", 200),
    ("POST /v1/refunds", 403),
    ("GET /v1/unheard-of", 403),
    ("GET /v1/payments/a%2e%2e", 200),
    ("GET /v1/payments/%2e%2e/payouts", 403),
    ("GET /v1/payments/%ff", 403),
    ("GET /v1/payments/%2525", 403),
]


def test_the_route_says_what_is_needed(api, recorded, key: ApiKey) -> None:
    for route, status in ROUTES:
        assert api.generic(*route.split(), headers=bearer(key)).status_code == status, route
    assert [(record.status, record.outcome) for record in recorded()] == [
        (status, Outcome.VALID if status == 200 else Outcome.PERMISSION_DENIED) for _, status in ROUTES
    ]


@pytest.mark.usefixtures("slashes_that_matter")
def test_a_slash_that_may_have_been_encoded_is_refused_where_it_matters(api, verifier) -> None:
    key = ApiKeyFactory(permissions={"files": "read", "secrets": "read"})
    assert api.get("/v1/1", headers=bearer(key)).status_code == 200
    assert api.get("/v1/1/secrets", headers=bearer(key)).status_code == 403


def test_a_middleware_asks_for_what_each_route_needs(api, recorded, key: ApiKey, settings) -> None:
    settings.MIDDLEWARE = ["keys.gateway.integrations.django.ApiKeyByRouteMiddleware"]
    assert api.get("/public", headers=bearer(key)).status_code == 403
    assert api.get("/v1/payments").status_code == 401
    assert api.get("/v1/payments", headers=bearer(key)).status_code == 200
    assert [(record.path, record.status) for record in recorded()] == [
        ("/public", 403),
        ("/v1/payments", 200),
    ]


@pytest.mark.parametrize("permission", ["payments", "payments:admin", "nothing:read", "balances:write", ""])
def test_a_permission_that_does_not_exist_is_found_at_once(permission: str) -> None:
    with pytest.raises(ValueError, match="is not a permission of the catalogue"):
        require_api_key(permission)


def test_a_decorator_without_parentheses_is_found_at_once() -> None:
    with pytest.raises(TypeError, match="Name a permission"):

        @require_api_key
        def view(request):
            raise AssertionError


def test_a_permission_and_the_route_cannot_both_decide() -> None:
    with pytest.raises(ValueError, match="not both"):
        require_api_key("payments:read", by_route=True)


def test_nobody_gets_in_while_the_middleware_is_missing(api, key: ApiKey, settings) -> None:
    settings.MIDDLEWARE = []
    assert api.post("/charge", headers=bearer(key)).status_code == 500
    with pytest.raises(ImproperlyConfigured, match="ApiKeyMiddleware"):
        visit_of(RequestFactory().get("/charge"))


def test_a_directory_that_breaks_lets_nobody_in_and_logs_no_key(
    api, verifier, key, monkeypatch, caplog
) -> None:
    def broken(self, method, path):
        raise RuntimeError("the catalogue broke")

    monkeypatch.setattr(Catalogue, "need_of_decoded", broken)
    with caplog.at_level(logging.INFO):
        assert api.get("/v1/payments", headers=bearer(key)).status_code == 500
    assert key.secret.reveal() not in caplog.text
    assert not RequestLog.objects.exists()
