"""Numbered system checks: a configuration that would mislead or endanger stops the start, with a hint.

docs/checks.md lists them. An API of the platform that only verifies keys has some of the settings not at all: it is not
asked for those.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from keys import guards
from keys.permissions import Catalogue, CatalogueError

MAKE_A_KEY = "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"
HOW_TO_MAKE_ONE = "import secrets; print(secrets.token_urlsafe(32))"
TOKEN_LENGTH_MIN = 32
# What `Authorization: Bearer` can carry (RFC 6750, section 2.1).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@register()
def permission_catalogue(**kwargs: Any) -> list[CheckMessage]:
    try:
        Catalogue.load(settings.KEYS_PERMISSION_CATALOGUE)
    except CatalogueError as error:
        return [Error(str(error), hint="docs/permissions.md describes the catalogue.", id="keys.E001")]
    return []


@register(Tags.security)
def encryption_keys(**kwargs: Any) -> list[CheckMessage]:
    if not hasattr(settings, "KEYS_ENCRYPTION_KEYS"):
        return []
    try:
        usable = [Fernet(key) for key in settings.KEYS_ENCRYPTION_KEYS]
    except ValueError:
        usable = []
    if usable:
        return []
    return [
        Error(
            "KEYS_ENCRYPTION_KEYS must hold one or more Fernet keys: 32 bytes in URL-safe base64.",
            hint=f"Make one with: python -c '{MAKE_A_KEY}'",
            id="keys.E002",
        )
    ]


@register(Tags.security)
def gateway_tokens(**kwargs: Any) -> list[CheckMessage]:
    """Who holds one may ask about every key and report every request."""
    if not hasattr(settings, "KEYS_GATEWAY_TOKENS"):
        return []
    tokens = settings.KEYS_GATEWAY_TOKENS
    if tokens and all(len(token) >= TOKEN_LENGTH_MIN and TOKEN.fullmatch(token) for token in tokens):
        return []
    return [
        Error(
            f"KEYS_GATEWAY_TOKENS must hold one or more tokens of at least {TOKEN_LENGTH_MIN} characters, each of "
            "letters, digits and -._~+/ alone.",
            hint=f"Make one with: python -c '{HOW_TO_MAKE_ONE}'",
            id="keys.E004",
        )
    ]


@register(Tags.security)
def public_address(**kwargs: Any) -> list[CheckMessage]:
    if not hasattr(settings, "PUBLIC_URL"):
        return []
    address = urlsplit(settings.PUBLIC_URL)
    if address.scheme == "https" and not settings.TRUSTED_PROXY_COUNT:
        return [
            Warning(
                "PUBLIC_URL is https, and no proxy is trusted to say so of a request: `serve` would redirect for ever.",
                hint="Set TRUSTED_PROXY_COUNT to the number of proxies in front, usually 1.",
                id="keys.W001",
            )
        ]
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        return [
            Warning(
                "PUBLIC_URL is plain http on a host that others reach: passwords and API keys travel in the open.",
                hint="Put a proxy with a certificate in front, and set PUBLIC_URL to its https address.",
                id="keys.W002",
            )
        ]
    return []


@register(Tags.security)
def mail_server(**kwargs: Any) -> list[CheckMessage]:
    """Who reads a link before the person it is for can join in their place."""
    if not hasattr(settings, "PUBLIC_URL") or urlsplit(settings.PUBLIC_URL).scheme != "https":
        return []
    if settings.EMAIL_BACKEND != "django.core.mail.backends.console.EmailBackend":
        return []
    return [
        Warning(
            "There is no mail server: the links of invitations are written to the log of this production host.",
            hint="Set EMAIL_HOST and the settings beside it.",
            id="keys.W003",
        )
    ]


@register(Tags.database)
def database_guards(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Runs where the databases are checked (`check --database default`, `serve`): are all triggers in place?"""
    problems: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if "keys_change" not in connection.introspection.table_names():
            continue
        if missing := guards.expected(connection) - guards.installed(connection):
            problems.append(
                Error(
                    f"The database {alias!r} lacks the triggers {', '.join(sorted(missing))}.",
                    hint="Run `./manage.py migrate`, which installs them.",
                    id="keys.E003",
                )
            )
    return problems
