"""A command made of subcommands: `manage.py apikeys disable …`.

What goes wrong becomes one line and an exit code. Nothing that goes wrong unforeseen shows data: a traceback comes
only with --traceback, and whatever looks like an API key is masked even then.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from keys.errors import DomainError
from keys.keyformat import scrub
from keys.management.terminal import operators
from keys.management.terminal.arguments import CarefulParser, complain
from keys.management.terminal.exits import Exit, failure, refusal, usage_error
from keys.management.terminal.operators import Operator
from keys.management.terminal.output import Output
from keys.management.terminal.selection import Options


class Subcommand:
    """One of them: what it takes, and what it does. `operator` and `output` are there when it runs."""

    name: str
    help: str
    operator: Operator
    output: Output

    def add_arguments(self, parser: CommandParser) -> None:
        raise NotImplementedError

    def run(self, options: Options) -> None:
        raise NotImplementedError


class Family(BaseCommand):
    """Declares its subcommands; each takes --actor."""

    subcommands: ClassVar[Sequence[Subcommand]]

    def create_parser(self, prog_name: str, subcommand: str, **extra: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **extra)
        parser.error = partial(complain, parser)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(
            dest="subcommand",
            metavar="SUBCOMMAND",
            required=True,
            title="subcommands",
            help="with --help, each tells what it takes",
            parser_class=CarefulParser,
        )
        for subcommand in self.subcommands:
            own = parsers.add_parser(
                subcommand.name, help=subcommand.help, description=subcommand.help, allow_abbrev=False
            )
            subcommand.add_arguments(own)
            operators.add_actor(own)

    def execute(self, *args: Any, **options: Any) -> None:
        with foreseen(show_traceback=bool(options.get("traceback"))):
            super().execute(*args, **options)
            self.stdout.flush()

    def handle(self, **options: Any) -> None:
        [subcommand] = [each for each in self.subcommands if each.name == options["subcommand"]]
        command = f"{type(self).__module__.rpartition('.')[2]} {subcommand.name}"
        subcommand.operator = Operator.named(options["actor"], command=command)
        subcommand.output = Output(
            self.stdout, as_json=options.get("json", False), no_color=options["no_color"]
        )
        subcommand.run(options)


@contextmanager
def foreseen(*, show_traceback: bool) -> Iterator[None]:
    """Turn whatever goes wrong within into one line with its exit code."""
    try:
        yield
    except (CommandError, SystemExit, KeyboardInterrupt):
        raise
    except DomainError as error:
        raise refusal(error) from error
    except BrokenPipeError:
        _let_go_of_the_output()
        sys.exit(Exit.PIPE_CLOSED)
    except Error as error:
        raise failure(f"The database cannot be used: {_first_line(error)}", Exit.UNAVAILABLE) from error
    except OSError as error:
        _let_go_of_the_output()
        raise failure(f"The output cannot be written: {error.strerror}.", Exit.UNAVAILABLE) from error
    except UnicodeError as error:
        raise usage_error("That is not text in UTF-8.") from error
    except Exception as error:
        if show_traceback:
            raise
        message = f"Unexpected: {type(error).__name__}. --traceback, before the subcommand, shows where."
        raise failure(message, Exit.UNAVAILABLE) from error


def _first_line(error: Exception) -> str:
    """Of what a database says, the first line has no data; the others show the row."""
    return scrub(str(error).strip().partition("\n")[0])


def _let_go_of_the_output() -> None:
    """Nobody reads it: what is still in its buffer must not fail a second time, at the end of the process."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
