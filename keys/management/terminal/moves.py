"""The subcommands that move those with the IDs given, or all that a filter leaves: `disable`, `enable` and `revoke`.

Those with IDs are moved one by one, as the console does it; those of a filter AT_ONCE in a transaction, so that a
million are done in minutes and nobody waits for long. A run may be interrupted at any moment and repeated: those that
are there already are left alone.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event
from typing import Any, Generic
from uuid import UUID

from django.core.management.base import CommandParser
from django.db import connection
from django.db.models import Count, QuerySet
from django.utils import timezone

from keys import moves
from keys.errors import DomainError, IllegalTransition
from keys.management.terminal import questions, selection
from keys.management.terminal.arguments import add_reason
from keys.management.terminal.exits import Exit, failure, refusal, usage_error
from keys.management.terminal.family import Subcommand
from keys.management.terminal.interruption import stopped_by_signals
from keys.management.terminal.kinds import KEYS, MERCHANTS, Kind, Row
from keys.management.terminal.selection import Options

REFUSALS_SHOWN = 20
# So many are moved in one transaction: whoever wants to change one of them meanwhile waits for as long.
AT_ONCE = 200
# On SQLite, how long it pauses then, for each second that it took.
PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Offer(Generic[Row]):
    """A move of the domain, on what kind of thing, and the effect that a person is told of."""

    move: moves.Move[Row]
    kind: Kind[Row]
    doing: str
    effect: str

    @property
    def source(self) -> str:
        return self.move.transition.source.value

    @property
    def target(self) -> str:
        return self.move.transition.target.value

    @property
    def past(self) -> str:
        return self.target.capitalize()


KEY_OFFERS = (
    Offer(moves.DISABLE_KEY, KEYS, "Disabling", "Requests with it are refused from now on."),
    Offer(moves.ENABLE_KEY, KEYS, "Enabling", "Requests with it are answered again."),
    Offer(moves.REVOKE_KEY, KEYS, "Revoking", "It is refused for ever, and its text is destroyed."),
)
MERCHANT_OFFERS = (
    Offer(
        moves.DISABLE_MERCHANT,
        MERCHANTS,
        "Disabling",
        "Requests with any of its keys are refused from now on.",
    ),
    Offer(moves.ENABLE_MERCHANT, MERCHANTS, "Enabling", "Requests with its enabled keys are answered again."),
)


class Move(Subcommand, Generic[Row]):
    offer: Offer[Row]
    kind: Kind[Row]

    def __init__(self, offer: Offer[Row]) -> None:
        self.offer, self.kind = offer, offer.kind
        self.name = offer.move.name
        self.help = (
            f"{self.name.capitalize()} the {self.kind.noun}s with these IDs, or all {offer.source} ones "
            "that a filter leaves."
        )

    def add_arguments(self, parser: CommandParser) -> None:
        noun = self.kind.noun
        parser.add_argument(
            "ids",
            type=self.kind.identifier,
            nargs="*",
            metavar="ID",
            help=f"of the {noun}s, where no filter is given",
        )
        self.kind.add_filters(parser)
        add = parser.add_argument
        add(
            "--all",
            action="store_true",
            help=f"every {self.offer.source} {noun}, where no filter is given",
        )
        add_reason(parser)
        add("--dry-run", action="store_true", help="say how many and which, change nothing")
        add("--yes", action="store_true", help="do not ask")
        add("--json", action="store_true", help="print one JSON object a line for each that has changed")

    def run(self, options: Options) -> None:
        filtered = selection.is_filtered(options, self.kind.filters)
        if bool(options["ids"]) + filtered + options["all"] != 1:
            raise usage_error("Give IDs, or a filter, or --all: one of them.")
        if options["ids"]:
            self.move_those(options)
        else:
            self.move_all(options)

    # -- With IDs --------------------------------------------------------------------------------------------------

    def move_those(self, options: Options) -> None:
        """Each of the IDs by itself; what is wrong with one does not hold up the others, and the last such tells."""
        rows = [self.kind.find(self.operator, pk) for pk in dict.fromkeys(options["ids"])]
        if options["dry_run"]:
            self.tell_those(rows)
            return
        failed = None
        for row in rows:
            try:
                self.operator.require(self.offer.move.allowed_by, row)
                self.confirm_one(row, options)
                self.move(row, options["reason"])
            except DomainError as error:
                failed = self.refused(row, error)
                if len(rows) > 1:
                    self.output.note(f"{self.kind.named(row)}: {failed}")
            else:
                self.output.say(f"{self.offer.past} {self.kind.named(row)}. {self.offer.effect}")
                self.show_changed([row.pk], options)
        if failed:
            raise failed

    def tell_those(self, rows: list[Row]) -> None:
        possible = [row for row in rows if self.offer.move.is_possible(row)]
        allowed = [row for row in possible if self.operator.may(self.offer.move.allowed_by, row)]
        self.tell_left_alone(
            Counter(row.status for row in rows if row not in possible), len(possible) - len(allowed)
        )
        self.tell(allowed)

    def confirm_one(self, row: Any, options: Options) -> None:
        if self.offer.move.is_final and not options["yes"] and self.offer.move.is_possible(row):
            question = f"To {self.name} {self.kind.named(row)} for ever, type its name:"
            questions.ask_for(row.name, question, otherwise="--yes")

    def refused(self, row: Row, error: DomainError) -> Exception:
        """A conflict where it is so already, whoever did it; elsewhere a rule."""
        if isinstance(error, IllegalTransition):
            row.refresh_from_db(fields=["status"])
            if row.status != self.offer.target:
                return failure(str(error), Exit.REFUSED)
        return refusal(error)

    # -- With a filter ---------------------------------------------------------------------------------------------

    def move_all(self, options: Options) -> None:
        # What is made from now on was not meant.
        rows = self.kind.filtered(self.operator, self.kind.in_sight(self.operator), options)
        rows = rows.filter(created_at__lte=timezone.now())
        counts = Counter(dict(rows.order_by().values_list("status").annotate(Count("pk"))))
        candidates = self.operator.allowing(self.offer.move.allowed_by, rows.filter(status=self.offer.source))
        possible = counts.pop(self.offer.source, 0)
        total = candidates.count() if self.operator.access else possible
        self.tell_left_alone(counts, possible - total)
        if options["dry_run"]:
            self.tell(selection.in_batches(self.kind.told(candidates), selection.BY_AGE))
            return
        if not possible:
            self.output.say(f"No {self.offer.source} {self.kind.noun} is like that.")
            return
        done, stop = Counter(forbidden=possible - total), Event()
        if total:
            self.confirm_many(total, options)
            self.move_many(candidates, total, done, stop, options)
        self.conclude(done, stopped=stop.is_set())

    def tell_left_alone(self, counts: Counter[str], forbidden: int) -> None:
        """Those that the filter leaves and that are not moved: by their status, and because of who asks."""
        for status, number in sorted(counts.items()):
            self.output.note(f"Left alone: {self.kind.counted(number)} that {_are(number)} {status}.")
        if forbidden:
            self.output.note(
                f"Left alone: {self.kind.counted(forbidden)} that this person may not {self.name}."
            )

    def confirm_many(self, total: int, options: Options) -> None:
        counted = self.kind.counted(total)
        if options["yes"]:
            return
        if self.offer.move.is_final:
            question = f"To {self.name} {counted} for ever, type their number:"
            questions.ask_for(str(total), question, otherwise="--yes")
        else:
            questions.ask_yes(f"{self.name.capitalize()} {counted}?", otherwise="--yes")

    def move_many(
        self, rows: QuerySet[Row], total: int, done: Counter[str], stop: Event, options: Options
    ) -> None:
        with stopped_by_signals(stop), self.output.progress(self.offer.doing, total) as advance:
            ids_alone = rows.only(*selection.BY_AGE.columns)
            for batch in selection.batches(ids_alone, selection.BY_AGE, size=AT_ONCE):
                if stop.is_set():
                    break
                began = time.monotonic()
                self.move_batch(batch, done, options)
                advance(len(batch))
                if connection.vendor == "sqlite":
                    # It has one lock, for which others look now and then: they have to find it free.
                    stop.wait((time.monotonic() - began) * PAUSE)

    def move_batch(self, rows: list[Row], done: Counter[str], options: Options) -> None:
        """All that can be moved at once; each of the others by itself, which says why not."""
        moved = self.offer.move.take_many(rows, actor=self.operator.actor, reason=options["reason"])
        done["moved"] += len(moved)
        self.show_changed([row.pk for row in rows if row.pk in moved], options)
        for row in rows:
            if row.pk not in moved:
                shown = done["refused"] < REFUSALS_SHOWN
                done[self.move_one_of_many(row, options, shown=shown)] += 1

    def move_one_of_many(self, row: Row, options: Options, *, shown: bool) -> str:
        """`moved`, `refused`, or `settled` where somebody else did it in between."""
        try:
            self.move(row, options["reason"])
        except DomainError as error:
            row.refresh_from_db(fields=["status"])
            if isinstance(error, IllegalTransition) and row.status == self.offer.target:
                return "settled"
            if shown:
                self.output.note(f"{self.kind.named(row)}: {error}")
            return "refused"
        self.show_changed([row.pk], options)
        return "moved"

    def conclude(self, done: Counter[str], *, stopped: bool) -> None:
        self.output.say(f"{self.offer.past} {self.kind.counted(done['moved'])}.")
        if stopped:
            raise failure("Stopped. The same command goes on from here.", Exit.INTERRUPTED)
        if done["forbidden"]:
            raise failure(f"Not allowed for {self.kind.counted(done['forbidden'])}.", Exit.FORBIDDEN)
        if done["refused"]:
            raise failure(f"{self.kind.counted(done['refused'])} refused it.", Exit.CONFLICT)

    # -- Both ------------------------------------------------------------------------------------------------------

    def move(self, row: Row, reason: str) -> None:
        self.offer.move.take(row, actor=self.operator.actor, reason=reason)

    def show_changed(self, ids: list[UUID], options: Options) -> None:
        if options["json"]:
            rows = self.kind.told(self.kind.in_sight(self.operator)).in_bulk(ids)
            self.output.rows([rows[pk] for pk in ids], self.kind.fields)

    def tell(self, rows: Iterable[Row]) -> None:
        """What --dry-run says: which, and how many."""
        fields = [field for field in self.kind.fields if field.importance]
        number = self.output.rows(rows, fields if not self.output.is_json else self.kind.fields)
        self.output.note(f"Would {self.name} {self.kind.counted(number)}. Nothing was changed.")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
