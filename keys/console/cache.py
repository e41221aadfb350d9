"""Django's cache in the database, so that every process and node counts attempts together and commands see the counts.

Django's own cache in the database unpickles what it finds there: whoever can write into the database would run code in
the console. This one reads nothing but JSON. Keys are stored as digests, because they hold names as people typed them.
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from keys.models import CachedValue


class DatabaseCache(BaseCache):
    """Values are JSON. What has expired is removed whenever something is added."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        found = self._current(self._digest(key, version)).values_list("value", flat=True).first()
        return default if found is None else found

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        row = CachedValue(digest=self._digest(key, version), value=value, expires_at=self._end(timeout))
        CachedValue.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["digest"], update_fields=["value", "expires_at"]
        )

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Of several at once, one adds: the primary key decides."""
        CachedValue.objects.filter(expires_at__lte=timezone.now()).delete()
        try:
            with transaction.atomic():
                CachedValue.objects.create(
                    digest=self._digest(key, version), value=value, expires_at=self._end(timeout)
                )
        except IntegrityError:
            return False
        return True

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._current(self._digest(key, version)).update(expires_at=self._end(timeout)))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(CachedValue.objects.filter(digest=self._digest(key, version)).delete()[0])

    def clear(self) -> None:
        CachedValue.objects.all().delete()

    def _digest(self, key: str, version: int | None) -> str:
        return sha256(self.make_key(key, version).encode()).hexdigest()

    def _current(self, digest: str) -> QuerySet[CachedValue]:
        alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return CachedValue.objects.filter(alive, digest=digest)

    def _end(self, timeout: Any) -> datetime | None:
        seconds = self.get_backend_timeout(timeout)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
