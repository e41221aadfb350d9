"""The format of an API key: genuine ones are accepted, near misses refused, and none ever shows itself."""

import copy
import json
import logging
import pickle
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import keyformat
from keys.keyformat import ALPHABET, MalformedKey, Mode, PlaintextKey, ScrubFilter, checksum, mask, scrub

DOCS = Path(__file__).parent.parent / "docs" / "key-format.md"
EXAMPLE = "sk_test_00000000000000000000000000000000127lYz"

payloads = st.builds(
    "sk_{}_{}".format, st.sampled_from(Mode.values), st.text(ALPHABET, min_size=32, max_size=32)
)
genuine = payloads.map(lambda payload: payload + checksum(payload))


def crc32(octets: bytes) -> int:
    """CRC-32 bit by bit, as ISO 3309 defines it."""
    register = 0xFFFFFFFF
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@given(payloads)
def test_the_checksum_is_crc_32_in_six_digits_of_base_62(payload: str) -> None:
    number = sum(ALPHABET.index(digit) * 62**place for place, digit in enumerate(reversed(checksum(payload))))
    assert number == crc32(payload.encode())
    assert len(checksum(payload)) == 6


@given(st.sampled_from(Mode))
def test_a_generated_key_is_a_key_of_its_mode(mode: Mode) -> None:
    secret = PlaintextKey.generate(mode)
    again = PlaintextKey(secret.reveal())
    assert again == secret
    assert again.mode is mode
    assert secret.reveal().startswith(f"sk_{mode.value}_")
    assert re.fullmatch(keyformat.PATTERN, secret.reveal())


def test_generated_keys_differ_in_every_place() -> None:
    texts = [PlaintextKey.generate(Mode.LIVE).reveal() for _ in range(300)]
    assert len(set(texts)) == 300
    for place in range(len("sk_live_"), len(texts[0]) - keyformat.CHECKSUM_LENGTH):
        assert len({text[place] for text in texts}) > 40


@given(genuine, st.data())
def test_any_single_wrong_character_is_refused(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw((st.sampled_from(ALPHABET) | st.characters()).filter(lambda c: c != text[place]))
    with pytest.raises(MalformedKey):
        PlaintextKey(text[:place] + wrong + text[place + 1 :])


@given(genuine, st.integers(0, 44))
def test_two_neighbours_exchanged_are_refused(text: str, place: int) -> None:
    exchanged = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if exchanged == text:
        assert PlaintextKey(exchanged).reveal() == text
    else:
        with pytest.raises(MalformedKey):
            PlaintextKey(exchanged)


def test_no_key_at_all_survives_an_exchange_across_the_border_of_its_checksum() -> None:
    """Chance alone would hardly ever find such a key, so it is shown for all of them.

    Let the payload end with c and the checksum begin with d. Changing c to d changes the CRC by XOR with a
    constant K, the exchange changes the number by the difference D, and x ^ K - x is the sum of the bits of
    K, each added or taken away. So it can be D only if (D + K) / 2 has no bit that K lacks.
    """
    for c in ALPHABET:
        for d in set(ALPHABET) - {c}:
            constant = crc32(c.encode()) ^ crc32(d.encode())
            added, odd = divmod((ALPHABET.index(c) - ALPHABET.index(d)) * 62**5 + constant, 2)
            assert odd or added < 0 or added & ~constant


@given(genuine, st.text(max_size=3), st.text(max_size=3))
def test_a_key_with_anything_around_it_is_refused(text: str, before: str, after: str) -> None:
    if before or after:
        with pytest.raises(MalformedKey):
            PlaintextKey(before + text + after)


@given(st.text() | st.from_regex(keyformat.PATTERN))
def test_text_that_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    if not (keyformat.PATTERN.fullmatch(text) and checksum(text[:-6]) == text[-6:]):
        with pytest.raises(MalformedKey, match=r"\Anot an API key\Z"):
            PlaintextKey(text)


def test_the_documented_pattern_and_examples_are_those_of_the_code() -> None:
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", DOCS.read_text(), flags=re.DOTALL))
    assert blocks["regex"].strip() == keyformat.PATTERN.pattern
    scanner: dict = {}
    exec(blocks["python"], scanner)
    examples = blocks["text"].split()
    assert EXAMPLE in examples
    for example in examples:
        assert PlaintextKey(example).reveal() == example
        assert scanner["is_api_key"](example)
        assert not scanner["is_api_key"](example[:-1] + "0")


def test_the_mask_shows_the_mode_and_four_characters_at_each_end() -> None:
    secret = PlaintextKey("sk_live_0123456789ABCDEFabcdef01234567892RtXU3")
    assert secret.masked == mask("live", "0123", "tXU3") == "sk_live_0123••••••tXU3"
    assert (secret.head, secret.tail) == ("0123", "tXU3")
    assert secret.masked in DOCS.read_text()


def test_keys_are_equal_by_their_text() -> None:
    secret = PlaintextKey(EXAMPLE)
    assert secret == PlaintextKey(EXAMPLE)
    assert hash(secret) == hash(PlaintextKey(EXAMPLE))
    assert secret != PlaintextKey.generate(Mode.TEST)
    assert secret != EXAMPLE


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r}".format,
        "{!s:>80}".format,
        "%s".__mod__,
        "%r".__mod__,
        ascii,
        print,
    ],
)
def test_a_key_prints_as_its_mask(show, capsys: pytest.CaptureFixture[str]) -> None:
    shown = show(PlaintextKey(EXAMPLE)) or capsys.readouterr().out
    assert EXAMPLE[12:20] not in shown
    assert "sk_test_0000" in shown


