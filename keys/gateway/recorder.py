"""Writing each request down before it is answered: one line, by one system call, into this process's spool file.

What the system call took survives the process, however it ends (not the machine: a power cut may take what was written
last). The file is closed when it is large, and another begun. Nothing here ever fails a request: what cannot be
written is counted, and the count is written as soon as that is possible again.
"""

import fcntl
import logging
import os
import threading
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
        self.lost_in_total = 0
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._descriptor = -1
        self._retired = -1
        self._full = False
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._begin_file()
        self._thread = threading.Thread(target=self._look_after, name="spool", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        if self._full:
            self._lose(Reason.SPOOL_FULL)
            return
        try:
            if os.write(self._descriptor, line) == len(line):
                return
            # Half a line: nothing may come after it in this file. The drain counts it as unreadable.
            self._retired, self._descriptor = self._descriptor, -1
        except OSError:
            self._lose(Reason.WRITE_FAILED)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for descriptor in (self._descriptor, self._retired):
            with suppress(OSError):
                os.close(descriptor)

    def look_after(self) -> None:
        """Begin a new file where it is time to, and tell of what was lost. Called a few times a second."""
        # Retired the last time: no thread is still about to write to it.
        if self._retired >= 0:
            os.close(self._retired)
            self._retired = -1
        self._full = spool.backlog_bytes(self._folder) > self._limit_bytes
        try:
            size = os.fstat(self._descriptor).st_size if self._descriptor >= 0 else FILE_BYTES_MAX
        except OSError:
            size = FILE_BYTES_MAX
        if size >= FILE_BYTES_MAX:
            self._begin_file()
        self._tell_of_losses()

    def _begin_file(self) -> None:
        """Begin a file: it gets its name when it is locked, so that no drain takes it for a dead process's."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f"{new_id()}{spool.SUFFIX}"
            draft = path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            draft.rename(path)
        except OSError as error:
            logger.error("No spool file can be made in %s: %s", self._folder, error.strerror)  # noqa: TRY400
            return
        self._retired, self._descriptor = self._descriptor, descriptor

    def _lose(self, reason: str) -> None:
        with self._counting:
            self.lost[reason] += 1
            self.lost_in_total += 1

    def _tell_of_losses(self) -> None:
        for reason, requests in list(self.lost.items()):
            if not requests:
                continue
            line = spool.lost_line(reason, requests)
            try:
                if os.write(self._descriptor, line) != len(line):
                    self._retired, self._descriptor = self._descriptor, -1
                    return
            except OSError:
                return
            with self._counting:
                self.lost[reason] -= requests
            logger.error("%d requests could not be recorded: %s", requests, Reason(reason).label)

    def _look_after(self) -> None:
        while not self._closing.wait(LOOK_AFTER_SECONDS):
            try:
                self.look_after()
            except Exception:
                logger.exception("The spool could not be looked after")
