"""The person behind a request, as the history names them."""

from django.conf import settings
from django.http import HttpRequest

from keys.addresses import client_address
from keys.history import Actor
from keys.models import User


def address_of(request: HttpRequest) -> str | None:
    address = client_address(
        remote=request.META.get("REMOTE_ADDR", ""),
        forwarded_for=request.headers.get("X-Forwarded-For", ""),
        trusted_proxies=settings.TRUSTED_PROXY_COUNT,
    )
    return str(address) if address else None


def visitor_of(request: HttpRequest) -> Actor:
    """Somebody who has not signed in, and is named once they have an account."""
    return Actor(
        name="",
        address=address_of(request),
        user_agent=request.headers.get("User-Agent", ""),
        request_id=request.META.get("REQUEST_ID", ""),
    )


def actor_of(request: HttpRequest, user: User) -> Actor:
    return Actor(
        name=user.display_name,
        user=user,
        address=address_of(request),
        user_agent=request.headers.get("User-Agent", ""),
        request_id=request.META.get("REQUEST_ID", ""),
    )
