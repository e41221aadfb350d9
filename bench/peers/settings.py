"""The least that the three packages need: no middleware, no templates, and the database as the product sets it up."""

from merchantadmin.settings import DATABASES as PRODUCT_DATABASES

SECRET_KEY = "signs nothing"  # noqa: S105
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "rest_framework.authtoken",
    "rest_framework_api_key",
    "knox",
]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.peers.urls"
DATABASES = {"default": PRODUCT_DATABASES["default"]}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}
