"""Where Django's pages are: the Django admin, sign-in, and the console at the root. /v1/ never comes here."""

from allauth.account.decorators import secure_admin_login
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
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

# One way in: the Django admin's own sign-in would pass by the rate limits and the record of the sign-in.
admin.autodiscover()
# Secrets of second factors and of single sign-on are nobody's to look at.
for model in (Authenticator, UserSession, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign, no-untyped-call]

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
