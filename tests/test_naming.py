"""Names: any script and emoji are accepted, nothing that hides or poses, and folding loses none."""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import InvalidField
from keys.naming import FOLDED_FACTOR, clean_line, clean_text, fold, printable

MAXIMUM = 80


def clean(text: str, **given) -> str:
    return clean_line(text, **{"field": "name", "label": "Key name", "maximum": MAXIMUM} | given)


def clean_lines(text: str) -> str:
    return clean_text(text, field="description", label="Description", maximum=500)


WELCOME = {
    "plain": "Checkout",
    "accents": "Café Müller",
    "punctuation": "Store #1 (EU) – “main”",
    "arabic": "متجر الكتب",
    "hebrew": "חנות",
    "persian with a non-joiner": "می\u200cخواهم",
    "hindi": "हिन्दी दुकान",
    "japanese": "株式会社ガス",
    "emoji": "🚀",
    "emoji with skin tone": "👍🏽",
    "emoji family": "👩‍👩‍👧‍👦",
    "emoji heart": "❤️",
    "flag": "🇳🇴",
    "flag of a region": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "one dash": "—",
    "markup": "<script>alert(1)</script>",
    "sql": "'; DROP TABLE keys_apikey; --",
    "newer than this Python": "\U0001fae8",
}


@pytest.mark.parametrize("name", WELCOME.values(), ids=WELCOME)
def test_any_script_and_emoji_are_welcome(name):
    assert clean(name) == name


INVISIBLE = {
    "nul": "\x00",
    "bell": "\x07",
    "escape": "\x1b",
    "delete": "\x7f",
    "right-to-left override": "\u202e",
    "left-to-right embedding": "\u202a",
    "isolate": "\u2066",
    "right-to-left mark": "\u200f",
    "arabic letter mark": "\u061c",
    "zero-width space": "\u200b",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "lone surrogate": "\ud800",
    "private use": "\ue000",
    "hangul filler": "\u3164",
    "blank braille": "\u2800",
    "object replacement": "\ufffc",
    "grapheme joiner": "\u034f",
    "noncharacter": "\U0010ffff",
    "another noncharacter": "\ufdd0",
    "letters of a flag without the flag": "\U000e0061",
}


@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
def test_a_character_that_hides_or_turns_text_is_refused_by_its_number(character):
    for text, refuse in ((f"a{character}b", clean), (f"a\n{character}b", clean_lines)):
        with pytest.raises(InvalidField) as refused:
            refuse(text)
        assert f"U+{ord(character):04X}" in refused.value.message
        assert refused.value.advice
        # The message goes into a page and into logs.
        assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "name",
    ["", " ", "\n\t", "\u00a0", "\u3000", "\u200d", "\ufe0f", "\u0301", "\x00", "\u3164", "\u2800 \u3164"],
)
def test_a_name_of_which_nothing_is_seen_is_refused(name):
    with pytest.raises(InvalidField, match=r"Enter a key name\.") as refused:
        clean(name)
    assert refused.value.field == "name"


def test_an_optional_line_may_be_empty():
    assert clean("  ", required=False) == ""


def test_a_line_is_composed_and_its_spaces_are_single():
    assert clean("  Cafe\u0301 \u00a0\n bar\u3000") == "Caf\u00e9 bar"


def test_the_length_is_counted_in_characters_as_they_are_kept():
    assert clean(" " + "é" * MAXIMUM + " ") == "é" * MAXIMUM
    assert len(clean("e\u0301" * MAXIMUM)) == MAXIMUM
    with pytest.raises(InvalidField) as refused:
        clean("é" * (MAXIMUM + 1_000))
    assert refused.value.message == "Key name is 1,080 characters long; 80 is the most."
    assert refused.value.advice == "Shorten it."


def test_a_name_that_grows_too_long_when_folded_is_refused():
    assert clean("ﷺ" * 8)
    with pytest.raises(InvalidField, match="ligatures"):
        clean("ﷺ" * 9)


def test_a_text_keeps_its_lines_and_loses_tabs_and_outer_space():
    assert clean_lines("  one\r\n\ttwo\rthree\n\n") == "one\n two\nthree"
    with pytest.raises(InvalidField, match="501 characters long; 500 is the most"):
        clean_lines("x" * 501)


SAME = [
    ("Checkout", "CHECKOUT"),
    ("Café", "CAFE\u0301"),
    ("Straße", "STRASSE"),
    ("Łódź", "Lodz"),
    ("Smørrebrød & Ærø", "smorrebrod aero"),
    ("ＡＢＣ　１２３", "abc 123"),
    ("ﬁnance", "finance"),
    ("İstanbul", "istanbul"),
    ("Diyarbakır", "DIYARBAKIR"),
    ("Ελλάδα", "ΕΛΛΑΔΑ"),
    ("ΟΔΟΣ", "οδος"),
    ("Ёлка", "елка"),
    ("e-commerce: shop", "E Commerce Shop!"),
    ("pay\u200dments", "payments"),
    ("مُحَمَّد", "محمد"),
    ("שָׁלוֹם", "שלום"),
    ("❤️", "❤"),
    ("ㄱ", "ᄀ"),
    ("ガス", "ｶﾞｽ"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_width_accents_and_punctuation_make_no_difference(one, other):
    assert fold(one) == fold(other)


DIFFERENT = [
    ("🚀", "🔥"),
    ("—", "…"),
    ("!", "!!"),
    ("¨", "´"),
    ("👍🏽", "👍🏿"),
    ("🇳🇴", "🇸🇪"),
    ("काम", "कम"),
    ("हिन्दी", "हन्दी"),
    ("ガス", "カス"),
    ("ปลา", "ปลี"),
    ("한", "하"),
    ("1.5", "15"),
    ("10 €", "10 £"),
    ("C++", "C"),
    ("\U0001fae8", "\U0001fae9"),
    ("Till \U0001fae8", "Till \U0001fae9"),
    (
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    ),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_a_reader_tells_apart_stays_apart(one, other):
    assert fold(one) != fold(other)


def test_words_are_kept_whole_and_set_apart_by_single_spaces():
    assert fold("  Acme, Inc.  (Paris) ") == "acme inc paris"
    assert fold("हिन्दी दुकान").split() == ["हिन्दी", "दुकान"]
    assert fold("northwind.example/shop") == "northwind example shop"
    assert fold("") == fold("\x00 \ud800\u202e") == ""


@given(st.text(max_size=MAXIMUM))
def test_folding_twice_changes_nothing_and_leaves_single_words(text):
    folded = fold(text)
    assert fold(folded) == folded
    assert folded == " ".join(folded.split())
    assert unicodedata.is_normalized("NFC", folded)
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in folded}


@given(st.text(max_size=2 * MAXIMUM))
def test_an_accepted_name_fits_its_columns_and_never_folds_to_nothing(text):
    try:
        name = clean(text)
    except InvalidField:
        return
    assert 0 < len(name) <= MAXIMUM
    assert 0 < len(fold(name)) <= FOLDED_FACTOR * MAXIMUM
    assert clean(name) == name


@given(st.text(st.characters(exclude_categories=()), max_size=40), st.integers(1, 40))
def test_the_printable_form_can_be_stored_and_shown(text, maximum):
    shown = printable(text, maximum)
    assert shown.isprintable()
    assert len(shown) <= maximum
    shown.encode()


def test_the_printable_form_says_what_was_there():
    assert printable("/a\nb\x00\ud800é", 80) == "/a\\nb\\x00\\ud800é"