@pytest.mark.parametrize(
    "serialise",
    [
        *[lambda key, protocol=protocol: pickle.dumps(key, protocol) for protocol in range(6)],
        copy.copy,
        copy.deepcopy,
        json.dumps,
        lambda key: format(key, "60"),
        vars,
    ],
)
def test_a_key_is_never_serialised(serialise) -> None:
    with pytest.raises(TypeError) as raised:
        serialise(PlaintextKey(EXAMPLE))
    assert EXAMPLE[12:20] not in str(raised.value)


@given(st.text(), genuine, st.text())
def test_nothing_of_a_key_but_its_head_survives_scrubbing(before: str, text: str, after: str) -> None:
    scrubbed = scrub(before + text + after)
    assert text not in scrubbed
    assert text[12:] not in scrubbed
    assert text[:12] + keyformat.MASK_DOTS in scrubbed


@pytest.mark.parametrize(
    "line",
    [
        "key=" + EXAMPLE,
        "my" + EXAMPLE,
        "key_" + EXAMPLE,
        EXAMPLE[:-3],
        EXAMPLE + "extra",
        EXAMPLE.upper(),
        "Authorization: Basic bWNoXzAxOnNrX3Rlc3RfMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAxMjdsWXo=",
    ],
)
def test_near_misses_and_encoded_keys_are_scrubbed_too(line: str) -> None:
    assert EXAMPLE[12:20] not in scrub(line)
    assert "c2tfdGVzdF8" not in scrub(line)
    assert keyformat.MASK_DOTS in scrub(line)


@pytest.mark.parametrize("line", ["sk_live_", "task_live_ends", "Basic training", "sk_test_0000••••••7lYz"])
def test_other_text_is_left_as_it_is(line: str) -> None:
    assert scrub(line) == line


def logged(record: logging.LogRecord) -> str:
    assert ScrubFilter().filter(record)
    return logging.Formatter("%(message)s").format(record)


def raised(message: str):
    try:
        int(message)
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize(
    ("message", "args"),
    [
        (EXAMPLE, ()),
        ("used %s", (EXAMPLE,)),
        ("used %(key)s", ({"key": EXAMPLE},)),
        ("used %s", ([EXAMPLE.encode()],)),
        ("used %d", (EXAMPLE,)),
        (ValueError(EXAMPLE), ()),
    ],
)
def test_no_log_line_holds_a_key(message, args) -> None:
    line = logged(logging.LogRecord("keys", logging.INFO, __file__, 1, message, args, None))
    assert EXAMPLE not in line
    assert "sk_test_0000" in line


def test_no_logged_traceback_holds_a_key() -> None:
    record = logging.LogRecord("keys", logging.ERROR, __file__, 1, "failed", (), raised(EXAMPLE))
    record.stack_info = f"Stack: {EXAMPLE}"
    text = logged(record)
    assert EXAMPLE not in text
    assert "invalid literal for int() with base 10: 'sk_test_0000••••••'" in text
    assert "Stack: sk_test_0000••••••" in text


def test_the_logs_of_the_product_pass_the_filter(settings) -> None:
    assert settings.LOGGING["filters"]["scrub"]["()"] == "keys.keyformat.ScrubFilter"
    for handler in settings.LOGGING["handlers"].values():
        assert "scrub" in handler["filters"]
