"""Settings, all from the environment; docs/settings.md describes each variable.

Without any variable set this is one person's laptop: SQLite under `var/`, secrets generated there, plain HTTP on
loopback. `PUBLIC_URL=https://…` makes it a production host: secure cookies, HSTS, and secrets that must be given.
"""

from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from merchantadmin import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / "var").resolve()

DEBUG = env.flag("DEBUG", default=False)
PORT = env.integer("PORT", default=8000, minimum=1, maximum=65535)
# Processes that answer; each remembers keys and writes a spool file for itself.
WORKERS = env.integer("WORKERS", default=1, minimum=1, maximum=256)
PUBLIC_URL = (env.text("PUBLIC_URL") or f"http://127.0.0.1:{PORT}").rstrip("/")

_public = urlsplit(PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname or _public.path:
    raise ImproperlyConfigured(f"PUBLIC_URL must look like https://console.example.com, not {PUBLIC_URL!r}.")
SECURE = _public.scheme == "https"
if SECURE and DEBUG:
    raise ImproperlyConfigured(
        "DEBUG shows the code and its data to visitors: leave it off with an https PUBLIC_URL."
    )
if SECURE and not (env.text("SECRET_KEY") and env.text("KEYS_ENCRYPTION_KEYS")):
    raise ImproperlyConfigured(
        "With an https PUBLIC_URL, set SECRET_KEY and KEYS_ENCRYPTION_KEYS: secrets of a production host "
        "are kept by you, not generated into its data directory."
    )

SECRET_KEY = env.kept_secret("SECRET_KEY", DATA_DIR / "secret_key", size_bytes=48)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or [_public.hostname, "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# Whether the first start fills an empty database with demo data: at home on a laptop, out of place in production.
DEMO = env.flag("DEMO", default=not SECURE)

# -- Keys ----------------------------------------------------------------------------------------------------------

KEYS_ENCRYPTION_KEYS = (
    env.kept_secret("KEYS_ENCRYPTION_KEYS", DATA_DIR / "encryption_key").replace(",", " ").split()
)
KEYS_SECRET_POLICY = env.choice("KEYS_SECRET_POLICY", default="reveal", allowed=("reveal", "show_once"))
KEYS_PERMISSION_CATALOGUE = Path(
    env.text("KEYS_PERMISSION_CATALOGUE") or BASE_DIR / "keys" / "permissions.toml"
)
# How long a verifier may go on by what it remembers once it cannot hear from the database.
KEYS_REVOCATION_BOUND_MS = env.integer("KEYS_REVOCATION_BOUND_MS", default=2000, minimum=100, maximum=60_000)
KEYS_CACHED_KEYS_MAX = env.integer("KEYS_CACHED_KEYS_MAX", default=250_000, minimum=1_000, maximum=10_000_000)
KEYS_SPOOL_DIR = Path(env.text("KEYS_SPOOL_DIR") or DATA_DIR / "spool").resolve()
KEYS_SPOOL_LIMIT_MB = env.integer("KEYS_SPOOL_LIMIT_MB", default=2048, minimum=16, maximum=1_000_000)
# Whether `serve` drains the spool too; otherwise `manage.py drain` does.
KEYS_EMBEDDED_DRAIN = env.flag("KEYS_EMBEDDED_DRAIN", default=True)
KEYS_GATEWAY_TOKENS = (
    env.kept_secret("KEYS_GATEWAY_TOKENS", DATA_DIR / "gateway_token").replace(",", " ").split()
)
# In days. Figures of the last 24 hours lead to requests, and are made of minutes: neither is kept for less than two.
KEYS_REQUEST_RETENTION_DAYS = env.integer(
    "KEYS_REQUEST_RETENTION_DAYS", default=90, minimum=2, maximum=10_000
)
KEYS_MINUTE_RETENTION_DAYS = env.integer("KEYS_MINUTE_RETENTION_DAYS", default=2, minimum=2, maximum=10_000)
KEYS_USAGE_RETENTION_DAYS = env.integer(
    "KEYS_USAGE_RETENTION_DAYS",
    default=max(730, KEYS_REQUEST_RETENTION_DAYS),
    minimum=KEYS_REQUEST_RETENTION_DAYS,
    maximum=10_000,
)
TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXY_COUNT", default=0, minimum=0, maximum=10)

# -- Application ---------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "keys",
    "merchantadmin.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_tables2",
    "django_filters",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "lucide",
]

MIDDLEWARE = [
    "merchantadmin.middleware.RequestIdMiddleware",
    "merchantadmin.middleware.BrowserPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "merchantadmin.middleware.NoStoreMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "keys.console.stepup.StepUpMiddleware",
    "keys.console.factors.RequiredFactorMiddleware",
]

ROOT_URLCONF = "merchantadmin.urls"
WSGI_APPLICATION = "merchantadmin.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "keys.console.context.access",
            ],
            "builtins": ["keys.console.templatetags.console"],
        },
    }
]

