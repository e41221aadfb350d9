"""Whatever stands in a body or in a line of an access log: understood in one way, or refused and said to be.

This is about the text: it comes as it should, and each answer is held against what a plain reading of the text allows.
Whatever else a request says of itself is test_wrapped_bodies_fuzz.py's.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keys.gateway import accesslog, reports
from keys.gateway.accesslog import NotImported
from keys.gateway.reports import DURATION_US_MAX, Report, Window
from keys.identifiers import REQUEST, encode, new_id
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, RequestLog
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.permissions import catalogue
from tests import fuzzing
from tests.client import ask, posted
from tests.database import undone
from tests.factories import ApiKeyFactory
from tests.fuzzing import examples
from tests.plain_routes import plain_needs, plain_split
from tests.recounts import assert_rollups_equal_rows
from tests.test_import_requests import caddy, nginx

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db]

TOKEN = "token-of-the-gateways-0123456789-abcdef"
MILLISECONDS = len("2026-03-01T12:34:56.789")
EDGES = [-1, 0, 99, 100, 599, 600, 999, 1e308, "", "\0", "\ud800", "VALID", "200", True]
scalars = (
    st.sampled_from(EDGES) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
)
values = scalars | st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@pytest.fixture
def keys(settings) -> list[ApiKey]:
    """One that is usable, and one that is not."""
    settings.KEYS_GATEWAY_TOKENS = [TOKEN]
    return [ApiKeyFactory(permissions={"payments": "write"}), ApiKeyFactory(disabled=True)]


def post(path: str, body: bytes, kind: str):
    return ask(posted(path, body, kind, TOKEN))


def damaged(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Each with something done to its bytes, or to how they are written."""
    octets = st.binary(min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda text, place: text[:place], texts, st.integers(0, 200)),
        st.builds(
            lambda text, place, more: text[:place] + more + text[place:], texts, st.integers(0, 300), octets
        ),
        st.builds(
            lambda text, place, more: text[:place] + more + text[place + 1 :],
            texts,
            st.integers(0, 300),
            octets,
        ),
        st.builds(
            lambda text, charset: text.decode(errors="replace").encode(charset, "replace"),
            texts,
            st.sampled_from(["utf-16", "utf-32-le", "utf-8-sig", "utf-7", "cp500"]),
        ),
        st.builds(lambda text, other: text + other, texts, texts),
        # One member more, which may be there already.
        st.builds(lambda text, other: text[:-1] + b", " + other[1:], texts, texts),
        st.builds(lambda text, depth: b"[" * depth + text, texts, st.sampled_from([1, 2_000, 60_000])),
    )


def plain_object(text: bytes) -> dict[str, Any] | None:
    """The JSON object that everybody would read in `text`; None where there is none, or more than one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_usable(told: dict[str, Any] | None, key: ApiKey) -> bool:
    """Whether a plain reading of the question allows the answer that the key may."""
    if told is None or told.get("key") != key.secret.reveal():
        return False
    if "merchant" in told and told["merchant"] != key.merchant.public_id:
        return False
    if "permission" in told:
        return told["permission"] in {"payments:read", "payments:write"}
    if "method" not in told and "path" not in told:
        return True
    segments = plain_split(told["path"])
    needs = plain_needs(catalogue().routes, told["method"], segments) if segments else []
    return bool(needs) and (needs[0].permission is None or needs[0].permission.granted_by(key.grants))


@st.composite
def questions(draw, keys: list[ApiKey]) -> bytes:
    """What /v1/keys/verify is asked, right or nearly so."""
    usable, disabled = keys
    secret = st.sampled_from([usable.secret.reveal()] * 6 + [disabled.secret.reveal()])
    told = {"key": draw(secret | st.just(PlaintextKey.generate(Mode.LIVE).reveal()))}
    told |= draw(
        st.sampled_from(
            [
                {},
                {"permission": "payments:write"},
                {"permission": "payouts:read"},
                {"method": "POST", "path": "/v1/payments?x=1"},
                {"method": "GET", "path": "/v1/payouts"},
                {"method": "GET", "path": "/v1/payments/%2e%2e"},
                {"merchant": usable.merchant.public_id, "address": "192.0.2.1", "record": False},
            ]
        )
    )
    names = st.sampled_from(["key", "merchant", "method", "path", "permission", "address", "record"])
    for name in draw(st.lists(names | st.text(max_size=6), max_size=draw(st.sampled_from([0, 0, 1, 2])))):
        told[name] = draw(values)
    return json.dumps(told, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")


def test_a_body_is_a_question_that_can_be_read_in_one_way_or_is_refused(keys: list[ApiKey]) -> None:
    seen = set()
    asked = questions(keys)

    @hypothesis_settings(max_examples=examples(200))
    @given(body=asked | asked | damaged(asked) | st.binary(max_size=80))
    @example(body=b"{" + b'"key":' * 9_000)
    @example(body=b'{"key": 1' + b"0" * 5_000 + b"}")
    @example(body=b" " * 70_000)
    def verify(body: bytes) -> None:
        fuzzing.count()
        with undone():
            answer = post("/v1/keys/verify", body, "application/json")
            recorded = RequestLog.objects.count()
        told = answer.json()
        seen.add((answer.status_code, told.get("valid")))
        assert not any(key.secret.reveal() in answer.content.decode() for key in keys)
        if answer.status_code == 200:
            assert told["valid"] == is_usable(plain_object(body), keys[0])
            assert (told["outcome"] == "VALID") == told["valid"]
        else:
            assert (answer["Content-Type"], told["status"]) == (
                "application/problem+json",
                answer.status_code,
            )
            assert recorded == 0

    verify()
    assert seen == {(200, True), (200, False), (400, None), (413, None)}


MEMBERS = ["id", "key", "at", "method", "path", "status", "duration_ms", "address", "outcome"]


@st.composite
def reported(draw, keys: list[ApiKey]) -> dict[str, Any]:
    """A report that is right; its id is its own."""
    at = datetime.now(UTC) - timedelta(seconds=draw(st.integers(1, 3_000)))
    return {
        "id": draw(st.sampled_from([encode(REQUEST, new_id()), f"their-{new_id()}", "\0é"])),
        "key": draw(st.sampled_from(keys)).public_id,
        "at": at.isoformat(),
        "method": draw(
            st.sampled_from(["GET", "POST"]) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
        ),
        "path": draw(
            st.just("/v1/payments?x") | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
        ),
        "status": draw(st.integers(100, 599)),
        "duration_ms": draw(st.integers(0, 10**9) | st.floats(0, 1e308)),
        "outcome": draw(st.sampled_from(reports.OUTCOMES)),
    }


def altered(made: st.SearchStrategy[dict[str, Any]], names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Each with a few members replaced by anything, and perhaps one more."""
    anything = st.dictionaries(st.sampled_from(names) | st.text(max_size=4), values, min_size=1, max_size=2)
    return st.builds(lambda told, other: told | other, made, anything)


