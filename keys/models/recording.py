"""How far records have come from spool files into the database, and what never did."""

from django.db import models
from django.db.models.functions import Now


class SpoolFile(models.Model):
    """`position` bytes of the spool file `name` are in the database: it moves together with the rows."""

    name = models.CharField(max_length=80, primary_key=True)
    position = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class RecordingLoss(models.Model):
    """Requests that were answered and could not be recorded."""

    class Reason(models.TextChoices):
        SPOOL_FULL = "spool_full", "The spool had reached its limit"
        WRITE_FAILED = "write_failed", "The spool could not be written to"
        UNREADABLE = "unreadable", "The spool held a line that is no record"

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    host = models.CharField(max_length=255)
    reason = models.CharField(max_length=16, choices=Reason.choices)
    requests = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["at"], name="recording_loss_by_age")]

    def __str__(self) -> str:
        return f"{self.requests} lost: {self.get_reason_display()}"
