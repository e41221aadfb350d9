"""The History pages: what happened to an account, to a key and to the platform, filtered, exported and verified."""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from keys import guards, history, lifecycle, merchants
from keys.console import exports
from keys.console.views import history as pages
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, User
from keys.models.history import Action
from tests.console.page import Element, page_of, rows_of
from tests.factories import ActorFactory, ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def key(operator: User) -> ApiKey:
    """A key with four events, by two people, of two days; its account has two of its own beside them."""
    actor = ActorFactory(user=operator, name="Ada Lovelace")
    with time_machine.travel(NOON, tick=False) as clock:
        merchant = MerchantFactory(name="Northwind", actor=actor)
        clock.shift(1)
        key = ApiKeyFactory(merchant=merchant, name="Checkout", actor=actor)
        clock.shift(1)
        lifecycle.update(key=key, name="Checkout 2", description="", revision=1, actor=actor)
        clock.shift(24 * 3600)
        grace = ActorFactory(
            user=UserFactory(), name="Grace Hopper", address="2001:db8::7", user_agent="Firefox"
        )
        lifecycle.disable(key=key, actor=grace, reason="Leaked in a <b>log</b>")
        clock.shift(1)
        lifecycle.revoke(key=key, actor=grace)
        clock.shift(1)
        merchants.disable(merchant=merchant, actor=Actor.command("merchants"))
    return key


def told(console: Client, address: str) -> list[str]:
    return [row.one("th").one(class_="event-title").text for row in rows_of(page_of(console.get(address)))]


def cell(row: Element, label: str) -> Element:
    return row.one("td", data_label=label)


def test_a_row_says_who_did_what_from_where_and_what_was_there_before(console: Client, key: ApiKey) -> None:
    page = page_of(console.get(f"/merchants/{key.merchant.public_id}/history/"))
    disabled = rows_of(page)[2]
    assert page.one("nav", aria_label="Merchant account").one("a", aria_current="page").text == "History"
    assert disabled.one("th").text == "Disabled Checkout 2 Leaked in a <b>log</b>"
    assert cell(disabled, "By").one("a")["href"] == "?actor=Grace%20Hopper"
    assert cell(disabled, "Before and after").text == "Statusenabled became disabled"
    assert cell(disabled, "From").text.startswith("2001:db8::7User agentFirefoxRequestrequest-")
    assert cell(disabled, "Row").text == "4"
    assert cell(rows_of(page)[0], "By").text == "merchantsCommand"
    assert told(console, f"/merchants/{key.merchant.public_id}/history/") == [
        "Merchant account disabled", "Revoked", "Disabled", "Changed", "Created", "Merchant account created",
    ]  # fmt: skip
    assert told(console, f"/keys/{key.public_id}/history/") == ["Revoked", "Disabled", "Changed", "Created"]


@pytest.mark.parametrize(
    ("query", "number", "pill"),
    [
        ("actor=hopper", 2, "By: hopper"),
        ("actor=100%25", 0, "By: 100%"),
        ("action=key.revoked", 1, "Action: Revoked"),
        ("key=checkout", 4, "Key: checkout"),
        ("key=!", 0, "Key: !"),
        ("since=2026-03-02", 3, "From: 2 Mar 2026"),
        ("until=2026-03-01", 3, "To: 1 Mar 2026"),
        ("since=2026-03-02&until=2026-03-02&actor=merchants", 1, "By: merchants"),
        ("until=9999-12-31", 6, "To: 31 Dec 9999"),
        ("since=yesterday", 6, "From: “yesterday” is not understood, and left out"),
    ],
)
def test_a_filter_leaves_its_rows_in_the_page_and_in_the_export(
    console: Client, key: ApiKey, query: str, number: int, pill: str
) -> None:
    address = f"/merchants/{key.merchant.public_id}/history/"
    page = page_of(console.get(f"{address}?{query}"))
    assert len(page.all("tr", data_row=True)) == number
    assert any(pill in each.text for each in page.all("a", class_="pill"))
    if not number:
        assert not page.has("a", "CSV")
        return
    # Beside the rows, so that a filter that redraws them brings the export with it.
    link = page.one(id="grid").link("CSV")["href"]
    assert link.startswith(f"{address}export/?{query.partition('=')[0]}=")
    assert len(list(csv.DictReader(io.StringIO(body(console, link))))) == number


