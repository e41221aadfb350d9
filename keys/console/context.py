"""What every page of the console knows of the person who looks at it."""

from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest

from keys.access import Access

if TYPE_CHECKING:
    from keys.models import User


def access_of(request: HttpRequest | None) -> Access | None:
    """What this person may see and do, found out once for each request; None for a stranger."""
    if request is None:
        return None
    if not hasattr(request, "access"):
        user = getattr(request, "user", None)
        request.access = Access(cast("User", user)) if user and user.is_authenticated else None  # type: ignore[attr-defined]
    access: Access | None = request.access  # type: ignore[attr-defined]
    return access


def access(request: HttpRequest) -> dict[str, Any]:
    """Context processor."""
    return {"access": access_of(request)}
