"""Strict readers for environment variables: a value that cannot be understood stops the start."""

import os
import secrets
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}
DATABASE_ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, *, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    value = raw.strip().lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of 1, true, yes, on, 0, false, no or off, not {raw!r}.")


def integer(name: str, *, default: int, minimum: int, maximum: int) -> int:
    raw = text(name)
    if not raw:
        return default
    if not raw.isascii() or not raw.isdigit() or not minimum <= int(raw) <= maximum:
        raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}, not {raw!r}.")
    return int(raw)


def choice(name: str, *, default: str, allowed: tuple[str, ...]) -> str:
    value = text(name) or default
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A list separated by commas or white space."""
    raw = text(name)
    return raw.replace(",", " ").split() if raw else list(default)


def database(name: str, *, default: str) -> dj_database_url.DBConfig:
    """A database's URL, as Django's settings want it. What is wrong is never repeated: it may hold a password."""
    try:
        parsed = dj_database_url.parse(text(name) or default, conn_max_age=None, conn_health_checks=True)
    except ValueError:
        parsed = {}
    if parsed.get("ENGINE") not in DATABASE_ENGINES:
        raise ImproperlyConfigured(
            f"{name} must look like postgresql://user:password@host/name or sqlite:////path."
        )
    return parsed


def openid_connect(
    *, server_url: str, client_id: str, secret: str, name: str, needs_https: bool
) -> list[dict[str, Any]]:
    """The provider of single sign-on as allauth wants it; none without a `server_url`."""
    if not server_url:
        if client_id or secret:
            raise ImproperlyConfigured("OIDC_CLIENT_ID and OIDC_CLIENT_SECRET want an OIDC_SERVER_URL, too.")
        return []
    address = urlsplit(server_url)
    schemes = {"https"} if needs_https else {"https", "http"}
    if address.scheme not in schemes or not address.hostname:
        raise ImproperlyConfigured(
            "OIDC_SERVER_URL must look like https://login.example.com/realm: plain http is for a laptop only."
        )
    if not client_id or not secret:
        raise ImproperlyConfigured("OIDC_SERVER_URL wants OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, too.")
    app = {"provider_id": "sso", "name": name, "client_id": client_id, "secret": secret}
    return [app | {"settings": {"server_url": server_url}}]


def kept_secret(name: str, path: Path, *, size_bytes: int = 32) -> str:
    """The variable `name`, or else random bytes (URL-safe base64) generated once and kept in `path`.

    The file is made with mode 0600, whole, and only once: of two processes that start together, the one that
    comes second reads what the first wrote.
    """
    if value := text(name):
        return value
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(path, urlsafe_b64encode(secrets.token_bytes(size_bytes)).decode())
        value = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be used: {error.strerror}. Set DATA_DIR or {name}."
        ) from error
    if not value:
        raise ImproperlyConfigured(f"{path} is empty. Restore it from a backup, or set {name}.")
    return value


def _write_once(path: Path, value: str) -> None:
    """Write a file that appears with all its content, or leave the one that another process wrote first."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
            file.flush()
            os.fsync(descriptor)
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
