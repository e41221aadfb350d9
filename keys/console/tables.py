"""The columns of the grids. django-tables2 knows the columns and their order; a template draws each row."""

from typing import Any

import django_tables2 as tables

from keys.console.keyset import Ordering
from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog, User


class GridTable(tables.Table):
    """A table whose rows are drawn by one template, so that an action can answer with its row alone."""

    row_template: str
    label: str
    css: str
    # Whether it shows figures of use, which are as old as the page.
    has_figures = False
    # What `?sort=` may say, and the columns that it orders by. The first is the default.
    orderings: dict[str, Ordering]

    class Meta:
        template_name = "keys/table.html"
        orderable = False

    def __init__(self, *args: Any, sort: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.sort = sort

    @classmethod
    def sort_named(cls, text: str) -> str:
        return text if text in cls.orderings else next(iter(cls.orderings))

    def headers(self) -> list[dict[str, str]]:
        """Each column's label and class and, where it can be sorted, its state and what a click asks for."""
        return [self._header(column) for column in self.columns]

    def _header(self, column: Any) -> dict[str, str]:
        header = {
            "label": str(column.header),
            "class": column.attrs["th"].get("class", ""),
            "name": column.name,
        }
        ways = [way for way in self.orderings if way.lstrip("-") == column.name]
        if ways:
            current = self.sort if self.sort in ways else ""
            header["next"] = next((way for way in ways if way != current), ways[0])
            if current:
                header["aria_sort"] = "descending" if self.orderings[current].descending else "ascending"
        return header


def column(label: str, css: str = "") -> tables.Column:
    return tables.Column(verbose_name=label, accessor="pk", attrs={"th": {"class": css}})


class MerchantTable(GridTable):
    name = column("Name", "col-name")
    status = column("Status", "col-status")
    keys = column("Enabled keys", "col-number")
    requests = column("Requests, 24 h", "col-number")
    errors = column("Error rate, 24 h", "col-number col-rate")
    created = column("Created", "col-when")

    row_template = "keys/_merchant_row.html"
    label = "Merchant accounts"
    has_figures = True
    css = "grid-merchants"
    orderings = {
        "name": Ordering(("sort_name", "id")),
        "-name": Ordering(("sort_name", "id"), descending=True),
        "-created": Ordering(("created_at", "id"), descending=True),
        "created": Ordering(("created_at", "id")),
    }

    class Meta(GridTable.Meta):
        model = Merchant
        fields = ()


class ApiKeyTable(GridTable):
    name = column("Key name", "col-name")
    key = column("Key", "col-key")
    status = column("Status", "col-status")
    errors = column("Error rate, last 24 hours", "col-errors")
    used = column("Last used", "col-when")
    created = column("Created", "col-when")
    actions = column("Actions", "col-menu")

    row_template = "keys/_apikey_row.html"
    label = "API keys"
    has_figures = True
    css = "grid-apikeys"
    orderings = {
        "status": Ordering(("status_rank", "created_at", "id"), descending=True),
        "-status": Ordering(("status_rank", "created_at", "id")),
        "name": Ordering(("folded_name", "id")),
        "-name": Ordering(("folded_name", "id"), descending=True),
        "-created": Ordering(("created_at", "id"), descending=True),
        "created": Ordering(("created_at", "id")),
    }

    class Meta(GridTable.Meta):
        model = ApiKey
        fields = ()


class RequestTable(GridTable):
    time = column("Time", "col-time")
    request = column("Request", "col-name")
    status = column("Status", "col-status")
    outcome = column("Outcome")
    key = column("Key")
    duration = column("Duration", "col-number")
    address = column("Address")

    row_template = "keys/_request_row.html"
    label = "Requests"
    css = "grid-requests"
    orderings = {
        "-time": Ordering(("id",), descending=True),
        "time": Ordering(("id",)),
    }

    class Meta(GridTable.Meta):
        model = RequestLog
        fields = ()


class PersonTable(GridTable):
    name = column("User name", "col-name")
    email = column("E-mail", "col-name")
    role = column("Role", "col-role")
    teams = column("Teams", "col-number")
    status = column("Status", "col-status")
    seen = column("Last sign-in", "col-when")

    row_template = "keys/_person_row.html"
    label = "People"
    css = "grid-people"
    orderings = {
        "name": Ordering(("username",)),
        "-name": Ordering(("username",), descending=True),
    }

    class Meta(GridTable.Meta):
        model = User
        fields = ()


class HistoryTable(GridTable):
    time = column("Time", "col-time")
    action = column("What happened", "col-name")
    actor = column("By", "col-by")
    changes = column("Before and after", "col-changes")
    origin = column("From")
    place = column("Row", "col-number col-row")

    row_template = "keys/_history_row.html"
    label = "History"
    css = "grid-history"
    orderings = {
        "-time": Ordering(("at", "id"), descending=True),
        "time": Ordering(("at", "id")),
    }

    class Meta(GridTable.Meta):
        model = HistoryEntry
        fields = ()
