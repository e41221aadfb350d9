"""`list` and `show`: which records, in which form, and how they are read."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.management.terminal import selection
from keys.management.terminal.records import KEY_FIELDS, MERCHANT_FIELDS
from keys.models import ApiKey, Merchant
from tests.commands.conftest import Run
from tests.factories import ApiKeyFactory, MerchantFactory, use

DAY = timedelta(days=1)


def listed(run: Run, *words: object) -> set[str]:
    return set(run(*words, "--fields", "id").lines)


def ids(*rows: ApiKey | Merchant) -> set[str]:
    return {row.public_id for row in rows}


def test_programs_read_every_documented_field_of_a_key(run: Run, api_key: ApiKey) -> None:
    [record] = run("apikeys", "list", "--json").records
    assert list(record) == [field.name for field in KEY_FIELDS]
    assert record == {
        "id": api_key.public_id,
        "name": api_key.name,
        "status": "enabled",
        "mode": "live",
        "merchant_id": api_key.merchant.public_id,
        "merchant": api_key.merchant.name,
        "masked": api_key.masked,
        "description": "",
        "permissions": ["payments:write", "refunds:read"],
        "allowed_networks": [],
        "expires_at": None,
        "expired": False,
        "created_at": api_key.created_at.isoformat(),
        "created_by": api_key.created_by.display_name,
        "last_used_at": None,
        "duplicated_from": None,
        "can_be_copied": True,
        "revision": 1,
    }


def test_programs_read_every_documented_field_of_an_account(run: Run, api_key: ApiKey) -> None:
    use(api_key, succeeded=2, failed=1)
    [record] = run("merchants", "show", api_key.merchant, "--json").records
    assert list(record) == [*(field.name for field in MERCHANT_FIELDS), "keys", "last_24_hours"]
    assert record["keys"] == {"enabled": 1, "disabled": 0, "revoked": 0}
    assert record["last_24_hours"] == {"succeeded": 2, "failed": 1}
    assert run("apikeys", "show", api_key, "--json").records[0]["last_24_hours"] == {
        "succeeded": 2,
        "failed": 1,
    }


def test_elsewhere_than_on_a_terminal_a_record_is_a_line(run: Run, api_key: ApiKey) -> None:
    ApiKey.objects.filter(pk=api_key.pk).update(description="one\ttwo\nthree\x1b[2J")
    [line] = run("apikeys", "list").lines
    cells = line.split("\t")
    assert len(cells) == len(KEY_FIELDS)
    assert cells[:2] == [api_key.public_id, api_key.name]
    assert r"one\ttwo\nthree\x1b[2J" in cells
    shown = run("apikeys", "show", api_key).lines
    assert shown[0] == f"id\t{api_key.public_id}"
    assert run("apikeys", "show", api_key, "--fields", "mode,name").lines == [f"live\t{api_key.name}"]


def test_no_record_has_the_secret_or_its_digest(run: Run, api_key: ApiKey) -> None:
    row = ApiKey.objects.get(pk=api_key.pk)
    for form in ("--json", "--fields=id,masked", "--limit=9"):
        said = run("apikeys", "list", form).out
        for told in (api_key.secret.reveal()[12:-4], row.secret_ciphertext, bytes(row.digest).hex()):
            assert told not in said


@pytest.mark.parametrize("command", ["merchants", "apikeys"])
def test_on_a_terminal_it_is_a_table_that_fits(run: Run, api_key: ApiKey, command, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for columns in (200, 80, 40, 20):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        header, row = run(command, "list").lines
        assert "ID" in header
        shown = api_key.public_id if command == "apikeys" else api_key.merchant.public_id
        # The ID is what people copy: it is never cut.
        assert shown in row
        assert columns < 40 or len(row) <= columns
        assert "\x1b[3" not in row
        monkeypatch.delenv("NO_COLOR")
        if columns > 40:
            assert "\x1b[32menabled" in run(command, "list").out


def test_a_table_goes_on_with_the_widths_it_began_with(run: Run, monkeypatch, merchant: Merchant) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr("keys.management.terminal.output.MEASURED_ROWS", 2)
    for number in range(5):
        ApiKeyFactory(merchant=merchant, name=f"{'long ' * number}{number}")
    header, *rows = run("apikeys", "list").lines
    assert len(rows) == 5
    assert len(header.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip()) <= 70


def test_keys_are_filtered(run: Run, merchant: Merchant) -> None:
    now = timezone.now()
    plain = ApiKeyFactory(merchant=merchant, name="Checkout", description="for the café")
    tried = ApiKeyFactory(merchant=merchant, test_mode=True, disabled=True)
    old = ApiKeyFactory(created_at=now - 100 * DAY, expires_at=now + 5 * DAY)
    gone = ApiKeyFactory(expired=True, revoked=True)
    use(plain, succeeded=1)
    use(old, succeeded=1, at=now - 40 * DAY)
    expected = {
        "": ids(plain, tried, old, gone),
        "--status disabled": ids(tried),
        "--mode test": ids(tried),
        f"--merchant {merchant.public_id}": ids(plain, tried),
        "--search CHECK": ids(plain),
        "--search café": ids(plain),
        f"--search {old.public_id}": ids(old),
        f"--search {tried.masked}": ids(tried),
        "--created-since 3d": ids(plain, tried, gone),
        "--created-before 3d": ids(old),
        "--used-since 1d": ids(plain),
        "--unused-since 30d": ids(old),
        "--unused-since 90d": set(),
        "--never-used": ids(tried, gone),
        "--expired": ids(gone),
        "--expires-before +10d": ids(old, gone),
        "--status enabled --used-since 60d": ids(plain, old),
    }
    for filters, found in expected.items():
        assert listed(run, "apikeys", "list", *filters.split()) == found, filters


def test_accounts_are_filtered(run: Run) -> None:
    cafe = MerchantFactory(name="Café Central", created_at=datetime(2026, 1, 31, 23, 30, tzinfo=UTC))
    shop = MerchantFactory(name="Corner shop", disabled=True)
    expected = {
        "": ids(cafe, shop),
        "--status disabled": ids(shop),
        "--search cafe": ids(cafe),
        f"--search {shop.public_id}": ids(shop),
        "--created-before 2026-02-01": ids(cafe),
        "--created-before 2026-01-31": set(),
        "--created-since 2026-01-31T23:30": ids(cafe, shop),
        "--created-since 2026-02-01T00:31+01:00": ids(shop),
    }
    for filters, found in expected.items():
        assert listed(run, "merchants", "list", *filters.split()) == found, filters


def test_more_than_a_search_finds_is_said_rather_than_cut_off(run: Run, monkeypatch) -> None:
    monkeypatch.setattr("keys.search.FOUND", 2)
    for number in range(3):
        MerchantFactory(name=f"Corner {number}")
    assert "search for more words" in run("merchants", "list", "--search", "corner", status=2).complaint


@pytest.mark.parametrize("scope", ["all", "one merchant"])
def test_a_long_list_is_read_in_short_queries(run: Run, merchant: Merchant, scope, monkeypatch) -> None:
    monkeypatch.setattr(selection, "BATCH", 2)
    keys = [ApiKeyFactory(merchant=merchant, disabled=number % 2 == 0) for number in range(7)]
    words = ["--merchant", merchant] if scope == "one merchant" else []
    with CaptureQueriesContext(
        connection,
    ) as queries:
        lines = run("apikeys", "list", *words, "--fields", "id").lines
    assert len(lines) == 7
    assert set(lines) == ids(*keys)
    reading = [query["sql"] for query in queries if "keys_apikey" in query["sql"]]
    assert len(reading) == 4
    assert all("LIMIT 3" in sql and "OFFSET" not in sql for sql in reading)
    assert run("apikeys", "list", *words, "--limit", "3", "--fields", "id").lines == lines[:3]


def test_a_list_takes_no_query_for_a_row(run: Run, django_assert_num_queries) -> None:
    for _ in range(4):
        ApiKeyFactory(duplicated_from=ApiKeyFactory())
    with django_assert_num_queries(1):
        assert len(run("apikeys", "list", "--json").lines) == 8


@pytest.mark.parametrize(
    "words",
    [
        "list --limit 0",
        "list --limit x",
        "list --created-since soon",
        "list --created-since +3d",
        "list --created-since 999999w",
        "list --created-since 2026-02-30",
        "list --fields id,id",
        "list --fields nothing",
        "list --status gone",
        "list --lim 3",
        "list surplus",
        "show",
        "show key_",
        "show {merchant}",
        "show {key}x",
        "show " + "\udcff",
        "nothing",
        "",
    ],
)
def test_what_cannot_be_understood_is_a_usage_error(run: Run, api_key: ApiKey, words: str) -> None:
    filled = words.format(key=api_key.public_id, merchant=api_key.merchant.public_id)
    run("apikeys", *filled.split(), status=2)


def test_an_id_that_is_no_ones_is_not_found(run: Run, api_key: ApiKey) -> None:
    assert run("apikeys", "show", api_key.public_id[:-4] + "0000", status=3).complaint == (
        "There is no API key with this ID."
    )


@pytest.mark.parametrize("words", ["show {}", "list --foo {}", "list --merchant {}", "list {}", "{}"])
def test_a_key_that_was_given_by_mistake_is_not_repeated(run: Run, api_key: ApiKey, words: str) -> None:
    secret = api_key.secret.reveal()
    ended = run("apikeys", *words.format(secret).split(), status=2)
    assert secret[12:] not in ended.complaint + ended.err + ended.out
