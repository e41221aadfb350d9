"""The API of a platform, in Django REST framework."""

from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import api_view
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from keys.gateway.integrations.django import require_api_key
from keys.gateway.integrations.rest_framework import ApiKeyAuthentication, HasApiKeyPermission


class Payment(serializers.Serializer):
    amount = serializers.IntegerField(min_value=1)


class ApiView(APIView):
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [HasApiKeyPermission]


class Payments(ApiView):
    required_permission = {"GET": "payments:read", "POST": "payments:write", "DELETE": "payouts:write"}

    def get(self, request: Request) -> Response:
        return Response(
            {"merchant": request.user.pk, "key": request.auth.key_id, "same": request.api_key.key_id}
        )

    def post(self, request: Request) -> Response:
        payment = Payment(data=request.data)
        payment.is_valid(raise_exception=True)
        return Response(payment.validated_data, status=201)

    def delete(self, request: Request) -> Response:
        raise AssertionError

    def put(self, request: Request) -> Response:
        raise AssertionError


class Broken(ApiView):
    required_permission = None

    def get(self, request: Request) -> Response:
        raise RuntimeError("the API broke")


class Forgotten(ApiView):
    def get(self, request: Request) -> Response:
        return Response()


class Misspelt(ApiView):
    required_permission = "payment:read"

    def get(self, request: Request) -> Response:
        return Response()


class Slow(UserRateThrottle):
    rate = "2/day"


class Throttled(ApiView):
    required_permission = None
    throttle_classes = [Slow]

    def get(self, request: Request) -> Response:
        return Response()


class Staff(BaseAuthentication):
    """Another way to be somebody."""

    def authenticate(self, request: Request) -> tuple[str, None] | None:
        return ("somebody", None) if "HTTP_X_STAFF" in request.META else None


class Known(APIView):
    """For whoever is known, by a key or otherwise: REST framework's own permission."""

    authentication_classes = [Staff, ApiKeyAuthentication]
    permission_classes = [AllowAny]

    def get(self, request: Request) -> Response:
        return Response({"user": str(request.user), "key": getattr(request.auth, "key_id", None)})


class Members(APIView):
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response()


@require_api_key("payments:read")
@api_view(["GET"])
def decorated(request: Request) -> Response:
    return Response({"key": request.api_key.key_id})


urlpatterns = [
    path("payments", Payments.as_view()),
    path("broken", Broken.as_view()),
    path("forgotten", Forgotten.as_view()),
    path("misspelt", Misspelt.as_view()),
    path("throttled", Throttled.as_view()),
    path("known", Known.as_view()),
    path("members", Members.as_view()),
    path("decorated", decorated),
]
