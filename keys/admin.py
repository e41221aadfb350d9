"""The Django admin: everything to look at, nothing to break. State changes in the console and the commands."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest

from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """No add, no change, no delete: the lifecycle is the only writer."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Merchant)
class MerchantAdmin(ReadOnlyAdmin):
    list_display = ["name", "public_id", "status", "website", "created_at"]
    list_filter = ["status"]
    search_fields = ["sort_name__startswith"]
    ordering = ["sort_name", "id"]
    fields = ["public_id", "name", "website", "status", "created_at", "created_by"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", "public_id", "merchant", "masked", "mode", "status", "last_used_at", "created_at"]
    list_filter = ["status", "mode"]
    list_select_related = ["merchant"]
    search_fields = ["folded_name__startswith"]
    ordering = ["-created_at", "-id"]
    fields = [
        "public_id", "merchant", "name", "description", "masked", "mode", "permissions", "status", "expires_at",
        "allowed_networks", "duplicated_from", "created_at", "created_by", "last_used_at",
    ]  # fmt: skip


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyAdmin):
    list_display = ["at", "method", "path", "status", "outcome", "key", "address"]
    list_select_related = ["key"]
    ordering = ["-id"]
    fields = [
        "public_id",
        "key",
        "merchant",
        "at",
        "method",
        "path",
        "status",
        "outcome",
        "duration_us",
        "address",
        "request_id",
    ]


@admin.register(HistoryEntry)
class HistoryEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "action", "merchant", "key", "actor_name", "address"]
    list_filter = ["action"]
    list_select_related = ["merchant", "key"]
    ordering = ["-id"]


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    """The platform roles. What each may do stands in keys/access.py, and every migration sets it again."""

    search_fields = ["name__startswith"]
    ordering = ["name"]


@admin.register(User)
class UserAdmin(BaseUserAdmin):  # type: ignore[type-arg]
    """To look people up. They come by invitation, and roles change where the last administrator is kept: in People."""

    fieldsets = (*(BaseUserAdmin.fieldsets or ()), ("Console", {"fields": ("theme", "keyboard_shortcuts")}))
    list_filter = ["is_active", "is_staff", "is_superuser", "groups"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """People stay, as the history names them; a person who leaves is made inactive."""
        return False
