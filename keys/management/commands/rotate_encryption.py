"""`manage.py rotate_encryption`: everything that is stored encrypted, under the first of KEYS_ENCRYPTION_KEYS."""

import json
from collections.abc import Iterator
from threading import Event
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from keys import rotation, vault
from keys.access import Step
from keys.console import factor_secrets
from keys.history import Actor
from keys.management.terminal import operators
from keys.management.terminal.exits import Exit, failure
from keys.management.terminal.family import foreseen
from keys.management.terminal.interruption import stopped_by_signals
from keys.management.terminal.operators import Operator
from keys.management.terminal.output import Output
from keys.rotation import PASSES, Stored, Tally


class Command(BaseCommand):
    help = (
        "Re-encrypt the texts of all API keys, and the secrets of second factors, with the first of "
        "KEYS_ENCRYPTION_KEYS, while the server runs. It may be interrupted and repeated. Those that cannot be read "
        "are named, and left as they are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument(
            "--check",
            action="store_true",
            help="change nothing: say how many texts are under which encryption key, and which cannot be read",
        )
        mode.add_argument(
            "--verify",
            action="store_true",
            help="change nothing: name each text that could not be read with the first encryption key alone",
        )
        parser.add_argument("--json", action="store_true", help="print the result as a JSON object")
        operators.add_actor(parser)

    def execute(self, *args: Any, **options: Any) -> None:
        with foreseen(show_traceback=bool(options.get("traceback"))):
            super().execute(*args, **options)
            self.stdout.flush()

    def handle(self, *, check: bool, verify: bool, **options: Any) -> None:
        self.output = Output(self.stdout, as_json=options["json"], no_color=options["no_color"])
        operator = Operator.named(options["actor"], command="rotate_encryption")
        operator.require(Step.ROTATE_ENCRYPTION)
        self.stop, self.named = Event(), set[UUID | str]()
        with stopped_by_signals(self.stop):
            if check or verify:
                self.look(name_older=verify)
            else:
                self.rotate(operator.actor)

    def rotate(self, actor: Actor) -> None:
        """Pass after pass, as long as the last one was needed: what somebody else had locked is met again."""
        rotated, tally = 0, Tally()
        try:
            for _ in range(PASSES):
                tally = Tally(rotated=rotated)
                self.each("Re-encrypting", rotation.rotate(tally, actor=actor), name_older=False)
                self.second_factors(tally, rotate=True)
                left = tally.older - (tally.rotated - rotated)
                rotated = tally.rotated
                if self.stop.is_set() or left == 0:
                    break
        finally:
            rotation.conclude(tally, actor=actor)
        self.report(tally, f"Re-encrypted {texts(tally.rotated)}.", left=left)

    def look(self, *, name_older: bool) -> None:
        tally = Tally()
        self.each("Reading", self.counted(tally), name_older=name_older)
        self.second_factors(tally, rotate=False)
        self.report(tally, "", left=tally.older)

    def counted(self, tally: Tally) -> Iterator[list[Stored]]:
        for batch in rotation.examine():
            rotation.count(batch, tally)
            yield batch

    def each(self, doing: str, batches: Iterator[list[Stored]], *, name_older: bool) -> None:
        """Go through a pass with its progress; name what cannot be read, each once."""
        with self.output.progress(doing, rotation.total()) as advance:
            for batch in batches:
                for stored in batch:
                    if stored.position is None or (name_older and stored.position):
                        self.name(stored)
                advance(len(batch))
                if self.stop.is_set():
                    return

    def second_factors(self, tally: Tally, *, rotate: bool) -> None:
        """There are a few for each person: they are gone through in one go."""
        for complaint in factor_secrets.go_through(tally, rotate=rotate):
            if complaint not in self.named:
                self.named.add(complaint)
                self.output.note(complaint)

    def name(self, stored: Stored) -> None:
        if stored.key_id in self.named:
            return
        self.named.add(stored.key_id)
        number = (stored.position or 0) + 1
        self.output.note(f"{stored.public_id}: {stored.complaint or f'under encryption key {number}.'}")

    def report(self, tally: Tally, done: str, *, left: int) -> None:
        """What was found; how it ends says whether older encryption keys can go."""
        names = vault.fingerprints()
        if self.output.is_json:
            self.stdout.write(json.dumps(described(tally, names, left)))
        else:
            for sentence in sentences(tally, names, done, left):
                self.output.say(sentence)
        if self.stop.is_set():
            raise failure("Stopped. The same command goes on from here.", Exit.INTERRUPTED)
        if tally.unreadable:
            raise failure(f"{texts(tally.unreadable)} cannot be read with any encryption key.", Exit.REFUSED)
        if left:
            raise failure(f"{texts(left)} still need an older encryption key: keep it.", Exit.REFUSED)


def sentences(tally: Tally, names: list[str], done: str, left: int) -> Iterator[str]:
    if done:
        yield done
    else:
        for position, name in enumerate(names):
            yield f"Encryption key {position + 1} ({name}): {texts(tally.by_position[position])}."
    if not left and not tally.unreadable:
        others = ": the others can be removed" if names[1:] else ""
        yield f"The first encryption key reads all that is stored{others}."


def described(tally: Tally, names: list[str], left: int) -> dict[str, Any]:
    found = [{"fingerprint": name, "texts": tally.by_position[place]} for place, name in enumerate(names)]
    return {
        "found": found,
        "rotated": tally.rotated,
        "unreadable": tally.unreadable,
        "left": left,
    }


def texts(number: int) -> str:
    return f"{number:,} {'text' if number == 1 else 'texts'}"
