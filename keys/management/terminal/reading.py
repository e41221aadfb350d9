"""The subcommands that only read: `list` and `show`, of merchant accounts and of API keys."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from itertools import islice
from typing import Generic

from django.core.management.base import CommandParser

from keys.management.terminal import arguments, selection
from keys.management.terminal.family import Subcommand
from keys.management.terminal.kinds import Kind, Row
from keys.management.terminal.records import Field, chosen
from keys.management.terminal.selection import Options


class List(Subcommand, Generic[Row]):
    name = "list"
    kind: Kind[Row]

    def __init__(self, kind: Kind[Row]) -> None:
        self.kind = kind
        self.help = f"List {kind.noun}s, all of them or those that a filter leaves."

    def add_arguments(self, parser: CommandParser) -> None:
        self.kind.add_filters(parser)
        parser.add_argument("--limit", type=arguments.positive, metavar="N", help="no more than so many")
        add_format(parser, self.kind.fields)

    def run(self, options: Options) -> None:
        rows = self.kind.filtered(self.operator, self.kind.told(self.kind.in_sight(self.operator)), options)
        found = islice(selection.in_batches(rows, self.kind.ordering(options)), options["limit"])
        names = options["fields"]
        fields = chosen(self.kind.fields, names) if names else list(self.kind.fields)
        if not names and self.output.is_table:
            fields = [field for field in fields if field.importance]
        if not self.output.rows(found, fields):
            self.output.note(f"No {self.kind.noun} is like that.")


class Show(Subcommand, Generic[Row]):
    name = "show"
    kind: Kind[Row]

    def __init__(self, kind: Kind[Row]) -> None:
        self.kind = kind
        self.help = f"Show all that is known of one {kind.noun}, but for secrets."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=self.kind.identifier, metavar="ID", help=f"of the {self.kind.noun}")
        add_format(parser, self.kind.all_fields)

    def run(self, options: Options) -> None:
        row = self.kind.find(self.operator, options["id"])
        self.output.record(row, self.kind.all_fields, only=options["fields"])


def add_format(parser: CommandParser, fields: "tuple[Field[Row], ...]") -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--fields",
        type=_names_of(fields),
        metavar="NAMES",
        help="these fields alone, separated by commas, and in this order",
    )


def _names_of(fields: "tuple[Field[Row], ...]") -> Callable[[str], list[str]]:
    known = [field.name for field in fields]

    def names(text: str) -> list[str]:
        wanted = text.split(",")
        if not set(wanted) <= set(known) or len(set(wanted)) < len(wanted):
            raise ArgumentTypeError(f"choose from {', '.join(known)}, each once")
        return wanted

    return names
