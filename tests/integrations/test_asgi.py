"""Any ASGI application behind the middleware: who gets to it, what it knows of them, what is recorded in the end."""

import asyncio
from typing import Any

import pytest
from django.db import connection

from keys import lifecycle, usage
from keys.gateway.integrations.asgi import ApiKeyMiddleware
from keys.gateway.integrations.visits import VerifiedKey
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey
from keys.outcomes import Outcome
from tests.factories import ApiKeyFactory
from tests.gateways.waiting import until
from tests.integrations.asgi_client import Asked, ask, leave
from tests.integrations.conftest import bearer
from tests.integrations.test_django import CASES, FORGED, FORWARDED
from tests.integrations.test_django_routes import ROUTES

PROBLEM = "urn:merchantadmin:problem:"


class Api:
    """Answers with `status`, in two pieces; remembers the scopes it was called with."""

    def __init__(self, status: int = 200, *, headers: tuple = ()) -> None:
        self.status = status
        self.headers = headers
        self.scopes: list[dict[str, Any]] = []
        self.working = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    @property
    def key(self) -> VerifiedKey:
        return self.scopes[-1]["state"]["api_key"]


class Breaking(Api):
    """Fails: at once, or after a first piece."""

    def __init__(self, *, after_first_piece: bool) -> None:
        super().__init__()
        self.after_first_piece = after_first_piece

    async def __call__(self, scope, receive, send) -> None:
        if self.after_first_piece:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        raise RuntimeError("the API broke")


class Listening(Api):
    """Answers only when its client has gone, as one that waits for news; `polite`: by not answering at all."""

    def __init__(self, *, polite: bool) -> None:
        super().__init__()
        self.polite = polite

    async def __call__(self, scope, receive, send) -> None:
        await receive()
        self.working.set()
        assert (await receive())["type"] == "http.disconnect"
        if not self.polite:
            await super().__call__(scope, receive, send)


class Sleeping(Api):
    """Works for ever, and listens to nobody."""

    async def __call__(self, scope, receive, send) -> None:
        self.working.set()
        await asyncio.Event().wait()


class Streaming(Api):
    """Sends pieces for as long as somebody takes them."""

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"piece ", "more_body": True})
            await asyncio.sleep(0)


@pytest.mark.parametrize(("make", "outcome"), CASES, ids=[outcome.value for _, outcome in CASES])
def test_every_verdict_is_answered_and_recorded(recorded, verifier, make, outcome: Outcome) -> None:
    api, key = Api(201), make()
    answer = ask(ApiKeyMiddleware(api, permission="payments:write"), "POST", "/charge?amount=1", bearer(key))
    [record] = recorded()
    assert (record.key_id, record.merchant_id) == (key.pk, key.merchant_id)
    assert (record.method, record.path, record.outcome) == ("POST", "/charge", outcome)
    assert record.status == answer.status == (201 if outcome is Outcome.VALID else outcome.http_status)
    assert record.reported
    assert record.public_id == answer.headers["x-request-id"]
    assert len(api.scopes) == (1 if outcome is Outcome.VALID else 0)
    if outcome is not Outcome.VALID:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-length"] == str(len(answer.body))
        assert ("www-authenticate" in answer.headers) is (answer.status == 401)
        assert answer.json()["request_id"] == record.public_id


def test_whoever_has_no_key_gets_one_answer_and_no_record(recorded, verifier) -> None:
    app = ApiKeyMiddleware(Api())
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"X-API-Key": "\xff\xfe"},
        {"X-API-Key": PlaintextKey.generate(Mode.LIVE).reveal()},
    ):
        answer = ask(app, "GET", "/", headers)
        assert (answer.status, answer.json()["type"]) == (401, f"{PROBLEM}unauthorized")
        assert 'Bearer realm="merchant API"' in answer.headers["www-authenticate"]
    assert recorded() == []


def test_a_header_that_comes_twice_is_refused(recorded, key: ApiKey) -> None:
    for name in (b"authorization", b"Authorization"):
        header = (name, f"Bearer {key.secret.reveal()}".encode())
        assert ask(ApiKeyMiddleware(Api()), "GET", "/", [header]).status == 200
        assert ask(ApiKeyMiddleware(Api()), "GET", "/", [header, header]).status == 401


def test_a_head_request_is_refused_without_a_body(recorded, verifier) -> None:
    answer = ask(ApiKeyMiddleware(Api()), "HEAD", "/")
    assert (answer.status, answer.body) == (401, b"")
    assert int(answer.headers["content-length"]) > 100


def test_the_final_status_is_recorded_and_counted(recorded, key: ApiKey) -> None:
    statuses = [200, 201, 302, 404, 500, 503]
    for status in statuses:
        assert ask(ApiKeyMiddleware(Api(status)), "GET", "/", bearer(key)).status == status
    assert [(record.status, record.outcome, record.reported) for record in recorded()] == [
        (status, Outcome.VALID, True) for status in statuses
    ]
    counted = usage.last_24_hours([key.pk])[key.pk]
    assert (counted.succeeded, counted.failed) == (3, 3)
    assert (counted.causes["client_error"], counted.causes["server_error"]) == (1, 2)


