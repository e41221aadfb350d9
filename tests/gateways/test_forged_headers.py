"""Headers by which a merchant would be somebody else, or ask for one thing and be judged for another."""

import pytest

from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory
from tests.gateways.api import Api
from tests.gateways.servers import SERVERS, Running, running
from tests.gateways.stub import stubbed
from tests.gateways.test_decisions import IDENTITY
from tests.gateways.waiting import until
from tests.gateways.wire import Client, ask, bearer

pytestmark = pytest.mark.gateway

# Which of these are one name depends on who reads them; granian and other WSGI servers fold the first five.
SPELLINGS = (
    lambda name: name,
    str.lower,
    str.upper,
    lambda name: name.replace("-", "_"),
    lambda name: name.replace("-", "_", 1),
    lambda name: "_".join(name.rsplit("-", 1)),
    lambda name: name.replace("-", "_").upper(),
    lambda name: name.replace("-", "."),
    lambda name: name.replace("-", "~"),
    lambda name: name.replace("-", "!", 1),
)


def spellings(name: str) -> list[str]:
    return [spell(name) for spell in SPELLINGS]


def forge(name: str, value: str) -> list[list[tuple[str, str]]]:
    """The header in every spelling: alone, twice, and all at once."""
    alone = [[(spelling, value)] for spelling in spellings(name)]
    return [*alone, [(name, value), (name.lower(), value)], [header for each in alone for header in each]]


@pytest.mark.parametrize("name", IDENTITY)
def test_the_api_is_told_the_verifiers_word_alone(server: Running, key: ApiKey, name: str) -> None:
    credential = bearer(key.secret.reveal())
    with Client(server.port) as client:
        (truth,) = client.ask("GET", "/v1/payments", credential).seen.folded(name)
        for forged in forge(name, "forged"):
            # First and last, since some servers believe the first of two and some the last.
            headers = [*forged, *credential, *forged]
            assert client.ask("GET", "/v1/payments", headers).seen.folded(name) == [truth]


def test_a_key_without_permissions_cannot_claim_any(server: Running) -> None:
    """The verifier says nothing under this name, which must not leave the merchant's word standing."""
    credential = bearer(ApiKeyFactory(permissions={}).secret.reveal())
    with Client(server.port) as client:
        for forged in forge("X-Key-Permissions", "payouts:write"):
            seen = client.ask("GET", "/v1/whoami", [*credential, *forged]).seen
            assert seen.folded("X-Key-Permissions") in ([], [""])


def test_connection_cannot_drop_what_the_api_must_be_told(server: Running, key: ApiKey, api: Api) -> None:
    """A proxy drops the headers that Connection names: those of the merchant, never those that were added."""
    names = ", ".join([*IDENTITY, "X-Forwarded-For", "X-Request-Id"])
    credential = bearer(key.secret.reveal())
    for value in (names, f"close, {names}", names.lower()):
        answer = ask(server.port, "GET", "/v1/payments", [("Connection", value), *credential])
        if server.server.name == "envoy":
            assert answer.status == 400
            assert api.traced(answer.trace) == []
            continue
        seen = answer.seen
        assert all(len(seen.folded(name)) == 1 for name in IDENTITY)
        assert seen.folded("X-Forwarded-For")[0].endswith("127.0.0.1")
        # Nor may it go on to the API, whose own server would do it.
        assert not any("x-key" in value.lower() for value in seen.folded("Connection"))


@pytest.mark.parametrize(
    "claims",
    [
        {"X-Original-URI": "/v1/whoami", "X-Original-Method": "GET"},
        {"X-Forwarded-Uri": "/v1/whoami", "X-Forwarded-Method": "GET"},
        {"X-Original-URI": "/v1/payments"},
        {"X-Forwarded-Uri": "/v1/payments"},
        {"X-Original-Method": "GET"},
        {"X-Forwarded-Method": "GET"},
        {"X-Original-URL": "/v1/whoami", "X-Rewrite-URL": "/v1/whoami"},
    ],
)
def test_a_claimed_path_changes_no_decision(server: Running, api: Api, claims: dict[str, str]) -> None:
    """A key that may read payments says that it only wants the open route, or to read, and means to pay out."""
    credential = bearer(ApiKeyFactory(permissions={"payments": "read"}).secret.reveal())
    with Client(server.port) as client:
        for spell in SPELLINGS:
            forged = [(spell(name), value) for name, value in claims.items()]
            headers = [*forged, *credential, *forged]
            for target in ("/v1/payouts", "/v1/payments"):
                refused = client.ask("POST", target, headers)
                assert refused.status == 403
                assert api.traced(refused.trace) == []
            seen = client.ask("GET", "/v1/payments", headers).seen
            assert not any("whoami" in value for _, value in seen.headers)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP"])
