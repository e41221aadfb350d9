"""Reading a key from the headers: three forms and no more, and nothing that is sent can break the reader."""

from base64 import b64encode
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.gateway.credentials import HEADER_LENGTH_MAX, NO_MERCHANT, Credential, MalformedCredential, read
from keys.identifiers import API_KEY, MERCHANT, encode
from keys.keyformat import MalformedKey, PlaintextKey
from tests import fuzzing
from tests.fuzzing import examples

# The examples of docs/key-format.md.
KEY = "sk_live_0123456789ABCDEFabcdef01234567892RtXU3"
OTHER_KEY = "sk_test_00000000000000000000000000000000127lYz"
MERCHANT_ID = UUID("01941f29-7c00-7000-8000-000000000000")
ACCOUNT = encode(MERCHANT, MERCHANT_ID)


def basic(credentials: str | bytes) -> str:
    octets = credentials.encode() if isinstance(credentials, str) else credentials
    return f"Basic {b64encode(octets).decode()}"


@pytest.mark.parametrize(
    ("headers", "merchant_id"),
    [
        ({"authorization": f"Bearer {KEY}"}, None),
        ({"authorization": f"bearer {KEY}"}, None),
        ({"authorization": f"BEARER   {KEY} "}, None),
        ({"api_key": KEY}, None),
        ({"authorization": basic(f"{ACCOUNT}:{KEY}")}, MERCHANT_ID),
        ({"authorization": basic(f"{ACCOUNT}:{KEY}").replace("Basic", "bAsIc")}, MERCHANT_ID),
        ({"authorization": basic(f"{KEY}:")}, None),
        ({"authorization": f"Bearer {KEY}", "api_key": KEY}, None),
        ({"authorization": basic(f"{ACCOUNT}:{KEY}"), "api_key": KEY}, MERCHANT_ID),
    ],
)
def test_the_three_forms_are_read(headers: dict[str, str], merchant_id) -> None:
    expected = Credential(KEY, merchant_id)
    assert read(**{"authorization": None, "api_key": None} | headers) == expected


@pytest.mark.parametrize(
    "user",
    [
        "",
        "shop",
        ACCOUNT.upper(),
        ACCOUNT[:-1],
        f"{ACCOUNT} ",
        encode(API_KEY, MERCHANT_ID),
        KEY,
        "\x00",
        "é",
    ],
)
def test_a_user_name_that_is_no_account_names_none_that_exists(user: str) -> None:
    assert read(authorization=basic(f"{user}:{KEY}"), api_key=None) == Credential(KEY, NO_MERCHANT)


GOOD = basic(f"{ACCOUNT}:{KEY}")
MALFORMED = {
    "nothing at all": {},
    "an empty header": {"authorization": ""},
    "only spaces": {"authorization": "   "},
    "an empty X-API-Key": {"api_key": ""},
    "a scheme alone": {"authorization": "Bearer"},
    "Basic alone": {"authorization": "Basic"},
    "a key without a scheme": {"authorization": KEY},
    "an unknown scheme": {"authorization": f"Digest {KEY}"},
    "a scheme run together with the key": {"authorization": f"Bearer{KEY}"},
    "a tab in place of the space": {"authorization": f"Bearer\t{KEY}"},
    "two schemes": {"authorization": f"Bearer {KEY}, Basic {KEY}"},
    "a scheme twice": {"authorization": f"Bearer Bearer {KEY}"},
    "one header sent twice": {"authorization": f"Bearer {KEY},Bearer {KEY}"},
    "X-API-Key sent twice": {"api_key": f"{KEY},{KEY}"},
    "a space that HTTP does not know": {"authorization": f"Bearer {KEY}\xa0"},
    "a break that HTTP does not know": {"authorization": f"\x85Bearer {KEY}"},
    "spaces around X-API-Key": {"api_key": f" {KEY}"},
    "a parameter after the key": {"authorization": f'Bearer {KEY} realm="x"'},
    "a NUL": {"api_key": f"{KEY}\x00"},
    "a lone surrogate": {"authorization": f"Bearer {KEY}\udcff"},
    "over-long": {"authorization": "Bearer" + " " * HEADER_LENGTH_MAX + KEY},
    "very much over-long": {"authorization": "Basic " + "A" * 1_000_000},
    "an over-long X-API-Key": {"api_key": KEY * 20_000},
    "base 64 of nothing": {"authorization": basic("")},
    "base 64 without its padding": {"authorization": GOOD.rstrip("=")},
    "base 64 with a break": {"authorization": GOOD[:40] + "\n" + GOOD[40:]},
    "base 64 with a space": {"authorization": GOOD[:40] + " " + GOOD[40:]},
    "base 64 with junk in it": {"authorization": GOOD[:40] + "!" + GOOD[40:]},
    "base 64 with more after its end": {"authorization": GOOD + "===="},
    "base 64 with other characters": {"authorization": "Basic !!!!"},
    "base 64 that is not ASCII": {"authorization": "Basic ключ"},
    "no colon": {"authorization": basic(KEY)},
    "only a colon": {"authorization": basic(":")},
    "no key after the colon": {"authorization": basic(f"{ACCOUNT}:")},
    "something else after the colon": {"authorization": basic(f"{ACCOUNT}:password")},
    "a second colon": {"authorization": basic(f"{ACCOUNT}:{KEY}:")},
    "a NUL after the key": {"authorization": basic(f"{ACCOUNT}:{KEY}\x00")},
    "a line break after the key": {"authorization": basic(f"{ACCOUNT}:{KEY}\n")},
    "bytes that are not UTF-8": {"authorization": basic(b"\xff\xfe:" + KEY.encode())},
    "UTF-16": {"authorization": basic(f"{ACCOUNT}:{KEY}".encode("utf-16"))},
    "two keys": {"authorization": f"Bearer {KEY}", "api_key": OTHER_KEY},
    "two keys, one of them by Basic": {"authorization": basic(f"{ACCOUNT}:{KEY}"), "api_key": OTHER_KEY},
    "a key beside something else": {"authorization": f"Bearer {KEY}", "api_key": "x"},
    "something else beside a key": {"authorization": basic("nginx:password"), "api_key": KEY},
    "a key beside an empty header": {"authorization": "", "api_key": KEY},
    "a key beside an empty X-API-Key": {"authorization": f"Bearer {KEY}", "api_key": ""},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_everything_else_is_malformed(case: str) -> None:
    with pytest.raises(MalformedCredential) as raised:
        read(**{"authorization": None, "api_key": None} | MALFORMED[case])
    assert KEY[12:-4] not in f"{raised.value!r} {raised.value.__cause__!r}"


def test_a_credential_does_not_print_its_key() -> None:
    assert KEY[12:-4] not in f"{Credential(KEY)!r} {Credential(KEY, MERCHANT_ID)}"


header = st.none() | st.text()
schemes = st.sampled_from(["Basic ", "Bearer ", "basic", "Basic  ", "Negotiate "])


@pytest.mark.fuzz
@settings(max_examples=examples(60))
@given(
    header
    | st.builds(lambda scheme, token: scheme + token, schemes, st.text())
    | st.builds(basic, st.text())
    | st.builds(basic, st.binary()),
    header,
)
@example("Basic ====", None)
@example("Basic \ud800", "\ud800")
def test_no_header_breaks_the_reader_nor_conjures_up_a_key(
    authorization: str | None, api_key: str | None
) -> None:
    fuzzing.count()
    with pytest.raises((MalformedCredential, MalformedKey)):
        PlaintextKey(read(authorization, api_key).key)
