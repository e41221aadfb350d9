"""Whatever is sent to /v1/: a documented answer, never a fault, and never a 200 without the right key."""

import json
import re
from base64 import b64encode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.gateway import problems
from keys.keyformat import Mode, PlaintextKey
from keys.models import RequestLog
from tests import fuzzing
from tests.client import ProductClient
from tests.database import undone
from tests.factories import ApiKeyFactory
from tests.fuzzing import examples

pytestmark = pytest.mark.fuzz

TYPES = {problem.type: problem.status for problem in problems.ALL}
ROUTES = ["/v1/payments", "/v1/payments/p/capture", "/v1/refunds", "/v1/whoami", "/v1/reports/r/files/a"]

# What a WSGI server can hand on: text of one byte a character.
octets = st.text(st.characters(max_codepoint=255), max_size=40)
# Whoever compares keys without regard to accents takes these for the same.
ACCENTS = str.maketrans("AEIOUaeiou", "ÅÉÎÖÜåéîöü")
NO_KEY = octets | st.just(PlaintextKey.generate(Mode.LIVE).reveal())
SPOILT = {
    "a character less": lambda text, place: text[:place] + text[place + 1 :],
    "a character twice": lambda text, place: text[:place] + text[place] + text[place:],
    "a NUL": lambda text, place: text[:place] + "\0" + text[place:],
    "another character": lambda text, place: text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :],
    "another case": lambda text, place: text[:place] + text[place:].swapcase(),
    "the rest before it": lambda text, place: text[place:] + text[:place],
    "accents": lambda text, place: text[:place].translate(ACCENTS) + text[place:],
    "percent signs": lambda text, place: f"{text[:place]}%{ord(text[place]):02X}{text[place + 1 :]}",
    "a line break": lambda text, place: text[:place] + "\r\n" + text[place:],
    "a second one": lambda text, place: f"{text},{text}",
}
TWO = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")


def mostly(*usual: str):
    """One of `usual` as a rule, and now and then anything at all."""
    return st.sampled_from([*usual] * 4 + [None]).flatmap(
        lambda text: octets if text is None else st.just(text)
    )


