"""Re-encryption of what is stored: every text under the first of KEYS_ENCRYPTION_KEYS, while everything else goes on.

Rows are read in batches by their ids, and swapped one by one where they still hold the ciphertext that was read: a key
that was revoked in between gets nothing back. Rows that somebody else has locked are left for a later pass, so the
rotation waits for nobody and never stands in a deadlock. Which rows are done shows in the rows themselves, so a
rotation that was stopped goes on wherever it is started again.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection, transaction

from keys import history, vault
from keys.errors import SecretUnavailable
from keys.history import Actor
from keys.identifiers import API_KEY, encode
from keys.models import ApiKey
from keys.models.history import Action

# A batch is one transaction: others wait for it no longer than some hundredths of a second.
BATCH = 200
PASSES = 3


@dataclass(frozen=True, slots=True)
class Stored:
    """One ciphertext as it was read. `position` is that of its encryption key, None where it cannot be read at all."""

    key_id: UUID
    ciphertext: str
    digest: bytes
    position: int | None
    complaint: str

    @property
    def public_id(self) -> str:
        return encode(API_KEY, self.key_id)


@dataclass(slots=True)
class Tally:
    """What a pass has found and done so far. `by_position` counts the readable ones as they were found."""

    by_position: Counter[int] = field(default_factory=Counter)
    rotated: int = 0
    unreadable: int = 0

    @property
    def older(self) -> int:
        """Those that were found under another key than the first."""
        return self.by_position.total() - self.by_position[0]


def total() -> int:
    """How many texts are stored."""
    return ApiKey.objects.filter(secret_ciphertext__isnull=False).count()


def examine() -> Iterator[list[Stored]]:
    """All that is stored, each text read and compared with its digest, in batches."""
    rows = ApiKey.objects.filter(secret_ciphertext__isnull=False).order_by("pk")
    rows_read = rows.values_list("pk", "secret_ciphertext", "digest")
    batch = list(rows_read[:BATCH])
    while batch:
        yield [_examined(pk, ciphertext or "", bytes(digest)) for pk, ciphertext, digest in batch]
        batch = list(rows_read.filter(pk__gt=batch[-1][0])[:BATCH])


def rotate(tally: Tally, *, actor: Actor) -> Iterator[list[Stored]]:
    """One pass: put what is under an older key under the first one, and yield each batch as it was found.

    The history says when a pass begins to change something, in the transaction of that change, and `conclude` how it
    came out.
    """
    for batch in examine():
        count(batch, tally)
        older = [stored for stored in batch if stored.position]
        fresh = {each.key_id: vault.reseal(each.ciphertext, digest=each.digest) for each in older}
        if older:
            with transaction.atomic():
                swapped = _swap(older, fresh)
                if swapped and not tally.rotated:
                    _record(actor, {"began": True})
            tally.rotated += swapped
        yield batch


def count(batch: list[Stored], tally: Tally) -> None:
    tally.by_position.update(each.position for each in batch if each.position is not None)
    tally.unreadable += sum(each.position is None for each in batch)


@transaction.atomic
def conclude(tally: Tally, *, actor: Actor) -> None:
    """Say in the history what a rotation has done, if it has done something."""
    if tally.rotated:
        _record(actor, {"rotated": tally.rotated, "unreadable": tally.unreadable})


def _record(actor: Actor, after: dict[str, object]) -> None:
    first = vault.fingerprints()[0]
    history.write(
        Action.SECRETS_ROTATED, actor=actor, merchant=None, after={"encryption_key": first, **after}
    )


def _swap(older: list[Stored], fresh: dict[UUID, str]) -> int:
    """Of these rows, those that nobody holds and that are as they were read; returns how many."""
    free = ApiKey.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=fresh)
    unlocked = set(free.values_list("pk", flat=True))
    row_id = ApiKey._meta.pk
    rows = [
        (fresh[each.key_id], row_id.get_db_prep_value(each.key_id, connection), each.ciphertext)
        for each in older
        if each.key_id in unlocked
    ]
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE keys_apikey SET secret_ciphertext = %s WHERE id = %s AND secret_ciphertext = %s", rows
        )
        return int(cursor.rowcount)


def _examined(key_id: UUID, ciphertext: str, digest: bytes) -> Stored:
    try:
        position = vault.sealed_with(ciphertext, digest=digest)
    except SecretUnavailable as error:
        return Stored(key_id, ciphertext, digest, None, error.message)
    return Stored(key_id, ciphertext, digest, position, "")
