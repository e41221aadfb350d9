"""Where Django's pages are: the Django admin, sign-in, and the console at the root. /v1/ never comes here."""

from allauth.account import views as account
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

# Those of allauth's addresses that this console has a use for. E-mail addresses and reset links are not among
# them: until mail is set up, a reset link would be written to the server's log.
accounts = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account.password_change, name="account_change_password"),
    path("password/set/", account.password_set, name="account_set_password"),
]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include(accounts)),
    path("", include("keys.console.urls")),
]

handler400 = "keys.console.views.errors.bad_request"
handler403 = "keys.console.views.errors.permission_denied"
handler404 = "keys.console.views.errors.page_not_found"
# Asked for by allauth.
handler429 = "keys.console.views.errors.too_many_requests"
handler500 = "keys.console.views.errors.server_error"
