"""`manage.py serve`: everything between installed packages and a running server. `make run` calls it.

The first start is one transaction: tables, guards, the operator and the demo data are there together, or a start that
was interrupted left nothing and the next one begins again. Each later start does only what is missing.
"""

import fcntl
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import Tags
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import OperationalError, connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import QuerySet
from rich.console import Console

from keys import people
from keys.gateway.drain import Drain
from keys.models import Merchant, User
from keys.models.access import PlatformRole
from merchantadmin import env, server

# Without the characters that look like another one: 20 of these 31 are 99 bits.
UNMISTAKABLE = "abcdefghjkmnpqrstuvwxyz23456789"
PASSWORD_GROUPS, GROUP_LENGTH = 4, 5
ADVISORY_LOCK = 7_265_401
# With few threads each answer waits until one is woken: 12 verify half as many keys again as 2. On PostgreSQL each has
# a connection of its own while it looks for keys. Some of them may be waiting for bodies: keys.gateway.bodies.
BLOCKING_THREADS = {"sqlite": 12, "postgresql": 8}


class Command(BaseCommand):
    help = "Prepare the database, the operator's account and the static files as far as needed, then serve."
    # Checked step by step below: the settings before a database is made, its guards after.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reload", action="store_true", help="for development: restart when the code changes"
        )

    def handle(self, *, reload: bool, **options: Any) -> None:
        if settings.DEBUG is not reload:
            raise CommandError("`serve` runs with DEBUG off, `serve --reload` with DEBUG=1.")
        self.interruption = Interruption()
        os.umask(0o077)
        self.console = new_console()
        try:
            self.prepare(reload)
            self.serve(reload)
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {str(error).strip()}") from error
        except KeyboardInterrupt:
            self.console.print("\nStopped before it was ready. The next start begins where it is needed.")

    def prepare(self, reload: bool) -> None:
        require_free(settings.PORT)
        self.check()
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.turn():
            if not reload:
                self.prepare_static_files()
            self.prepare_database()
        connections.close_all()
        self.interruption.heed()

    def serve(self, reload: bool) -> None:
        """Hand over to the server; it stops at the first Ctrl-C or SIGTERM."""
        require_free(settings.PORT)
        self.console.print("Serving. Ctrl-C stops it.")
        if reload:
            address = f"{server.HOST}:{settings.PORT}"
            os.execv(sys.executable, [sys.executable, sys.argv[0], "runserver", address])  # noqa: S606
        drain = Drain(settings.KEYS_SPOOL_DIR) if settings.KEYS_EMBEDDED_DRAIN else None
        server.serve(
            port=settings.PORT,
            workers=settings.WORKERS,
            blocking_threads=BLOCKING_THREADS[connection.vendor],
            drain=drain,
        )
        self.console.print("Stopped.")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Of several starts on the same data, one at a time prepares it."""
        with (settings.DATA_DIR / "start.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with self.step("Waiting for another start to finish"):
                    fcntl.flock(file, fcntl.LOCK_EX)
            if connection.vendor == "postgresql":
                # Other hosts cannot see the file. The lock ends with the session.
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
            yield

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Say what is being done, with a sign of life while it lasts."""
        with self.console.status(f"{doing}…"):
            yield
            self.interruption.heed()
        self.console.print(f"{doing}: done.")

    def prepare_database(self) -> None:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        fresh = not executor.loader.applied_migrations
        with tables_and_rows_together() if fresh else nullcontext():
            if plan:
                with self.step("Creating the database" if fresh else f"Applying {len(plan)} migrations"):
                    call_command("migrate", interactive=False, verbosity=0)
            if not self.prepare_people():
                self.show_sign_in(name=known_operator())
            self.interruption.heed()
        self.check(tags=[Tags.database], databases=["default"])

    @transaction.atomic
    def prepare_people(self) -> bool:
        """Make the operator's account where there is none, with the very first one the demo data; False if it is."""
        name = operator_name()
        first = not administrators().exists()
        named = "DJANGO_SUPERUSER_USERNAME" in os.environ
        if not first and not (named and not User.objects.filter(username=name).exists()):
            return False
        given = os.environ.get("DJANGO_SUPERUSER_PASSWORD", "")
        password = given or generate_password()
        make_operator(name, password)
        if first and settings.DEMO and not Merchant.objects.exists():
            self.console.print("Loading demo data (DEMO=0 starts without it).")
            call_command("seed_demo")
        # Shown before it counts: had this start to be repeated, the next one would show another.
        self.show_sign_in(
            name=name,
            password="as given in DJANGO_SUPERUSER_PASSWORD"
            if given
            else f"{password}   (shown only this once)",
        )
        return True

    def show_sign_in(self, *, name: str, password: str = "") -> None:
        self.console.print(f"\n  Address    {settings.PUBLIC_URL}\n  User name  {name}")
        self.console.print(f"  Password   {password}\n" if password else "")

    def prepare_static_files(self) -> None:
        stamp = settings.DATA_DIR / "static.sources"
        sources = static_sources()
        collected = Path(settings.STATIC_ROOT, "staticfiles.json").is_file()
        if collected and stamp.is_file() and stamp.read_text() == sources:
            return
        stamp.unlink(missing_ok=True)
        with self.step("Collecting static files"):
            call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(sources)