def test_the_key_of_a_row_can_be_asked_for_by_its_id(console: Client, key: ApiKey) -> None:
    ApiKeyFactory(merchant=key.merchant)
    address = f"/merchants/{key.merchant.public_id}/history/?key="
    assert len(told(console, address + key.public_id)) == 4
    assert told(console, f"/keys/{key.public_id}/history/?key=nothing") != []


def body(console: Client, address: str) -> str:
    response = console.get(address)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return b"".join(response.streaming_content).decode()


def test_json_lines_are_verified_without_our_code(console: Client, key: ApiKey) -> None:
    """In the words of docs/history.md."""
    before = "0" * 64
    lines = body(console, f"/merchants/{key.merchant.public_id}/history/export/?format=jsonl").splitlines()
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        claimed = row.pop("hash")
        text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert (row["previous"], row["sequence"]) == (before, number)
        assert hashlib.sha256(text.encode()).hexdigest() == claimed
        before = claimed
    assert len(lines) == 6
    assert json.loads(lines[3])["reason"] == "Leaked in a <b>log</b>"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\N{FULLWIDTH EQUALS SIGN}"])
def test_no_cell_of_the_csv_is_a_formula(console: Client, merchant, begin: str) -> None:
    actor = Actor(name=f"{begin}cmd|' /C calc'!A0", user_agent=f"{begin}1+1")
    history.write(Action.MERCHANT_UPDATED, actor=actor, merchant=merchant, reason=f'{begin}1\n2,"x"')
    text = body(console, f"/merchants/{merchant.public_id}/history/export/")
    _, row = csv.DictReader(io.StringIO(text))
    for name in ("actor_name", "reason", "user_agent"):
        assert not row[name].startswith(exports.FORMULA), name
    if begin in "=+-@":
        assert row["reason"] == f'\'{begin}1\n2,"x"'


def test_a_file_is_named_by_its_account_and_day(console: Client, key: ApiKey) -> None:
    with time_machine.travel(NOON.replace(month=4)):
        console.force_login(User.objects.get(username=key.created_by.username))
        for address, name in {
            f"/merchants/{key.merchant.public_id}/history/export/": f"history-{key.merchant.public_id}",
            f"/keys/{key.public_id}/history/export/": f"history-{key.public_id}",
            "/history/export/": "history-platform",
            f"/merchants/{key.merchant.public_id}/requests/export/": f"requests-{key.merchant.public_id}",
        }.items():
            response = console.get(address)
            assert response["Content-Disposition"] == f'attachment; filename="{name}-2026-04-01.csv"'
            assert response["Content-Type"] == "text/csv; charset=utf-8"
            list(response.streaming_content)


def test_an_export_reads_a_batch_at_a_time_and_only_as_fast_as_it_is_sent(
    console: Client, merchant, actor, monkeypatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 10)
    for _ in range(44):
        history.write(Action.MERCHANT_UPDATED, actor=actor, merchant=merchant)
    response = console.get(f"/merchants/{merchant.public_id}/history/export/?format=jsonl")
    with CaptureQueriesContext(connection) as captured:
        chunks = iter(response.streaming_content)
        sizes, asked = [], []
        for chunk in chunks:
            sizes.append(chunk.count(b"\n"))
            asked.append(len(captured))
    assert sizes == [10, 10, 10, 10, 5]
    assert asked == [1, 2, 3, 4, 5]


def test_the_end_of_the_chain_is_shown_and_nothing_is_called_verified_unasked(
    console: Client, key: ApiKey
) -> None:
    page = page_of(console.get(f"/merchants/{key.merchant.public_id}/history/"))
    head = history.head_of(key.merchant_id)
    line = page.one(class_="chain-line")
    assert f"ends with row 6, {head.hash.hex()[:12]}" in line.text
    assert json.loads(line.one("button")["data-copy-plain"])["hash"] == head.hash.hex()
    assert "erified" not in page.one("main").text
    page = page_of(console.get(f"/merchants/{key.merchant.public_id}/history/?verify=1"))
    assert (
        "all 6 rows of this chain are as they were written." in page.one(role="status", class_="banner").text
    )


