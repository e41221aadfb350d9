"""Errors are pages too: each says what happened and what to do next, signed in or not."""

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from keys.errors import InvitationEnded, NotAllowed

logger = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(
        request,
        400,
        "That request cannot be understood",
        "The address or the form is damaged. Go back and try again.",
    )


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 403, "You may not do that", "Ask an administrator of the platform.")


def not_allowed(request: HttpRequest, refused: NotAllowed) -> HttpResponse:
    """For what this person may see, and may not do."""
    return _page(request, 403, refused.message.rstrip("."), refused.advice)


def gone(request: HttpRequest, ended: InvitationEnded) -> HttpResponse:
    return _page(request, 410, ended.message.rstrip("."), ended.advice)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(
        request,
        403,
        "This page had been open for too long",
        "For your safety nothing was changed. Go back, reload the page and try again.",
    )


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    return _page(
        request,
        405,
        "This address cannot be opened by itself",
        "What it does is done with a button. Go back to the page, or start from the merchants.",
    )


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """The limits that end here count by the minute."""
    response = _page(request, 429, "That was tried too often", "Wait a minute, then try again.")
    response["Retry-After"] = "60"
    return response


def too_many_passwords(request: HttpRequest, *, wait_seconds: int) -> HttpResponse:
    response = render(
        request,
        "account/too_many_passwords.html",
        {"minutes": max(1, round(wait_seconds / 60 + 0.49))},
        status=429,
    )
    response["Retry-After"] = str(wait_seconds)
    return response


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(
        request,
        404,
        "There is nothing at this address",
        "The link may be mistyped or cut short, or not meant for you.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Rendered without the database or the user: either may be what broke."""
    context: dict[str, Any] = {"request_id": request.META.get("REQUEST_ID", "")}
    logger.error("Answered with 500: request %s to %s", context["request_id"], request.path)
    try:
        return render(None, "500.html", context, status=500)
    except Exception:
        logger.exception("The page for errors cannot be drawn")
        return HttpResponse("Something went wrong on our side.", status=500, content_type="text/plain")


def _page(request: HttpRequest, status: int, title: str, advice: str) -> HttpResponse:
    return render(request, "error.html", {"status": status, "title": title, "advice": advice}, status=status)
