"""Moving records from spool files into the database: each line exactly once, whatever dies when.

The rows, their rollups and the file's position commit together. Who drains a folder locks it, and a second drain of the
same folder stands by; but even two that do not know of each other count nothing twice, because the position is read
and locked in the transaction that moves it. A file is removed when all of it is in and its writer is gone.
"""

import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import BinaryIO

from django.db import Error, connection, transaction

from keys import spool
from keys.gateway import ingest
from keys.models import RecordingLoss, SpoolFile

logger = logging.getLogger(__name__)

BATCH_BYTES = 16 * 1024 * 1024
IDLE_SECONDS = 0.02
# While much comes in, rather a few large batches than many small ones.
BETWEEN_BATCHES_SECONDS = 0.1
LARGE_BYTES = 256 * 1024
# What is left in the spool after that is for whoever drains next.
PARTING_SECONDS = 2.0
RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
# The drafts of files whose makers died before they had a name.
DRAFT_SECONDS = 3600


class Drain:
    """Drains one folder. It is for one thread, and uses that thread's database connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows_bytes = 0
        self._stop = Event()

    def stop(self) -> None:
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def run(self) -> None:
        """Drain until told to stop, and then what is there. Whatever the database does, it goes on afterwards."""
        with self._turn() as ours:
            if not ours:
                return
            failures = 0
            while not self._stop.is_set():
                try:
                    self._stop.wait(self.round())
                    failures = 0
                except (Error, OSError) as error:
                    connection.close()
                    if failures == 0:
                        logger.error("Records stay in the spool for now: %s", error)  # noqa: TRY400
                    self._stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                    failures += 1
            deadline = time.monotonic() + PARTING_SECONDS
            with suppress(Error, OSError):
                while self.round() == 0 and time.monotonic() < deadline:
                    pass

    def once(self) -> int:
        """Drain all that is there now; returns its size in bytes. Raises django.db.Error and OSError."""
        before = self.rows_bytes
        while self.round() == 0:
            pass
        return self.rows_bytes - before

    def round(self) -> float:
        """One batch of each file; returns how many seconds the next round can wait, 0 where more is there already."""
        largest = 0
        for path in spool.files(self.folder):
            with suppress(FileNotFoundError):
                largest = max(largest, self._drain_file(path))
        self._remove_drafts()
        # A batch ends with its last whole line, so a full one is a little smaller than it could be.
        if largest > BATCH_BYTES // 2:
            return 0
        return BETWEEN_BATCHES_SECONDS if largest > LARGE_BYTES else IDLE_SECONDS

    def _drain_file(self, path: Path) -> int:
        """Take one batch of the file, and remove it where that was the last; returns the size in bytes."""
        with path.open("rb") as file:
            is_abandoned = _is_abandoned(file.fileno())
            size = os.fstat(file.fileno()).st_size
            position = spool.position(path)
            if size == position and not is_abandoned:
                return 0
            taken, position = self._take(path.name, file)
            if is_abandoned and not taken:
                # Nobody will complete its last line, if there is half of one.
                self._give_up(path.name, position, size)
                spool.remove(path)
                SpoolFile.objects.filter(pk=path.name).delete()
                return 0
        if taken:
            spool.note_position(path, position)
            self.rows_bytes += taken
        return taken

    def _take(self, name: str, file: BinaryIO) -> tuple[int, int]:
        """Move one batch into the database; returns its size and the position after it."""
        with transaction.atomic():
            position = _locked_position(name)
            file.seek(position)
            read = file.read(BATCH_BYTES)
            batch = read[: read.rfind(b"\n") + 1]
            if not batch and len(read) == BATCH_BYTES:
                # No line is as long as this: it is skipped, for something may come after it.
                batch = read
            if batch:
                ingest.take(batch.decode(errors="replace"))
                position += len(batch)
                SpoolFile.objects.filter(pk=name).update(position=position)
        return len(batch), position

    def _give_up(self, name: str, position: int, size: int) -> None:
        if position < size:
            logger.error("The last line of the spool file %s is torn", name)
            with transaction.atomic():
                position = _locked_position(name)
                if position < size:
                    ingest.lose(Counter({RecordingLoss.Reason.UNREADABLE.value: 1}))
                    SpoolFile.objects.filter(pk=name).update(position=size)

    def _remove_drafts(self) -> None:
        for draft in self.folder.glob("*.new"):
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
                    draft.unlink()

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Wait until nobody else drains the folder; False where it was told to stop before."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / spool.DRAIN_LOCK).open("ab") as file:
            while not self._stop.is_set():
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._stop.wait(0.5)
                else:
                    yield True
                    return
            yield False


def _is_abandoned(descriptor: int) -> bool:
    """Whether the process that wrote the file is gone: it held a lock for as long as it lived."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_position(name: str) -> int:
    """Where the file has been drained to; nobody else moves it until the transaction ends."""
    positions = SpoolFile.objects.filter(pk=name)
    if connection.features.has_select_for_update:
        positions = positions.select_for_update()
    row = positions.first()
    if row is None:
        SpoolFile.objects.bulk_create([SpoolFile(name=name)], ignore_conflicts=True)
        row = positions.get()
    return row.position
