"""Writing each request down before it is answered: one line, by one system call, into this process's spool file.

What the system call took survives the process, however it ends (not the machine: a power cut may take what was written
last). The file is closed when it is large, and another begun. Nothing here ever fails a request: what cannot be
written is counted, and the count is written as soon as that is possible again.
"""

import fcntl
import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from keys import spool
from keys.identifiers import new_id
from keys.models.recording import RecordingLoss

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 64 * 1024 * 1024
LOOK_AFTER_SECONDS = 0.25
# While nothing can be recorded, how often it is told how much that is.
TELL_SECONDS = 10.0
Reason = RecordingLoss.Reason


class Recorder(Protocol):
    """Where requests are recorded."""

    def write(self, line: bytes) -> None:
        """Record the request of a line of keys.spool. Never raises."""

    def close(self) -> None: ...


class SpoolRecorder:
    """Appends to a spool file in `folder`, from any thread; `limit_bytes` is for all that waits in the folder."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self.lost: Counter[str] = Counter()
        self.lost_in_total: Counter[str] = Counter()
        self.folder = folder
        self.limit_bytes = limit_bytes
        # One number for as long as the process lives, whichever file it stands for.
        self._descriptor = -1
        # Nothing may come into this file any more: it ends with half a line, or there is none.
        self._ended = True
        self._refusing: Reason | None = None
        self._failing = False
        self._told_at = -TELL_SECONDS
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self.look_after()
        self._thread = threading.Thread(target=self._look_after, name="spool", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        if self._refusing is not None:
            self._lose(self._refusing)
            return
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            self._lose(Reason.WRITE_FAILED)
            return
        if written != len(line):
            # The drain counts half a line as unreadable, and whatever came after it would be unreadable too.
            self._ended = True
            self._refusing = Reason.WRITE_FAILED

    def close(self) -> None:
        """Tell of what was lost, and let the drain have the file. What is written from now on counts as lost."""
        self._closing.set()
        self._thread.join()
        self._tell_of_losses(is_time=True)
        self._refusing = Reason.WRITE_FAILED
        self._ended = True
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def look_after(self) -> None:
        """Begin a new file where it is time to, and tell of what was lost. Called a few times a second."""
        if self._ended or self._is_done():
            self._begin_file()
        self._refusing = (
            Reason.WRITE_FAILED if self._ended else Reason.SPOOL_FULL if self._is_full() else None
        )
        is_time = time.monotonic() >= self._told_at + TELL_SECONDS
        if self._refusing is None or is_time:
            self._tell_of_losses(is_time=is_time)

    def _is_full(self) -> bool:
        try:
            return spool.backlog_bytes(self.folder) > self.limit_bytes
        except OSError:
            return False

    def _is_done(self) -> bool:
        """Whether the file is as large as it may be, or has been removed."""
        status = os.fstat(self._descriptor)
        return status.st_size >= FILE_BYTES_MAX or not status.st_nlink

    def _begin_file(self) -> None:
        """Begin a file: it gets its name when it is locked, so that no drain takes it for a dead process's."""
        path = self.folder / f"{new_id()}{spool.SUFFIX}"
        draft = path.with_suffix(".new")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                draft.rename(path)
                self._turn_to(descriptor)
            finally:
                if descriptor != self._descriptor:
                    os.close(descriptor)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            if not self._failing:
                logger.error("No spool file can be made in %s: %s", self.folder, error.strerror)  # noqa: TRY400
            self._failing = True
        else:
            self._failing = False

    def _turn_to(self, descriptor: int) -> None:
        """Write there from now on. The file before is unlocked when the last write to it has ended."""
        self._ended = False
        if self._descriptor < 0:
            self._descriptor = descriptor
        else:
            os.dup2(descriptor, self._descriptor, inheritable=False)

    def _lose(self, reason: str) -> None:
        with self._counting:
            self.lost[reason] += 1
            self.lost_in_total[reason] += 1

    def _tell_of_losses(self, *, is_time: bool) -> None:
        """Write down how many were lost; where even that fails, say so when it `is_time`."""
        for reason, requests in list(self.lost.items()):
            if not requests:
                continue
            if self._appended(spool.lost_line(reason, requests)):
                with self._counting:
                    self.lost[reason] -= requests
            elif not is_time:
                continue
            self._told_at = time.monotonic()
            logger.error("%d requests could not be recorded: %s", requests, Reason(reason).label)

    def _appended(self, line: bytes) -> bool:
        if self._ended:
            return False
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            return False
        self._ended = written != len(line)
        return not self._ended

    def _look_after(self) -> None:
        while not self._closing.wait(LOOK_AFTER_SECONDS):
            try:
                self.look_after()
            except Exception:
                logger.exception("The spool could not be looked after")
