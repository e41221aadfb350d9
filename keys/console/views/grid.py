"""The grid: one view for the page and for the part of it that a search, a filter, a sort or a page turn replaces."""

from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.generic import View

from keys.console.filters import GridFilter
from keys.console.keyset import BadCursor, Ordering, Page, count_up_to, paginate
from keys.console.tables import GridTable
from keys.console.views.access import ConsoleMixin
from keys.keyformat import scrub

PAGE_SIZE = 25


class GridView(ConsoleMixin, View):
    """Declares its table, filter set and templates; `rows()` says which rows are in reach of this person."""

    table_class: type[GridTable]
    filterset_class: type[GridFilter]
    template_name: str
    fragment_name = "keys/_grid.html"
    empty_template: str
    noun: str
    # Whether there is an address below this one that gives all rows as a file.
    exportable = False

    @property
    def few(self) -> bool:
        """Whether `rows()` finds its rows by their ids, so that no index is to be walked for their order."""
        return False

    def rows(self) -> "QuerySet[Any]":
        raise NotImplementedError

    def decorate(self, rows: list[Any]) -> None:
        """Add to the rows of this page what the table shows beyond their own columns, in a fixed number of queries."""

    def context(self) -> dict[str, Any]:
        """What the page around the grid needs; not asked for where only the grid is drawn."""
        return {}

    def get(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        if address := address_without_keys(request):
            return HttpResponseRedirect(address)
        fragment = self.wants_part
        context = self.grid_context() | ({} if fragment else self.context())
        response = render(
            request, self.fragment_name if fragment else self.template_name, context | {"fragment": fragment}
        )
        patch_vary_headers(response, ["HX-Request"])
        return response

    def grid_context(self) -> dict[str, Any]:
        filterset = self.filterset_class(self.request.GET, queryset=self.rows(), request=self.request)
        filterset.few = self.few
        found = filterset.qs
        sort = self.table_class.sort_named(self.request.GET.get("sort", ""))
        page = self.page(found, self.table_class.orderings[sort], few=filterset.few)
        self.decorate(page.rows)
        known = filterset.known_count()
        count, capped = count_up_to(found) if known is None else (known, False)
        return {
            "filter": filterset,
            "pills": list(filterset.pills()),
            "table": self.table_class(page.rows, sort=sort, empty_text=""),
            "page": page,
            "count": count,
            "capped": capped,
            "noun": self.noun,
            "exportable": self.exportable,
            "empty_template": self.empty_template,
        }

    def page(self, found: "QuerySet[Any]", ordering: Ordering, *, few: bool) -> Page[Model]:
        """The page that the address asks for; the first one where its cursor is broken or leads beyond the rows."""
        after, before = (self.request.GET.get(name, "") for name in ("after", "before"))
        try:
            page = paginate(found, ordering, size=PAGE_SIZE, after=after, before=before, few=few)
        except BadCursor:
            page = None
        if page is None or ((after or before) and not page.rows):
            page = paginate(found, ordering, size=PAGE_SIZE, few=few)
        return page


def address_without_keys(request: HttpRequest) -> str:
    """The address asked for with each API key in it cut down to its mask; nothing where there is none.

    Browsers and proxies remember addresses. The script of the page masks a key when it is pasted.
    """
    query = request.GET.copy()
    for name, values in request.GET.lists():
        query.setlist(name, [scrub(value) if "sk_" in value else value for value in values])
    return f"{request.path}?{query.urlencode()}" if query != request.GET else ""
