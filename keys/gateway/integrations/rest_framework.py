"""For Django REST framework: API keys as its authentication, and their permissions as its permissions.

    class PaymentsView(APIView):
        authentication_classes = [ApiKeyAuthentication]
        permission_classes = [HasApiKeyPermission]
        required_permission = {"GET": "payments:read", "POST": "payments:write"}

The middleware of `django.py` has to be there: it records how each request was answered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from keys.gateway import problems
from keys.gateway.answers import Answer
from keys.gateway.integrations.django import check, visit_of
from keys.gateway.integrations.visits import Requirement, VerifiedKey, requirement

_MISSING = object()
_ANY_KEY = requirement()


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who makes a request, where REST framework expects a user. Throttles of users count by merchant account."""

    key: VerifiedKey

    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def pk(self) -> str:
        return self.key.merchant_id


class KeyRefused(APIException):
    """A refusal: the same members as the problem document, and the same headers."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        headers = dict(answer.headers)
        self.status_code = answer.status
        self.detail: dict[str, Any] = json.loads(answer.body)
        # By these names REST framework makes headers of them.
        self.auth_header = headers.get("WWW-Authenticate")
        self.wait = int(headers.get("Retry-After", 0))

    def get_codes(self) -> str:
        return str(self.detail["type"]).removeprefix(problems.TYPE_PREFIX)

    def get_full_details(self) -> dict[str, Any]:
        return self.detail


class ApiKeyAuthentication(BaseAuthentication):
    """Takes any usable key; a request that carries none at all is left to the other classes of the view."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, VerifiedKey] | None:
        if not visit_of(request._request).carries_credentials:
            return None
        refused = check(request._request, _ANY_KEY)
        if refused:
            raise KeyRefused(refused)
        key: VerifiedKey = request._request.api_key
        return KeyHolder(key), key

    def authenticate_header(self, request: Request) -> str:
        return problems.CHALLENGE


class HasApiKeyPermission(BasePermission):
    """Asks for the view's `required_permission`: a permission, one for each method, or None for any usable key.

    A method that the view does not name is refused. HEAD counts as GET.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        refused = check(request._request, _requirement_of(view, request.method))
        if refused:
            raise KeyRefused(refused)
        return True


def _requirement_of(view: Any, method: str) -> Requirement:
    required = getattr(view, "required_permission", _MISSING)
    if required is _MISSING:
        raise ImproperlyConfigured(
            f"{type(view).__name__} has no required_permission; None lets any usable key in."
        )
    if isinstance(required, Mapping):
        method = "GET" if method == "HEAD" else method
        return _requirement(required[method]) if method in required else _refuse
    return _requirement(required)


@lru_cache(maxsize=1000)
def _requirement(permission: str | None) -> Requirement:
    return requirement(permission)


def _refuse(method: str, path: str) -> None:
    """No key may do this."""
