"""Identifiers: what the database has and what people see are the same, and nothing else passes for either."""

import string
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typeid import TypeID

from keys.identifiers import (
    API_KEY,
    HISTORY,
    MERCHANT,
    REQUEST,
    InvalidIdentifier,
    decode,
    encode,
    first_id_at,
    new_id,
)

PREFIXES = (MERCHANT, API_KEY, HISTORY, REQUEST)
EXAMPLE = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(9999, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def milliseconds(value: UUID) -> int:
    return value.int >> 80


@given(st.sampled_from(PREFIXES), st.uuids(allow_nil=True))
def test_an_identifier_is_the_uuid_and_the_uuid_the_identifier(prefix, value):
    text = encode(prefix, value)
    assert decode(prefix, text) == value
    assert text == str(TypeID.from_string(text))
    assert len(text) == 30


def test_it_is_the_example_of_the_typeid_specification():
    assert encode("prefix", EXAMPLE) == "prefix_01h455vb4pex5vsknk084sn02q"


@given(st.tuples(st.uuids(), st.uuids()))
def test_identifiers_sort_as_their_uuids(pair):
    one, other = pair
    assert (one < other) == (encode(API_KEY, one) < encode(API_KEY, other))


GOOD = encode(API_KEY, EXAMPLE)
FORGED = {
    "empty": "",
    "prefix alone": "key_",
    "suffix alone": GOOD[4:],
    "another type": encode(MERCHANT, EXAMPLE),
    "no such type": encode("foo", EXAMPLE),
    "upper case": GOOD.upper(),
    "upper-case suffix": "key_" + GOOD[4:].upper(),
    "upper-case prefix": "KEY_" + GOOD[4:],
    "one character short": GOOD[:-1],
    "one character long": GOOD + "0",
    "more than 128 bits": "key_8" + GOOD[5:],
    "a letter outside the alphabet": GOOD[:-1] + "u",
    "the letter l": GOOD[:-1] + "l",
    "a hyphen for the underscore": GOOD.replace("_", "-"),
    "two underscores": GOOD.replace("_", "__"),
    "spaces around": f" {GOOD} ",
    "a line after": GOOD + "\n",
    "a nul after": GOOD + "\x00",
    "digits of another script": GOOD[:-1] + "\u0663",
    "full-width": "key_" + "\uff10" * 26,
    "a uuid": str(EXAMPLE),
    "a uuid with prefix": f"key_{EXAMPLE.hex}",
    "sql": "key_' OR 1=1 --",
    "a lone surrogate": "key_" + "\ud800" * 26,
    "very long": "key_" + "0" * 1_000_000,
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_anything_else_is_refused_in_a_short_message(text):
    with pytest.raises(InvalidIdentifier) as refused:
        decode(API_KEY, text)
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


@given(st.text(string.ascii_lowercase + string.digits + "_", max_size=40))
def test_what_decodes_is_exactly_what_was_encoded(text):
    try:
        value = decode(API_KEY, text)
    except InvalidIdentifier:
        return
    assert encode(API_KEY, value) == text


def test_each_identifier_is_new_and_later_than_the_last():
    made = [new_id() for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {value.version for value in made} == {7}
    assert abs(milliseconds(made[-1]) / 1000 - datetime.now(UTC).timestamp()) < 60


@given(MOMENTS)
def test_the_identifier_of_a_moment_carries_its_millisecond(at):
    value = new_id(at)
    assert value.version == 7
    assert milliseconds(value) == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert first_id_at(at) <= value < first_id_at(at + timedelta(milliseconds=1))


@given(MOMENTS, st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=400)))
def test_a_range_of_time_is_a_range_of_identifiers(at, later):
    before = at - later
    if before.year < 1970:
        return
    assert new_id(before) < first_id_at(at) <= new_id(at)


def test_the_smallest_identifier_of_a_moment_is_a_uuidv7_itself():
    value = first_id_at(datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC))
    assert (value.version, value.variant) == (7, EXAMPLE.variant)
    assert milliseconds(value) == 1767323045678


def test_a_moment_needs_its_time_zone():
    for make in (new_id, first_id_at):
        with pytest.raises(TypeError):
            make(datetime(2026, 1, 2))  # noqa: DTZ001 - naive on purpose
