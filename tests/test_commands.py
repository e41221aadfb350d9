"""Every command, of make and of manage.py, says what it does, there and in docs/commands.md."""

import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "commands.md").read_text()
COMMANDS = sorted(name for name, application in get_commands().items() if application == "keys")
PHONY = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()


def test_every_command_of_the_product_is_described():
    assert "serve" in COMMANDS
    assert sorted(re.findall(r"^### (\w+)$", DOCUMENT, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself(name):
    command = load_command_class("keys", name)
    assert command.help
    parser = command.create_parser("manage.py", name)
    assert all(action.help for action in parser._actions)


def test_every_target_of_make_is_described():
    described = re.findall(r"^\| `make ([a-z-]+)` \|", DOCUMENT, re.MULTILINE)
    assert sorted(described) == sorted(PHONY)


def test_make_lists_its_targets():
    listed = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    for target in PHONY:
        assert re.search(rf"^  {target} +\S", listed, re.MULTILINE)


def test_make_alone_lists_them_too():
    commands = (["make", "-C", ROOT], ["make", "-C", ROOT, "help"])
    alone, asked = (subprocess.run(each, capture_output=True, text=True, check=True) for each in commands)
    assert alone.stdout == asked.stdout