def as_line(told: dict[str, Any]) -> bytes:
    return json.dumps(told).encode()


def assert_recorded_as_a_request_can_be() -> None:
    for row in RequestLog.objects.all():
        assert 100 <= row.status <= 599
        assert 0 <= row.duration_us <= DURATION_US_MAX
        assert 0 < len(row.method) <= METHOD_MAX
        assert len(row.path) <= PATH_MAX
        assert "?" not in row.path
        assert (row.method + row.path + row.request_id).isprintable()
    assert_rollups_equal_rows()


def test_of_a_batch_every_right_line_is_taken_once_and_every_other_named(keys: list[ApiKey]) -> None:
    right = reported(keys)
    wrong = (altered(right, MEMBERS).map(as_line) | damaged(right.map(as_line)) | st.binary(max_size=30)).map(
        lambda line: line.replace(b"\n", b"")
    )

    @hypothesis_settings(max_examples=examples(100))
    @given(good=st.lists(right, max_size=3), bad=st.lists(wrong, max_size=4), again=st.booleans())
    def report(good: list[dict[str, Any]], bad: list[bytes], again: bool) -> None:
        lines = [*map(as_line, good), *bad]
        body = b"\n".join(lines) + b"\n"
        fuzzing.count(len(lines))
        with undone():
            answer = post("/v1/requests", body, "application/x-ndjson")
            told = answer.json()
            if not any(line.strip() for line in lines):
                assert (answer.status_code, told["detail"]) == (400, "There is no line in it.")
                return
            assert answer.status_code == 200
            counts = [told[name] for name in ("accepted", "duplicates", "rejected_lines")]
            assert sum(counts) == sum(bool(line.strip()) for line in lines)
            assert not {each["line"] for each in told["rejected"]} & {*range(1, len(good) + 1)}
            assert counts[0] == RequestLog.objects.count() <= counts[0] + counts[1]
            # By an id of their own, requests of one key within a millisecond are the same.
            assert counts[0] >= len({(each["id"], each["key"], each["at"][:MILLISECONDS]) for each in good})
            assert_recorded_as_a_request_can_be()
            if again:
                post("/v1/requests", body, "application/x-ndjson")
                assert RequestLog.objects.count() == counts[0]

    report()


def test_a_line_of_an_access_log_is_a_request_of_its_key_or_is_skipped(keys: list[ApiKey]) -> None:
    key = keys[0]
    window = Window.around(datetime.now(UTC) + timedelta(hours=1))
    seen = set()
    # As the servers write them, except for the ids, which are what the record goes by.
    ids = st.builds(lambda: encode(REQUEST, new_id())) | st.text(min_size=1, max_size=70)
    logged = st.builds(lambda write, id_: json.loads(write(key, id_)), st.sampled_from([nginx, caddy]), ids)
    names = "time ts request_id key_id method uri status duration client request resp_headers".split()

    @hypothesis_settings(max_examples=examples(200))
    @given(line=logged.map(as_line) | altered(logged, names).map(as_line) | damaged(logged.map(as_line)))
    def read(line: bytes) -> None:
        fuzzing.count()
        found = [request_in(line, form, window) for form in accesslog.FORMATS]
        seen.update(zip(accesslog.FORMATS, map(bool, found), strict=True))
        # Whoever is told which of the servers wrote the line reads the same as who is not.
        told = [report for report in found if report]
        assert all(report == told[0] for report in told)
        if told:
            with undone():
                assert len(reports.take(told).unknown) == (len(told) if told[0].key_id != key.pk else 0)
                assert_recorded_as_a_request_can_be()

    read()
    assert seen == {(form, is_read) for form in accesslog.FORMATS for is_read in (True, False)}


def request_in(line: bytes, form: str, window: Window) -> Report | None:
    try:
        return accesslog.read(line, form=form, window=window)
    except NotImported:
        return None
