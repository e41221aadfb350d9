"""Settings of the test run: the product's own, on a throw-away data directory and the database asked for.

`TEST_DATABASE` is `sqlite` (the default, a real file, so that tests may use threads and processes) or
`postgresql`, whose address is in `TEST_DATABASE_URL`: `python -m tests.postgres pytest` starts a server and
fills in both.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# Whatever the shell has set for a server of its own must not reach the tests.
SHELL_VARIABLES = (
    "ALLOWED_HOSTS",
    "DATABASE_URL",
    "DEBUG",
    "EMAIL_FROM",
    "EMAIL_HOST",
    "EMAIL_HOST_PASSWORD",
    "EMAIL_HOST_USER",
    "EMAIL_PORT",
    "EMAIL_SECURITY",
    "KEYS_CACHED_KEYS_MAX",
    "KEYS_EMBEDDED_DRAIN",
    "KEYS_ENCRYPTION_KEYS",
    "KEYS_GATEWAY_TOKENS",
    "KEYS_MINUTE_RETENTION_DAYS",
    "KEYS_PERMISSION_CATALOGUE",
    "KEYS_REQUEST_RETENTION_DAYS",
    "KEYS_REVOCATION_BOUND_MS",
    "KEYS_SECRET_POLICY",
    "KEYS_SPOOL_DIR",
    "KEYS_SPOOL_LIMIT_MB",
    "KEYS_USAGE_RETENTION_DAYS",
    "LOG_FORMAT",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_NAME",
    "OIDC_SERVER_URL",
    "PORT",
    "PUBLIC_URL",
    "SECOND_FACTOR_REQUIRED",
    "SECRET_KEY",
    "TRUSTED_PROXY_COUNT",
)
for name in SHELL_VARIABLES:
    os.environ.pop(name, None)


def own_data_dir() -> Path:
    """One directory for a run, removed at its end, and one inside it for each of its workers."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        directory = Path(tempfile.mkdtemp(prefix="merchantadmin-tests-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        os.environ["TEST_DATA_DIR"] = str(directory)
        return directory
    return Path(os.environ["TEST_DATA_DIR"], worker)


os.environ["DATA_DIR"] = str(own_data_dir())

match os.environ.get("TEST_DATABASE", "sqlite"):
    case "sqlite":
        pass
    case "postgresql" if os.environ.get("TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    case "postgresql":
        sys.exit("TEST_DATABASE=postgresql needs a TEST_DATABASE_URL: try `python -m tests.postgres pytest`.")
    case other:
        raise ImproperlyConfigured(f"TEST_DATABASE must be sqlite or postgresql, not {other!r}.")

from merchantadmin.settings import *  # noqa: E402, F403
from merchantadmin.settings import DATA_DIR, DATABASES, LOGGING, STATIC_ROOT, STORAGES  # noqa: E402

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    # A test database need not survive a power cut.
    DATABASES["default"]["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"

# Tests sign in often, and their passwords guard nothing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Each worker counts attempts by itself, without asking for a database.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# pytest shows the log of a failing test by itself.
LOGGING["root"]["handlers"] = []
# Nothing is collected for tests: pages name static files as they are.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
