"""The catalogue of permissions: its file, every mistake in it, and the grants that it lets a key have."""

import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
from django.core.checks import run_checks
from hypothesis import given
from hypothesis import strategies as st

from keys.permissions import (
    Access,
    Catalogue,
    CatalogueError,
    Grants,
    Need,
    Permission,
    catalogue,
)
from keys.routes import METHODS, PATH_LENGTH_MAX

DOCS = Path(__file__).parent.parent / "docs" / "permissions.md"


def of(resource: str, access: str) -> Need:
    return Need(Permission(resource, Access(access)))


def document(*routes: str, **given) -> dict:
    """A catalogue of one resource, `things`, that reads `routes`."""
    return {"resources": [{"name": "things", "read": list(routes)}], **given}


def test_grants_are_written_sorted_and_without_none() -> None:
    grants = Grants({"refunds": "read", "balances": "none", "payments": "write"})
    assert str(grants) == "payments:write refunds:read"
    assert Grants.parse(str(grants)) == grants == {"payments": "write", "refunds": "read"}
    assert hash(Grants.parse(str(grants))) == hash(grants)
    assert str(Grants()) == ""
    assert not Grants.parse("")


@pytest.mark.parametrize(
    "text",
    [
        "payments",
        "payments:",
        ":read",
        "payments:admin",
        "Payments:read",
        "a:b:c",
        "payments:read payments:write",
    ],
)
def test_text_that_is_no_list_of_permissions_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) + "|not a valid Access"):
        Grants.parse(text)


@pytest.mark.parametrize(("held", "asked"), list(product(Access, Access)))
def test_write_includes_read(held: Access, asked: Access) -> None:
    enough = (held, asked) not in {
        (Access.NONE, Access.READ),
        (Access.NONE, Access.WRITE),
        (Access.READ, Access.WRITE),
    }
    assert Permission("payments", asked).granted_by(Grants({"payments": held})) is enough
    assert Permission("payouts", asked).granted_by(Grants({"payments": held})) is (asked is Access.NONE)


def test_a_permission_is_read_by_what_the_catalogue_offers() -> None:
    assert catalogue().permission("payments:write") == Permission("payments", Access.WRITE)
    assert catalogue().permission("balances:read") == Permission("balances", Access.READ)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "payments",
        "payments:",
        ":read",
        "payments:none",
        "payments:admin",
        "pay:read",
        "balances:write",
        "Payments:read",
        "payments:read ",
        "payments:read:write",
        "payments:WRITE",
    ],
)
def test_a_permission_that_no_key_can_be_granted_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"“{text}” is not a permission"):
        catalogue().permission(text)


def test_the_catalogue_that_comes_with_the_product() -> None:
    shipped = catalogue()
    names = "payments refunds payouts customers subscriptions disputes balances webhooks reports"
    assert list(shipped.resources) == names.split()
    assert shipped.resources["balances"].accesses == (Access.READ,)
    assert shipped.need("GET", "/v1/whoami") == Need(None)
    assert shipped.need("POST", "/v1/payments/pay_1/capture?now=1") == of("payments", "write")
    assert shipped.need("HEAD", "/v1/payouts/po_1") == of("payouts", "read")
    assert shipped.need("GET", "/v1/reports/r/files/2026/03/x.csv") == of("reports", "read")
    assert shipped.need("DELETE", "/v1/payments/pay_1") is None
    presets = {preset.name: preset.grants for preset in shipped.presets}
    assert set(presets["read-only"].values()) == {Access.READ}
    assert set(presets["read-only"]) == set(shipped.resources)
    assert presets["full-access"]["payments"] is Access.WRITE
    assert presets["full-access"]["balances"] is Access.READ


def test_every_shipped_route_needs_what_it_is_listed_under() -> None:
    for route, need in catalogue().routes.items():
        method, path = re.sub(r"\{\w+\}", "x1", route).replace("**", "a/b").split()
        assert catalogue().need(method, path) == need
        assert catalogue().need_of_decoded(method, path) == need


