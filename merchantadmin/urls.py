"""Where Django's pages are: the Django admin, sign-in, and the console at the root. /v1/ never comes here."""

from django.contrib import admin
from django.urls import include, path, register_converter

from keys.converters import (
    ApiKeyIdConverter,
    InvitationIdConverter,
    MemberIdConverter,
    MerchantIdConverter,
    PersonConverter,
    RequestIdConverter,
)

register_converter(MerchantIdConverter, "merchant_id")
register_converter(ApiKeyIdConverter, "key_id")
register_converter(RequestIdConverter, "request_id")
register_converter(MemberIdConverter, "member_id")
register_converter(InvitationIdConverter, "invitation_id")
register_converter(PersonConverter, "person")

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("keys.console.account_urls")),
    path("", include("keys.console.urls")),
]

handler400 = "keys.console.views.errors.bad_request"
handler403 = "keys.console.views.errors.permission_denied"
handler404 = "keys.console.views.errors.page_not_found"
# Asked for by allauth.
handler429 = "keys.console.views.errors.too_many_requests"
handler500 = "keys.console.views.errors.server_error"
