"""The pages that are measured, and what each is measured against."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

ADMIN_MERCHANTS = "Django admin: merchants"
ADMIN_KEYS = "Django admin: API keys"


@dataclass(frozen=True, slots=True)
class Page:
    """`beside` names the page of the Django admin that lists the same rows; the admin's own pages have none."""

    name: str
    path: str
    beside: str = ""


def pages(subjects: dict[str, Any]) -> list[Page]:
    """The console's pages for the subjects that bench.console.probe chose."""
    return [
        Page("Merchants", "/merchants/", ADMIN_MERCHANTS),
        Page("Deep page", f"/merchants/?{urlencode({'after': subjects['cursor']})}", ADMIN_MERCHANTS),
        Page("Search", f"/merchants/?{urlencode({'q': subjects['word']})}", ADMIN_MERCHANTS),
        Page("Developers", f"/merchants/{subjects['merchant']}/developers/", ADMIN_KEYS),
        Page("API key", f"/keys/{subjects['key']}/", ADMIN_KEYS),
    ]


def admin_pages() -> list[Page]:
    return [
        Page(ADMIN_MERCHANTS, "/admin/keys/merchant/"),
        Page(ADMIN_KEYS, "/admin/keys/apikey/"),
    ]
