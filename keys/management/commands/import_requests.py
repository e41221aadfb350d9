"""`manage.py import_requests FILE`: the statuses that the API really answered, from a proxy's access log."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection

from keys.gateway import accesslog, reports
from keys.gateway.accesslog import FORMATS, NotImported
from keys.gateway.logfile import LogFile, NotALogFile, Positions, opened
from keys.gateway.reports import Window
from keys.management.terminal.interruption import stopped_by_signals

LINES_AT_ONCE = 1000
IDLE_SECONDS = 1.0
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
INTERRUPTED = 130
# What may be over the next time, beside what will not.
PASSING = (OperationalError, InterfaceError, IntegrityError)
REASONS_SHOWN_MAX = 10


class Command(BaseCommand):
    help = (
        "Record the statuses that the API answered, from the JSON access log of nginx or Caddy, instead of those of "
        "the verdicts. Repeating it counts nothing twice. Ends with 0 when all is read or --follow was told to stop, 1 "
        "when the file or the database cannot be used, 130 when it was stopped before the end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the log file")
        parser.add_argument(
            "--follow",
            action="store_true",
            help="wait for more lines, whatever becomes of the file, until Ctrl-C or SIGTERM",
        )
        parser.add_argument(
            "--format", choices=FORMATS, default="auto", help="of the lines (default: each line shows it)"
        )

    def handle(self, *, file: Path, follow: bool, format: str, **options: Any) -> None:
        self.form = format
        self.follow = follow
        self.taken: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.stop = Event()
        positions = Positions(settings.DATA_DIR / "imports")
        positions.forget_old()
        try:
            with stopped_by_signals(self.stop):
                self.wait_for(file)
                if not self.stop.is_set():
                    with opened(file, positions) as log:
                        self.read(log)
        except NotALogFile as error:
            raise CommandError(f"{error}.") from error
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error
        finally:
            self.stdout.write(self.summary())
        if self.stop.is_set() and not follow:
            raise CommandError(
                "Stopped before the end; the next run goes on from there.", returncode=INTERRUPTED
            )

    def wait_for(self, file: Path) -> None:
        while self.follow and not file.exists():
            if self.stop.wait(IDLE_SECONDS):
                return

    def read(self, log: LogFile) -> None:
        while not self.stop.is_set():
            if lines := log.lines(LINES_AT_ONCE):
                self.take(log, lines)
            elif log.is_replaced():
                self.take_last(log)
                self.go_on(log)
                continue
            elif not self.follow:
                self.take_last(log)
                return
            if self.follow and len(lines) < LINES_AT_ONCE:
                self.stop.wait(IDLE_SECONDS)

    def go_on(self, log: LogFile) -> None:
        """With the new file, as soon as it can be read: whoever made it may not be done yet."""
        try:
            log.reopen()
        except OSError:
            if not self.follow:
                raise
            self.stop.wait(IDLE_SECONDS)

    def take(self, log: LogFile, lines: Sequence[bytes]) -> None:
        """Record a batch, and note that it is done. With --follow it waits for a database that is away."""
        failures = 0
        while True:
            try:
                self.record(lines)
            except Error as error:
                connection.close_if_unusable_or_obsolete()
                if not self.follow or not isinstance(error, PASSING):
                    raise CommandError(f"The database cannot be used: {str(error).strip()}") from error
                if failures == 0:
                    self.stderr.write(f"The database cannot be used; trying again: {str(error).strip()}")
                if self.stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]):
                    return
                failures += 1
            else:
                log.note()
                return

    def take_last(self, log: LogFile) -> None:
        """The last line of a file that nobody goes on writing may have no end."""
        last = log.remainder()
        if last.rstrip().endswith(b"}"):
            log.skip(len(last))
            self.take(log, [last])

    def record(self, lines: Sequence[bytes]) -> None:
        window = Window.around(datetime.now(UTC))
        found, skipped = [], Counter[str]()
        for line in lines:
            if not line.strip():
                continue
            try:
                found.append(accesslog.read(line, form=self.form, window=window))
            except NotImported as error:
                skipped[str(error)] += 1
        taken = reports.take(found)
        skipped["with a key that there is not"] += len(taken.unknown)
        self.taken.update(news=taken.accepted, known=taken.duplicates)
        self.skipped.update(+skipped)

    def summary(self) -> str:
        """As in “Imported 1,200 requests; 30 were known already; skipped 2 lines (1 no JSON, 1 of no verdict).”"""
        parts = [f"Imported {self.taken['news']:,} requests", f"{self.taken['known']:,} were known already"]
        if self.skipped:
            reasons = [
                f"{number:,} {reason.rstrip('.')}"
                for reason, number in self.skipped.most_common(REASONS_SHOWN_MAX)
            ]
            parts.append(f"skipped {self.skipped.total():,} lines ({', '.join(reasons)})")
        return f"{'; '.join(parts)}."
