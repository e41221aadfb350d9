"""What merchants send by mistake: a key that comes in the wrong place is in no file either."""

from collections.abc import Iterator

import pytest
from django.test import RequestFactory

from keys.gateway.calls import Verifier
from keys.gateway.processes import assemble
from keys.gateway.recorder import SpoolRecorder
from keys.models import ApiKey
from keys.permissions import catalogue
from tests.client import DirectDirectory


def environs(key: ApiKey) -> Iterator[dict]:
    """Requests with the key in every place where one could be sent by mistake, beside the right one."""
    text = key.secret.reveal()
    factory = RequestFactory(
        HTTP_X_API_KEY=text, HTTP_USER_AGENT=text, HTTP_REFERER=f"https://example.com/{text}"
    )
    requests = [
        factory.get(f"/v1/whoami?key={text}"),
        factory.get(f"/v1/authorize/v1/payments/{text}?key={text}"),
        factory.generic(text[:20], f"/v1/authorize/{text}"),
        factory.get(
            "/v1/authorize",
            HTTP_X_ORIGINAL_METHOD=text,
            HTTP_X_ORIGINAL_URI=f"/v1/payments/{text}/{text.upper()}?{text}",
            HTTP_X_FORWARDED_FOR=text,
            HTTP_X_REQUEST_ID=text,
        ),
        factory.get(
            "/v1/authorize", HTTP_X_ORIGINAL_METHOD="GET", HTTP_X_ORIGINAL_URI=f"/{'x' * 1960}{text}"
        ),
    ]
    for request in requests:
        yield request.environ


@pytest.mark.django_db
def test_no_key_in_plain_text_ever_comes_into_the_spool(tmp_path, api_key) -> None:
    recorder = SpoolRecorder(tmp_path, limit_bytes=1 << 40)
    gateway = assemble(
        Verifier(directory=DirectDirectory(), recorder=recorder, catalogue=catalogue(), trusted_proxies=1)
    )
    statuses = [[] for _ in range(5)]
    for said, environ in zip(statuses, environs(api_key), strict=True):
        gateway(environ, lambda status, headers, said=said: said.append(status))
    assert all(said for said in statuses)
    recorder.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert kept.count(b"\n") == 5
    secret = api_key.secret.reveal()
    for start in range(len("sk_live_"), len(secret) - 7):
        assert secret[start : start + 8].lower().encode() not in kept.lower()