class Interruption:
    """Ctrl-C or SIGTERM during the preparation. It is raised where it arrives, and remembered: an exception that
    arrives within a finalizer, or within a function that SQLite calls, gets lost there."""

    def __init__(self) -> None:
        self.arrived = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._arrive)

    def heed(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self.arrived:
            raise KeyboardInterrupt

    def _arrive(self, signum: int, frame: FrameType | None) -> None:
        self.arrived = True
        raise KeyboardInterrupt


def new_console() -> Console:
    """For plain text: nothing in it is taken for markup, and no line is broken."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def require_free(port: int) -> None:
    """The server itself would not notice: on Linux its socket shares a port with whoever listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.HOST, port))
        except OSError as error:
            reason = f"Port {port} cannot be used: {(error.strerror or '').lower()}."
            raise CommandError(f"{reason} Choose another, as in `PORT=8080 make run`.") from error


@contextmanager
def tables_and_rows_together() -> Iterator[None]:
    """Commit new tables and all that goes into them at once.

    SQLite's schema editor wants foreign keys off, and they can be turned off only outside a transaction.
    """
    connection.disable_constraint_checking()
    try:
        with transaction.atomic():
            yield
            connection.check_constraints()
    finally:
        connection.enable_constraint_checking()


def administrators() -> QuerySet[User]:
    return User.objects.filter(people.having(PlatformRole.ADMINISTRATOR), is_active=True)


def operator_name() -> str:
    return env.text("DJANGO_SUPERUSER_USERNAME") or "operator"


def known_operator() -> str:
    """Who can sign in already: the one who is named, or else the first."""
    names = list(administrators().order_by("pk").values_list("username", flat=True))
    return operator_name() if operator_name() in names else names[0]


def make_operator(name: str, password: str) -> User:
    operator = User(username=name, is_staff=True, is_superuser=True)
    operator.set_password(password)
    try:
        operator.full_clean()
    except ValidationError as error:
        raise CommandError(f"DJANGO_SUPERUSER_USERNAME {name!r}: {' '.join(error.messages)}") from error
    operator.save(force_insert=True)
    return operator


def generate_password() -> str:
    groups = (
        "".join(secrets.choice(UNMISTAKABLE) for _ in range(GROUP_LENGTH)) for _ in range(PASSWORD_GROUPS)
    )
    return "-".join(groups)


def static_sources() -> str:
    """A digest of which static files there are, and of their sizes and dates: it changes when one of them does."""
    digest = sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            stat = Path(storage.path(name)).stat()
            digest.update(f"{storage.location}/{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