def test_the_documented_catalogue_is_one() -> None:
    documented = Catalogue(tomllib.loads(re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]))
    assert documented.resources["payments"].accesses == (Access.READ, Access.WRITE)
    assert documented.resources["reports"].label == "Reports"
    assert documented.presets[0].grants == {"payments": "read", "reports": "read"}
    rows = re.findall(r"^\| (`.*?) \|", DOCS.read_text(), re.MULTILINE)
    settings_named = {name.strip("[]") for row in rows for name in re.findall(r"`(.*?)`", row)}
    assert settings_named == {
        "open", "resources", "name", "label", "description", "restricted", "read", "write", "presets", "grants",
    }  # fmt: skip
    assert f"{PATH_LENGTH_MAX:,}" in DOCS.read_text()
    assert all(f"`{method}`" in DOCS.read_text() for method in METHODS)


def test_another_catalogue_takes_its_place_by_setting(settings, tmp_path: Path, client, db) -> None:
    from tests.factories import ApiKeyFactory

    path = tmp_path / "catalogue.toml"
    path.write_text('[[resources]]\nname = "parcels"\nread = ["GET /parcels/{parcel}"]\n')
    settings.KEYS_PERMISSION_CATALOGUE = path
    assert list(catalogue().resources) == ["parcels"]
    assert run_checks() == []
    key = ApiKeyFactory(permissions={"parcels": "read"})
    headers = {"X-API-Key": key.secret.reveal()}
    assert client.get("/v1/authorize/parcels/17", headers=headers).status_code == 200
    assert client.get("/v1/authorize/v1/payments", headers=headers).status_code == 403


def test_a_preset_never_grants_more_than_it_says() -> None:
    tables = [
        {"name": "reads", "read": ["GET /a"]},
        {"name": "writes", "write": ["POST /b"]},
        {"name": "both", "read": ["GET /c"], "write": ["POST /c"]},
    ]
    presets = [
        {"name": f"all-{access}", "grants": {"*": access, "both": "none"}}
        for access in ("none", "read", "write")
    ]
    made = Catalogue({"resources": tables, "presets": presets}).presets
    assert [str(preset.grants) for preset in made] == ["", "reads:read", "reads:read writes:write"]


