"""Names as people type them: what is accepted, and how they are folded for sorting, comparing and searching."""

import unicodedata

from keys.errors import InvalidField

# Characters that change how the text around them is shown: a name with them can pose as another.
_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_JOINERS = frozenset("\u200c\u200d")


def _is_forbidden(character: str) -> bool:
    if character in _JOINERS:
        return False
    return character in _DIRECTION_MARKS or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def clean_line(text: str, *, field: str, label: str, maximum: int, required: bool = True) -> str:
    """One line of text in NFC with single spaces; raises InvalidField. Any script and emoji are welcome."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    if required and not any(unicodedata.category(character)[0] in "LNSP" for character in line):
        raise InvalidField(field, f"Enter a {label.lower()}.")
    return _checked(line, field=field, label=label, maximum=maximum)


def clean_text(text: str, *, field: str, label: str, maximum: int) -> str:
    """Several lines of text in NFC, blank space at the ends removed; raises InvalidField."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
    return _checked(lines, field=field, label=label, maximum=maximum)


def _checked(text: str, *, field: str, label: str, maximum: int) -> str:
    if len(text) > maximum:
        raise InvalidField(field, f"{label} is {len(text):,} characters long; {maximum} is the most.", "Shorten it.")
    for character in text:
        if character != "\n" and _is_forbidden(character):
            raise InvalidField(
                field,
                f"{label} contains an invisible character (U+{ord(character):04X}).",
                "Remove it: retype the text rather than pasting it.",
            )
    return text


def fold(text: str) -> str:
    """`text` without case and accents, words separated by single spaces: how names are sorted and compared.

    Unicode NFKD without combining marks, then full case folding; punctuation counts as space.
    """
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = (
        character if unicodedata.category(character)[0] in "LNS" else " "
        for character in unicodedata.normalize("NFKD", decomposed)
        if not unicodedata.combining(character)
    )
    return " ".join("".join(kept).split())
