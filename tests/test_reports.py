"""`POST /v1/requests`: finished requests are taken once each, with the status that the API answered."""

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from keys import spool
from keys.gateway import problems, reports
from keys.gateway.apart import Apart
from keys.gateway.ingest import ingest
from keys.identifiers import REQUEST, derived_id, encode, new_id, time_of
from keys.models import ApiKey, RequestLog, UsageHour, UsageMinute
from tests.client import ProductClient, ask
from tests.factories import ApiKeyFactory, RecordFactory
from tests.recounts import assert_rollups_equal_rows
from tests.spooled import drain

TOKEN = "token-of-the-gateways-0123456789-abcdef"
NOW = datetime(2026, 3, 1, 12, 34, 56, 789000, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def token_and_time(settings, time_machine) -> None:
    settings.KEYS_GATEWAY_TOKENS = [TOKEN]
    time_machine.move_to(NOW, tick=False)


def post(body: bytes, *, kind: str = "application/x-ndjson", **environ: Any):
    return ask(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/v1/requests",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": kind,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
            "wsgi.input": io.BytesIO(body),
            **environ,
        }
    )


def report(*lines: dict[str, Any] | bytes, end: bytes = b"\n") -> dict[str, Any]:
    answer = post(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + end
    )
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert len(told["rejected"]) == min(told["rejected_lines"], 100)
    return told


