"""`POST /v1/keys/verify`: the verdict on a key that an application was sent, for whoever holds a gateway token."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keys import merchants
from keys.gateway import problems
from keys.gateway.verify import LIMIT_BYTES
from keys.history import Actor
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, RequestLog
from keys.outcomes import Outcome
from tests.client import ProductClient, ask
from tests.factories import ApiKeyFactory, MerchantFactory

TOKENS = ["first-token-of-the-gateways-0123456789", "second-token-of-the-gateways-012345678"]
OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post"]

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


@pytest.mark.parametrize("token", [f"Bearer {TOKENS[1]}", f"bearer  {TOKENS[0]}", f" BEARER {TOKENS[0]} "])
def test_any_of_the_tokens_will_do(api_key: ApiKey, token: str) -> None:
    assert post(json.dumps({"key": api_key.secret.reveal()}), token=token).json()["valid"] is True


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKENS[0],
        f"Basic {TOKENS[0]}",
        f"Bearer {TOKENS[0][:-1]}",
        f"Bearer {TOKENS[0]}x",
        f"Bearer {TOKENS[0]},{TOKENS[1]}",
        f"Bearer {TOKENS[0]}, Bearer {TOKENS[0]}",
        f"Bearer {TOKENS[0].upper()}",
        "Bearer \xff\x00",
    ],
)
def test_without_a_token_nothing_is_said_or_read(api_key: ApiKey, token: str | None) -> None:
    untouched = io.BytesIO(json.dumps({"key": api_key.secret.reveal()}).encode())
    answer = post("", token=token, CONTENT_LENGTH="99", **{"wsgi.input": untouched})
    refused(answer, problems.TOKEN_WANTED)
    assert answer["WWW-Authenticate"] == 'Bearer realm="gateway"'
    assert untouched.tell() == 0
    assert not RequestLog.objects.exists()


def test_a_key_is_no_token(api_key: ApiKey) -> None:
    key = api_key.secret.reveal()
    refused(post(json.dumps({"key": key}), token=f"Bearer {key}"), problems.TOKEN_WANTED)


def test_no_token_is_accepted_where_none_is_set(settings, api_key: ApiKey) -> None:
    settings.KEYS_GATEWAY_TOKENS = []
    for token in ("", "Bearer ", "Bearer x"):
        refused(post("{}", token=token), problems.TOKEN_WANTED)


@pytest.mark.parametrize("method", OTHER_METHODS)
def test_other_methods_are_not_allowed(method: str) -> None:
    answer = post("{}", REQUEST_METHOD=method)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert (answer.content == b"") is (method == "HEAD")


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTENT_TYPE": None},
        {"CONTENT_TYPE": ""},
        {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
        {"CONTENT_TYPE": "text/json"},
        {"CONTENT_TYPE": "application/json; charset=latin-1"},
        {"CONTENT_TYPE": 'application/json; charset="utf-16"'},
        {"HTTP_CONTENT_ENCODING": "gzip"},
    ],
)
def test_a_body_of_another_kind_is_refused(api_key: ApiKey, environ: dict[str, str | None]) -> None:
    answer = post(json.dumps({"key": api_key.secret.reveal()}), **environ)
    assert refused(answer, problems.MEDIA_TYPE_UNSUPPORTED).startswith("Send the body")


@pytest.mark.parametrize(
    "kind",
    ["Application/JSON", 'application/json;charset="UTF-8"', "application/json ; charset=utf-8"],
)
def test_json_may_say_that_it_is_utf_8(api_key: ApiKey, kind: str) -> None:
    assert post(json.dumps({"key": api_key.secret.reveal()}), CONTENT_TYPE=kind).json()["valid"]


MALFORMED = {
    "empty": ("", "not JSON"),
    "not JSON": ("key=x", "line 1, column 1"),
    "half": ('{"key": "x"', "not JSON"),
    "two": ("{}{}", "not JSON"),
    "a list": ('["key"]', "a JSON object"),
    "a number": ("1", "a JSON object"),
    "a text": ('"key"', "a JSON object"),
    "null": ("null", "a JSON object"),
    "no key": ("{}", '"key" is missing'),
    "empty key": ('{"key": ""}', '"key" is empty'),
    "number for key": ('{"key": 1}', '"key" must be a text'),
    "null for key": ('{"key": null}', '"key" must be a text'),
    "key twice": ('{"key": "x", "key": "y"}', '"key" is there twice'),
    "key twice, once escaped": ('{"key": "x", "\\u006bey": "y"}', '"key" is there twice'),
    "twice inside": ('{"key": {"a": 1, "a": 2}}', '"a" is there twice'),
    "unknown member": ('{"key": "x", "scope": 1}', '"scope" is not known'),
    "unknown member of another form": ('{"key": "x", "Scope 1": 1}', "A member is not known"),
    "lone surrogate": ('{"key": "\\ud800"}', '"key" holds half of a character'),
    "nan": ('{"key": NaN}', "NaN is not a number"),
    "infinity": ('{"key": -Infinity}', "-Infinity is not a number"),
    "many digits": ('{"key": ' + "9" * 5000 + "}", "too long"),
    "deep": ('{"key": ' + "[" * 30_000, "nested too deeply"),
    "deep objects": ('{"a":' * 10_000, "nested too deeply"),
    "invalid UTF-8": (b'{"key": "\xff"}', "not UTF-8"),
    "UTF-16": ('{"key": "x"}'.encode("utf-16"), "not UTF-8"),
    "byte order mark": (b'\xef\xbb\xbf{"key": "x"}', "not JSON"),
    "control character": ('{"key": "\n"}', "not JSON"),
    "merchant": ('{"key": "x", "merchant": null}', '"merchant" must be a text'),
    "method alone": ('{"key": "x", "method": "GET"}', '"path" is missing'),
    "path alone": ('{"key": "x", "path": "/"}', '"method" is missing'),
    "empty path": ('{"key": "x", "method": "GET", "path": ""}', '"path" is empty'),
    "number for method": ('{"key": "x", "method": 1, "path": "/"}', '"method" must be a text'),
    "both": ('{"key": "x", "method": "GET", "path": "/", "permission": "payments:read"}', "not both"),
    "half of both": ('{"key": "x", "path": "/", "permission": "payments:read"}', "not both"),
    "unknown resource": ('{"key": "x", "permission": "pigeons:read"}', '"permission" is none'),
    "unknown access": ('{"key": "x", "permission": "payments:admin"}', '"permission" is none'),
    "no access": ('{"key": "x", "permission": "payments:none"}', '"permission" is none'),
    "resource alone": ('{"key": "x", "permission": "payments"}', '"permission" is none'),
    "address": ('{"key": "x", "address": "localhost"}', '"address" is no IP address'),
    "address with a zone": ('{"key": "x", "address": "fe80::1%eth0"}', '"address" is no IP address'),
    "empty address": ('{"key": "x", "address": ""}', '"address" is empty'),
    "record": ('{"key": "x", "record": 1}', '"record" must be true or false'),
    "record as text": ('{"key": "x", "record": "no"}', '"record" must be true or false'),
}


@pytest.mark.parametrize(("body", "detail"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_refused_and_its_fault_named(body: bytes | str, detail: str) -> None:
    assert detail in refused(post(body), problems.BODY_MALFORMED)


def test_what_is_wrong_is_named_without_repeating_a_secret(api_key: ApiKey) -> None:
    key = api_key.secret.reveal()
    for body in (
        {key: 1},
        {"key": key, key: 1},
        {"key": key, TOKENS[0]: 1},
        {"key": key, "permission": key},
        {"key": key, "address": key},
        {"key": key, "record": key},
        {"key": [key]},
    ):
        answer = post(json.dumps(body))
        assert key not in refused(answer, problems.BODY_MALFORMED)
    for text in (f'{{"key": "{key}"', f'{{"{key}": 1, "{key}": 1}}', f'{{"key": "{key}\\q"}}'):
        assert key not in refused(post(text), problems.BODY_MALFORMED)
    assert not RequestLog.objects.exists()


@pytest.mark.parametrize("length", ["-1", "+5", "5.0", "0x5", "\u0665", "five", "1" * 19, "5, 6"], ids=ascii)
def test_a_content_length_that_is_no_number_is_refused(length: str) -> None:
    detail = refused(post('{"key": "x"}', CONTENT_LENGTH=length), problems.BODY_MALFORMED)
    assert detail == "Content-Length is not a number."


class Stream(io.BytesIO):
    """Notes how much was asked for, and gives a little at a time."""

    asked = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        self.asked = max(self.asked, size)
        return super().read(min(size, 1000))


def test_no_more_is_read_than_is_announced(api_key: ApiKey) -> None:
    body = json.dumps({"key": api_key.secret.reveal()}).encode()
    answer = post("", CONTENT_LENGTH=str(len(body)), **{"wsgi.input": io.BytesIO(body + b"GET /v1/whoami")})
    assert answer.json()["valid"]
    whole = json.dumps({"key": api_key.secret.reveal(), "path": "/" + "x" * 20_000, "method": "GET"}).encode()
    assert post("", CONTENT_LENGTH=str(len(whole)), **{"wsgi.input": Stream(whole)}).status_code == 200


def test_a_body_that_ends_early_is_refused() -> None:
    assert "before its Content-Length" in refused(
        post('{"key": "x"}', CONTENT_LENGTH="13"), problems.BODY_MALFORMED
    )


def test_a_body_that_breaks_off_is_refused() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    answer = post("x", **{"wsgi.input": Broken()})
    assert "did not come to its end" in refused(answer, problems.BODY_MALFORMED)


def test_a_body_without_a_length_is_read_where_the_server_knows_its_end(api_key: ApiKey) -> None:
    body = json.dumps({"key": api_key.secret.reveal()})
    known = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert post(body, CONTENT_LENGTH=None, **known).json()["valid"]
    refused(post(body, CONTENT_LENGTH=None), problems.BODY_MALFORMED)


def padded(size: int) -> bytes:
    return b'{"key": "x"}'.ljust(size)


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert post(padded(LIMIT_BYTES)).status_code == 200
    assert refused(post(padded(LIMIT_BYTES + 1)), problems.BODY_TOO_LARGE) == "The most is 65,536 bytes."


def test_a_body_that_is_too_large_is_not_read_further() -> None:
    announced = Stream(padded(LIMIT_BYTES * 4))
    refused(
        post("", CONTENT_LENGTH=str(LIMIT_BYTES * 4), **{"wsgi.input": announced}), problems.BODY_TOO_LARGE
    )
    assert announced.tell() == 0
    endless = Stream(padded(LIMIT_BYTES * 4))
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": endless, "wsgi.input_terminated": True}
    refused(post("", CONTENT_LENGTH=None, **environ), problems.BODY_TOO_LARGE)
    assert endless.tell() == LIMIT_BYTES + 1


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
