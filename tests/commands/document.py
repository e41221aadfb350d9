"""docs/commands.md as the tests read it: sections, the options that their tables name, and the examples."""

import re
from dataclasses import dataclass
from pathlib import Path

TEXT = (Path(__file__).parent.parent.parent / "docs" / "commands.md").read_text()
_HEADING = re.compile(r"^#{3,4} (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, up to the next."""

    title: str
    text: str

    @property
    def examples(self) -> list[str]:
        return re.findall(r"^```sh\n(.+?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def options(self) -> list[str]:
        """Those of its own table, and those of the sections that its last line leads to."""
        own = re.findall(r"^\| `(--[a-z-]+)`", self.text, re.MULTILINE)
        also = re.search(r"^Also: (.+)$", self.text, re.MULTILINE)
        anchors = re.findall(r"\]\(#([a-z-]+)\)", also[1]) if also else []
        return own + [option for anchor in anchors for option in BY_ANCHOR[anchor].options]

    def rows(self) -> list[tuple[str, str]]:
        """A table of two columns, without its head."""
        return re.findall(r"^\| `?([a-z0-9_]+)`? \| (.+) \|$", self.text, re.MULTILINE)


def _sections() -> list[Section]:
    _, *parts = _HEADING.split(TEXT.partition("## manage.py")[2])
    return [Section(title, text) for title, text in zip(parts[::2], parts[1::2], strict=True)]


SECTIONS = _sections()
BY_TITLE = {section.title: section for section in SECTIONS}
BY_ANCHOR = {section.title.lower().replace(" ", "-"): section for section in SECTIONS}
