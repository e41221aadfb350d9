"""Everything under /v1/, included whatever is not there: no page of the console answers a machine."""

from django.urls import path, re_path

from keys.gateway.http import AuthorizeView, GatewayView, WhoamiView

urlpatterns = [
    path("whoami", WhoamiView.as_view(), name="gateway-whoami"),
    # The original path may hold anything, line breaks included.
    re_path(r"^authorize(?P<suffix>(?s:/.*)?)\Z", AuthorizeView.as_view(), name="gateway-authorize"),
    re_path(r"", GatewayView.as_view(), name="gateway-not-found"),
]