DJANGO_TABLES2_TEMPLATE = "keys/table.html"

# -- Database ------------------------------------------------------------------------------------------------------

DATABASES = {
    "default": env.database("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'merchantadmin.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE takes the write lock when a transaction begins, so that none fails half-way for want of it.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536; "
            "PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY;"
        ),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# In the database, so that every process and every node counts attempts together, and commands see them.
CACHES = {"default": {"BACKEND": "keys.console.cache.DatabaseCache"}}

# -- People and sign-in --------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "keys.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "merchant-list"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "keys.console.signin.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "keys.console.signin.SignInForm",
    "change_password": "keys.console.signin.PasswordChangeForm",
    "set_password": "keys.console.signin.FirstPasswordForm",
    "reset_password": "keys.console.signin.ForgottenPasswordForm",
    "reset_password_from_key": "keys.console.signin.NewPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# By address, and for the second by name and browser: keys/console/attempts.py.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "20/5m/ip,5/5m/key",
    # Each sends a letter to an address that somebody has typed.
    "manage_email": "5/m/user",
}
# How long proof of who is there counts as recent: after that, a step that can do harm asks for it again.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 30 * 60
# Whether people with a role on the platform have to set up a second factor before anything else.
SECOND_FACTOR_REQUIRED = env.flag("SECOND_FACTOR_REQUIRED", default=False)
MFA_ADAPTER = "keys.console.factors.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# A code may be typed a little late; the forms see to it that none is taken twice.
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "activate_totp": "keys.console.factors.FirstCodeForm",
    "authenticate": "keys.console.factors.CodeForm",
    "reauthenticate": "keys.console.factors.CodeAgainForm",
    "add_webauthn": "keys.console.factors.PasskeyForm",
    "login_webauthn": "keys.console.factors.PasskeySignInForm",
    "authenticate_webauthn": "keys.console.factors.PasskeyStepForm",
    "reauthenticate_webauthn": "keys.console.factors.PasskeyAgainForm",
}
SESSION_COOKIE_AGE = 60 * 60 * 12

# Single sign-on: an OpenID Connect provider, once its address is set.
SOCIALACCOUNT_ADAPTER = "keys.console.sso.SingleSignOnAdapter"
# What begins at the provider may end nowhere but with somebody who is known here: see keys/console/sso.py.
SOCIALACCOUNT_AUTO_SIGNUP = False
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": env.openid_connect(
            server_url=env.text("OIDC_SERVER_URL").rstrip("/"),
            client_id=env.text("OIDC_CLIENT_ID"),
            secret=env.text("OIDC_CLIENT_SECRET"),
            name=env.text("OIDC_NAME") or "single sign-on",
            needs_https=SECURE,
        ),
    }
}

# -- Mail ----------------------------------------------------------------------------------------------------------

EMAIL_HOST = env.text("EMAIL_HOST")
# Without a mail server, what would be sent is written to the server's own output, links included.
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_SECURITY = env.choice("EMAIL_SECURITY", default="starttls", allowed=("starttls", "tls", "none"))
EMAIL_USE_TLS = EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = EMAIL_SECURITY == "tls"
EMAIL_PORT = env.integer(
    "EMAIL_PORT", default={"starttls": 587, "tls": 465, "none": 25}[EMAIL_SECURITY], minimum=1, maximum=65535
)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM") or f"merchantadmin@{_public.hostname}"

# -- Language and time ---------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

# -- Static files --------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# -- What the browser is told --------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
if SECURE and TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_SECURE = SECURE
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "keys.console.views.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200

# -- Logs ----------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "refusal": {"()": "merchantadmin.logs.RefusalFilter"},
        "request_id": {"()": "merchantadmin.logs.RequestIdFilter"},
        "scrub": {"()": "keys.keyformat.ScrubFilter"},
    },
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        "json": {"()": "merchantadmin.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("LOG_FORMAT", default="line", allowed=("line", "json")),
            "filters": ["refusal", "request_id", "scrub"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # A 4xx is an answer, not an event: the request log has it.
        "django.request": {"level": "ERROR"},
        # The server's own complaints, tracebacks among them, pass the scrub filter too.
        "_granian": {"handlers": [], "level": "WARNING", "propagate": True},
    },
}
