"""A key changes while its merchant's requests go on."""

import time

import pytest

from keys import lifecycle, merchants
from keys.history import Actor
from keys.models import ApiKey
from tests.gateways.api import Api
from tests.gateways.servers import Running
from tests.gateways.traffic import Traffic, flowing
from tests.gateways.waiting import until
from tests.gateways.wire import bearer

pytestmark = pytest.mark.gateway

ENOUGH = 40


@pytest.mark.parametrize("what", ["key", "merchant account"])
def test_no_request_is_accepted_that_starts_after_the_disable_was_committed(
    server: Running, key: ApiKey, api: Api, what: str
) -> None:
    actor = Actor.command("the tests")
    traffic = Traffic(server.port, bearer(key.secret.reveal()))
    with flowing(traffic, threads=3):
        until(lambda: len(traffic.exchanges) >= ENOUGH)
        about_to = time.monotonic()
        if what == "key":
            lifecycle.disable(key=key, actor=actor)
        else:
            merchants.disable(merchant=key.merchant, actor=actor)
        committed = time.monotonic()
        until(lambda: len(traffic.since(committed)) >= ENOUGH)
    assert {exchange.status for exchange in traffic.before(about_to)} == {200}
    later = traffic.since(committed)
    assert {exchange.status for exchange in later} == {401}
    assert not any(api.traced(exchange.answer.trace) for exchange in later)


def test_a_key_that_is_enabled_again_is_accepted_at_once(server: Running, key: ApiKey) -> None:
    actor = Actor.command("the tests")
    disabled = lifecycle.disable(key=key, actor=actor)
    traffic = Traffic(server.port, bearer(key.secret.reveal()))
    with flowing(traffic, threads=3):
        until(lambda: len(traffic.exchanges) >= ENOUGH)
        about_to = time.monotonic()
        lifecycle.enable(key=disabled, actor=actor)
        committed = time.monotonic()
        until(lambda: len(traffic.since(committed)) >= ENOUGH)
    assert {exchange.status for exchange in traffic.before(about_to)} == {401}
    assert {exchange.status for exchange in traffic.since(committed)} == {200}
