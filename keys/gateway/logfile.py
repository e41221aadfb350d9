"""Reading a log file by whole lines while somebody writes it, through rotation and truncation.

How far it has been read is noted beside the data, by the file's inode and its first bytes. It is a hint that saves
reading everything again, and nothing else: whoever takes the lines takes each once.
"""

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

CHUNK_BYTES = 1024 * 1024
HEAD_BYTES = 256
# A server goes on writing to the file that was renamed, until it is told to open the new one.
QUIET_SECONDS = 2.0
FORGET_AFTER_SECONDS = 180 * 86400


class NotALogFile(ValueError):
    """It is no regular file."""


class Positions:
    """How far each log file has been read, in small files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, descriptor: int) -> int:
        """The position in this very file; 0 for one that is not known, or has other first bytes than it had."""
        try:
            noted = json.loads(self._path(descriptor).read_text())
            position, head = int(noted["position"]), bytes.fromhex(noted["head"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        if not 0 <= position <= os.fstat(descriptor).st_size:
            return 0
        return position if _digest(descriptor, position) == head else 0

    def note(self, descriptor: int, position: int, name: str) -> None:
        """Best effort: without a note the file is read from its beginning next time."""
        content = {"file": name, "position": position, "head": _digest(descriptor, position).hex()}
        path = self._path(descriptor)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(content))
            draft.replace(path)

    def forget_old(self) -> None:
        """Forget files that were read long ago: their inodes belong to others by now."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if time.time() - path.stat().st_mtime > FORGET_AFTER_SECONDS:
                    path.unlink(missing_ok=True)

    def _path(self, descriptor: int) -> Path:
        found = os.fstat(descriptor)
        return self._folder / f"{found.st_dev}-{found.st_ino}.json"


class LogFile:
    """The file that `path` names. Raises OSError where there is none, and NotALogFile."""

    def __init__(self, path: Path, positions: Positions) -> None:
        self.path = path
        self._positions = positions
        self._descriptor = -1
        self._open()
        self.position = positions.read(self._descriptor)
        self._head = self._read_head()

    def close(self) -> None:
        os.close(self._descriptor)

    def lines(self, maximum: int) -> list[bytes]:
        """The next whole lines that are there, without their ends; none where all are read."""
        self._heed_truncation()
        chunk = os.pread(self._descriptor, CHUNK_BYTES, self.position)
        *whole, torn = chunk.split(b"\n")
        if not whole and len(torn) == CHUNK_BYTES:
            # No line of an access log is as long as this. Its end will be taken for one more that is none.
            self.position += len(torn)
            return [torn[:HEAD_BYTES]]
        found = whole[:maximum]
        self.position += sum(len(line) + 1 for line in found)
        return found

    def remainder(self) -> bytes:
        """What is there after the last whole line: half a line, or the last one of a file that will not grow."""
        found = os.pread(self._descriptor, CHUNK_BYTES, self.position)
        return b"" if b"\n" in found else found

    def skip(self, size: int) -> None:
        self.position += size

    def note(self) -> None:
        """Note that everything so far has been taken."""
        if len(self._head) < min(self.position, HEAD_BYTES):
            self._head = self._read_head()
        self._positions.note(self._descriptor, self.position, str(self.path))

    def is_replaced(self) -> bool:
        """Whether the path names another file now, and this one has been left alone for a while."""
        try:
            named = self.path.stat()
        except OSError:
            return False
        own = os.fstat(self._descriptor)
        if (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino):
            return False
        return time.time() - own.st_mtime > QUIET_SECONDS

    def reopen(self) -> None:
        """Go on with the file that the path names now, from its beginning or from where it was left."""
        old = self._descriptor
        self._open()
        os.close(old)
        self.position = self._positions.read(self._descriptor)
        self._head = self._read_head()

    def _open(self) -> None:
        # A named pipe would wait here for somebody to write to it.
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotALogFile(f"{self.path} is not a regular file")
        self._descriptor = descriptor

    def _heed_truncation(self) -> None:
        """A file that was emptied and is written anew begins at 0, even where it is longer than it was."""
        size = os.fstat(self._descriptor).st_size
        if size < self.position or self._read_head()[: len(self._head)] != self._head:
            self.position = 0
            self._head = b""

    def _read_head(self) -> bytes:
        return os.pread(self._descriptor, min(self.position, HEAD_BYTES), 0)


@contextmanager
def opened(path: Path, positions: Positions) -> Iterator[LogFile]:
    file = LogFile(path, positions)
    try:
        yield file
    finally:
        file.close()


def _digest(descriptor: int, position: int) -> bytes:
    return sha256(os.pread(descriptor, min(position, HEAD_BYTES), 0)).digest()
