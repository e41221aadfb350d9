"""Where people sign in and look after their sign-in: those of allauth's addresses that this console has a use for."""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from allauth.usersessions import views as sessions
from django.urls import path, re_path
from django.views.generic import RedirectView

from keys.console.letters import by_mail
from keys.console.stepup import proof_required
from keys.console.views.confirm import ConfirmView, SecondFactorRequiredView
from keys.console.views.sso import SingleSignOnView, confirmed, sign_in_failed

to_profile = RedirectView.as_view(pattern_name="profile")
guard = proof_required("change how you sign in", back="profile")

urlpatterns = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", ConfirmView.as_view(), name="account_reauthenticate"),
    path("reauthenticate/done/", confirmed, name="account_confirmed"),
    path("password/change/", account.password_change, name="account_change_password"),
    path("password/set/", guard(account.password_set), name="account_set_password"),
    path("password/reset/", by_mail(account.password_reset), name="account_reset_password"),
    path("password/reset/sent/", by_mail(account.password_reset_done), name="account_reset_password_done"),
    path(
        "password/reset/done/",
        by_mail(account.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        by_mail(account.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path("sessions/", sessions.list_usersessions, name="usersessions_list"),
    path("second-factor/", mfa.authenticate, name="mfa_authenticate"),
    path("second-factor/required/", SecondFactorRequiredView.as_view(), name="second-factor-required"),
    path("passkeys/login/", webauthn.login_webauthn, name="mfa_login_webauthn"),
    path("passkeys/new/", guard(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path("passkeys/<int:pk>/rename/", guard(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path("passkeys/<int:pk>/remove/", guard(webauthn.remove_webauthn), name="mfa_remove_webauthn"),
    path("authenticator-app/", guard(totp.activate_totp), name="mfa_activate_totp"),
    path("authenticator-app/remove/", guard(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("recovery-codes/", guard(recovery_codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path(
        "recovery-codes/new/",
        guard(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "recovery-codes/download/",
        guard(recovery_codes.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
    path("sso/<slug:provider_id>/", SingleSignOnView.as_view(), name="openid_connect_login"),
    path("sso/<slug:provider_id>/callback/", openid_connect.callback, name="openid_connect_callback"),
    path("sso-failed/", sign_in_failed, name="socialaccount_login_cancelled"),
    # allauth leads back to lists of its own; here the profile holds them.
    path("security/", to_profile, name="mfa_index"),
    path("passkeys/", to_profile, name="mfa_list_webauthn"),
]