methods = mostly("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "TRACE", "CONNECT", "BREW")
paths = mostly(*ROUTES) | st.builds("{}{}".format, st.sampled_from(ROUTES), octets)


@pytest.fixture
def keys(db) -> dict[str, object]:
    return {
        "usable": ApiKeyFactory(permissions={"payments": "write", "reports": "read"}),
        "networked": ApiKeyFactory(allowed_networks=["203.0.113.0/24"]),
        "disabled": ApiKeyFactory(disabled=True),
        "revoked": ApiKeyFactory(revoked=True),
    }


OTHER_HEADERS = """
    HTTP_AUTHORIZATION HTTP_X_API_KEY HTTP_X_FORWARDED_FOR HTTP_X_ORIGINAL_URI HTTP_X_FORWARDED_METHOD HTTP_HOST
    HTTP_COOKIE HTTP_X_REQUEST_ID HTTP_TRANSFER_ENCODING HTTP_X_HTTP_METHOD_OVERRIDE REMOTE_ADDR QUERY_STRING
    CONTENT_TYPE CONTENT_LENGTH
""".split()


@st.composite
def spoilt(draw, text: str) -> str:
    """Almost `text`."""
    spoil = SPOILT[draw(st.sampled_from(sorted(SPOILT)))]
    return draw(
        st.integers(0, len(text) - 1).map(lambda place: spoil(text, place)).filter(lambda it: it != text)
    )


@st.composite
def credentials(draw, keys) -> tuple[set[str], dict[str, str]]:
    """Whose keys are in the headers, and the headers."""
    holders: dict[str, str] = {}
    sent: dict[str, str] = {}
    for header in draw(st.sampled_from([["HTTP_AUTHORIZATION"], ["HTTP_X_API_KEY"], [*TWO], []])):
        holders[header] = draw(st.sampled_from(["nobody", *keys, "usable", "usable", "usable"]))
        if holders[header] in keys:
            text = keys[holders[header]].secret.reveal()
        else:
            text = draw(st.one_of(NO_KEY, *[spoilt(keys["usable"].secret.reveal())] * 4))
        user = draw(st.sampled_from([keys["usable"].merchant.public_id] * 2 + ["", "mch_x"]) | octets)
        pair = b64encode(f"{user}:{text}".encode("latin-1")).decode()
        forms = [f"Bearer {text}", f"Basic {pair}"] if header == "HTTP_AUTHORIZATION" else [text]
        sent[header] = draw(st.sampled_from(forms))
    return set(holders.values()), sent


@st.composite
def originals(draw) -> dict[str, str]:
    """What the proxy says of the original request."""
    sent = {}
    for name in draw(st.sampled_from([["ORIGINAL"], ["FORWARDED"], ["ORIGINAL", "FORWARDED"], [], [], []])):
        sent[f"HTTP_X_{name}_METHOD"] = draw(methods)
        sent[f"HTTP_X_{name}_URI"] = draw(paths)
    return sent


@pytest.mark.parametrize(
    ("call", "plain", "suffixes", "statuses"),
    [
        ("/v1/whoami", "", st.just(""), {200, 401, 403, 405}),
        ("/v1/authorize", "", st.just(""), {200, 400, 401, 403}),
        (
            "/v1/authorize",
            "/v1/payments",
            paths.map(lambda path: "/" + path.removeprefix("/")),
            {200, 400, 401, 403},
        ),
        ("/v1/", "", octets.filter(lambda text: not re.match(r"whoami\Z|authorize(/|\Z)", text)), {404}),
    ],
)
def test_every_answer_is_documented_and_none_is_given_away(
    keys, call: str, plain: str, suffixes, statuses: set[int]
) -> None:
    seen = set()

    def plainly(holder: str) -> dict:
        sent = {"HTTP_X_API_KEY": keys[holder].secret.reveal()}
        said = {"HTTP_X_ORIGINAL_METHOD": "GET", "HTTP_X_ORIGINAL_URI": "/v1/payments"}
        return {"sent": ({holder}, sent), "said": said, "other": {}, "method": "GET", "suffix": plain}

    @settings(max_examples=examples(100))
    @example(**plainly("usable"))
    @example(**plainly("networked"))
    @given(
        sent=credentials(keys),
        said=originals(),
        other=st.just({}) | st.dictionaries(st.sampled_from(OTHER_HEADERS), octets, max_size=2),
        method=methods,
        suffix=suffixes,
    )
    def ask(sent, said, other, method: str, suffix: str) -> None:
        fuzzing.count()
        holders, credential_headers = sent
        environ = {**credential_headers, **said, **other, "PATH_INFO": call + suffix}
        with undone():
            answer = ProductClient().generic(method, "/", **environ)
            new = RequestLog.objects.count()
        seen.add(answer.status_code)
        assert answer["Cache-Control"] == "no-store"
        if answer.status_code == 200:
            assert holders == {"usable"}
        elif method != "HEAD":
            document = json.loads(answer.content)
            assert answer["Content-Type"] == "application/problem+json"
            assert TYPES[document["type"]] == document["status"] == answer.status_code
            assert document["request_id"] == answer["X-Request-Id"]
            assert document["type"].endswith(f":{answer['X-Problem']}")
        for key in keys.values():
            assert key.secret.reveal() not in f"{answer.headers} {answer.content}"
        assert new == 1 if answer.status_code in {200, 403} else new <= 1
        if answer.status_code in {400, 404, 405} or holders <= {"nobody"}:
            assert new == 0

    ask()
    # Other statuses would be wrong, and fewer would mean that the cases no longer reach what they should.
    assert seen == statuses
