"""One installation of the product: a data directory, a database, and the commands that work on it."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Self

import psycopg

from bench.errors import BenchError
from bench.sizes import Size

ROOT = Path(__file__).parent.parent
# Figures of the last 24 hours are on the pages: data that is older than this has ever fewer of them.
FRESH_SECONDS = 6 * 3600
OPERATOR = "bench"
# Whatever the shell has set for a server of its own must not reach these.
SHELL_VARIABLES = (
    "ALLOWED_HOSTS", "DEBUG", "KEYS_ENCRYPTION_KEYS", "KEYS_PERMISSION_CATALOGUE", "KEYS_SECRET_POLICY", "PUBLIC_URL",
    "SECRET_KEY", "TRUSTED_PROXY_COUNT", "WORKERS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Installation:
    name: str
    data_dir: Path
    database_url: str
    size: Size
    password: str
    settings: str = "merchantadmin.settings"

    @classmethod
    def at(cls, data_dir: Path, *, name: str, database_url: str, size: Size) -> Self:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(name, data_dir, database_url, size, password=token_urlsafe(12))

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in SHELL_VARIABLES}
        return kept | {
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.database_url,
            "DEMO": "0",
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DJANGO_SUPERUSER_USERNAME": f"{OPERATOR}-{self.password[:6]}",
            "DJANGO_SUPERUSER_PASSWORD": self.password,
        }

    @property
    def operator(self) -> str:
        return self.environment["DJANGO_SUPERUSER_USERNAME"]

    def manage(self, *arguments: str, quietly: bool = False) -> None:
        self._run("manage.py", *arguments, stdout=subprocess.PIPE if quietly else None)

    def build(self) -> None:
        """Make the tables and fill them, unless the data of an earlier run is here, whole, and still of today."""
        if self._is_fresh():
            return
        self.empty()
        began = time.monotonic()
        self.fill()
        record = {"size": str(self.size), "built_at": time.time(), "seconds": time.monotonic() - began}
        self._record_file.write_text(json.dumps(record))

    def fill(self) -> None:
        self.manage("migrate", "--verbosity=0")
        for options in self.size.loads():
            self.manage("seed_demo", *options)

    def empty(self) -> None:
        """Remove what an earlier run left."""
        if self.database_url.startswith("postgresql"):
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
        shutil.rmtree(self.data_dir)
        self.data_dir.mkdir(mode=0o700)

    def _is_fresh(self) -> bool:
        record = self._record()
        return record.get("size") == str(self.size) and time.time() - record["built_at"] < FRESH_SECONDS

    @property
    def build_seconds(self) -> float:
        return float(self._record()["seconds"])

    def probe(self, word: str) -> dict[str, Any]:
        """Whose pages to ask for: see bench.console.probe."""
        return dict(json.loads(self.ask("bench.console.probe", word)))

    def ask(self, module: str, *arguments: str) -> str:
        """What a module of the benchmark prints when it runs inside this installation."""
        return self._run("-m", module, *arguments, stdout=subprocess.PIPE)

    def _run(self, *arguments: str, stdout: int | None = None) -> str:
        """What Python says to `arguments` in this installation, where that is asked for."""
        command = [sys.executable, *arguments]
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=self.environment, check=False, stdout=stdout, text=True
        )
        if done.returncode:
            raise BenchError(f"`{' '.join(arguments)}` ended with {done.returncode}")
        return done.stdout

    @property
    def _record_file(self) -> Path:
        return self.data_dir / "bench.json"

    def _record(self) -> dict[str, Any]:
        return dict(json.loads(self._record_file.read_text())) if self._record_file.exists() else {}
