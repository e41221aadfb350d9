"""What `django-admin startproject` gives, around the product's models and on the product's data."""

from merchantadmin.settings import AUTH_USER_MODEL as PRODUCT_USER_MODEL
from merchantadmin.settings import DATABASES as PRODUCT_DATABASES

SECRET_KEY = "signs the sessions of a benchmark"  # noqa: S105
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    # Without looking for the admin modules of the apps: the product's own would bring all of the console along.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "keys",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "bench.stock_admin.urls"
STATIC_URL = "static/"
AUTH_USER_MODEL = PRODUCT_USER_MODEL
DATABASES = {"default": PRODUCT_DATABASES["default"]}
USE_TZ = True
