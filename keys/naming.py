"""Names as people type them: what is accepted, and how they are folded to be sorted and compared."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from keys.errors import InvalidField
from keys.keyformat import holds_key

# A column of folded text is this many times as long as that of the text itself.
FOLDED_FACTOR = 2

# They have no width of their own, but Persian, Indic scripts and emoji are written with them.
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# The flags of England, Scotland and others: a black flag and the region in invisible letters.
_REGION_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
# Letters and symbols by category, yet nothing is seen of them.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0\ufffc")
# Never assigned, by the Unicode standard: the last of them ends every range of words.
_NONCHARACTERS = frozenset(
    [
        *map(chr, range(0xFDD0, 0xFDF0)),
        *(chr(plane | end) for plane in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF)),
    ]
)
_UNSEEN = _BLANKS | _NONCHARACTERS
# Controls, surrogates, private use, line and paragraph ends, and all that changes how the text around it is
# shown: a name with such characters can pose as another.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

# Where marks are accents or optional vowels. Elsewhere, in Hindi or Thai or Japanese, they make another word.
_ACCENT_BLOCKS = (("\u0300", "\u08ff"), ("\u1ab0", "\u1aff"), ("\u1dc0", "\u1dff"), ("\u20d0", "\u20ff"))
# Letters that carry their accent inside.
_PLAIN_LETTERS = {
    "æ": "ae", "œ": "oe", "þ": "th",
    "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "ł": "l", "ŧ": "t",
}  # fmt: skip


def clean_line(text: str, *, field: str, label: str, maximum: int, required: bool = True) -> str:
    """One line of text in NFC with single spaces; raises InvalidField. Any script and emoji are welcome."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    if required and not any(_is_seen(character) for character in line):
        raise InvalidField(field, f"Enter a {label.lower()}.")
    _check(line, field=field, label=label, maximum=maximum)
    if len(fold(line)) > FOLDED_FACTOR * maximum:
        raise InvalidField(field, f"{label} is too long once its ligatures are written out.", "Shorten it.")
    return line


def clean_text(text: str, *, field: str, label: str, maximum: int) -> str:
    """Several lines of text in NFC, blank space at the ends removed; raises InvalidField."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    lines = lines.replace("\t", " ").strip()
    _check(lines, field=field, label=label, maximum=maximum)
    return lines


def fold(text: str) -> str:
    """`text` without case, width and accents, words separated by single spaces: for sorting and comparing.

    Unicode NFKD without accents, then full case folding, composed again; punctuation counts as space. Where
    that leaves nothing, the punctuation itself is the word.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return _words(map(_fold_character, decomposed)) or _words(filter(_is_seen, text))


def printable(text: str, maximum: int) -> str:
    """`text` cut to a length, as a database can hold it and a page show it: the unprintable is escaped."""
    text = text[:maximum]
    if text.isprintable():
        return text
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escaped[:maximum]


def _words(pieces: Iterable[str]) -> str:
    return " ".join(unicodedata.normalize("NFC", "".join(pieces)).split())


@lru_cache(maxsize=10_000)
def _fold_character(character: str) -> str:
    category = unicodedata.category(character)
    if _JOINERS.match(character) or _is_accent(character):
        return ""
    if character in _NONCHARACTERS:
        return " "
    if category[0] in "LNSM" or category == "Cn" or "\U000e0020" <= character <= "\U000e007f":
        return _PLAIN_LETTERS.get(character, character)
    return " "


def _is_accent(character: str) -> bool:
    return unicodedata.combining(character) != 0 and any(
        first <= character <= last for first, last in _ACCENT_BLOCKS
    )


def _is_seen(character: str) -> bool:
    """Whether it leaves a mark on the page, as letters newer than this Python's Unicode are taken to do."""
    category = unicodedata.category(character)
    return (category[0] in "LNSP" or category == "Cn") and character not in _UNSEEN


def _check(text: str, *, field: str, label: str, maximum: int) -> None:
    if len(text) > maximum:
        raise InvalidField(
            field, f"{label} is {len(text):,} characters long; {maximum} is the most.", "Shorten it."
        )
    if holds_key(text):
        raise InvalidField(
            field, f"{label} contains an API key.", "Take it out: this text is neither encrypted nor masked."
        )
    for character in _REGION_FLAG.sub("", _JOINERS.sub("", text)):
        if character in _UNSEEN or (character != "\n" and unicodedata.category(character) in _FORBIDDEN):
            raise InvalidField(
                field,
                f"{label} contains an invisible character (U+{ord(character):04X}).",
                "Remove it: retype the text rather than pasting it.",
            )
