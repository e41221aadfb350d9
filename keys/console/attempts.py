"""How often a password or a code may be tried: by address, by name, and by browser.

Five wrong passwords in five minutes close a name, as typed, to browsers that it never signed in with. A browser that
it did sign in with carries a signed cookie and is counted by itself: strangers who try passwords on purpose cannot keep
out whoever the name belongs to. What is refused is not counted, so each window ends; a passkey needs no name and is
never refused for one; `manage.py allow_sign_in` forgets the count. Whether there is such a name makes no difference.
"""

import secrets
import time
from typing import Any

from allauth.core.internal import ratelimit
from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from keys.models import User

APP = "allauth.account"
ACTION = "login_failed"
COOKIE = "known_browser"
COOKIE_SALT = "keys.console.attempts"
COOKIE_AGE_SECONDS = 60 * 60 * 24 * 365
STRANGER = "a browser that this name never signed in with"


def subject(request: HttpRequest, name: str) -> str:
    """What the wrong passwords for `name` are counted under in this browser."""
    return f"{name.casefold()}\n{known_browser(request, name) or STRANGER}"


def known_browser(request: HttpRequest, name: str) -> str:
    """The id that this browser was given when `name` last signed in with it, or nothing."""
    try:
        signed_in, browser = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=COOKIE_SALT, max_age=COOKIE_AGE_SECONDS
        )
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(browser) if signed_in == name.casefold() else ""


def remember_browser(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Have this browser counted by itself when `user` signs in with it again."""
    name = user.get_username()
    browser = known_browser(request, name) or secrets.token_urlsafe(16)
    response.set_cookie(
        COOKIE,
        signing.dumps([name.casefold(), browser], salt=COOKIE_SALT),
        max_age=COOKIE_AGE_SECONDS,
        path="/accounts/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def wait_seconds(request: HttpRequest, key: str) -> int:
    """How long until one more attempt would be let through; 0 where it would be now."""
    now = time.time()
    waits = [0.0]
    for rate in ratelimit.get_rates(app=APP, action=ACTION):
        counted = cache.get(ratelimit.get_cache_key(request, app=APP, action=ACTION, rate=rate, key=key), [])
        recent = sorted(at for at in counted if at > now - rate.duration)
        if len(recent) >= rate.amount:
            waits.append(recent[-rate.amount] + rate.duration - now)
    return int(max(waits)) + 1 if max(waits) > 0 else 0


def forget(user: User) -> None:
    """Let this person try again at once, with any browser that they have not signed in with, or with codes."""
    nobody: Any = None  # What is counted by name needs no request.
    for key in (f"{user.get_username().casefold()}\n{STRANGER}", f"mfa-auth-user-{user.pk}"):
        for rate in ratelimit.get_rates(app=APP, action=ACTION):
            if rate.per == "key":
                cache.delete(ratelimit.get_cache_key(nobody, app=APP, action=ACTION, rate=rate, key=key))
