"""Reports line by line: what is taken, what is rejected and named, and how much may come at once."""

import json
from datetime import timedelta

import pytest

from keys.gateway import problems
from keys.gateway.reports import DURATION_US_MAX, LIMIT_BYTES, LINES_MAX, OUTCOMES
from keys.identifiers import REQUEST, encode, new_id
from keys.models import ApiKey, RequestLog, UsageMinute
from keys.outcomes import Outcome
from tests.test_reports import (
    NOW,
    counts,
    line,
    post,
    report,
    token_and_time,  # noqa: F401
    used,
)

pytestmark = pytest.mark.django_db


def test_bad_lines_are_named_and_good_ones_taken(api_key: ApiKey) -> None:
    told = report(
        line(api_key, id="1"),
        b"{",
        b"",
        line(api_key, id="2", status=0),
        b'{"id": "\xff"}',
        line(api_key, id="3"),
        line(api_key, id="4", key="key_01jd9v4c2hf6w8a3s5d7f9g1hj"),
        end=b"",
    )
    assert counts(told) == (2, 0, 4)
    assert [each["line"] for each in told["rejected"]] == [2, 4, 5, 7]
    assert [each["detail"] for each in told["rejected"]] == [
        "This is not JSON: look at line 1, column 2.",
        '"status" must be a whole number from 100 to 599.',
        "This is not UTF-8.",
        '"key" is no API key that there is.',
    ]
    assert sorted(RequestLog.objects.values_list("request_id", flat=True)) == ["1", "3"]


def test_no_more_than_a_hundred_bad_lines_are_named(api_key: ApiKey) -> None:
    told = report(*[b"rubbish"] * 250, line(api_key))
    assert counts(told) == (1, 0, 250)
    assert [each["line"] for each in told["rejected"]] == list(range(1, 101))


REJECTED = {
    "no id": ({"id": None}, '"id" is missing'),
    "empty id": ({"id": ""}, '"id" is empty'),
    "number for id": ({"id": 7}, '"id" must be a text'),
    "long id": ({"id": "x" * 65}, '"id" is longer than 64'),
    "no key": ({"key": None}, '"key" is missing'),
    "merchant for key": ({"key": "mch_01jd9v3k7rf8x9c2v5b7n1m4qa"}, '"key" is the id of an API key'),
    "no time": ({"at": None}, '"at" is missing'),
    "no time beside an id like ours": ({"id": "req_abc", "at": None}, '"at" is missing'),
    "no time beside an id of no time": (
        {"id": "req_7zzzzzzzzzzzzzzzzzzzzzzzzz", "at": None},
        '"at" is missing',
    ),
    "date": ({"at": "2026-03-01"}, '"at" must be a time with a zone'),
    "no zone": ({"at": "2026-03-01T12:30:00"}, '"at" must be a time with a zone'),
    "no such day": ({"at": "2026-02-30T12:30:00Z"}, '"at" must be a time with a zone'),
    "leap second": ({"at": "2026-03-01T12:30:60Z"}, '"at" must be a time with a zone'),
    "number for time": ({"at": 1772368200}, '"at" must be a text'),
    "other digits": ({"at": "2026-03-01T12:30:0\u0661Z"}, '"at" must be a time with a zone'),
    "before all time": ({"at": "0001-01-01T00:00:00+23:59"}, '"at" must be a time with a zone'),
    "future": ({"at": "2026-03-01T12:39:57Z"}, "in the future"),
    "far future": ({"at": "9999-12-31T23:59:59-00:01"}, '"at" must be a time with a zone'),
    "before there were ids": ({"at": "0064-10-11T14:31:42+11:32"}, "older than requests are kept"),
    "too old": ({"at": "2025-12-01T12:34:56Z"}, "older than requests are kept"),
    "no method": ({"method": None}, '"method" is missing'),
    "empty path": ({"path": ""}, '"path" is empty'),
    "half a character": ({"path": "/\ud800"}, '"path" holds half of a character'),
    "no status": ({"status": None}, '"status" is missing'),
    "status as text": ({"status": "200"}, '"status" must be a whole number'),
    "status as fraction": ({"status": 200.0}, '"status" must be a whole number'),
    "true for status": ({"status": True}, '"status" must be a whole number'),
    "status 99": ({"status": 99}, '"status" must be a whole number'),
    "status 600": ({"status": 600}, '"status" must be a whole number'),
    "no duration": ({"duration_ms": None}, '"duration_ms" is missing'),
    "negative duration": ({"duration_ms": -0.1}, "0 or more"),
    "duration as text": ({"duration_ms": "5"}, '"duration_ms" must be a number'),
    "true for duration": ({"duration_ms": True}, '"duration_ms" must be a number'),
    "address": ({"address": "localhost"}, '"address" is no IP address'),
    "outcome": ({"outcome": "FINE"}, '"outcome" must be one of VALID, MERCHANT_MISMATCH'),
    "outcome without a key": ({"outcome": "NOT_FOUND"}, '"outcome" must be one of'),
    "unknown member": ({"merchant": "x"}, '"merchant" is not known'),
}


