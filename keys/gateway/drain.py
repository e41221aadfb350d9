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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import BinaryIO

from django.db import DataError, Error, IntegrityError, OperationalError, connection, transaction
from django.db.models.functions import Now

from keys import partitions, spool
from keys.gateway import ingest
from keys.gateway.batches import Batch, Reader
from keys.models import RecordingLoss, SpoolFile

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.02
# While much comes in, rather a few large batches than many small ones.
BETWEEN_BATCHES_SECONDS = 0.1
LARGE_BYTES = 256 * 1024
# What is left in the spool after that is for whoever drains next.
PARTING_SECONDS = 2.0
PARTITIONS_SECONDS = 3600.0
RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
# The drafts of files whose makers died before they had a name.
DRAFT_SECONDS = 3600


class Drain:
    """Drains one folder. It is for one thread, and uses that thread's database connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows_bytes = 0
        self._stop = Event()
        self._partitions_at = -PARTITIONS_SECONDS

    def stop(self) -> None:
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def run(self) -> None:
        """Drain until told to stop, and then what is there. Whatever goes wrong, it goes on afterwards."""
        with self._turn() as ours:
            if not ours:
                return
            failures = 0
            while not self._stop.is_set():
                try:
                    self._make_partitions()
                    self._stop.wait(self.round())
                    failures = 0
                except Exception as error:
                    connection.close()
                    if failures == 0:
                        is_known = isinstance(error, Error | OSError)
                        logger.error("Records stay in the spool for now: %s", error, exc_info=not is_known)  # noqa: TRY400
                    self._stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                    failures += 1
            self._part()

    def _make_partitions(self) -> None:
        """Whoever drains all day makes the partitions of the days to come; rows without one go to the default one."""
        if time.monotonic() - self._partitions_at < PARTITIONS_SECONDS:
            return
        try:
            partitions.ensure()
        except partitions.TableInUse as error:
            logger.warning("The partitions of the days to come are made later: %s", error)
        self._partitions_at = time.monotonic()

    def _part(self) -> None:
        """Drain what is left, as far as that is a matter of a moment."""
        deadline = time.monotonic() + PARTING_SECONDS
        try:
            while self.round() == 0 and time.monotonic() < deadline:
                pass
        except Exception as error:
            logger.warning("Records are left in the spool, for whoever drains next: %s", error)
        finally:
            connection.close()

    def once(self) -> int:
        """Drain all that is there now; returns its size in bytes. Raises django.db.Error and OSError."""
        before = self.rows_bytes
        while self.round() == 0:
            pass
        return self.rows_bytes - before

    def round(self) -> float:
        """A turn for each file; returns how many seconds the next round can wait, 0 where there is more to do.

        A file that cannot be drained does not stop the others; why is raised when they have had their turn.
        """
        largest, is_more = 0, False
        failure: Exception | None = None
        for path in spool.files(self.folder):
            try:
                taken, is_more_here = self._drain_file(path)
            except FileNotFoundError:
                continue
            except OperationalError:
                raise
            except Exception as error:
                failure = failure or error
            else:
                largest, is_more = max(largest, taken), is_more or is_more_here
        self._remove_drafts()
        if failure:
            raise failure
        if is_more:
            return 0
        return BETWEEN_BATCHES_SECONDS if largest > LARGE_BYTES else IDLE_SECONDS

    def _drain_file(self, path: Path) -> tuple[int, bool]:
        """Take what is in the file, and remove it where nothing is left of it.

        Returns the size in bytes, and whether there is more to do at once.
        """
        with path.open("rb") as file:
            is_abandoned = _is_abandoned(file.fileno())
            size = os.fstat(file.fileno()).st_size
            if size == spool.position(path) and not is_abandoned:
                return 0, False
            taken, position = self._take(path, file)
            if is_abandoned and not taken:
                # Nobody will complete its last line, if there is half of one.
                self._give_up(path.name, file, size)
                spool.remove(path)
                SpoolFile.objects.filter(pk=path.name).delete()
                return 0, False
        return taken, taken > 0 and (is_abandoned or position < size)

    def _take(self, path: Path, file: BinaryIO) -> tuple[int, int]:
        """Take batch after batch, or but one when told to stop; returns their size and the position after them."""
        taken = 0
        with Reader(file.fileno()) as reader:
            while True:
                batch = _take(path.name, file, reader)
                if batch.size_bytes:
                    spool.note_position(path, batch.end)
                    taken += batch.size_bytes
                    self.rows_bytes += batch.size_bytes
                if batch.is_last or self._stop.is_set():
                    return taken, batch.end

    def _give_up(self, name: str, file: BinaryIO, size: int) -> None:
        with transaction.atomic():
            if _locked_position(name, file) < size:
                logger.error("The last line of the spool file %s is torn", name)
                ingest.lose(Counter({RecordingLoss.Reason.UNREADABLE.value: 1}))
                _move(name, size)

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


def _take(name: str, file: BinaryIO, reader: Reader) -> Batch:
    """Move one batch into the database."""
    try:
        return _take_by(ingest.take, name, file, reader)
    except (DataError, IntegrityError):
        return _take_by(ingest.take_one_by_one, name, file, reader)


def _take_by(take: Callable[[Batch], None], name: str, file: BinaryIO, reader: Reader) -> Batch:
    """Rows, rollups and position in one transaction, or nothing."""
    with transaction.atomic():
        batch = reader.batch(_locked_position(name, file))
        if batch.text:
            take(batch)
        if batch.size_bytes:
            _move(name, batch.end)
    return batch


def _is_abandoned(descriptor: int) -> bool:
    """Whether the process that wrote the file is gone: it held a lock for as long as it lived."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_position(name: str, file: BinaryIO) -> int:
    """Where the file has been drained to; nobody else moves it until the transaction ends.

    Raises FileNotFoundError where another drain has just taken the last of it: the position has gone with the file.
    """
    positions = SpoolFile.objects.filter(pk=name)
    if connection.features.has_select_for_update:
        positions = positions.select_for_update()
    row = positions.first()
    if row is None:
        SpoolFile.objects.bulk_create([SpoolFile(name=name)], ignore_conflicts=True)
        row = positions.first()
        if row is None or not os.fstat(file.fileno()).st_nlink:
            raise FileNotFoundError(name)
    return row.position


def _move(name: str, position: int) -> None:
    SpoolFile.objects.filter(pk=name).update(position=position, updated_at=Now())
