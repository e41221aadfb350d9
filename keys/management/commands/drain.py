"""`manage.py drain`: moves recorded requests from this host's spool into the database."""

import signal
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import Error

from keys import spool
from keys.gateway.drain import Drain


class Command(BaseCommand):
    help = "Move recorded requests from the spool into the database, until stopped. One for each host."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="move what is there now, and end")

    def handle(self, *, once: bool, **options: Any) -> None:
        drain = Drain(settings.KEYS_SPOOL_DIR)
        if once:
            try:
                moved = drain.once()
            except (Error, OSError) as error:
                raise CommandError(f"The spool cannot be drained: {error}") from error
            left = spool.backlog_bytes(drain.folder)
            self.stdout.write(f"Drained {moved:,} bytes of records; {left:,} are left.")
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: drain.stop())
        self.stdout.write(f"Draining {drain.folder}. Ctrl-C stops it.")
        drain.run()
        self.stdout.write("Stopped.")
