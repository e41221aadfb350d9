"""Which request needs which permission: the routes against a plain reference, and paths meant to fool."""

import time
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.permissions import Access, Catalogue, Need, Permission, catalogue
from keys.routes import PATH_LENGTH_MAX, split_path
from tests import fuzzing
from tests.fuzzing import examples
from tests.plain_routes import groupings, plain_needs, plain_split


def of(resource: str, access: str) -> Need:
    return Need(Permission(resource, Access(access)))


words = st.sampled_from(["a", "b", "c"])
patterns = st.builds(
    lambda parts, rest: "/" + "/".join(parts + rest),
    st.lists(words | st.just("{x}"), min_size=1, max_size=4),
    st.sampled_from([[], ["**"]]),
)
route_lists = st.lists(
    st.tuples(st.sampled_from(["GET", "POST"]), patterns), unique=True, min_size=1, max_size=8
)


@st.composite
def catalogues(draw) -> Catalogue:
    """Routes dealt out to three resources and to those that are open."""
    tables: dict[tuple[str, str], list[str]] = {}
    open_routes = []
    for method, pattern in draw(route_lists):
        where = draw(
            st.sampled_from(
                [None, *[(name, access) for name in ("r", "s", "t") for access in ("read", "write")]]
            )
        )
        (tables.setdefault(where, []) if where else open_routes).append(f"{method} {pattern}")
    resources = [
        {"name": name, **{access: routes for (owner, access), routes in tables.items() if owner == name}}
        for name in ("r", "s", "t")
        if any(owner == name for owner, _ in tables)
    ]
    return Catalogue({"open": open_routes, "resources": resources or [{"name": "u", "read": ["GET /u"]}]})


TRICKY = [
    *[
        "",
        ".",
        "..",
        "...",
        "%2e",
        "%2E%2e",
        ".%2E",
        "**",
        "{x}",
        "a,b",
        "é",
        "\ud800",
        "\t",
        "%",
        "%zz",
        "%1",
    ],
    *["a%2Fb", "a%2fb", "a%252Fb", "a%5Cb", "a\\b", "a;b", "a%3Bb", "a#b", "a%3Fb", "a%23b", "a%20b", "a%25"],
    *["%61", "%00", "a%0Ab", "%7F", "%C2%85", "%C3%A9", "%FF", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "%C3"],
]
raw_segments = words | st.sampled_from(TRICKY) | st.text(max_size=4)
paths = st.builds(
    lambda lead, parts, tail: lead + "/".join(parts) + tail,
    st.sampled_from(["/", "/", "/", "", "//", "http://a/"]),
    st.lists(raw_segments, max_size=5),
    st.sampled_from(["", "", "/", "?", "?a=/../b", "#a", "//"]),
)


@pytest.mark.fuzz
@settings(max_examples=examples(60))
@given(paths | st.text())
@example("/" + "a" * 8191)
@example("/" + "a" * 8192)
def test_paths_are_split_as_the_plain_reference_splits_them(path: str) -> None:
    fuzzing.count()
    assert split_path(path) == plain_split(path)


def test_every_trick_and_every_character_is_split_as_the_plain_reference_splits_it() -> None:
    characters = [chr(number) for number in range(0x120)]
    for segment in [*TRICKY, *characters, *(quote(c, safe="") for c in characters)]:
        for path in (f"/{segment}", f"/v1/{segment}/b", f"/v1/a{segment}", segment):
            assert split_path(path) == plain_split(path), path
    refused = [segment for segment in TRICKY if split_path(f"/v1/{segment}") is None]
    assert set(TRICKY) - set(refused) == {"...", "**", "{x}", "a,b", "a%20b", "%61", "%C3%A9"}


methods = st.sampled_from(["GET", "POST", "HEAD", "DELETE", "get", "", "GET "]) | st.text(max_size=4)


@pytest.mark.fuzz
@settings(max_examples=examples(120))
@given(catalogues(), methods, paths | st.lists(words, max_size=6).map(lambda parts: "/" + "/".join(parts)))
def test_routes_are_matched_as_the_plain_reference_matches_them(
    made: Catalogue, method: str, path: str
) -> None:
    fuzzing.count()
    segments = plain_split(path)
    expected = plain_needs(made.routes, method, segments) if segments is not None else []
    assert made.need(method, path) == (expected[0] if expected else None)


@pytest.mark.fuzz
@settings(max_examples=examples(120))
@given(catalogues(), st.sampled_from(["GET", "POST", "HEAD"]), st.lists(words, min_size=1, max_size=6))
def test_a_decoded_path_is_granted_only_if_every_reading_of_it_needs_the_same(
    made: Catalogue, method: str, segments: list[str]
) -> None:
    fuzzing.count()
    plain, *joined = groupings(segments)
    found = plain_needs(made.routes, method, plain)
    others = {need for reading in joined for need in plain_needs(made.routes, method, reading)}
    expected = found[0] if found and others <= {found[0]} else None
    assert made.need_of_decoded(method, "/" + "/".join(segments)) == expected


@given(catalogues(), methods, st.text())
def test_any_decoded_text_is_a_path_or_refused(made: Catalogue, method: str, path: str) -> None:
    need = made.need_of_decoded(method, path)
    assert need is None or need in made.routes.values()
    if any(c in path for c in "%;?#\\\0") or "//" in path or "/../" in path:
        assert need is None


def test_a_slash_that_may_have_been_encoded_is_refused_where_it_matters() -> None:
    made = Catalogue(
        {
            "resources": [
                {"name": "files", "read": ["GET /files/{file}"]},
                {"name": "secrets", "read": ["GET /files/{file}/secrets"]},
            ]
        }
    )
    assert made.need("GET", "/files/1/secrets") == of("secrets", "read")
    assert made.need("GET", "/files/1%2Fsecrets") is None
    assert made.need_of_decoded("GET", "/files/1") == of("files", "read")
    assert made.need_of_decoded("GET", "/files/1/secrets") is None


@pytest.mark.parametrize(
    "path", ["/a" * 4096, "/v1/reports/r/files" + "/a" * 4000, "/" * 8192, "/" + "%61" * 2700, "/a" * 10**6]
)
def test_long_and_deep_paths_are_decided_at_once(path: str) -> None:
    started = time.process_time()
    plain, decoded = catalogue().need("GET", path), catalogue().need_of_decoded("GET", path)
    assert time.process_time() - started < 0.5
    within = path.startswith("/v1/reports") and len(path) <= PATH_LENGTH_MAX
    assert plain == decoded == (of("reports", "read") if within else None)
