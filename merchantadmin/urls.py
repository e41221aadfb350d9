"""Where everything is: the gateway under /v1/, the Django admin, sign-in, and the console at the root."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, register_converter

from keys.converters import ApiKeyIdConverter, MerchantIdConverter, RequestIdConverter

register_converter(MerchantIdConverter, "merchant_id")
register_converter(ApiKeyIdConverter, "key_id")
register_converter(RequestIdConverter, "request_id")

# One way in: the Django admin's own sign-in would pass by the rate limits and the record of the sign-in.
admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign, no-untyped-call]

urlpatterns = [
    path("v1/", include("keys.gateway.urls")),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.account.urls")),
    path("", include("keys.console.urls")),
]

handler400 = "keys.console.views.errors.bad_request"
handler403 = "keys.console.views.errors.permission_denied"
handler404 = "keys.console.views.errors.page_not_found"
# Asked for by allauth.
handler429 = "keys.console.views.errors.too_many_requests"
handler500 = "keys.console.views.errors.server_error"
