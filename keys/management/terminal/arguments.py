"""Arguments that several subcommands take. What was typed is never repeated: it may be an API key itself."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import NoReturn
from uuid import UUID

from django.core.management.base import CommandParser

from keys.identifiers import API_KEY, MERCHANT, InvalidIdentifier, decode
from keys.keyformat import SCRUB_PATTERN, scrub
from keys.management.terminal.exits import usage_error

KINDS = {API_KEY: "an API key", MERCHANT: "a merchant account"}


class CarefulParser(CommandParser):
    """A parser whose complaints name the subcommand, and mask whatever looks like an API key."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        complain(self, message)


def complain(parser: CommandParser, message: str) -> NoReturn:
    """End with a usage error, as argparse words it."""
    if parser.called_from_command_line:
        ArgumentParser.error(parser, scrub(message))
    raise usage_error(scrub(message))


def key_id(text: str) -> UUID:
    return _identifier(API_KEY, text)


def merchant_id(text: str) -> UUID:
    return _identifier(MERCHANT, text)


def _identifier(prefix: str, text: str) -> UUID:
    try:
        return decode(prefix, text)
    except InvalidIdentifier as error:
        raise ArgumentTypeError(_what_is_wrong(prefix, text)) from error


def _what_is_wrong(prefix: str, text: str) -> str:
    kind = KINDS[prefix]
    if SCRUB_PATTERN.search(text):
        return (
            "that looks like an API key itself, which your shell may have remembered: give its ID (key_…), which "
            "`apikeys list --search` finds by the first characters of the key"
        )
    for other, name in KINDS.items():
        if other != prefix and text.startswith(f"{other}_"):
            return f"that is the ID of {name}; give that of {kind} ({prefix}_…)"
    if text.startswith(f"{prefix}_"):
        return f"that is not a whole ID: {prefix}_ and 26 characters, as the page of {kind} shows it"
    return f"give the ID of {kind} ({prefix}_…), as its page shows it"


def add_reason(parser: CommandParser) -> None:
    parser.add_argument("--reason", default="", help="why: it stands in the history")


def add_revision(parser: CommandParser) -> None:
    parser.add_argument(
        "--revision",
        type=positive,
        metavar="N",
        help="only where nobody has saved since this revision was read",
    )


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < len(text) <= 9 or int(text) == 0:
        raise ArgumentTypeError("write a number above 0")
    return int(text)
