"""The same API in an event loop: nothing there waits for the database, and nothing is missed in the record."""

import asyncio
import threading

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.test import AsyncClient

from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey
from keys.outcomes import Outcome
from tests.factories import ApiKeyFactory
from tests.gateways.waiting import until
from tests.integrations import api as views
from tests.integrations.asgi_client import ask, leave
from tests.integrations.conftest import bearer
from tests.verifiers import wait_for_acknowledgement


@pytest.fixture
def app(api) -> ASGIHandler:
    return ASGIHandler()


@pytest.fixture
def threads(monkeypatch) -> list:
    """Grows by each look-up that is left to a thread."""
    called: list = []
    to_thread = asyncio.to_thread

    def counted(function, *args):
        called.append(function)
        return to_thread(function, *args)

    monkeypatch.setattr(asyncio, "to_thread", counted)
    return called


def test_an_asynchronous_view_is_let_in_and_recorded(app, recorded, key: ApiKey) -> None:
    answer = ask(app, "POST", "/charge-soon", bearer(key))
    assert (answer.status, answer.json()["key"]["key_id"]) == (201, key.public_id)
    [record] = recorded()
    assert (record.method, record.path, record.status) == ("POST", "/charge-soon", 201)
    assert (record.address, record.reported) == ("192.0.2.1", True)
    assert record.public_id == answer.headers["x-request-id"]


def test_an_asynchronous_view_is_refused_and_recorded(app, recorded, verifier) -> None:
    answer = ask(app, "POST", "/charge-soon", bearer(ApiKeyFactory(permissions={})))
    assert (answer.status, answer.json()["required_permission"]) == (403, "payments:write")
    assert ask(app, "POST", "/charge-soon").status == 401
    assert [(record.status, record.outcome) for record in recorded()] == [(403, Outcome.PERMISSION_DENIED)]


def test_a_synchronous_view_is_recorded_in_an_event_loop_too(app, recorded, key: ApiKey) -> None:
    assert ask(app, "GET", "/answer/404", bearer(key)).status == 404
    assert ask(app, "GET", "/answer/500", bearer(key)).status == 500
    assert ask(app, "POST", "/charge", bearer(key)).status == 201
    assert [record.status for record in recorded()] == [404, 500, 201]


@pytest.fixture
def remembers(verifier, key: ApiKey) -> bool:
    """Whether the verifier has a memory that needs no question to the database; if so, the key is in there.

    On SQLite each look-up asks the file whether anything has changed.
    """
    secret = key.secret.reveal()
    if connection.vendor == "postgresql":
        # That the key was made is a change too, which would take it out again.
        wait_for_acknowledgement()
        until(lambda: verifier.directory.find(secret) and verifier.directory.remembered(secret))
        return True
    assert verifier.directory.find(secret)
    assert verifier.directory.remembered(secret) is None
    return False


def test_what_is_remembered_needs_no_thread(app, threads: list, key: ApiKey, remembers: bool) -> None:
    assert ask(app, "POST", "/charge-soon", bearer(key)).status == 201
    assert len(threads) == (0 if remembers else 1)


def test_a_wrong_checksum_needs_no_thread(app, threads: list, verifier) -> None:
    unknown = PlaintextKey.generate(Mode.LIVE).reveal()
    wrong = f"{unknown[:-1]}{'ab'[unknown[-1] == 'a']}"
    assert ask(app, "POST", "/charge-soon", {"X-API-Key": wrong}).status == 401
    assert len(threads) == 0
    assert ask(app, "POST", "/charge-soon", {"X-API-Key": unknown}).status == 401
    assert len(threads) == 1


def test_the_event_loop_never_looks_a_key_up_itself(app, verifier, key: ApiKey, monkeypatch) -> None:
    loop_thread = threading.current_thread()
    find, asked_by = type(verifier.directory).find, []

    def watched(self, key: str):
        asked_by.append(threading.current_thread())
        return find(self, key)

    monkeypatch.setattr(type(verifier.directory), "find", watched)
    for path in ("/charge-soon", "/charge", "/payments-soon", "/payments"):
        ask(app, "GET", path, bearer(ApiKeyFactory()))
    assert len(asked_by) >= 4
    assert loop_thread not in asked_by


def test_a_class_with_asynchronous_handlers_is_decorated_like_any_other(app, recorded, key: ApiKey) -> None:
    assert ask(app, "GET", "/payments-soon", bearer(key)).json()["key"]["key_id"] == key.public_id
    refused = ask(app, "POST", "/payments-soon", bearer(key))
    assert (refused.status, refused.json()["required_permission"]) == (403, "payouts:write")
    assert ask(app, "GET", "/payments-soon").status == 401
    assert [record.status for record in recorded()] == [200, 403]


def test_a_middleware_by_route_asks_in_an_event_loop_too(app, recorded, key: ApiKey, settings) -> None:
    settings.MIDDLEWARE = ["keys.gateway.integrations.django.ApiKeyByRouteMiddleware"]
    by_route = ASGIHandler()
    assert ask(by_route, "GET", "/v1/payments", bearer(key)).status == 200
    assert ask(by_route, "GET", "/v1/payouts", bearer(key)).status == 403
    assert ask(by_route, "GET", "/public").status == 401
    assert [record.status for record in recorded()] == [200, 403]


@pytest.mark.usefixtures("database_away")
def test_without_its_database_nobody_is_let_in(app, recorded, key: ApiKey) -> None:
    answer = ask(app, "POST", "/charge-soon", bearer(key))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert recorded() == []


def test_a_client_that_leaves_before_the_answer_is_recorded_as_gone(app, recorded, key: ApiKey) -> None:
    views.waiting = asyncio.Event()
    leave(app, "/charge-soon?wait", bearer(key), once=lambda asked: views.waiting)
    [record] = recorded()
    assert (record.status, record.outcome) == (499, Outcome.VALID)


def test_an_exception_that_leaves_django_is_a_500(app, recorded, key: ApiKey, settings) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True

    async def story() -> None:
        with pytest.raises(RuntimeError, match="the API broke"):
            await AsyncClient().get("/answer/500", headers=bearer(key))

    asyncio.run(story())
    assert [record.status for record in recorded()] == [500]


def test_a_stream_is_recorded_when_it_has_ended(app, recorded, key: ApiKey) -> None:
    answer = ask(app, "GET", "/stream-soon", bearer(key))
    assert answer.body == b"one two"
    [record] = recorded()
    assert (record.status, record.public_id) == (200, answer.headers["x-request-id"])


def test_a_stream_that_breaks_is_recorded_as_a_failure(api, recorded, key: ApiKey) -> None:
    """Django closes no response that breaks off; by its test client, since its handler leaves a file open then."""

    async def story() -> None:
        answer = await AsyncClient().get("/stream-soon?break", headers=bearer(key))
        with pytest.raises(RuntimeError, match="the API broke"):
            [part async for part in answer.streaming_content]

    asyncio.run(story())
    assert [record.status for record in recorded()] == [500]


def test_a_client_that_leaves_a_stream_is_recorded_as_gone(app, recorded, key: ApiKey) -> None:
    left = leave(app, "/stream-soon?wait", bearer(key), once=lambda asked: asked.answering)
    assert left.body == b"one "
    assert [record.status for record in recorded()] == [499]
