"""The request log: what an account's keys did, request by request."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client

from keys.gateway.ingest import ingest
from keys.models import ApiKey, RequestLog
from keys.outcomes import Outcome
from tests.client import ProductClient
from tests.console.page import inline_code, page_of, rows_of
from tests.factories import RecordFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def address(api_key: ApiKey) -> str:
    return f"/merchants/{api_key.merchant.public_id}/requests/"


def test_a_row_tells_a_request_and_leads_to_it_and_to_its_key(
    console: Client, api_key: ApiKey, address: str
) -> None:
    ingest([
        RecordFactory(key=api_key, at=NOON, method="POST", path="/v1/refunds", status=403, duration_us=1_234,
                      outcome=Outcome.PERMISSION_DENIED, address="2001:db8::1"),
    ])  # fmt: skip
    page = page_of(console.get(address))
    entry = RequestLog.objects.get()
    row = rows_of(page)[0]

    assert page.has("table", aria_label="Requests")
    assert page.one("nav", aria_label="Merchant account").one("a", aria_current="page").text == "Request log"
    assert row.one("th").one("a")["href"] == f"/requests/{entry.public_id}/"
    assert row.one("th").text == "POST /v1/refunds"
    cells = [cell.text for cell in row.all("td")]
    assert cells[1:] == ["403", "Permission denied", api_key.name, "1.2 ms", "2001:db8::1"]
    assert row.link(api_key.name)["href"] == f"/keys/{api_key.public_id}/"
    # Not by colour alone.
    assert row.one(class_="status-failed").has("svg")


def test_a_request_has_a_page_with_all_that_is_known_of_it(console: Client, api_key: ApiKey) -> None:
    [record] = [
        RecordFactory(key=api_key, at=NOON, status=401, outcome=Outcome.EXPIRED, address=None, request_id="")
    ]
    ingest([record])
    page = page_of(console.get(f"/requests/{RequestLog.objects.get().public_id}/"))

    assert page.one("h1").text == "GET /v1/payments"
    told = {row.one("dt").text: row.one("dd").text for row in page.one("dl", class_="facts").all("div")}
    assert told == {
        "Outcome": f"EXPIRED {Outcome.EXPIRED.meaning}",
        "Time": "1 Mar 2026, 12:00:00 UTC",
        "Key": f"{api_key.name} {api_key.masked}",
        "Duration": "1.5 ms",
        "Address": "Unknown",
        "Status": "401, as the verifier answered",
        "Request id": RequestLog.objects.get().public_id,
    }
    crumbs = page.one("nav", aria_label="Breadcrumb")
    assert crumbs.link("Request log")["href"] == f"/merchants/{api_key.merchant.public_id}/requests/"


def test_a_request_that_was_reported_says_so(console: Client, api_key: ApiKey) -> None:
    ingest([RecordFactory(key=api_key, status=502, reported=True, request_id="order-4711")])
    page = page_of(console.get(f"/requests/{RequestLog.objects.get().public_id}/"))
    told = {row.one("dt").text: row.one("dd").text for row in page.one("dl", class_="facts").all("div")}
    assert told["Status"] == "502, as the API answered"
    assert told["Reported as"] == "order-4711"


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if outcome not in {"MALFORMED", "NOT_FOUND"}]
)
def test_every_outcome_can_be_shown(console: Client, api_key: ApiKey, address: str, outcome: Outcome) -> None:
    ingest([RecordFactory(key=api_key, status=outcome.http_status, outcome=outcome)])

    assert outcome.label in rows_of(page_of(console.get(f"{address}?outcome={outcome}")))[0].text
    assert outcome.meaning in page_of(console.get(f"/requests/{RequestLog.objects.get().public_id}/")).text


def test_without_requests_it_says_how_to_make_the_first(
    console: Client, api_key: ApiKey, address: str
) -> None:
    grid = page_of(console.get(address)).one("div", id="grid")

    assert grid.one("h2").text == "No requests yet"
    assert "/v1/whoami" in grid.text


HOSTILE = (
    "/v1/<script>alert(1)</script>", "/v1/\"onmouseover=\"x", "/v1/'><img src=x>", "/v1/{{ 7 }}{% now 'Y' %}",
    "/v1/\u202egnp.exe", "/v1/\x00\x1b[31m", "/v1/" + "x" * 3000, "/v1/\ud800", "/v1/%3Cb%3E", "",
)  # fmt: skip


def test_a_hostile_path_is_shown_as_text(console: Client, api_key: ApiKey, address: str) -> None:
    """What a client sends reaches the log, and so this page: it is escaped, and what cannot be seen is spelt out."""
    ingest([RecordFactory(key=api_key, path=path, method="<b>") for path in HOSTILE])
    page = page_of(console.get(address))

    assert len(rows_of(page)) == len(HOSTILE)
    assert inline_code(page) == []
    assert not page.one("tbody").has("script")
    assert not page.one("tbody").has("img")
    assert not page.one("tbody").has("b")
    text = page.one("tbody").text
    assert "<b> /v1/<script>alert(1)</script>" in text
    assert "/v1/{{ 7 }}{% now 'Y' %}" in text
    assert "\u202e" not in text
    assert "/v1/\\u202egnp.exe" in text
    assert "\x1b" not in text
    for entry in RequestLog.objects.all():
        detail = page_of(console.get(f"/requests/{entry.public_id}/"))
        assert inline_code(detail) == []
        assert not detail.one("main").has("script")


def test_a_real_request_is_in_the_log_with_the_id_that_its_answer_named(
    console: Client, api_key: ApiKey, address: str
) -> None:
    with time_machine.travel(NOON, tick=False):
        answer = ProductClient().get(
            "/v1/whoami?x=1", headers={"Authorization": f"Bearer {api_key.secret.reveal()}"}
        )
    entry = RequestLog.objects.get()

    assert (entry.path, entry.status, entry.at, entry.public_id) == (
        "/v1/whoami", 200, NOON, answer["X-Request-Id"],
    )  # fmt: skip
    assert answer["X-Request-Id"] in page_of(console.get(f"/requests/{entry.public_id}/")).text
    assert rows_of(page_of(console.get(address)))[0].one("th").text == "GET /v1/whoami"
