"""The same empty answer, behind each of the three."""

from django.urls import path
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.permissions import HasAPIKey


class NothingView(APIView):
    def get(self, request: Request) -> Response:
        return Response()


urlpatterns = [
    path("api-key", NothingView.as_view(authentication_classes=[], permission_classes=[HasAPIKey])),
    path(
        "token",
        NothingView.as_view(
            authentication_classes=[TokenAuthentication], permission_classes=[IsAuthenticated]
        ),
    ),
    path(
        "knox",
        NothingView.as_view(
            authentication_classes=[KnoxAuthentication], permission_classes=[IsAuthenticated]
        ),
    ),
]
