"""The base of all lists and pages here: a list that is read in bounded pages, and rows that are looked at."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.text import capfirst

from keys.access import Access
from keys.console import reading
from keys.console.context import access_of
from keys.console.keyset import Ordering, Page
from keys.console.reading import Reading, Rows
from keys.console.views.grid import address_without_keys

PAGE_SIZE = 100


class BoundedChangeList(ChangeList):
    """Django's list, whose page is that of a Reading."""

    model_admin: "LookAdmin"

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Rows:
        self.cursors = {name: self._take(name) for name in ("after", "before")}
        self.filter_specs, self.has_filters, unknown, _, self.has_active_filters = self.get_filters(request)
        if unknown:
            raise IncorrectLookupParameters
        self.clear_all_filters_qs = self.get_query_string(remove=list(self.get_filters_params()))
        self.reading = self._read(access_for(request))
        return self.reading.rows

    def _take(self, name: str) -> str:
        """A cursor of the address. Links of the list are made of what is left: another filter starts anew."""
        self.params.pop(name, None)
        return str(self.filter_params.pop(name, [""])[-1])

    def _read(self, access: Access) -> Reading:
        # Not joined: a planner that may begin with any of several tables may well begin with the wrong one.
        rows = self.root_queryset.prefetch_related(*self.model_admin.list_related)
        read = Reading(rows, self.model_admin.order)
        if text := self.query.strip():
            read = self.model_admin.find(read, text, access)
        for spec in self.filter_specs:
            read = spec.narrow(read)  # type: ignore[attr-defined]
        return read

    def get_results(self, request: HttpRequest) -> None:
        self.page: Page[Any] = self.reading.page(size=PAGE_SIZE, **self.cursors)
        self.result_list = self.page.rows
        self.result_count = len(self.page.rows)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = None

    # -- What the page says of itself ------------------------------------------------------------------------------

    @property
    def stretch(self) -> int:
        """How many rows were looked through without filling the page; 0 where the page is full or nothing is left."""
        onward = self.page.previous_cursor if self.cursors["before"] else self.page.next_cursor
        short = self.reading.looks_through and self.result_count < PAGE_SIZE
        return reading.STRETCH if short and onward else 0

    @property
    def found_maximum(self) -> int:
        return reading.FOUND

    @property
    def shown(self) -> str:
        name = self.opts.verbose_name if self.result_count == 1 else self.opts.verbose_name_plural
        return f"{self.result_count} {name} on this page"

    @property
    def next_page(self) -> str:
        return self._turn("after", self.page.next_cursor)

    @property
    def previous_page(self) -> str:
        return self._turn("before", self.page.previous_cursor)

    @property
    def first_page(self) -> str:
        return self.get_query_string() if any(self.cursors.values()) else ""

    def _turn(self, name: str, cursor: str) -> str:
        return self.get_query_string({name: cursor}) if cursor else ""


class LookAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows to look at, as far as they are in the person's reach. Nothing is added, edited or deleted.

    `order` is the order of the list, which an index has; `list_related` is what its rows show of others.
    """

    order: ClassVar[Ordering]
    list_related: ClassVar[tuple[str, ...]] = ()
    list_per_page = PAGE_SIZE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    actions = None
    view_on_site = False
    # The box is shown where there is one; `find` says what it does.
    search_fields = ("id",)

    def reach(self, access: Access) -> Rows:
        """Everything of this kind that the person sees."""
        raise NotImplementedError

    def find(self, reading: Reading, text: str, access: Access) -> Reading:
        """What the search box looks for."""
        raise NotImplementedError

    def elsewhere(self, record: Any, access: Access) -> Mapping[str, str]:
        """Links of a row's page, by their words."""
        return {}

    def get_queryset(self, request: HttpRequest) -> Rows:
        return self.reach(access_for(request))

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        return BoundedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By the filters alone. Django allows any column: who may not see a digest could guess it bit by bit."""
        return lookup in {each.parameter_name for each in self.get_list_filter(request)}  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self.take_step(request)
        if address := address_without_keys(request):
            return redirect(address)
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def take_step(self, request: HttpRequest) -> HttpResponse:
        """What the list's form asks for."""
        raise PermissionDenied

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method == "POST":
            raise PermissionDenied
        return super().change_view(request, object_id, form_url, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Django's log of its own forms has nothing to tell; the product's history has."""
        raise Http404

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        record = context["original"]
        context |= {
            "title": str(record),
            "subtitle": None,
            "elsewhere": self.elsewhere(record, access_for(request)).items(),
        }
        return super().render_change_form(request, context, *args, **kwargs)


def access_for(request: HttpRequest) -> Access:
    access = access_of(request)
    if access is None:  # pragma: no cover - the site has turned strangers away
        raise PermissionDenied
    return access
