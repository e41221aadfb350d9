from django.urls import path
from django.views.generic import RedirectView

from keys.console.views import (
    apikeys,
    developers,
    email,
    history,
    invitations,
    merchants,
    people,
    profile,
    requests,
    secrets,
    teams,
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="merchant-list"), name="home"),
    path("merchants/", merchants.MerchantListView.as_view(), name="merchant-list"),
    path("merchants/new/", merchants.MerchantCreateView.as_view(), name="merchant-create"),
    path("merchants/<merchant_id:pk>/", merchants.MerchantDetailView.as_view(), name="merchant-detail"),
    path(
        "merchants/<merchant_id:pk>/disable/",
        merchants.MerchantDisableView.as_view(),
        name="merchant-disable",
    ),
    path(
        "merchants/<merchant_id:pk>/enable/", merchants.MerchantEnableView.as_view(), name="merchant-enable"
    ),
    path("merchants/<merchant_id:pk>/developers/", developers.DevelopersView.as_view(), name="developers"),
    path(
        "merchants/<merchant_id:pk>/developers/new/", apikeys.ApiKeyCreateView.as_view(), name="apikey-create"
    ),
    path("merchants/<merchant_id:pk>/requests/", requests.RequestListView.as_view(), name="request-list"),
    path("merchants/<merchant_id:pk>/team/", teams.TeamView.as_view(), name="team"),
    path("merchants/<merchant_id:pk>/team/invite/", teams.TeamInviteView.as_view(), name="team-invite"),
    path(
        "merchants/<merchant_id:pk>/team/<member_id:member>/role/",
        teams.MemberRoleView.as_view(),
        name="member-role",
    ),
    path(
        "merchants/<merchant_id:pk>/team/<member_id:member>/remove/",
        teams.MemberRemoveView.as_view(),
        name="member-remove",
    ),
    path("people/", people.PersonListView.as_view(), name="people"),
    path("people/invite/", people.PersonInviteView.as_view(), name="person-invite"),
    path("people/<person:pk>/", people.PersonDetailView.as_view(), name="person-detail"),
    path("people/<person:pk>/role/", people.PersonRoleView.as_view(), name="person-role"),
    path("people/<person:pk>/email/", people.PersonEmailView.as_view(), name="person-email"),
    path("people/<person:pk>/deactivate/", people.PersonDeactivateView.as_view(), name="person-deactivate"),
    path("people/<person:pk>/reactivate/", people.PersonReactivateView.as_view(), name="person-reactivate"),
    path(
        "invitations/<invitation_id:pk>/resend/",
        invitations.InvitationResendView.as_view(),
        name="invitation-resend",
    ),
    path(
        "invitations/<invitation_id:pk>/withdraw/",
        invitations.InvitationWithdrawView.as_view(),
        name="invitation-withdraw",
    ),
    path("join/<str:token>/", invitations.JoinView.as_view(), name="invitation-join"),
    path(
        "merchants/<merchant_id:pk>/requests/export/",
        requests.RequestExportView.as_view(),
        name="request-export",
    ),
    path(
        "merchants/<merchant_id:pk>/history/",
        history.MerchantHistoryView.as_view(),
        name="merchant-history",
    ),
    path(
        "merchants/<merchant_id:pk>/history/export/",
        history.MerchantHistoryExportView.as_view(),
        name="merchant-history-export",
    ),
    path("keys/<key_id:pk>/history/", history.KeyHistoryView.as_view(), name="apikey-history"),
    path(
        "keys/<key_id:pk>/history/export/",
        history.KeyHistoryExportView.as_view(),
        name="apikey-history-export",
    ),
    path("history/", history.PlatformHistoryView.as_view(), name="platform-history"),
    path("history/export/", history.PlatformHistoryExportView.as_view(), name="platform-history-export"),
    path("keys/<key_id:pk>/", apikeys.ApiKeyDetailView.as_view(), name="apikey-detail"),
    path("keys/<key_id:pk>/duplicate/", apikeys.ApiKeyDuplicateView.as_view(), name="apikey-duplicate"),
    path("keys/<key_id:pk>/disable/", developers.ApiKeyDisableView.as_view(), name="apikey-disable"),
    path("keys/<key_id:pk>/enable/", developers.ApiKeyEnableView.as_view(), name="apikey-enable"),
    path("keys/<key_id:pk>/revoke/", apikeys.ApiKeyRevokeView.as_view(), name="apikey-revoke"),
    path("keys/<key_id:pk>/copy/", secrets.ApiKeyCopyView.as_view(), name="apikey-copy"),
    path("requests/<request_id:pk>/", requests.RequestDetailView.as_view(), name="request-detail"),
    path("profile/", profile.ProfileView.as_view(), name="profile"),
    path("profile/email/", email.EmailView.as_view(), name="profile-email"),
    path("profile/email/<str:token>/", email.EmailConfirmView.as_view(), name="profile-email-confirm"),
    path("components/", profile.ComponentsView.as_view(), name="components"),
]