def test_a_claimed_address_is_not_believed(server: Running, api: Api, name: str) -> None:
    """The key is limited to 127.0.0.2; whoever comes from 127.0.0.1 says so in vain."""
    limited = ApiKeyFactory(allowed_networks=("127.0.0.2/32",), permissions={"payments": "read"})
    credential = bearer(limited.secret.reveal())
    value = "for=127.0.0.2" if name == "Forwarded" else "127.0.0.2"
    outside, inside = Client(server.port), Client(server.port, source="127.0.0.2")
    with outside, inside:
        for forged in (*forge(name, value), [(name, f"{value}, {value}")]):
            refused = outside.ask("GET", "/v1/payments", [*forged, *credential, *forged])
            assert refused.status == 403
            assert api.traced(refused.trace) == []
        for forged in forge(name, "203.0.113.9")[-2:]:
            seen = inside.ask("GET", "/v1/payments", [*credential, *forged]).seen
            assert [value.split(", ")[-1] for value in seen.folded("X-Forwarded-For")] == ["127.0.0.2"]


def test_the_address_in_the_record_is_the_merchants(server: Running, key: ApiKey) -> None:
    assert (
        ask(server.port, "GET", "/v1/payments", bearer(key.secret.reveal()), source="127.0.0.3").status == 200
    )
    recorded = RequestLog.objects.filter(key=key)
    until(recorded.exists)
    assert [(row.address, row.method, row.path) for row in recorded] == [("127.0.0.3", "GET", "/v1/payments")]


@pytest.mark.parametrize("name", SERVERS)
def test_the_verifier_is_asked_with_nothing_that_the_merchant_made_up(name: str, api: Api, tmp_path) -> None:
    """Seen from the verifier's side: one header of each name that it reads, under any spelling."""
    read = (
        "X-Original-Method",
        "X-Original-URI",
        "X-Forwarded-Method",
        "X-Forwarded-Uri",
        "X-Forwarded-For",
        "Authorization",
        "X-API-Key",
        "Content-Length",
    )
    forged = [(spelling, "forged") for header in read[:5] for spelling in spellings(header)]
    aliases = [("X_API_Key", "forged"), ("X.API.Key", "forged"), ("Content_Length", "17")]
    with stubbed() as stub, running(SERVERS[name], tmp_path, verifier=stub.port, api=api.port) as server:
        answer = ask(server.port, "PATCH", "/v1/payments/1?a=b", [*forged, *aliases, *bearer("theirs")])
        assert answer.status == 200
    asked = stub.asked[-1]
    head, _, body = asked.decode("latin-1").partition("\r\n\r\n")
    assert body == ""
    assert "forged" not in head
    request_line, *lines = head.split("\r\n")
    headers = {
        line.partition(":")[0].lower().replace("_", "-"): line.partition(":")[2].strip() for line in lines
    }
    assert len(headers) == len(lines)
    assert headers["authorization"] == "Bearer theirs"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers.get("content-length", "0") == "0"
    if name == "envoy":
        assert request_line == "PATCH /v1/authorize/v1/payments/1?a=b HTTP/1.1"
        assert not any(part in headers for part in ("x-original-uri", "x-forwarded-uri"))
    else:
        kind = "original" if name in {"nginx", "haproxy"} else "forwarded"
        assert request_line.partition("?")[0].split() in (
            ["GET", "/v1/authorize"],
            ["GET", "/v1/authorize", "HTTP/1.1"],
        )
        assert headers[f"x-{kind}-method"] == "PATCH"
        assert headers[f"x-{kind}-uri"] == "/v1/payments/1?a=b"
