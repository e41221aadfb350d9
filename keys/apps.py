from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class KeysConfig(AppConfig):
    name = "keys"
    verbose_name = "Merchants and API keys"

    def ready(self) -> None:
        from keys import (  # noqa: PLC0415
            access,
            checks,  # noqa: F401 - it registers itself
            guards,
            partitions,
            rebuilding,
        )

        pre_migrate.connect(rebuilding.spill_before_migrate, sender=self)
        post_migrate.connect(rebuilding.keep_after_migrate, sender=self)
        post_migrate.connect(access.ensure_groups_after_migrate, sender=self)
        post_migrate.connect(guards.install_after_migrate, sender=self)
        post_migrate.connect(partitions.ensure_after_migrate, sender=self)
