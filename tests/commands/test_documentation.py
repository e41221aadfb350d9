"""docs/commands.md and the commands say the same: every command, subcommand, option, field and exit code."""

import re
from argparse import ArgumentParser, _SubParsersAction

import pytest
from django.core.management import BaseCommand, get_commands, load_command_class

from keys.management.terminal.exits import Exit
from keys.management.terminal.kinds import KEYS, MERCHANTS
from tests.commands.document import BY_TITLE, TEXT

COMMANDS = sorted(name for name, application in get_commands().items() if application == "keys")
DJANGOS_OWN = set(BaseCommand().create_parser("manage.py", "x")._option_string_actions)


def parsers() -> dict[str, ArgumentParser]:
    """The parser of each command by its section's title; of those with subcommands, the parser of each of these."""
    found = {}
    for name in COMMANDS:
        parser = load_command_class("keys", name).create_parser("manage.py", name)
        groups = [action for action in parser._actions if isinstance(action, _SubParsersAction)]
        found |= {f"{name} {sub}": own for group in groups for sub, own in group.choices.items()}
        if not groups:
            found[name] = parser
    return found


PARSERS = parsers()


def test_there_is_a_section_for_each_command() -> None:
    assert set(COMMANDS) <= set(BY_TITLE)
    with_subcommands = {name for name in BY_TITLE if name.split()[0] in {"merchants", "apikeys"}}
    assert with_subcommands - {"merchants", "apikeys"} == {name for name in PARSERS if " " in name}


@pytest.mark.parametrize("title", PARSERS)
def test_every_option_is_documented_and_exists(title: str) -> None:
    known = [
        action.option_strings[-1]
        for action in PARSERS[title]._actions
        if action.option_strings and not DJANGOS_OWN & set(action.option_strings)
    ]
    assert sorted(BY_TITLE[title].options) == sorted(known)


@pytest.mark.parametrize("title", PARSERS)
def test_every_option_explains_itself(title: str) -> None:
    assert all(action.help for action in PARSERS[title]._actions)


@pytest.mark.parametrize("title", PARSERS)
def test_every_command_has_an_example_that_calls_it(title: str) -> None:
    assert any(f"./manage.py {title}" in example for example in BY_TITLE[title].examples)


@pytest.mark.parametrize("kind", [MERCHANTS, KEYS])
def test_every_field_is_documented_in_its_order(kind) -> None:
    section = BY_TITLE[f"Fields of {kind.noun}s"]
    assert section.rows()[1:] == [(field.name, field.meaning) for field in kind.all_fields]


def test_every_exit_code_is_documented() -> None:
    section = BY_TITLE["Exit codes"]
    assert section.rows() == [(str(status.value), status.meaning) for status in Exit]


def test_links_lead_somewhere() -> None:
    for anchor in re.findall(r"\]\(#([a-z_-]+)\)", TEXT):
        assert re.search(rf"^#+ {anchor.replace('-', '.')}$", TEXT, re.MULTILINE | re.IGNORECASE), anchor
