"""The Django admin, with a site of our own in place of Django's."""

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "keys.admin.site.ConsoleAdminSite"