MISTAKES = {
    "the catalogue has no [[resources]]": {},
    "the catalogue: unknown setting 'resource'": {"resource": []},
    "the catalogue: write each of 'resources' as a table under [[resources]]": {"resources": "payments"},
    "the catalogue: write each of 'presets' as a table under [[presets]]": document("GET /a", presets=["x"]),
    "the catalogue: 'open' must be a list of routes": document("GET /a", open="GET /b"),
    "resource '': a name is": {"resources": [{"read": ["GET /a"]}]},
    "resource 7: a name is": {"resources": [{"name": 7}]},
    "resource 'Payments': a name is": {"resources": [{"name": "Payments"}]},
    "resource 'things' is named twice": {"resources": [{"name": "things", "read": ["GET /a"]}] * 2},
    "resource 'things': unknown setting 'wriet'": {"resources": [{"name": "things", "wriet": []}]},
    "resource 'things' has no read and no write routes": {"resources": [{"name": "things", "read": []}]},
    "resource 'things': 'read' must be a list of routes": {
        "resources": [{"name": "things", "read": "GET /"}]
    },
    "resource 'things': 'write' must be a list of routes": {"resources": [{"name": "things", "write": [1]}]},
    "resource 'things': 'label' must be a text": {
        "resources": [{"name": "things", "label": 1, "read": ["GET /a"]}]
    },
    "resource 'things': 'description' must be a text": {
        "resources": [{"name": "things", "description": [], "read": ["GET /a"]}]
    },
    "route 'GET': write it as a method": document("GET"),
    "route 'GET a': write it as a method": document("GET a"),
    "route 'get /a': write it as a method": document("get /a"),
    "route 'HEAD /a': write it as a method": document("HEAD /a"),
    "route 'GET  /a': write it as a method": document("GET  /a"),
    "route 'GET /': '' is neither a word nor a {name}": document("GET /"),
    "route 'GET /a/': '' is neither a word": document("GET /a/"),
    "route 'GET /a//b': '' is neither a word": document("GET /a//b"),
    "route 'GET /a/..': '..' is neither a word": document("GET /a/.."),
    "route 'GET /./a': '.' is neither a word": document("GET /./a"),
    "route 'GET /a b': 'a b' is neither a word": document("GET /a b"),
    "route 'GET /{A}': '{A}' is neither a word": document("GET /{A}"),
    "route 'GET /a?b': 'a?b' is neither a word": document("GET /a?b"),
    "route 'GET /%61': '%61' is neither a word": document("GET /%61"),
    "route 'GET /**/a': '**' is neither a word nor a {name}, nor ** at the end": document("GET /**/a"),
    "route 'GET /{y}' is given twice": document("GET /{x}", "GET /{y}"),
    "route 'GET /a' is given twice": document("GET /a", open=["GET /a"]),
    "route 'GET /**' is given twice": document("GET /**", "GET /**"),
    "preset '': a name is": document("GET /a", presets=[{}]),
    "preset 'p' is named twice": document("GET /a", presets=[{"name": "p"}, {"name": "p"}]),
    "preset 'p': unknown setting 'grant'": document("GET /a", presets=[{"name": "p", "grant": {}}]),
    "preset 'p': 'grants' must be a table": document("GET /a", presets=[{"name": "p", "grants": "all"}]),
    "preset 'p': 'grants' must be a table of resources and none, read or write": document(
        "GET /a", presets=[{"name": "p", "grants": {"*": "admin"}}]
    ),
    "preset 'q': 'grants' must be a table": document(
        "GET /a", presets=[{"name": "q", "grants": {"things": ["read"]}}]
    ),
    "preset 'p': There is no resource called “other”.": document(
        "GET /a", presets=[{"name": "p", "grants": {"other": "read"}}]
    ),
    "preset 'p': “write” is not an access that Things offers.": document(
        "GET /a", presets=[{"name": "p", "grants": {"things": "write"}}]
    ),
    "preset 'p': 'label' must be a text": document("GET /a", presets=[{"name": "p", "label": 1}]),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_each_mistake_in_a_catalogue_is_named(message: str) -> None:
    with pytest.raises(CatalogueError, match=r"\A" + re.escape(message)):
        Catalogue(MISTAKES[message])


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
settings_like = st.dictionaries(
    st.sampled_from(["name", "label", "description", "read", "write", "grants"]),
    st.sampled_from(["things", ["GET /a"], ["GET /{x}/**"], {"*": "read"}, {"things": "write"}]) | json_like,
)


@given(
    st.dictionaries(
        st.sampled_from(["open", "resources", "presets"]),
        st.lists(settings_like, max_size=3) | st.just(["GET /o"]) | json_like,
    )
)
def test_whatever_the_file_holds_is_a_catalogue_or_a_named_mistake(content: dict) -> None:
    try:
        made = Catalogue(content)
    except CatalogueError:
        return
    assert made.resources


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"resources = [", "Invalid|Unclosed|end of document"),
        (b"\xff", "utf-8|UTF-8"),
        (b"", r"the catalogue has no \[\[resources\]\]"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_and_is_named(
    content: bytes | None, message: str, tmp_path: Path, settings
) -> None:
    path = tmp_path / "catalogue.toml"
    if content is not None:
        path.write_bytes(content)
    settings.KEYS_PERMISSION_CATALOGUE = path
    (problem,) = [found for found in run_checks() if found.id == "keys.E001"]
    assert str(path) in problem.msg
    assert re.search(message, problem.msg)
    with pytest.raises(CatalogueError, match=re.escape(str(path))):
        catalogue()


@pytest.mark.parametrize(
    ("accesses", "message"),
    [
        ({"gold": "read"}, "no resource called “gold”"),
        ({"things": "write"}, "not an access that Things offers"),
    ],
)
def test_grants_that_the_catalogue_does_not_offer_are_refused(accesses: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Catalogue(document("GET /a")).validated(accesses)


def test_the_message_of_an_unknown_resource_is_cut() -> None:
    with pytest.raises(ValueError, match=r"There is no resource called “x{40}”"):
        Catalogue(document("GET /a")).validated({"x" * 5000: "read"})
