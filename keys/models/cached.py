"""What is worth remembering for minutes: counts of attempts, codes that were used."""

from django.db import models


class CachedValue(models.Model):
    """A value until it expires. keys/console/cache.py reads and writes it, as Django's cache."""

    digest = models.CharField(primary_key=True, max_length=64)
    value = models.JSONField()
    # None where it is kept until it is deleted.
    expires_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return self.digest