def counts(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["accepted"], told["duplicates"], told["rejected_lines"]


def line(key: ApiKey, /, **members: Any) -> dict[str, Any]:
    """A report of a request that no verifier was asked about; a member that is None is left out."""
    told = {
        "id": "a1",
        "key": key.public_id,
        "at": "2026-03-01T12:30:00.123Z",
        "method": "GET",
        "path": "/v1/payments",
        "status": 200,
        "duration_ms": 41.7,
    } | members
    return {name: value for name, value in told.items() if value is not None}


def verified(client: ProductClient, key: ApiKey, **given: Any) -> str:
    """Have a request verified; returns the id under which it is recorded."""
    headers = {
        "X-API-Key": key.secret.reveal(),
        "X-Original-Method": "POST",
        "X-Original-URI": "/v1/payments",
    }
    return client.get("/v1/authorize", headers=headers, **given)["X-Request-Id"]


def used(key: ApiKey) -> dict[str, int]:
    """How often the key succeeded and failed, and why, by the hours; what never happened is left out."""
    totals: dict[str, int] = {}
    for row in UsageHour.objects.filter(subject_id=key.pk).values():
        for name, number in row.items():
            if name not in {"id", "subject_id", "at"}:
                totals[name] = totals.get(name, 0) + number
    return {name: number for name, number in totals.items() if number}


def test_a_request_that_no_verifier_was_asked_about_is_recorded(api_key: ApiKey) -> None:
    told = report(line(api_key, status=404, address="::ffff:203.0.113.7", path="/v1/payments/p?secret=1"))
    assert counts(told) == (1, 0, 0)
    row = RequestLog.objects.get()
    at = datetime(2026, 3, 1, 12, 30, 0, 123000, tzinfo=UTC)
    assert (row.key_id, row.merchant_id, row.at) == (api_key.pk, api_key.merchant_id, at)
    assert (row.method, row.path, row.status, row.outcome) == ("GET", "/v1/payments/p", 404, "VALID")
    assert (row.duration_us, row.address, row.request_id, row.reported) == (41_700, "203.0.113.7", "a1", True)
    assert row.pk == derived_id(at, f"{api_key.pk}:a1".encode())
    assert used(api_key) == {"failed": 1, "client_error": 1}
    api_key.refresh_from_db()
    assert api_key.last_used_at == at
    assert_rollups_equal_rows()


def test_what_is_left_out_is_not_made_up(api_key: ApiKey) -> None:
    report(line(api_key))
    row = RequestLog.objects.get()
    assert (row.address, row.outcome) == (None, "VALID")


def test_a_report_under_our_id_corrects_what_was_recorded(client: ProductClient, api_key: ApiKey) -> None:
    ours = verified(client, api_key)
    before = RequestLog.objects.values().get()
    assert used(api_key) == {"succeeded": 1}
    told = report(line(api_key, id=ours, at=None, method="GET", path="/elsewhere", status=503, duration_ms=7))
    assert counts(told) == (1, 0, 0)
    after = RequestLog.objects.values().get()
    changed = {name: after[name] for name in after if after[name] != before[name]}
    assert changed == {"status": 503, "duration_us": 7_000, "reported": True}
    assert used(api_key) == {"failed": 1, "server_error": 1}
    assert_rollups_equal_rows()


def test_a_report_of_a_refused_request_keeps_the_reason(client: ProductClient) -> None:
    key = ApiKeyFactory(permissions={})
    ours = verified(client, key)
    report(line(key, id=ours, status=403))
    assert RequestLog.objects.get().outcome == "PERMISSION_DENIED"
    assert used(key) == {"failed": 1, "permission_denied": 1}
    assert_rollups_equal_rows()


def test_the_same_report_counts_once_however_often_it_comes(client: ProductClient, api_key: ApiKey) -> None:
    lines = [line(api_key, id=verified(client, api_key), status=500), line(api_key), line(api_key, id="a2")]
    assert counts(report(*lines)) == (3, 0, 0)
    before = list(RequestLog.objects.order_by("id").values()), used(api_key)
    for _ in range(2):
        assert counts(report(*lines)) == (0, 3, 0)
    assert counts(report(*lines, *lines, line(api_key, id="a3"))) == (1, 6, 0)
    RequestLog.objects.filter(request_id="a3").delete()
    assert list(RequestLog.objects.order_by("id").values()) == before[0]
    assert before[1] == {"succeeded": 2, "failed": 1, "server_error": 1}


def test_of_two_reports_of_one_request_the_first_stands(client: ProductClient, api_key: ApiKey) -> None:
    ours = verified(client, api_key)
    assert counts(report(line(api_key, id=ours, status=201), line(api_key, id=ours, status=500))) == (1, 1, 0)
    assert counts(report(line(api_key, id=ours, status=502))) == (0, 1, 0)
    assert RequestLog.objects.get().status == 201
    assert used(api_key) == {"succeeded": 1}


def test_the_same_name_with_another_key_or_time_is_another_request(api_key: ApiKey) -> None:
    other = ApiKeyFactory()
    told = report(line(api_key), line(other), line(api_key, at="2026-03-01T12:30:00.124Z"))
    assert counts(told) == (3, 0, 0)
    assert RequestLog.objects.count() == 3


def test_one_moment_written_in_two_ways_is_one_moment(api_key: ApiKey) -> None:
    moments = ("2026-03-01T12:30:00.123Z", "2026-03-01t18:00:00.123000+05:30", "2026-03-01 12:30:00.123z")
    assert counts(report(*(line(api_key, at=at) for at in moments))) == (1, 2, 0)


def test_a_report_with_another_keys_name_corrects_nothing(client: ProductClient, api_key: ApiKey) -> None:
    ours = verified(client, api_key)
    report(line(ApiKeyFactory(), id=ours, status=500))
    row = RequestLog.objects.get()
    assert (row.status, row.reported, row.key_id) == (200, False, api_key.pk)
    assert_rollups_equal_rows()


def spooled(key: ApiKey, ours: str, *, status: int = 200, outcome: str = "VALID") -> str:
    """The verifier's own line of the request."""
    id_ = spool.parse(line_of(key, ours, status, outcome)).id
    assert encode(REQUEST, id_) == ours
    return line_of(key, ours, status, outcome)


def line_of(key: ApiKey, ours: str, status: int, outcome: str) -> str:
    id_ = reports._our_id(ours)[0]
    return spool.line(
        RecordFactory(
            key=key,
            id=id_,
            at=time_of(id_),
            path="/v1/payments",
            status=status,
            outcome=outcome,
            request_id="",
        )
    ).decode()


@pytest.mark.parametrize("company", [0, 3])
def test_a_report_that_overtakes_the_verifiers_line_stands(api_key: ApiKey, company: int) -> None:
    """The line is still in the spool when the report comes; it may be drained alone or among others."""
    ours = encode(REQUEST, new_id(NOW - timedelta(seconds=1)))
    assert counts(report(line(api_key, id=ours, at=None, status=502))) == (1, 0, 0)
    row = RequestLog.objects.get()
    assert (encode(REQUEST, row.pk), row.at, row.request_id) == (ours, time_of(row.pk), "")
    others = [encode(REQUEST, new_id(NOW)) for _ in range(company)]
    drain("".join(spooled(api_key, each) for each in [ours, *others]).encode())
    drain(spooled(api_key, ours).encode())
    assert RequestLog.objects.count() == 1 + company
    row.refresh_from_db()
    assert (row.status, row.reported) == (502, True)
    expected = {"failed": 1, "server_error": 1} | ({"succeeded": company} if company else {})
    assert used(api_key) == expected
    assert_rollups_equal_rows()


def test_a_report_of_a_request_in_the_same_batch_of_the_drain_stands(api_key: ApiKey) -> None:
    """Where the verifier's line and a report of the same request meet in one batch."""
    id_ = new_id(NOW)
    verdict = RecordFactory(key=api_key, id=id_, at=NOW, status=200)
    told = RecordFactory(key=api_key, id=id_, at=NOW, status=503, reported=True)
    for batch in ([verdict, told], [told, verdict]):
        assert ingest(batch) == 1
        assert RequestLog.objects.get().status == 503
        assert used(api_key) == {"failed": 1, "server_error": 1}
        RequestLog.objects.all().delete()
        UsageHour.objects.all().delete()


def test_the_keys_of_a_whole_batch_are_looked_up_in_one_query() -> None:
    keys = [ApiKeyFactory() for _ in range(5)]
    with CaptureQueriesContext(connection) as few:
        report(line(keys[0]))
    with CaptureQueriesContext(connection) as many:
        report(*(line(key, id=str(number)) for number in range(40) for key in keys))
    lookups = [query for query in many if "keys_apikey" in query["sql"] and query["sql"].startswith("SELECT")]
    assert len(lookups) == 1
    assert len(many) == len(few)


def test_corrections_take_as_many_queries_as_one(client: ProductClient, api_key: ApiKey) -> None:
    ids = [verified(client, api_key) for _ in range(21)]
    with CaptureQueriesContext(connection) as one:
        report(line(api_key, id=ids[0], status=500))
    with CaptureQueriesContext(connection) as twenty:
        report(*(line(api_key, id=ours, status=500 + place % 2) for place, ours in enumerate(ids[1:])))
    assert len(twenty) == len(one)
    assert used(api_key) == {"failed": 21, "server_error": 21}
    assert RequestLog.objects.filter(reported=True).count() == 21
    assert_rollups_equal_rows()


def test_the_database_away_takes_nothing_and_says_when_to_try_again(
    api_key: ApiKey, monkeypatch, caplog
) -> None:
    def away(records: object) -> int:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(reports, "ingest", away)
        answer = post(json.dumps(line(api_key)).encode())
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == problems.UNAVAILABLE.type
    assert "A report of 1 requests was not taken" in caplog.text
    assert not RequestLog.objects.exists()
    assert counts(report(line(api_key))) == (1, 0, 0)


def test_a_report_that_fails_at_the_last_moment_leaves_nothing(api_key: ApiKey, monkeypatch) -> None:
    def refuse(records: object) -> None:
        raise OperationalError("not today")

    monkeypatch.setattr("keys.gateway.ingest._touch", refuse)
    assert post(json.dumps(line(api_key)).encode()).status_code == 503
    assert not RequestLog.objects.exists()
    assert not UsageMinute.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_keeps_only_a_few_waiting() -> None:
    answers, entered = threading.Event(), threading.Semaphore(0)

    def stuck(number: int) -> int:
        entered.release()
        assert answers.wait(20)
        return number

    apart = Apart(stuck, patience_seconds=0.01, at_once=2)
    for number in range(2):
        with pytest.raises(TimeoutError, match="took too long"):
            apart(number)
        assert entered.acquire(timeout=10)
    with pytest.raises(TimeoutError, match="others are waiting"):
        apart(3)
    answers.set()
    for thread in threading.enumerate():
        if thread.name == "apart":
            thread.join(10)
    patient = Apart(stuck, patience_seconds=10, at_once=2)
    assert [patient(number) for number in range(5)] == list(range(5))


@pytest.mark.django_db(transaction=True)
def test_what_goes_wrong_apart_is_said_to_whoever_called(api_key: ApiKey) -> None:
    def fail(given: object) -> None:
        raise OperationalError("away")

    with pytest.raises(OperationalError, match="away"):
        Apart(fail)(None)
    assert Apart(lambda pk: ApiKey.objects.get(pk=pk).pk)(api_key.pk) == api_key.pk
