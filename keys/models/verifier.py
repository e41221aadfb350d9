"""What verifiers have to know, and what they have shown to know: changes, nodes, acknowledgements."""

from django.db import models
from django.db.models.functions import Now

from keys.identifiers import new_id


class ChangeKind(models.TextChoices):
    KEY = "key", "API key"
    MERCHANT = "merchant", "Merchant account"
    # Too many at once to be told one by one.
    KEYS = "keys", "API keys"


class Change(models.Model):
    """One change of what a verdict depends on. Triggers write it (keys/sql/feed.*.sql), in the change's transaction.

    `digest` and `subject_id` are NULL where there are many (KEYS); `status` is the subject's from then on.
    `transaction` is PostgreSQL's number of it, by which a verifier finds what committed since it last looked; SQLite,
    where changes commit one after the other, has none.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=8, choices=ChangeKind.choices)
    subject_id = models.UUIDField(null=True)
    digest = models.BinaryField(max_length=32, null=True)
    status = models.CharField(max_length=8, blank=True)
    at = models.DateTimeField(db_default=Now())
    transaction = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["transaction"], name="change_by_transaction"),
            models.Index(fields=["subject_id", "id"], name="change_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id} {self.status}"


class Verifier(models.Model):
    """One process that keeps facts in memory, and the last sign of life that it gave.

    Without another sign, its lease ends `lease_ms` after `seen_at`, and from then on it accepts nothing unread.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    host = models.CharField(max_length=255)
    process = models.PositiveIntegerField()
    lease_ms = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    # When it said that it stops; one that was killed never does.
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["seen_at"], name="verifier_by_sign_of_life")]

    def __str__(self) -> str:
        return f"{self.host}:{self.process}"


class Acknowledgement(models.Model):
    """This verifier has applied that change: whatever it answered afterwards, it answered knowing of it."""

    id = models.BigAutoField(primary_key=True)
    change = models.ForeignKey(
        Change, models.CASCADE, db_constraint=False, db_index=False, related_name="acknowledgements"
    )
    verifier = models.ForeignKey(
        Verifier, models.CASCADE, db_constraint=False, db_index=False, related_name="acknowledgements"
    )
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "verifier"], name="acknowledged_once")]

    def __str__(self) -> str:
        return f"{self.verifier_id} has applied {self.change_id}"
