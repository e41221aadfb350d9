"""Numbered system checks: a configuration that would mislead or endanger stops the start, with a hint.

docs/checks.md lists them. An API of the platform that only verifies keys has some of the settings not at all: it is not
asked for those.
"""

import os
import re
from collections.abc import Sequence
from itertools import combinations
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
SECRET_LENGTH_MIN, SECRET_CHARACTERS_MIN = 32, 10
# What a production host tells browsers, and what every host does. A settings module of one's own can take it back.
OF_PRODUCTION = {
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SECURE_SSL_REDIRECT": True,
    "SESSION_COOKIE_HTTPONLY": True,
    "CSRF_COOKIE_HTTPONLY": True,
    "SECURE_CONTENT_TYPE_NOSNIFF": True,
    "X_FRAME_OPTIONS": "DENY",
    "DEBUG": False,
}
HSTS_SECONDS_MIN = 60 * 60 * 24 * 30
REMOTE_TLS = {"require", "verify-ca", "verify-full"}


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


def _is_production() -> bool:
    return urlsplit(getattr(settings, "PUBLIC_URL", "")).scheme == "https"


@register(Tags.security)
def secret_key(**kwargs: Any) -> list[CheckMessage]:
    """Who guesses it signs in as anybody."""
    if not _is_production() or (
        len(settings.SECRET_KEY) >= SECRET_LENGTH_MIN
        and len(set(settings.SECRET_KEY)) >= SECRET_CHARACTERS_MIN
        and not settings.SECRET_KEY.startswith("django-insecure")
    ):
        return []
    return [
        Error(
            f"SECRET_KEY could be guessed: it has fewer than {SECRET_LENGTH_MIN} characters, or hardly any different "
            "ones, or is one of those that Django makes for development.",
            hint=f"Make one with: python -c '{HOW_TO_MAKE_ONE}'",
            id="keys.E005",
        )
    ]


@register(Tags.security)
def allowed_hosts(**kwargs: Any) -> list[CheckMessage]:
    """A host that anybody may claim ends up in links, and in what is cached on the way."""
    wide = [host for host in settings.ALLOWED_HOSTS if host.startswith(("*", "."))]
    if not _is_production() or not wide:
        return []
    return [
        Error(
            f"ALLOWED_HOSTS allows hosts without naming them: {', '.join(wide)}.",
            hint="Name each host that people type, or leave it out: that of PUBLIC_URL is allowed by itself.",
            id="keys.E006",
        )
    ]


@register(Tags.security)
def separate_secrets(**kwargs: Any) -> list[CheckMessage]:
    """Each secret is kept from somebody who may have another: one text in two places gives away both."""
    places = {
        "SECRET_KEY": [settings.SECRET_KEY],
        "KEYS_ENCRYPTION_KEYS": getattr(settings, "KEYS_ENCRYPTION_KEYS", []),
        "KEYS_GATEWAY_TOKENS": getattr(settings, "KEYS_GATEWAY_TOKENS", []),
    }
    shared = sorted(
        f"{one} and {other}" for one, other in combinations(places, 2) if {*places[one]} & {*places[other]}
    )
    return [
        Error(
            f"One secret is used for two purposes: {names}.",
            hint=f"Make another one with: python -c '{HOW_TO_MAKE_ONE}'",
            id="keys.E007",
        )
        for names in shared
    ]


@register(Tags.security)
def files_of_others(**kwargs: Any) -> list[CheckMessage]:
    """The data directory holds secrets and, on SQLite, all there is: nobody else on the machine may read it."""
    folder = getattr(settings, "DATA_DIR", None)
    if os.name != "posix" or folder is None or not folder.is_dir() or not folder.stat().st_mode & 0o077:
        return []
    open_to_others = sorted(
        path.name for path in folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077
    )
    if not open_to_others:
        return []
    return [
        Error(
            f"Others on this machine can read {folder}: {', '.join(open_to_others[:5])}.",
            hint=f"chmod -R go= {folder}",
            id="keys.E008",
        )
    ]


@register(Tags.security)
def browser_protection(**kwargs: Any) -> list[CheckMessage]:
    """For whoever has a settings module of their own: what it takes back of a production host's protection."""
    if not _is_production():
        return []
    weak = [name for name, value in OF_PRODUCTION.items() if getattr(settings, name) != value]
    weak += ["SECURE_HSTS_SECONDS"] if settings.SECURE_HSTS_SECONDS < HSTS_SECONDS_MIN else []
    directives = settings.CONTENT_SECURITY_POLICY.get("DIRECTIVES", {})
    allowed = {source for sources in directives.values() if isinstance(sources, list) for source in sources}
    weak += ["CONTENT_SECURITY_POLICY"] if not directives or allowed - {"'self'", "'none'"} else []
    if not weak:
        return []
    return [
        Error(
            f"These settings are weaker than a production host's: {', '.join(weak)}.",
            hint="Leave them as merchantadmin/settings.py has them.",
            id="keys.E009",
        )
    ]


@register(Tags.security)
def demo_data(**kwargs: Any) -> list[CheckMessage]:
    if not _is_production() or not settings.DEMO:
        return []
    return [
        Warning(
            "DEMO is on: a new database of this production host would be filled with made-up merchants and people.",
            hint="Leave DEMO unset.",
            id="keys.W004",
        )
    ]


@register(Tags.security)
def database_in_the_open(**kwargs: Any) -> list[CheckMessage]:
    """Digests, ciphertexts and the history on a network, where nothing says that libpq must encrypt."""
    database = settings.DATABASES["default"]
    host = str(database.get("HOST") or "")
    if not database["ENGINE"].endswith("postgresql") or host.startswith("/") or host in {"", *LOOPBACK}:
        return []
    if database.get("OPTIONS", {}).get("sslmode") in REMOTE_TLS:
        return []
    return [
        Warning(
            f"The connection to the PostgreSQL server {host} need not be encrypted.",
            hint="Add ?sslmode=verify-full (or require) to DATABASE_URL.",
            id="keys.W005",
        )
    ]


@register(Tags.security)
def mail_server(**kwargs: Any) -> list[CheckMessage]:
    """Who reads a link before the person it is for can join in their place."""
    if not _is_production():
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
