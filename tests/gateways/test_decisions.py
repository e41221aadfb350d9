"""What each server in front lets through, what it turns away, and in which words."""

import pytest

from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey
from tests.factories import ApiKeyFactory, MerchantFactory
from tests.gateways.api import OWN_REQUEST_ID, Api
from tests.gateways.product import Product
from tests.gateways.servers import Running
from tests.gateways.wire import Answer, Client, ask, basic, bearer, x_api_key

pytestmark = pytest.mark.gateway

IDENTITY = ("X-Merchant-Id", "X-Key-Id", "X-Key-Mode", "X-Key-Permissions")


def assert_refused(answer: Answer, status: int, api: Api) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.document["status"] == status
    assert api.traced(answer.trace) == []


def test_a_key_reaches_the_api_in_each_of_its_forms(server: Running, key: ApiKey) -> None:
    secret = key.secret.reveal()
    forms = (
        bearer(secret),
        x_api_key(secret),
        basic(key.merchant.public_id, secret),
        basic(secret, ""),
        [*bearer(secret), *x_api_key(secret)],
    )
    for headers in forms:
        seen = ask(server.port, "GET", "/v1/payments?limit=10", headers).seen
        assert (seen.method, seen.target) == ("GET", "/v1/payments?limit=10")
        assert [seen.folded(name) for name in IDENTITY] == [
            [key.merchant.public_id],
            [key.public_id],
            ["live"],
            ["payments:write refunds:read"],
        ]


def test_the_api_never_sees_the_key(server: Running, key: ApiKey) -> None:
    secret = key.secret.reveal()
    seen = ask(server.port, "GET", "/v1/payments", [*bearer(secret), *x_api_key(secret)]).seen
    assert seen.folded("Authorization") == seen.folded("X-API-Key") == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        bearer(PlaintextKey.generate(Mode.LIVE).reveal()),
        bearer("sk_live_nothing"),
        basic("somebody", "secret"),
        [("Authorization", "Digest a=b")],
        x_api_key(""),
    ],
)
def test_whoever_has_no_usable_key_gets_the_verifiers_401(
    server: Running, verifier: Product, api: Api, headers
) -> None:
    answer = ask(server.port, "GET", "/v1/payments", headers)
    assert_refused(answer, 401, api)
    original = [("X-Original-Method", "GET"), ("X-Original-URI", "/v1/payments")]
    direct = ask(verifier.port, "GET", "/v1/authorize", [*headers, *original])
    assert answer.headers["WWW-Authenticate"] == direct.headers["WWW-Authenticate"]
    assert answer.document | {"request_id": None} == direct.document | {"request_id": None}
    assert answer.document["request_id"] == answer.headers["X-Request-Id"]


def test_a_key_of_another_merchant_account_is_refused(server: Running, key: ApiKey, api: Api) -> None:
    other = MerchantFactory().public_id
    assert_refused(ask(server.port, "GET", "/v1/payments", basic(other, key.secret.reveal())), 401, api)


def test_two_keys_in_one_request_are_never_better_than_the_weaker(
    server: Running, key: ApiKey, api: Api
) -> None:
    """Servers differ in which of two headers of one name they pass on; the API is told whose key was judged."""
    weaker = ApiKeyFactory(permissions={"refunds": "read"})
    keys = {each.public_id: each for each in (key, weaker)}
    for first, second in ((key, weaker), (weaker, key)):
        for form in (bearer, x_api_key):
            both = [*form(first.secret.reveal()), *form(second.secret.reveal())]
            answer = ask(server.port, "GET", "/v1/payments", both)
            if answer.status == 200:
                judged = keys[answer.seen.folded("X-Key-Id")[0]]
                assert judged == key
            else:
                assert answer.status in {400, 401, 403}
                assert api.traced(answer.trace) == []


@pytest.mark.parametrize(
    "original",
    [("POST", "/v1/refunds"), ("GET", "/v1/payouts"), ("DELETE", "/v1/payments"), ("GET", "/v1/unheard-of")],
)
def test_a_permission_that_the_key_lacks_is_a_403(
    server: Running, verifier: Product, key: ApiKey, api: Api, original: tuple[str, str]
) -> None:
    answer = ask(server.port, *original, bearer(key.secret.reveal()))
    assert_refused(answer, 403, api)
    assert_says_what_the_verifier_says(answer, verifier, original, key)
    assert answer.document["type"] == "urn:merchantadmin:problem:permission-denied"


def test_a_key_for_other_networks_is_a_403(server: Running, verifier: Product, api: Api) -> None:
    elsewhere = ApiKeyFactory(allowed_networks=["203.0.113.0/24"])
    answer = ask(server.port, "GET", "/v1/payments", bearer(elsewhere.secret.reveal()))
    assert_refused(answer, 403, api)
    assert_says_what_the_verifier_says(answer, verifier, ("GET", "/v1/payments"), elsewhere)
    assert answer.document["outcome"] == "NETWORK_NOT_ALLOWED"


def assert_says_what_the_verifier_says(
    answer: Answer, verifier: Product, original: tuple[str, str], key: ApiKey
) -> None:
    """The same document but for the id of the request, and nothing of it in words of the server's own."""
    told = zip(("X-Original-Method", "X-Original-URI"), original, strict=True)
    headers = [*bearer(key.secret.reveal()), *told, ("X-Forwarded-For", "127.0.0.1")]
    direct = ask(verifier.port, "GET", "/v1/authorize", headers)
    assert answer.document | {"request_id": None} == direct.document | {"request_id": None}
    assert answer.document["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("state", ["disabled", "revoked", "expired"])
def test_a_key_that_has_ended_is_refused(server: Running, api: Api, verifier, state: str) -> None:
    ended = ApiKeyFactory(**{state: True})
    assert_refused(ask(server.port, "GET", "/v1/payments", bearer(ended.secret.reveal())), 401, api)


def test_a_connection_is_kept_through_acceptances_and_refusals(server: Running, key: ApiKey) -> None:
    allowed, denied = bearer(key.secret.reveal()), bearer("sk_live_nothing")
    with Client(server.port) as client:
        for _ in range(10):
            assert client.ask("POST", "/v1/payments", allowed, b"{}").seen.body_size == 2
            assert client.ask("POST", "/v1/payments", denied, b"{}").status == 401
            assert client.ask("GET", "/v1/payouts", allowed).status == 403


def test_the_api_and_the_merchant_are_told_the_id_of_the_verdict(server: Running, key: ApiKey) -> None:
    forged = [("X-Request-Id", "forged"), ("X_Request_Id", "forged")]
    answer = ask(server.port, "GET", "/v1/payments", [*bearer(key.secret.reveal()), *forged])
    (told,) = answer.seen.folded("X-Request-Id")
    assert told.startswith("req_")
    expected = told if server.server.tells_request_id else OWN_REQUEST_ID
    assert answer.headers.get_all("X-Request-Id") == [expected]


def test_head_is_judged_as_get(server: Running, key: ApiKey, api: Api) -> None:
    answer = ask(server.port, "HEAD", "/v1/payments", bearer(key.secret.reveal()))
    assert (answer.status, answer.body) == (200, b"")
    assert [seen.method for seen in api.traced(answer.trace)] == ["HEAD"]
    assert ask(server.port, "HEAD", "/v1/payouts", bearer(key.secret.reveal())).status == 403
