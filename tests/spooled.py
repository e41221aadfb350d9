"""What a dead process left in its spool file, drained into the database."""

from pathlib import Path
from tempfile import TemporaryDirectory

from keys import spool
from keys.gateway.drain import Drain


def drain(lines: bytes) -> None:
    with TemporaryDirectory() as folder:
        Path(folder, f"0001{spool.SUFFIX}").write_bytes(lines)
        Drain(Path(folder)).once()
