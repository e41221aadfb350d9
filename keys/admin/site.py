"""The site of the Django admin: what it shows, and the ways into it."""

from collections.abc import Iterable
from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from keys.admin.apikeys import ApiKeyAdmin
from keys.admin.changelist import LookAdmin
from keys.admin.history import HistoryEntryAdmin
from keys.admin.merchants import MerchantAdmin
from keys.admin.people import PersonAdmin
from keys.admin.requests import RequestLogAdmin
from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User

ADMINS: dict[type[Model], type[LookAdmin]] = {
    Merchant: MerchantAdmin,
    ApiKey: ApiKeyAdmin,
    RequestLog: RequestLogAdmin,
    HistoryEntry: HistoryEntryAdmin,
    User: PersonAdmin,
}


class ConsoleAdminSite(admin.AdminSite):
    """Holds the models of ADMINS and no others, in that order."""

    site_title = "Merchant Admin"
    site_header = "Merchant Admin"
    index_title = "Django admin"
    enable_nav_sidebar = False

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        for model, model_admin in ADMINS.items():
            super().register(model, model_admin)

    def register(
        self, model_or_iterable: type[Model] | Iterable[type[Model]], *_: object, **__: object
    ) -> None:
        """Leave out what packages bring along: secrets of second factors and tokens are nobody's to look at."""

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """One way in: a sign-in of the admin's own would pass by the rate limits and the record of the sign-in."""
        return secure_admin_login(super().login)(request, extra_context)  # type: ignore[no-untyped-call]

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """One way to change a password, too: the console's asks for the old one, and limits how often."""
        return redirect("account_change_password")

    def password_change_done(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return redirect("profile")

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """No form here asks for it, and it would count whole tables."""
        raise Http404

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The lists in the order of ADMINS, rather than of their names."""
        order = [model._meta.object_name for model in ADMINS]
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=lambda model: order.index(model["object_name"]))
        return apps
