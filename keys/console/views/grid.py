"""The grid: one view for the page and for the part of it that a search, a filter, a sort or a page turn replaces."""

from collections.abc import Callable
from functools import partial
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
        filterset = self.filters()
        sort = self.table_class.sort_named(self.request.GET.get("sort", ""))
        found = self.find(filterset, self.table_class.orderings[sort])
        rows = found["page"].rows
        self.decorate(rows)
        return found | {
            "filter": filterset,
            "pills": list(filterset.pills()),
            "table": self.table_class(rows, sort=sort, empty_text=""),
            "noun": self.noun,
            "exportable": self.exportable,
            "empty_template": self.empty_template,
        }

    def filters(self) -> Any:
        return self.filterset_class(self.request.GET, queryset=self.rows(), request=self.request)

    def find(self, filterset: Any, ordering: Ordering) -> dict[str, Any]:
        """A page of the rows that the filters leave, and how many there are, counted so far that it can be told."""
        filterset.few = self.few
        rows = filterset.qs
        page = self.turned_to(partial(paginate, rows, ordering, few=filterset.few))
        known = filterset.known_count()
        count, capped = count_up_to(rows) if known is None else (known, False)
        return {"page": page, "count": count, "capped": capped}

    @property
    def cursors(self) -> dict[str, str]:
        """What the address says of where its page begins or ends."""
        return {name: self.request.GET.get(name, "") for name in ("after", "before")}

    def turned_to(self, page_at: Callable[..., Page[Model]]) -> Page[Model]:
        """The page that the address asks for; the first one where its cursor is broken or leads beyond the rows."""
        try:
            page = page_at(size=PAGE_SIZE, **self.cursors)
        except BadCursor:
            page = None
        if page is None or (any(self.cursors.values()) and not page.rows):
            page = page_at(size=PAGE_SIZE)
        return page


def address_without_keys(request: HttpRequest) -> str:
    """The address asked for with each API key in it cut down to its mask; nothing where there is none.

    Browsers and proxies remember addresses. The script of the page masks a key when it is pasted.
    """
    query = request.GET.copy()
    for name, values in request.GET.lists():
        query.setlist(name, [scrub(value) if "sk_" in value else value for value in values])
    return f"{request.path}?{query.urlencode()}" if query != request.GET else ""
