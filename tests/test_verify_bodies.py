"""What may be sent to /v1/keys/verify: by whom, of which kind, in which form, and of which size."""

import io
import json

import pytest

from keys.gateway import problems
from keys.gateway.verify import LIMIT_BYTES
from keys.models import ApiKey, RequestLog
from tests.test_verify_call import (
    TOKENS,
    post,
    refused,
    tokens,  # noqa: F401
)

pytestmark = pytest.mark.django_db


OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post"]


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
