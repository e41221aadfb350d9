"""Where the text of an API key goes: a new file that only its owner reads, or the standard output, and nowhere else."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from django.core.management.base import CommandParser

from keys.keyformat import LENGTH, PlaintextKey
from keys.management.terminal.exits import Exit, failure


class SecretFile:
    """A file of mode 0600 that was not there before. Its room on the disk is taken before a key is made.

    Where the block that uses it fails, the file is removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            # O_EXCL follows no symbolic link, whatever it leads to.
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise failure(f"{self._path} exists already, and is not overwritten.", Exit.REFUSED) from error
        except OSError as error:
            raise self._unusable(error) from error
        try:
            os.fchmod(self._descriptor, 0o600)
            self._put(b"\n" * (LENGTH + 1))
        except OSError as error:
            self._remove()
            raise self._unusable(error) from error
        return self

    def write(self, secret: PlaintextKey) -> None:
        try:
            self._put(f"{secret.reveal()}\n".encode())
        except OSError as error:
            raise self._unusable(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind:
            self._remove()
        else:
            os.close(self._descriptor)

    def _put(self, content: bytes) -> None:
        done = 0
        while done < len(content):
            done += os.pwrite(self._descriptor, content[done:], done)
        os.fsync(self._descriptor)

    def _remove(self) -> None:
        os.close(self._descriptor)
        with suppress(OSError):
            self._path.unlink()

    def _unusable(self, error: OSError) -> Exception:
        return failure(f"{self._path} cannot be written: {error.strerror}.", Exit.UNAVAILABLE)


class ShownSecret:
    """Keeps the text until the command has succeeded; the output writes it then."""

    def __init__(self) -> None:
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def write(self, secret: PlaintextKey) -> None:
        self.text = secret.reveal()

    def __exit__(self, *error: object) -> None:
        pass


class Nowhere(ShownSecret):
    """Nobody asked for the text."""

    def write(self, secret: PlaintextKey) -> None:
        pass


def add_secret_destination(parser: CommandParser, *, required: bool = False) -> None:
    group = parser.add_mutually_exclusive_group(required=required)
    group.add_argument(
        "--secret-file",
        type=Path,
        metavar="PATH",
        help="write the API key into this file, which is made with mode 0600 and must not exist",
    )
    group.add_argument(
        "--show-secret",
        action="store_true",
        help="write the API key to the standard output, alone; with --json as the field “secret”",
    )


def destination(path: Path | None, *, show: bool) -> SecretFile | ShownSecret:
    if path is not None:
        return SecretFile(path)
    return ShownSecret() if show else Nowhere()
