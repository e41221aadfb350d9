"""What several lists and pages show alike: states, moments, and links between the lists."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from keys.console.templatetags.console import absolute, mode_tag, status_badge

if TYPE_CHECKING:
    from datetime import datetime

NOTHING = "–"


def moment(name: str, label: str = "", never: str = NOTHING) -> Callable[[Any], SafeString]:
    """A column with the time in `name`, to the second and with its zone."""

    @admin.display(description=label or name.removesuffix("_at").replace("_", " "))
    def column(record: Any) -> SafeString:
        value: datetime | None = getattr(record, name)
        return format_html('<span class="nowrap">{}</span>', absolute(value) if value else never)

    return column


@admin.display(description="status")
def status(record: Any) -> SafeString:
    return status_badge(record)


@admin.display(description="mode")
def mode(record: Any) -> SafeString:
    return mode_tag(record.mode)


@admin.display(description="ID")
def public_id(record: Any) -> SafeString:
    return format_html("<code>{}</code>", record.public_id)


def linked(name: str, label: str = "") -> Callable[[Any], SafeString | str]:
    """A column with a link to the row that `name` refers to."""

    @admin.display(description=label or name.replace("_", " "))
    def column(record: Any) -> SafeString | str:
        other = getattr(record, name)
        return format_html('<a href="{}">{}</a>', page_of(other), other) if other is not None else NOTHING

    return column


def page_of(record: Any) -> str:
    return reverse(f"admin:keys_{record._meta.model_name}_change", args=[record.pk])


def list_of(model_name: str, **filters: str) -> str:
    return f"{reverse(f'admin:keys_{model_name}_changelist')}?{urlencode(filters)}"
