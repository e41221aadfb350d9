from django.apps import AppConfig
from django.db.models.signals import post_migrate


class KeysConfig(AppConfig):
    name = "keys"
    verbose_name = "Merchants and API keys"

    def ready(self) -> None:
        from keys import access, checks, guards, partitions  # noqa: F401, PLC0415 - checks registers itself

        post_migrate.connect(access.ensure_groups_after_migrate, sender=self)
        post_migrate.connect(guards.install_after_migrate, sender=self)
        post_migrate.connect(partitions.ensure_after_migrate, sender=self)
