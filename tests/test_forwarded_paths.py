"""Which permission the verifier asks for, beside what a plain reading of the original request comes to."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.models import ApiKey, RequestLog
from keys.permissions import catalogue
from tests import fuzzing
from tests.client import ProductClient
from tests.database import undone
from tests.factories import ApiKeyFactory
from tests.fuzzing import examples
from tests.plain_routes import groupings, plain_needs, plain_split
from tests.test_routes import TRICKY

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db]

MISSING, CONTRADICTORY = "original-request-missing", "original-request-contradictory"
BLANK = " \t"


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory(permissions={"payments": "write", "refunds": "read", "reports": "read"})


WORDS = sorted({word for route in catalogue().routes for word in route.split("/") if word.isalpha()})
segments = st.sampled_from([*WORDS, "p"])
octets = st.text(st.characters(max_codepoint=255), max_size=6)
tricks = st.sampled_from([trick for trick in TRICKY if trick.isascii()]) | octets
routes = st.sampled_from(sorted(catalogue().routes)).map(lambda route: route.split(" "))
odd_methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "get", "BREW", "GET,POST"]) | octets
ENDS = [
    ("", "?x=/../"),
    ("http://a", ""),
    (" ", "\t"),
    ("", "/"),
    ("", ", /v1/payments"),
    ("/v1/payments,", ""),
]


@st.composite
def originals(draw) -> tuple[str, str]:
    """A method and a target that a proxy may have been sent: those of a route, or not quite."""
    method, pattern = draw(routes)
    parts = pattern.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{") or part == "**":
            parts[place] = draw(st.sampled_from(["p", "p", "p"]) | tricks)
    if draw(st.integers(0, 2)) == 0:
        place = draw(st.integers(1, len(parts)))
        parts[place : place + draw(st.integers(0, 1))] = draw(st.lists(segments | tricks, max_size=2))
    lead, tail = draw(st.sampled_from([("", "")] * 12 + ENDS))
    if draw(st.integers(0, 5)) == 0:
        method, tail = draw(odd_methods), tail + draw(octets)
    return method, lead + "/".join(parts) + tail


def status_for(key: ApiKey, needs: list) -> int:
    """Of a request whose first need decides, as the permissions of the key are."""
    if not needs or (needs[0].permission and not needs[0].permission.granted_by(key.grants)):
        return 403
    return 200


def expected_when_told(key: ApiKey, method: str, target: str) -> tuple[int, str]:
    """The answer to a method and a target in headers, as they stand there."""
    method, target = method.strip(BLANK), target.strip(BLANK)
    if not method or not target:
        return 400, MISSING
    if "," in method or ",/" in target.replace(" ", ""):
        return 400, CONTRADICTORY
    found = plain_split(target)
    status = status_for(key, plain_needs(catalogue().routes, method, found) if found else [])
    return status, "" if status == 200 else "permission-denied"


def expected_when_decoded(key: ApiKey, method: str, path: bytes) -> tuple[int, str]:
    """The answer to a path that the server has decoded: what every reading of it allows."""
    found = plain_split("/" + "/".join(quoted(part) for part in path[1:].split(b"/")))
    needs = []
    if found:
        plain, *joined = groupings(found)
        needs = plain_needs(catalogue().routes, method, plain)[:1]
        if {need for reading in joined for need in plain_needs(catalogue().routes, method, reading)} - {
            *needs
        }:
            needs = []
    status = status_for(key, needs)
    return status, "" if status == 200 else "permission-denied"


def quoted(part: bytes) -> str:
    return "".join(f"%{octet:02X}" for octet in part)


def judge(key: ApiKey, expected: tuple[int, str], method: str, **environ: str) -> int:
    """Returns the status."""
    fuzzing.count()
    with undone():
        answer = ProductClient().generic(method, "/", HTTP_X_API_KEY=key.secret.reveal(), **environ)
        recorded = RequestLog.objects.count()
    problem = (
        "" if answer.status_code == 200 or method == "HEAD" else answer.json()["type"].rpartition(":")[2]
    )
    assert (answer.status_code, problem) == (expected[0], "" if method == "HEAD" else expected[1])
    assert recorded == (expected[0] != 400)
    return expected[0]


@pytest.mark.parametrize("place", ["ORIGINAL", "FORWARDED"])
def test_a_target_in_a_header_is_read_as_the_plain_reference_reads_it(key: ApiKey, place: str) -> None:
    seen = set()

    @settings(max_examples=examples(100))
    @given(told=originals() | st.tuples(odd_methods, octets))
    @example(told=("GET", "/v1/payments"))
    @example(told=("GET", " "))
    @example(told=("GET", "/v1/payments\xa0"))
    @example(told=("GET\x85", "/v1/payments"))
    def ask(told: tuple[str, str]) -> None:
        method, target = told
        said = {f"HTTP_X_{place}_METHOD": method, f"HTTP_X_{place}_URI": target}
        expected = expected_when_told(key, method, target)
        seen.add(judge(key, expected, "GET", PATH_INFO="/v1/authorize", **said))

    ask()
    assert seen == {200, 400, 403}


def test_a_target_in_the_path_is_read_as_the_plain_reference_reads_it(key: ApiKey) -> None:
    seen = set()

    @settings(max_examples=examples(100))
    @given(told=originals().filter(lambda told: told[1].count("/") < 8))
    @example(told=("GET", "/v1/payments/p/events"))
    @example(told=("GET", "/v1/payments\0"))
    def ask(told: tuple[str, str]) -> None:
        method, target = told
        # As the server hands it on: decoded, one character for each byte.
        path = "/" + target.removeprefix("/")
        expected = expected_when_decoded(key, method, path.encode("latin-1"))
        seen.add(judge(key, expected, method, PATH_INFO=f"/v1/authorize{path}"))

    ask()
    assert seen == {200, 403}