def test_what_was_bent_is_said_when_it_is_asked_for(console: Client, key: ApiKey) -> None:
    connection.check_constraints()
    guards.remove(connection)
    HistoryEntry.objects.filter(key=key, sequence=4).update(reason="forged")
    page = page_of(console.get(f"/keys/{key.public_id}/history/?verify=1"))
    banner = page.one(role="status", class_="banner-danger")
    assert (
        banner.text == "This history is not what was written.Row 4 edited: it does not say what was written."
    )
    assert "as they were written" not in page.one("main").text


def test_a_long_chain_is_left_to_the_command(console: Client, key: ApiKey, monkeypatch) -> None:
    monkeypatch.setattr(pages, "VERIFIED_MAX", 5)
    page = page_of(console.get(f"/keys/{key.public_id}/history/?verify=1"))
    assert f"manage.py verify_history --merchant {key.merchant.public_id}" in page.one("main").text
    assert not page.has(class_="banner-ok")


def test_the_platform_has_a_history_for_those_who_manage_people(console: Client, actor, client) -> None:
    history.write(Action.SECRETS_ROTATED, actor=actor, merchant=None, after={"secrets": 12})
    page = page_of(console.get("/history/"))
    assert [row.one("th").text for row in rows_of(page)] == ["Encryption rotated"]
    assert page.one("nav", aria_label="Console").link("Platform history")["data-current"] == ""
    client.force_login(UserFactory(role="viewer"))
    assert {client.get(address).status_code for address in ("/history/", "/history/export/")} == {404}


def test_who_belongs_to_a_team_sees_and_exports_its_history_alone(client: Client, key: ApiKey) -> None:
    other = ApiKeyFactory()
    client.force_login(UserFactory(team=(key.merchant, "viewer")))
    for part in ("", "export/"):
        assert client.get(f"/merchants/{key.merchant.public_id}/history/{part}").status_code == 200
        assert client.get(f"/keys/{key.public_id}/history/{part}").status_code == 200
        for address in (f"/merchants/{other.merchant.public_id}", f"/keys/{other.public_id}"):
            assert client.get(f"{address}/history/{part}").status_code == 404
    assert client.get(f"/merchants/{other.merchant.public_id}/requests/export/").status_code == 404


@pytest.mark.parametrize("subject", ["key", "merchant"])
def test_a_reason_is_asked_for_when_something_is_disabled(
    console: Client, api_key: ApiKey, subject: str
) -> None:
    place = api_key if subject == "key" else api_key.merchant
    page = page_of(console.get(place.get_absolute_url()))
    form = page.one("form", action=f"{place.get_absolute_url()}disable/")
    assert form.one("input", name="reason")["aria-label"] == "Reason for disabling, optional"
    console.post(form["action"], {"reason": "Seen in a log"})
    assert HistoryEntry.objects.latest("at").reason == "Seen in a log"


def test_the_short_history_of_a_page_leads_to_the_long_one(console: Client, key: ApiKey) -> None:
    for place, events in ((key, 4), (key.merchant, 2)):
        page = page_of(console.get(place.get_absolute_url()))
        assert page.link("All events")["href"] == f"{place.get_absolute_url()}history/"
        assert len(page.one(class_="events").all("li")) == events


def test_a_day_that_is_none_is_left_out_of_its_field(console: Client, key: ApiKey) -> None:
    address = f"/keys/{key.public_id}/history/?since=x&until=2026-03-02"
    since, until = page_of(console.get(address)).all("input", type="date")
    assert (since.get("value"), until.get("value")) == (None, "2026-03-02")
    assert [day.parent.text for day in (since, until)] == ["From", "To"]
    assert page_of(console.get(address)).one(id=since["aria-describedby"]).text == "Enter a valid date."