def test_the_record_is_written_before_the_answer_has_ended(recorded, key: ApiKey) -> None:
    counts = []

    def count() -> None:
        counts.append(len(recorded()))
        connection.close()

    class Watching(Asked):
        async def send(self, message) -> None:
            await asyncio.to_thread(count)

    request = Watching("GET", "/", bearer(key))
    asyncio.run(ApiKeyMiddleware(Api())(request.scope, request.receive, request.send))
    assert counts == [0, 0, 1]


def test_the_application_knows_whose_key_it_is(key: ApiKey) -> None:
    api = Api()
    state = {"pool": object()}
    ask(ApiKeyMiddleware(api), "GET", "/", bearer(key) | FORGED, state=state)
    assert (api.key.key_id, api.key.merchant_id) == (key.public_id, key.merchant.public_id)
    assert (api.key.key_name, api.key.merchant_name) == (key.name, key.merchant.name)
    assert (api.key.mode, str(api.key.permissions)) == ("live", "payments:write refunds:read")
    assert api.scopes[0]["state"]["pool"] is state["pool"]
    assert "api_key" not in state


def test_an_identity_in_headers_or_left_over_is_not_believed(recorded, key: ApiKey) -> None:
    api = Api()
    answer = ask(ApiKeyMiddleware(api), "GET", "/", FORGED, state={"api_key": "somebody"})
    assert (answer.status, api.scopes) == (401, [])


@pytest.mark.parametrize(("proxies", "addresses"), FORWARDED)
def test_the_address_is_told_by_as_many_proxies_as_are_trusted(
    recorded, verifier, proxies: int, addresses: dict[str, str | None]
) -> None:
    verifier.trusted_proxies = proxies
    app, key = ApiKeyMiddleware(Api()), ApiKeyFactory(allowed_networks=["203.0.113.0/24"])
    for forwarded_for, address in addresses.items():
        headers = bearer(key) | ({"X-Forwarded-For": forwarded_for} if forwarded_for else {})
        answer = ask(app, "GET", "/", headers)
        assert answer.status == (200 if address == "203.0.113.7" else 403), forwarded_for
    assert [record.address for record in recorded()] == list(addresses.values())


def test_a_forwarded_header_that_comes_twice_is_counted_as_one(recorded, key: ApiKey, verifier) -> None:
    verifier.trusted_proxies = 2
    headers = [
        (b"x-forwarded-for", b"198.51.100.9, 203.0.113.7"),
        (b"x-forwarded-for", b"192.0.2.2"),
        (b"x-api-key", key.secret.reveal().encode()),
    ]
    ask(ApiKeyMiddleware(Api()), "GET", "/", headers)
    assert [record.address for record in recorded()] == ["203.0.113.7"]


def test_a_client_without_an_address_has_none(recorded, key: ApiKey) -> None:
    ask(ApiKeyMiddleware(Api()), "GET", "/", bearer(key), client=None)
    request = Asked("GET", "/", bearer(key))
    del request.scope["client"]
    asyncio.run(ApiKeyMiddleware(Api())(request.scope, request.receive, request.send))
    assert [record.address for record in recorded()] == [None, None]


@pytest.mark.usefixtures("database_away")
def test_without_its_database_nobody_is_let_in(recorded, key: ApiKey) -> None:
    api = Api()
    answer = ask(ApiKeyMiddleware(api), "GET", "/", bearer(key))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == f"{PROBLEM}unavailable"
    assert api.scopes == []
    assert recorded() == []


def test_a_key_that_is_disabled_while_the_application_runs_is_refused(recorded, key: ApiKey, actor) -> None:
    app = ApiKeyMiddleware(Api())
    assert ask(app, "GET", "/", bearer(key)).status == 200
    lifecycle.disable(key=key, actor=actor)
    until(lambda: ask(app, "GET", "/", bearer(key)).status == 401)
    assert recorded()[-1].outcome == Outcome.DISABLED


def test_the_route_says_what_is_needed(recorded, key: ApiKey) -> None:
    app = ApiKeyMiddleware(Api(), by_route=True)
    for route, status in ROUTES:
        method, raw = route.split()
        decoded = {"%2e%2e": "..", "%ff": "\udcff", "%2525": "%25"}
        path = raw
        for sent, arrived in decoded.items():
            path = path.replace(sent, arrived)
        assert ask(app, method, path, bearer(key), raw_path=raw.encode()).status == status, route
    records = recorded()
    assert [record.status for record in records] == [status for _, status in ROUTES]
    assert [f"{record.method} {record.path}" for record in records] == [route for route, _ in ROUTES]


@pytest.mark.usefixtures("slashes_that_matter")
def test_a_slash_that_was_encoded_is_not_matched_as_if_it_were_not_one(verifier) -> None:
    """The application sees two segments where the sender wrote one: the permission is asked for both readings."""
    app, key = ApiKeyMiddleware(Api(), by_route=True), ApiKeyFactory(permissions={"files": "read"})
    assert ask(app, "GET", "/v1/1/secrets", bearer(key), raw_path=b"/v1/1%2Fsecrets").status == 403