@pytest.mark.parametrize(("members", "detail"), REJECTED.values(), ids=REJECTED)
def test_a_line_that_is_no_report_is_rejected_and_its_fault_named(
    api_key: ApiKey, members, detail: str
) -> None:
    told = report(line(api_key, **members))
    assert counts(told) == (0, 0, 1)
    assert detail in told["rejected"][0]["detail"]
    assert not RequestLog.objects.exists()
    assert not UsageMinute.objects.exists()


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (b'"duration_ms": 1e999', "0 or more"),
        (b'"duration_ms": NaN', "NaN is not a number"),
        (b'"duration_ms": 1' + b"0" * 5000, "too long"),
        (b'"status": 200, "status": 200', '"status" is there twice'),
    ],
)
def test_numbers_that_json_reads_in_strange_ways_are_rejected(
    api_key: ApiKey, text: bytes, detail: str
) -> None:
    whole = json.dumps(line(api_key, duration_ms=None)).encode().replace(b"}", b", " + text + b"}")
    told = report(whole)
    assert detail in told["rejected"][0]["detail"]


def test_the_key_itself_is_never_repeated_or_kept(api_key: ApiKey) -> None:
    key = api_key.secret.reveal()
    told = report(
        line(api_key, key=key), line(api_key, **{key: 1}), line(api_key, id=key[:40], path=f"/v1/{key}")
    )
    assert counts(told) == (1, 0, 2)
    assert key[:14] not in json.dumps(told)
    row = RequestLog.objects.get()
    assert key[12:] not in row.path + row.request_id
    assert key[12:40] not in row.request_id


@pytest.mark.parametrize(
    ("at", "accepted"),
    [
        (NOW + timedelta(minutes=5), True),
        (NOW + timedelta(minutes=5, seconds=1), False),
        (NOW - timedelta(days=90), True),
        (NOW - timedelta(days=90, seconds=1), False),
    ],
)
@pytest.mark.parametrize("by", ["id", "at"])
def test_requests_are_taken_as_far_back_as_they_are_kept(
    api_key: ApiKey, at, accepted: bool, by: str
) -> None:
    members = {"at": at.isoformat()} if by == "at" else {"id": encode(REQUEST, new_id(at)), "at": None}
    told = report(line(api_key, **members))
    assert counts(told) == ((1, 0, 0) if accepted else (0, 0, 1))


def test_a_time_beside_an_id_of_ours_is_not_the_one_that_counts(api_key: ApiKey) -> None:
    ours = encode(REQUEST, new_id(NOW - timedelta(hours=1)))
    report(line(api_key, id=ours))
    assert RequestLog.objects.get().at == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("duration_ms", "duration_us"),
    [(0, 0), (0.0004, 0), (0.0006, 1), (12, 12_000), (10**12, DURATION_US_MAX // 1000 * 1000)],
)
def test_the_duration_is_kept_in_microseconds_as_long_as_it_fits(
    api_key, duration_ms, duration_us: int
) -> None:
    report(line(api_key, duration_ms=duration_ms))
    assert RequestLog.objects.get().duration_us == duration_us


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_of_a_known_key_can_be_reported_and_is_counted(api_key: ApiKey, outcome: str) -> None:
    status = Outcome(outcome).http_status
    assert counts(report(line(api_key, outcome=outcome, status=status))) == (1, 0, 0)
    assert used(api_key) == ({"succeeded": 1} if outcome == "VALID" else {"failed": 1, outcome.lower(): 1})


def test_what_cannot_be_printed_is_escaped(api_key: ApiKey) -> None:
    report(line(api_key, id="\x00\n\u202e", method="\x00" * 99, path="/\x1b[31m" + "x" * 3000))
    row = RequestLog.objects.get()
    assert (row.method + row.path + row.request_id).isprintable()


@pytest.mark.parametrize(
    "kind", ["application/x-ndjson", "application/jsonl", "application/json; charset=utf-8"]
)
def test_lines_may_end_in_any_way_and_come_under_any_of_the_names(api_key: ApiKey, kind: str) -> None:
    first, second = (json.dumps(line(api_key, id=name)).encode() for name in ("1", "2"))
    answer = post(b"\r\n" + first + b"\r\n \n" + second, kind=kind)
    assert counts(answer.json()) == (2, 0, 0)


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\t\n"])
def test_a_body_without_a_line_is_refused(body: bytes) -> None:
    answer = post(body)
    assert (answer.status_code, answer.json()["type"]) == (400, problems.BODY_MALFORMED.type)


def test_there_are_limits_to_lines_and_bytes(api_key: ApiKey) -> None:
    answer = post(b"0\n" * (LINES_MAX + 1))
    assert (answer.status_code, answer.json()["detail"]) == (413, "The most is 10,000 lines.")
    assert counts(post(b"0\n" * LINES_MAX).json()) == (0, 0, LINES_MAX)
    answer = post(b" " * (LIMIT_BYTES + 1))
    assert (answer.status_code, answer.json()["detail"]) == (413, "The most is 1,048,576 bytes.")


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"REQUEST_METHOD": "GET"}, problems.METHOD_NOT_ALLOWED),
        ({"HTTP_AUTHORIZATION": "Bearer x"}, problems.TOKEN_WANTED),
        ({"CONTENT_TYPE": "text/plain"}, problems.MEDIA_TYPE_UNSUPPORTED),
        ({"CONTENT_LENGTH": "-1"}, problems.BODY_MALFORMED),
        ({"CONTENT_LENGTH": "99999"}, problems.BODY_MALFORMED),
    ],
)
def test_what_is_no_report_at_all_is_answered_by_a_problem_document(api_key, environ, problem) -> None:
    answer = post(json.dumps(line(api_key)).encode(), **environ)
    assert (answer.status_code, answer.json()["type"]) == (problem.status, problem.type)
    assert not RequestLog.objects.exists()
