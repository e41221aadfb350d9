"""`POST /v1/keys/verify`: the verdict on a key that an application was sent, for whoever holds a gateway token."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keys import merchants
from keys.gateway import problems
from keys.history import Actor
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, RequestLog
from keys.outcomes import Outcome
from tests.client import ProductClient, ask
from tests.factories import ApiKeyFactory, MerchantFactory

TOKENS = ["first-token-of-the-gateways-0123456789", "second-token-of-the-gateways-012345678"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def tokens(settings) -> None:
    settings.KEYS_GATEWAY_TOKENS = TOKENS


def post(body: bytes | str, *, token: str | None = f"Bearer {TOKENS[0]}", **environ: Any):
    """The answer to a body as it stands; `environ` replaces what the server would say of it."""
    content = body.encode() if isinstance(body, str) else body
    sent = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/keys/verify",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": io.BytesIO(content),
    }
    if token is not None:
        sent["HTTP_AUTHORIZATION"] = token
    sent |= environ
    return ask({name: value for name, value in sent.items() if value is not None})


def verify(key: ApiKey | str, **members: Any) -> dict[str, Any]:
    text = key if isinstance(key, str) else key.secret.reveal()
    answer = post(json.dumps({"key": text, **members}))
    assert answer.status_code == 200, answer.content
    return answer.json()


def refused(answer, problem: problems.Problem) -> str:
    """What the problem document says; it is of this kind, and names no key and no token."""
    told = answer.json()
    assert (answer.status_code, told["type"]) == (problem.status, problem.type), told
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["X-Request-Id"] == told["request_id"]
    assert not any(token in f"{answer.content}{answer.headers}" for token in TOKENS)
    return told["detail"]


def test_a_usable_key_is_valid_and_told_of(api_key: ApiKey) -> None:
    told = verify(api_key)
    assert told.pop("request_id").startswith("req_")
    assert told == {
        "valid": True,
        "outcome": "VALID",
        "meaning": Outcome.VALID.meaning,
        "merchant": {"id": api_key.merchant.public_id, "name": api_key.merchant.name},
        "key": {"id": api_key.public_id, "name": api_key.name},
        "mode": "live",
        "permissions": {"payments": "write", "refunds": "read"},
    }


def of_a_disabled_merchant() -> ApiKey:
    key = ApiKeyFactory()
    merchants.disable(merchant=key.merchant, actor=Actor.system())
    return key


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (of_a_disabled_merchant, Outcome.MERCHANT_DISABLED),
        (lambda: ApiKeyFactory(disabled=True), Outcome.DISABLED),
        (lambda: ApiKeyFactory(revoked=True), Outcome.REVOKED),
        (lambda: ApiKeyFactory(expired=True), Outcome.EXPIRED),
        (lambda: ApiKeyFactory(allowed_networks=["203.0.113.0/24"]), Outcome.NETWORK_NOT_ALLOWED),
        (lambda: ApiKeyFactory(permissions={}), Outcome.PERMISSION_DENIED),
    ],
)
def test_every_refusal_of_a_known_key_says_why_and_whose_it_is(make, outcome: Outcome) -> None:
    key = make()
    told = verify(key, method="GET", path="/v1/payments", address="192.0.2.1")
    assert (told["valid"], told["outcome"], told["meaning"]) == (False, outcome, outcome.meaning)
    assert told["key"]["id"] == key.public_id
    assert ("required_permission" in told) == (outcome is Outcome.PERMISSION_DENIED)
    row = RequestLog.objects.get()
    assert (row.outcome, row.status, row.method, row.path, row.address) == (
        outcome,
        outcome.http_status,
        "GET",
        "/v1/payments",
        "192.0.2.1",
    )
    assert row.public_id == told["request_id"]


@pytest.mark.parametrize(
    ("key", "outcome"),
    [
        ("nonsense", Outcome.MALFORMED),
        ("\x00\n\u202e", Outcome.MALFORMED),
        ("sk_live_" + "0" * 38, Outcome.MALFORMED),
        ("x" * 60_000, Outcome.MALFORMED),
        (PlaintextKey.generate(Mode.LIVE).reveal(), Outcome.NOT_FOUND),
    ],
    ids=["a word", "unprintable", "a wrong checksum", "very long", "never issued"],
)
def test_of_a_key_that_nobody_has_nothing_is_told_or_recorded(key: str, outcome: Outcome) -> None:
    told = verify(key, permission="payments:read")
    assert told.pop("request_id")
    assert told == {"valid": False, "outcome": outcome, "meaning": outcome.meaning}
    assert not RequestLog.objects.exists()


@pytest.mark.parametrize(
    ("asked", "valid", "lacks"),
    [
        ({}, True, None),
        ({"method": "POST", "path": "/v1/payments"}, True, None),
        ({"method": "POST", "path": "/v1/payments?to=/v1/payouts"}, True, None),
        ({"method": "HEAD", "path": "/v1/refunds"}, True, None),
        ({"method": "POST", "path": "/v1/refunds"}, False, "refunds:write"),
        ({"method": "POST", "path": "/v1/payouts"}, False, "payouts:write"),
        ({"method": "POST", "path": "/v1/payments/../payouts"}, False, None),
        ({"method": "POST", "path": "/v1/payments%2F"}, False, None),
        ({"method": "POST", "path": "v1/payments"}, False, None),
        ({"method": "BREW", "path": "/v1/payments"}, False, None),
        ({"method": "post", "path": "/v1/payments"}, False, None),
        ({"permission": "payments:read"}, True, None),
        ({"permission": "payments:write"}, True, None),
        ({"permission": "refunds:write"}, False, "refunds:write"),
    ],
)
def test_what_is_asked_decides(
    api_key: ApiKey, asked: dict[str, str], valid: bool, lacks: str | None
) -> None:
    told = verify(api_key, **asked)
    assert told["valid"] is valid
    assert told["outcome"] == ("VALID" if valid else "PERMISSION_DENIED")
    assert told.get("required_permission") == lacks


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ({}, ("VERIFY", "usable key")),
        ({"permission": "refunds:write"}, ("VERIFY", "permission refunds:write")),
        ({"method": "GET", "path": "/v1/payments?key=x"}, ("GET", "/v1/payments")),
    ],
)
def test_the_request_log_says_what_was_asked(api_key: ApiKey, asked, recorded: tuple[str, str]) -> None:
    verify(api_key, **asked)
    row = RequestLog.objects.get()
    assert (row.method, row.path) == recorded
    assert (row.key_id, row.reported) == (api_key.pk, False)


def test_a_key_in_the_path_is_not_recorded(api_key: ApiKey) -> None:
    verify(api_key, method="GET", path=f"/v1/payments/{api_key.secret.reveal()}")
    assert api_key.secret.reveal()[12:] not in RequestLog.objects.get().path


def test_nothing_is_recorded_where_it_is_not_wanted(api_key: ApiKey) -> None:
    assert verify(api_key, record=False)["valid"]
    assert not RequestLog.objects.exists()
    assert verify(api_key, record=True)["valid"]
    assert RequestLog.objects.count() == 1


@pytest.mark.parametrize(
    ("named", "outcome"),
    [
        (lambda key: key.merchant.public_id, Outcome.VALID),
        (lambda key: MerchantFactory().public_id, Outcome.MERCHANT_MISMATCH),
        (lambda key: key.merchant.public_id.upper(), Outcome.MERCHANT_MISMATCH),
        (lambda key: key.public_id, Outcome.MERCHANT_MISMATCH),
        (lambda key: key.secret.reveal(), Outcome.MERCHANT_MISMATCH),
        (lambda key: "", Outcome.MERCHANT_MISMATCH),
    ],
)
def test_a_merchant_account_that_is_named_must_be_the_keys(api_key: ApiKey, named, outcome) -> None:
    assert verify(api_key, merchant=named(api_key))["outcome"] == outcome


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("203.0.113.7", "VALID"),
        ("::ffff:203.0.113.7", "VALID"),
        ("203.0.113.7:4711", "VALID"),
        ("203.0.114.7", "NETWORK_NOT_ALLOWED"),
        ("2001:db8::1", "NETWORK_NOT_ALLOWED"),
        (None, "NETWORK_NOT_ALLOWED"),
    ],
)
def test_the_address_is_the_one_that_the_application_tells(address: str | None, outcome: str) -> None:
    """The application's own address, which the server sees, is not the merchant's."""
    key = ApiKeyFactory(allowed_networks=["203.0.113.0/24", "127.0.0.0/8"])
    assert verify(key, **({"address": address} if address else {}))["outcome"] == outcome


def test_the_time_of_the_question_decides_about_the_expiry(time_machine, api_key: ApiKey) -> None:
    key = ApiKeyFactory(expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    time_machine.move_to(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), tick=False)
    assert verify(key)["valid"]
    time_machine.move_to(datetime(2027, 1, 1, tzinfo=UTC), tick=False)
    assert verify(key)["outcome"] == "EXPIRED"


def test_the_database_away_is_no_verdict(api_key: ApiKey, monkeypatch) -> None:
    from django.db import OperationalError

    from tests import client

    def away() -> None:
        raise OperationalError("away")

    monkeypatch.setattr(client.connection, "cursor", away)
    answer = ProductClient().post(
        "/v1/keys/verify",
        json.dumps({"key": api_key.secret.reveal()}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKENS[0]}"},
    )
    assert refused(answer, problems.UNAVAILABLE)
    assert answer["Retry-After"] == "1"
