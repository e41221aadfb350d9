"""The people of the platform and of the merchants' teams. What is done with them is done in the console."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from keys import people
from keys.access import Access, Step, role_of
from keys.admin.cells import NOTHING, list_of, moment
from keys.admin.changelist import LookAdmin
from keys.admin.filters import Filter
from keys.console.filters import NAMES
from keys.console.keyset import Ordering
from keys.console.reading import Reading, Rows
from keys.models import User
from keys.models.access import PlatformRole


class RoleFilter(Filter):
    title = "role"
    parameter_name = "role"
    choices_offered = (*PlatformRole.choices, ("none", "None on the platform"))

    def sieve(self, rows: Rows) -> Rows:
        role = self.value() or "none"
        if role in PlatformRole.values:
            return rows.filter(people.having(PlatformRole(role)))
        return rows.exclude(reduce(or_, map(people.having, PlatformRole)))


class ActiveFilter(Filter):
    title = "status"
    parameter_name = "status"
    choices_offered = (("active", "Active"), ("deactivated", "Deactivated"))

    def sieve(self, rows: Rows) -> Rows:
        return rows.filter(is_active=self.value() == "active")


LABELS = {"username": "User name", "email": "E-mail address", "is_active": "Active"}


@admin.display(description="role")
def role(person: User) -> str:
    given = role_of(person)
    return given.label if given else NOTHING


@admin.display(description="teams")
def teams(person: User) -> str:
    memberships = person.memberships.select_related("merchant").order_by("merchant__sort_name")
    return ", ".join(f"{each.merchant} ({each.get_role_display()})" for each in memberships) or NOTHING


class PersonAdmin(LookAdmin):
    order = Ordering(("username",))
    list_display = (
        "username", "email", "first_name", "last_name", role, "is_active",
        moment("last_login", "last sign-in", "Never"),
    )  # fmt: skip
    list_filter = (RoleFilter, ActiveFilter)
    search_help_text = "Beginnings of the user name, the e-mail address or a name"
    readonly_fields: ClassVar[Any] = (
        "username", "email", "first_name", "last_name", role, teams, "is_active", moment("date_joined", "joined"),
        moment("last_login", "last sign-in", "Never"),
    )  # fmt: skip
    fields = readonly_fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """In the console's words, and without Django's advice to whoever would fill the fields in."""
        kwargs |= {"labels": LABELS, "help_texts": dict.fromkeys(LABELS, "")}
        return super().get_form(request, obj, change, **kwargs)

    def reach(self, access: Access) -> Rows:
        return access.people().defer("password").prefetch_related("groups")

    def find(self, reading: Reading, text: str, access: Access) -> Reading:
        named = Q()
        for word in text.split()[:6]:
            named &= reduce(or_, (Q(**{f"{name}__istartswith": word}) for name in NAMES))
        return reading.seeking(lambda rows: rows.filter(named))

    def elsewhere(self, record: Any, access: Access) -> Mapping[str, str]:
        links = {"What they did": list_of("historyentry", actor=str(record.pk))}
        if access.may(Step.MANAGE_PEOPLE):
            links["Open in the console"] = reverse("person-detail", args=[record.pk])
        return links
