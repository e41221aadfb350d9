from django.urls import path
from django.views.generic import RedirectView

from keys.console.views import apikeys, developers, merchants, profile, requests, secrets

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
    path("keys/<key_id:pk>/", apikeys.ApiKeyDetailView.as_view(), name="apikey-detail"),
    path("keys/<key_id:pk>/duplicate/", apikeys.ApiKeyDuplicateView.as_view(), name="apikey-duplicate"),
    path("keys/<key_id:pk>/disable/", developers.ApiKeyDisableView.as_view(), name="apikey-disable"),
    path("keys/<key_id:pk>/enable/", developers.ApiKeyEnableView.as_view(), name="apikey-enable"),
    path("keys/<key_id:pk>/revoke/", apikeys.ApiKeyRevokeView.as_view(), name="apikey-revoke"),
    path("keys/<key_id:pk>/copy/", secrets.ApiKeyCopyView.as_view(), name="apikey-copy"),
    path("requests/<request_id:pk>/", requests.RequestDetailView.as_view(), name="request-detail"),
    path("profile/", profile.ProfileView.as_view(), name="profile"),
    path("components/", profile.ComponentsView.as_view(), name="components"),
]
