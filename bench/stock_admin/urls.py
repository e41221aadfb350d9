"""The lists of merchant accounts and API keys, with the columns of the product's own and nothing else set."""

from django.contrib import admin
from django.urls import path

from keys.models import ApiKey, Merchant


class ListAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    # The cheaper of the two counts that a list can make is the one to beat.
    show_full_result_count = False


class MerchantAdmin(ListAdmin):
    list_display = ("name", "status", "created_at")


class ApiKeyAdmin(ListAdmin):
    list_display = ("name", "merchant", "mode", "status", "expires_at", "created_at")
    list_select_related = ("merchant",)


site = admin.AdminSite()
site.register(Merchant, MerchantAdmin)
site.register(ApiKey, ApiKeyAdmin)

urlpatterns = [path("admin/", site.urls)]
