"""Whatever body is sent to /v1/, in whatever wrapping: a documented answer, nothing given away, nothing made up.

This is about the wrapping: method, kind, length, token, address and encodings, which may all lie about the body, and
what follows for the answer, the record and the figures. What a text means is test_bodies_fuzz.py's.
"""

import io
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keys.gateway import problems, reports, verify
from keys.identifiers import REQUEST, encode, new_id
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, RequestLog
from tests import fuzzing
from tests.client import ask, posted
from tests.database import undone
from tests.factories import ApiKeyFactory
from tests.fuzzing import examples
from tests.recounts import assert_rollups_equal_rows

pytestmark = pytest.mark.fuzz

TYPES = {problem.type: problem.status for problem in problems.ALL}
TOKEN = "token-of-the-gateways-0123456789-abcdef"
CALLS = ("/v1/whoami", "/v1/authorize", "/v1/authorize/v1/payments", "/v1/keys/verify", "/v1/requests",
         "/v1/metrics", "/v1/openapi.json")  # fmt: skip
KIND, LINES = "application/json", "application/x-ndjson"
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

octets = st.text(st.characters(max_codepoint=255), max_size=30)
# Halves of surrogate pairs and NULs too, which JSON can spell.
texts = st.text(st.characters(), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def mostly(usual: st.SearchStrategy, unusual: st.SearchStrategy) -> st.SearchStrategy:
    """Nine times in ten as it should be: what is wrong everywhere is refused at the first look."""
    return st.integers(0, 9).flatmap(lambda number: unusual if number == 0 else usual)


@pytest.fixture
def keys(db, settings) -> dict[str, ApiKey]:
    settings.KEYS_GATEWAY_TOKENS = [TOKEN]
    return {
        "usable": ApiKeyFactory(permissions={"payments": "write"}),
        "networked": ApiKeyFactory(allowed_networks=["203.0.113.0/24"]),
        "disabled": ApiKeyFactory(disabled=True),
        "revoked": ApiKeyFactory(revoked=True),
    }


@st.composite
def wrapped(draw: st.DrawFn, path: str, body: bytes, kind: str) -> dict[str, Any]:
    """The same, which may lie about the body."""
    length = mostly(
        st.just(str(len(body))),
        st.sampled_from(["", "-1", "0", "1", str(len(body) + 1), "9" * 12, "9" * 40, "0x1", "\xb2"]) | octets,
    )
    environ = posted(path, body, kind, TOKEN) | {
        "REQUEST_METHOD": draw(
            mostly(st.just("POST"), st.sampled_from(["GET", "HEAD", "PUT", "post", "BREW"]) | octets)
        ),
        "REMOTE_ADDR": draw(mostly(st.just("127.0.0.1"), octets)),
        "CONTENT_TYPE": draw(
            mostly(st.just(kind), st.sampled_from(["", "text/plain", f"{kind};charset=x"]) | octets)
        ),
        "CONTENT_LENGTH": draw(length),
        "HTTP_AUTHORIZATION": draw(
            mostly(st.just(f"Bearer {TOKEN}"), octets.map(lambda text: f"Bearer {text}") | octets)
        ),
        "wsgi.input_terminated": draw(st.booleans()),
    }
    for name in ("HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING", "HTTP_X_FORWARDED_FOR"):
        if draw(st.integers(0, 15)) == 0:
            environ[name] = draw(octets)
    return environ


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """The body with a piece cut out, put in or doubled."""
    start, end = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    return draw(
        st.sampled_from([body[:start], body[end:], body[:start] + body[end:], body + body[start:end]])
        | st.binary(max_size=6).map(lambda piece: body[:start] + piece + body[start:])
        | st.binary(max_size=60)
    )


def answered(environ: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and the document of an answer that is as every answer must be."""
    fuzzing.count()
    answer = ask(environ)
    told, length = environ.get("CONTENT_LENGTH", ""), len(environ["wsgi.input"].getvalue())
    if environ["PATH_INFO"] in {verify.PATH, reports.PATH} and told.isascii() and told.isdigit():
        assert answer.status_code != 200 or int(told) <= length
    assert answer["Cache-Control"] == "no-store"
    assert TOKEN not in f"{answer.headers}{answer.content}"
    if environ["REQUEST_METHOD"] == "HEAD":
        assert answer.content == b""
        return answer.status_code, {}
    document = json.loads(answer.content) if answer.content else {}
    if answer.status_code != 200:
        assert answer["Content-Type"] == "application/problem+json"
        assert TYPES[document["type"]] == document["status"] == answer.status_code
        assert document["request_id"] == answer["X-Request-Id"]
    return answer.status_code, document


def test_a_key_is_valid_only_if_it_is_and_the_token_is_right(keys: dict[str, ApiKey]) -> None:
    secrets = {name: key.secret.reveal() for name, key in keys.items()}
    unknown = PlaintextKey.generate(Mode.LIVE).reveal()
    plausible = {
        "key": st.sampled_from([*secrets.values(), unknown, unknown[:-1], *[secrets["usable"]] * 3]),
        "merchant": st.sampled_from(["", "mch_x", *(key.merchant.public_id for key in keys.values())]),
        "method": st.sampled_from(["GET", "POST", "HEAD", "BREW", "\x00"]),
        "path": st.sampled_from(
            ["/v1/payments", "/v1/payments/%2e%2e/payouts", "/v1/payouts", "/v1//payments", "/\x00"]
        ),
        "permission": st.sampled_from(["payments:read", "payments:write", "payouts:write", "x"]),
        "address": st.sampled_from(["203.0.113.7", "2001:db8::1", "x"]),
        "record": st.booleans(),
    }
    seen = set()

    @st.composite
    def requests(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The environ, and what was asked where the body says it undamaged."""
        names = draw(
            st.sampled_from(
                [
                    ["key", "record"],
                    ["key", "method", "path"],
                    ["key", "permission"],
                    ["key", "merchant"],
                    ["key", "merchant", "address"],
                ]
            )
            | st.lists(st.sampled_from(verify.MEMBERS), unique=True)
        )
        asked = {name: draw(mostly(plausible[name], values)) for name in names}
        asked |= draw(
            mostly(
                st.just({}),
                st.dictionaries(texts | st.sampled_from(list(secrets.values())), values, max_size=2),
            )
        )
        body = json.dumps(asked).encode()
        other = draw(mostly(st.just(body), damaged(body)))
        environ = draw(wrapped(verify.PATH, other, KIND))
        return environ, asked if other == body else None

    good = {"key": secrets["usable"], "permission": "payments:read"}

    @settings(max_examples=examples(150), suppress_health_check=SLOW)
    @example((posted(verify.PATH, json.dumps(good).encode(), KIND, TOKEN), good))
    @example((posted(verify.PATH, b"{", KIND, TOKEN), None))
    @given(requests())
    def ask_about(request: tuple[dict[str, Any], dict[str, Any] | None]) -> None:
        environ, asked = request
        with undone():
            status, document = answered(environ)
            rows = list(RequestLog.objects.all())
        seen.add(document.get("outcome", status))
        told = json.dumps(document)
        assert not any(secret[:16] in told for secret in [*secrets.values(), unknown])
        assert status in {200, 400, 401, 405, 413, 415}
        assert len(rows) <= (status == 200)
        if status == 200 and document:
            assert environ["HTTP_AUTHORIZATION"].split() == ["Bearer", TOKEN]
            assert document["valid"] is (document["outcome"] == "VALID")
            assert ("key" in document) is (document["outcome"] not in {"MALFORMED", "NOT_FOUND"})
            if asked is not None:
                judged(document, asked, len(rows))

    def judged(document: dict[str, Any], asked: dict[str, Any], recorded: int) -> None:
        usable = asked["key"] in {secrets["usable"], secrets["networked"]}
        assert recorded == ("key" in document and asked.get("record", True))
        if document["valid"]:
            assert usable
            assert "key" in document
            assert "merchant" not in asked or asked["merchant"] == document["merchant"]["id"]
            assert asked["key"] != secrets["networked"] or asked.get("address") == "203.0.113.7"
            assert asked.get("path", "/v1/payments").startswith("/v1/payments")
            assert "%2e" not in asked.get("path", "")
            assert asked.get("permission", "payments:read").startswith("payments:")

    ask_about()
    assert {"VALID", 400} <= seen
    # Otherwise the cases would no longer reach what they should. Few of them need not.
    if fuzzing.FACTOR > 1:
        assert seen >= {
            "VALID",
            "MALFORMED",
            "NOT_FOUND",
            "MERCHANT_MISMATCH",
            "DISABLED",
            "PERMISSION_DENIED",
            400,
            401,
        }


@st.composite
def report_lines(draw: st.DrawFn, keys: dict[str, ApiKey], ids: list[str]) -> bytes:
    """A line that may be a report."""
    line = {
        "id": draw(mostly(st.sampled_from(ids), texts | values)),
        "key": draw(mostly(st.sampled_from([key.public_id for key in keys.values()]), texts | values)),
        "at": draw(
            mostly(
                st.sampled_from(["2026-03-01T12:30:00Z", "2026-02-28T23:59:59.999+05:45"]),
                st.datetimes().map(lambda at: f"{at.isoformat()}Z") | texts | values,
            )
        ),
        "method": draw(mostly(st.just("GET"), texts | values)),
        "path": draw(mostly(st.just("/v1/payments?x"), texts | values)),
        "status": draw(mostly(st.integers(100, 599), values)),
        "duration_ms": draw(mostly(st.floats(0, 1e9), values)),
    }
    line |= draw(
        mostly(
            st.just({}),
            st.fixed_dictionaries(
                {},
                optional={
                    "address": st.sampled_from(["192.0.2.1", "::1"]) | texts,
                    "outcome": st.sampled_from(reports.OUTCOMES) | texts,
                    "extra": values,
                },
            ),
        )
    )
    for name in draw(mostly(st.just([]), st.lists(st.sampled_from(sorted(line)), max_size=2))):
        line.pop(name, None)
    text = json.dumps(line).encode()
    return draw(mostly(st.just(text), damaged(text).map(lambda piece: piece.replace(b"\n", b""))))


def test_every_line_is_accepted_once_or_rejected_and_the_figures_follow(keys, time_machine) -> None:
    time_machine.move_to("2026-03-01T12:34:56Z", tick=False)
    ids = ["a", "b", *(encode(REQUEST, new_id()) for _ in range(3))]
    seen = set()

    @st.composite
    def requests(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
        lines = draw(st.lists(report_lines(keys, ids), min_size=1, max_size=5))
        body = b"\n".join(lines) + draw(st.sampled_from([b"", b"\n", b"\r\n\n"]))
        environ = draw(wrapped(reports.PATH, body, LINES))
        return environ, sum(1 for line in body.split(b"\n") if line.strip())

    good = {"id": ids[2], "key": keys["usable"].public_id, "at": "2026-03-01T12:30:00Z", "method": "GET",
            "path": "/v1/payments", "status": 200, "duration_ms": 1.5}  # fmt: skip

    @settings(max_examples=examples(100), suppress_health_check=SLOW)
    @example((posted(reports.PATH, json.dumps(good).encode() + b"\n{}", LINES, TOKEN), 2))
    @given(requests())
    def report(request: tuple[dict[str, Any], int]) -> None:
        environ, number = request
        with undone():
            status, document = answered(environ)
            rows = list(RequestLog.objects.all())
            assert_rollups_equal_rows()
            again = environ | {"wsgi.input": io.BytesIO(environ["wsgi.input"].getvalue())}
            repeated, second = answered(again)
            assert RequestLog.objects.count() == len(rows)
        assert repeated == status
        assert status in {200, 400, 401, 405, 413, 415}
        if status != 200 or not document:
            assert not rows
            return
        seen.update(name for name, count in document.items() if count)
        if environ["CONTENT_LENGTH"] == str(len(environ["wsgi.input"].getvalue())):
            assert document["accepted"] + document["duplicates"] + document["rejected_lines"] == number
        assert second["accepted"] == 0
        assert second["duplicates"] == document["accepted"] + document["duplicates"]
        assert len(rows) == document["accepted"]
        for row in rows:
            assert row.key_id in {key.pk for key in keys.values()}
            assert 100 <= row.status <= 599
            assert 0 <= row.duration_us <= reports.DURATION_US_MAX
            assert (row.method + row.path + row.request_id).isprintable()
            assert "?" not in row.path

    report()
    assert {"accepted", "rejected"} <= seen


@given(st.floats() | st.integers() | st.text(max_size=5))
def test_numbers_are_understood_or_refused(value: Any) -> None:
    """Whatever JSON can spell as a duration is a number of microseconds that the database takes, or refused."""
    try:
        duration = reports._duration_us({"duration_ms": value})
    except ValueError:
        assert isinstance(value, str) or not 0 <= value < math.inf
    else:
        assert 0 <= duration <= reports.DURATION_US_MAX


ENVIRON = """
    HTTP_AUTHORIZATION HTTP_X_API_KEY HTTP_X_FORWARDED_FOR HTTP_X_ORIGINAL_METHOD HTTP_X_ORIGINAL_URI
    HTTP_X_FORWARDED_METHOD HTTP_X_FORWARDED_URI HTTP_HOST HTTP_EXPECT HTTP_TRANSFER_ENCODING HTTP_CONTENT_ENCODING
    HTTP_X_HTTP_METHOD_OVERRIDE HTTP_CONTENT_LENGTH QUERY_STRING CONTENT_TYPE CONTENT_LENGTH REMOTE_ADDR SCRIPT_NAME
    SERVER_NAME SERVER_PROTOCOL wsgi.url_scheme
""".split()


@pytest.mark.parametrize("call", CALLS)
def test_no_environ_is_answered_with_a_fault_or_a_key(keys: dict[str, ApiKey], call: str) -> None:
    """Nothing that is made up can be a key or a token: only what needs neither is answered with 200."""
    open_to_all = {"/v1/openapi.json"}

    @settings(max_examples=examples(60), suppress_health_check=SLOW)
    @example(method="GET", path="", given_environ={}, body=b"")
    @given(
        method=mostly(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]), octets),
        path=mostly(st.just(""), octets),
        given_environ=st.dictionaries(st.sampled_from(ENVIRON), octets, max_size=6),
        body=st.binary(max_size=30),
    )
    def send(method: str, path: str, given_environ: dict[str, str], body: bytes) -> None:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": call + path,
            "wsgi.input": io.BytesIO(body),
            **given_environ,
        }
        status, _ = answered(environ)
        assert status < 500
        assert status != 200 or (call in open_to_all and not path)
        assert not RequestLog.objects.exists()

    send()
