"""Requests made with known keys, their counts by minute and by hour, and when each key was used last.

No foreign key is declared in the database here: keys and merchant accounts with keys cannot be deleted, so a check on
each insert would find nothing and lock the key's row on PostgreSQL. Whoever disables a key never waits for a recording.
"""

from django.db import models
from django.db.models import Q

from keys.identifiers import REQUEST, encode, new_id
from keys.models.apikey import ApiKey
from keys.models.merchant import Merchant
from keys.outcomes import FailureCause, Outcome

PATH_MAX = 2000
METHOD_MAX = 16


class RequestLog(models.Model):
    """One request. Its id is a UUIDv7 of the moment `at`, so a range of time is a range of ids."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="requests"
    )
    merchant = models.ForeignKey(
        Merchant, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="requests"
    )
    at = models.DateTimeField()
    method = models.CharField(max_length=METHOD_MAX)
    path = models.CharField(max_length=PATH_MAX)
    status = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=24, choices=Outcome.choices)
    duration_us = models.PositiveIntegerField()
    address = models.GenericIPAddressField(null=True)
    # What others call this request, where they report it; ours for it is `public_id`.
    request_id = models.CharField(max_length=64, blank=True, db_default="")
    # Whether `status` is what the API answered, rather than what the verdict was.
    reported = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name = "request"
        indexes = [
            models.Index(fields=["key", "id"], name="request_by_key"),
            models.Index(fields=["merchant", "id"], name="request_by_merchant"),
            models.Index(fields=["key", "id"], condition=Q(status__gte=400), name="request_failed_by_key"),
            models.Index(
                fields=["merchant", "id"], condition=Q(status__gte=400), name="request_failed_by_merch"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def public_id(self) -> str:
        return encode(REQUEST, self.id)

    @property
    def succeeded(self) -> bool:
        return self.status < 400


class LastUse(models.Model):
    """When an API key was used last; a key without a row never was.

    Not a column of the key: this is written with every batch of requests. There it would hold the key's row until
    the batch is committed, and write the row anew with an entry in each of its indexes.
    """

    key = models.OneToOneField(
        ApiKey, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="last_use"
    )
    # No index: on PostgreSQL a row moves forward within its page as long as no index has to be told.
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class Usage(models.Model):
    """Succeeded and failed requests of one subject (an API key, or a merchant account) in one span of time."""

    id = models.BigAutoField(primary_key=True)
    subject_id = models.UUIDField()
    at = models.DateTimeField()
    succeeded = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    merchant_mismatch = models.BigIntegerField(default=0)
    merchant_disabled = models.BigIntegerField(default=0)
    disabled = models.BigIntegerField(default=0)
    revoked = models.BigIntegerField(default=0)
    expired = models.BigIntegerField(default=0)
    network_not_allowed = models.BigIntegerField(default=0)
    permission_denied = models.BigIntegerField(default=0)
    client_error = models.BigIntegerField(default=0)
    server_error = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.succeeded}+{self.failed}"


CAUSES = [cause.value for cause in FailureCause]


class UsageMinute(Usage):
    """`at` is the start of a minute. Kept two days."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject_id", "at"], name="usage_minute_once")]
        indexes = [models.Index(fields=["at"], name="usage_minute_by_age")]


class UsageHour(Usage):
    """`at` is the start of an hour. Kept long."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject_id", "at"], name="usage_hour_once")]
        indexes = [models.Index(fields=["at"], name="usage_hour_by_age")]