def test_a_path_is_recorded_as_it_was_sent_without_its_query_and_keys(recorded, key: ApiKey) -> None:
    app, secret = ApiKeyMiddleware(Api()), key.secret.reveal()
    ask(app, "GET", "/a b", bearer(key), raw_path=b"/a%20b?key=1")
    ask(app, "GET", "/a b\xe9", bearer(key))
    ask(app, "GET", f"/{secret}?key={secret}", bearer(key))
    assert [record.path for record in recorded()] == ["/a%20b", "/a%20b%C3%A9", f"/sk_live_{key.head}••••••"]


def test_an_id_that_the_application_gives_itself_stays_and_is_recorded(recorded, key: ApiKey) -> None:
    app = ApiKeyMiddleware(Api(headers=((b"X-Request-Id", b"order-4711"),)))
    answer = ask(app, "GET", "/", bearer(key))
    assert answer.headers["x-request-id"] == "order-4711"
    assert [record.request_id for record in recorded()] == ["order-4711"]


# -- How it ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_first_piece", [False, True])
def test_an_application_that_breaks_is_recorded_as_a_failure(recorded, key, after_first_piece: bool) -> None:
    with pytest.raises(RuntimeError, match="the API broke"):
        ask(ApiKeyMiddleware(Breaking(after_first_piece=after_first_piece)), "GET", "/", bearer(key))
    assert [(record.status, record.outcome) for record in recorded()] == [(500, Outcome.VALID)]


def test_an_application_that_never_answers_is_recorded_as_a_failure(recorded, key: ApiKey) -> None:
    async def silent(scope, receive, send) -> None:
        pass

    ask(ApiKeyMiddleware(silent), "GET", "/", bearer(key))
    assert [record.status for record in recorded()] == [500]


def test_an_answer_that_the_server_sends_by_itself_is_recorded(recorded, key: ApiKey) -> None:
    async def sends_a_file(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 206, "headers": []})
        await send({"type": "http.response.pathsend", "path": __file__})

    ask(ApiKeyMiddleware(sends_a_file), "GET", "/", bearer(key))
    assert [record.status for record in recorded()] == [206]


@pytest.mark.parametrize("polite", [True, False])
def test_a_client_that_leaves_before_the_answer_is_recorded_as_gone(recorded, key, polite: bool) -> None:
    api = Listening(polite=polite)
    leave(ApiKeyMiddleware(api), "/", bearer(key), once=lambda asked: api.working)
    assert [(record.status, record.outcome) for record in recorded()] == [(499, Outcome.VALID)]


def test_a_request_that_its_server_cancels_is_recorded_as_gone(recorded, key: ApiKey) -> None:
    api = Sleeping()
    leave(ApiKeyMiddleware(api), "/", bearer(key), once=lambda asked: api.working, cancelled=True)
    assert [record.status for record in recorded()] == [499]


def test_a_client_that_leaves_a_stream_is_recorded_as_gone(recorded, key: ApiKey) -> None:
    leave(ApiKeyMiddleware(Streaming()), "/", bearer(key), once=lambda asked: asked.answering)
    assert [record.status for record in recorded()] == [499]


def test_what_an_application_does_after_its_answer_changes_nothing(recorded, key: ApiKey) -> None:
    async def works_on(scope, receive, send) -> None:
        await Api(202)(scope, receive, send)
        raise RuntimeError("the work afterwards broke")

    with pytest.raises(RuntimeError, match="the work afterwards broke"):
        ask(ApiKeyMiddleware(works_on), "GET", "/", bearer(key))
    assert [record.status for record in recorded()] == [202]


# -- What is no request --------------------------------------------------------------------------------------------


def test_the_life_of_the_server_is_the_application_s_own_affair() -> None:
    api, scope = Api(), {"type": "lifespan", "state": {}}
    asyncio.run(ApiKeyMiddleware(api)(scope, *nobody()))
    assert api.scopes == [scope]


def test_a_websocket_is_turned_away_before_it_opens() -> None:
    api, said = Api(), []

    async def receive() -> dict:
        said.append({"type": "websocket.connect"})
        return said[-1]

    async def send(message) -> None:
        said.append(message)

    asyncio.run(ApiKeyMiddleware(api)({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert said == [{"type": "websocket.connect"}, {"type": "websocket.close", "code": 1008}]
    assert api.scopes == []


def test_nothing_unheard_of_gets_past() -> None:
    api = Api()
    with pytest.raises(ValueError, match="not webtransport"):
        asyncio.run(ApiKeyMiddleware(api)({"type": "webtransport"}, *nobody()))
    assert api.scopes == []


def nobody():
    async def receive() -> dict:
        raise AssertionError

    async def send(message) -> None:
        pass

    return receive, send


@pytest.mark.parametrize("permission", ["payments", "payments:admin", "nothing:read", "balances:write", ""])
def test_a_permission_that_does_not_exist_is_found_at_once(permission: str) -> None:
    with pytest.raises(ValueError, match="is not a permission of the catalogue"):
        ApiKeyMiddleware(Api(), permission=permission)
