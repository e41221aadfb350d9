"""Where a request to the gateway comes from."""

from django.conf import settings
from django.http import HttpRequest

from keys.addresses import Address, client_address


def address_of(request: HttpRequest) -> Address | None:
    """The client's address, with as many proxies believed as TRUSTED_PROXY_COUNT says."""
    return client_address(
        remote=request.META.get("REMOTE_ADDR") or "",
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
        trusted_proxies=settings.TRUSTED_PROXY_COUNT,
    )
