"""Demo data in any number: as many rows as asked for, counted by the product's rules, and never half of anything."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import IPv4Address
from itertools import pairwise
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TestCase
from django.utils import timezone
from psycopg import Binary
from psycopg.types.json import Jsonb

from keys import merchants, proof, search, vault
from keys.demo import bulk, names, people, story, tables, traffic
from keys.demo.biographies import KeyLife, MerchantLife, save
from keys.demo.progress import ProgressReport
from keys.demo.rhythms import Allotment, Rhythm, Span, curve
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, Merchant, MerchantTerm, RequestLog, UsageHour, UsageMinute
from keys.models.history import Action
from tests.factories import ApiKeyFactory, MerchantFactory, use
from tests.recounts import assert_rollups_equal_rows

NOW = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)


def load(report: ProgressReport | None = None, **asked: int) -> story.Loaded:
    asked = {"merchants": 60, "keys": 40, "requests": 3000, "hours": 30, "seed": 1} | asked
    return bulk.load(**asked, now=NOW, report=report or ProgressReport(StringIO()))


@pytest.mark.django_db
def test_it_makes_as_much_as_was_asked_for() -> None:
    assert load() == story.Loaded(60, 40, 3000)
    assert Merchant.objects.count() == 60
    assert ApiKey.objects.count() == 40
    assert RequestLog.objects.count() == 3000
    assert_rollups_equal_rows()
    assert all(request.at <= NOW for request in RequestLog.objects.all())


@pytest.mark.django_db
def test_it_adds_to_what_is_there() -> None:
    load()
    load(seed=2, merchants=5, keys=100, requests=700, hours=3)
    assert Merchant.objects.count() == 65
    assert ApiKey.objects.count() == 140
    assert RequestLog.objects.count() == 3700
    assert_rollups_equal_rows()


@pytest.mark.django_db
def test_hours_of_many_batches_are_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "BATCH", 20)
    load()
    assert_rollups_equal_rows()


@pytest.mark.django_db
def test_accounts_that_break_off_leave_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []

    def save_once(accounts: list[MerchantLife], keys: list[KeyLife]) -> None:
        save(accounts, keys)
        batches.append(len(keys))
        if len(batches) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(bulk, "BATCH", 20)
    monkeypatch.setattr(bulk, "save", save_once)
    with pytest.raises(KeyboardInterrupt):
        load()
    assert Merchant.objects.count() == 20
    assert ApiKey.objects.count() == batches[0]


@pytest.mark.django_db
def test_numbers_may_be_nothing() -> None:
    load(merchants=3, keys=0, requests=0)
    load(merchants=3, keys=3, requests=0)
    assert Merchant.objects.count() == 6
    assert ApiKey.objects.count() == 3
    assert not RequestLog.objects.exists()


@pytest.mark.xdist_group("bulk")
class TestRows(TestCase):
    """One load serves all of these, on one worker."""

    @classmethod
    def setUpTestData(cls) -> None:
        load(merchants=120, keys=200, requests=4000)

    def test_keys_are_genuine_and_in_all_states(self) -> None:
        assert set(ApiKey.objects.values_list("status", flat=True)) == {"enabled", "disabled", "revoked"}
        for key in ApiKey.objects.exclude(status="revoked"):
            assert vault.unseal(key.secret_ciphertext, digest=bytes(key.digest)).masked == key.masked

    def test_every_account_and_key_has_the_history_of_its_state(self) -> None:
        for merchant in Merchant.objects.all():
            entries = merchant.history.filter(key=None).order_by("at")
            assert entries[0].action == "merchant.created"
            assert entries[0].after == {"name": merchant.name, "website": merchant.website}
            assert entries[0].at == merchant.created_at
            assert entries.last().after.get("status", "enabled") == merchant.status
        for key in ApiKey.objects.select_related("merchant"):
            entries = key.history.order_by("at", "id")
            moves = [entry.after["status"] for entry in entries if "status" in entry.after]
            assert entries[0].action == "key.created"
            assert entries[0].at == key.created_at >= key.merchant.created_at
            assert (
                moves
                == {"enabled": [], "disabled": ["disabled"], "revoked": ["disabled", "revoked"]}[key.status]
            )
            assert [entry.at for entry in entries] == sorted({entry.at for entry in entries})

    def test_what_is_refused_is_refused_since_its_history_says_so(self) -> None:
        keys = ApiKey.objects.exclude(status="enabled").select_related("merchant")
        accounts = Merchant.objects.filter(status="disabled")
        assert keys.filter(status="revoked").exists()
        assert accounts.exists()
        for key in keys:
            action = {"disabled": Action.KEY_DISABLED, "revoked": Action.KEY_REVOKED}[key.status]
            told = [change for change in (proof.of_key(key).change, proof.of_key(key).also) if change]
            moments = {change.kind: change.at for change in told}
            assert moments["key"] == HistoryEntry.objects.filter(key=key, action=action).latest("at").at
        for account in accounts:
            entry = HistoryEntry.objects.filter(merchant=account, action=Action.MERCHANT_DISABLED).latest(
                "at"
            )
            assert proof.of_merchant(account).change.at == entry.at

    def test_accounts_are_found_by_their_words(self) -> None:
        for merchant in Merchant.objects.all():
            assert set(merchant.terms.values_list("term", flat=True)) == set(search.terms(merchant))
        merchant = Merchant.objects.order_by("sort_name").first()
        assert merchant.pk in search.find(merchant.name)

    def test_last_use_is_the_newest_request(self) -> None:
        newest = dict(RequestLog.objects.order_by("at").values_list("key_id", "at"))
        keys = ApiKey.objects.select_related("last_use")
        for key in keys.filter(pk__in=newest):
            assert key.last_used_at == newest[key.pk]
        for key in keys.exclude(pk__in=newest).exclude(last_use=None):
            assert key.created_at <= key.last_used_at < min(newest.values())

    def test_few_keys_make_most_of_the_requests(self) -> None:
        counts = sorted(Counter(RequestLog.objects.values_list("key_id", flat=True)).values(), reverse=True)
        assert sum(counts[:20]) > 4000 / 2


@pytest.mark.django_db
def test_more_keys_than_names_for_them_get_numbers() -> None:
    load(merchants=1, keys=60, requests=0)
    merchant = Merchant.objects.get()
    assert merchant.api_keys.count() == 60
    assert merchant.api_keys.filter(name__endswith=" 2").exists()


@pytest.mark.django_db
def test_a_load_that_breaks_off_leaves_whole_hours() -> None:
    class Breaking(ProgressReport):
        def advance(self, count: int) -> None:
            if RequestLog.objects.count() > 1000:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(Breaking(StringIO()))
    assert 0 < RequestLog.objects.count() < 3000
    assert_rollups_equal_rows()
    newest = RequestLog.objects.order_by("at").last()
    assert newest.key.last_used_at == newest.at


@pytest.mark.django_db
def test_the_same_seed_makes_the_same_data_and_another_seed_other() -> None:
    def made(seed: int) -> set[tuple[object, ...]]:
        before = set(ApiKey.objects.values_list("pk", flat=True))
        load(seed=seed, requests=0)
        columns = ("name", "merchant__name", "status", "created_at")
        return set(ApiKey.objects.exclude(pk__in=before).values_list(*columns))

    first = made(seed=1)
    assert made(seed=1) == first
    assert not made(seed=2) & first


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model", [Merchant, MerchantTerm, ApiKey, HistoryEntry, RequestLog, UsageMinute, UsageHour]
)
def test_values_reach_the_database_as_the_fields_would_send_them(model: type, actor: Actor) -> None:
    use(ApiKeyFactory(merchant=MerchantFactory(actor=actor), actor=actor, revoked=True), failed=1)
    row = model.objects.order_by("pk").last()
    fields = model._meta.concrete_fields
    values = [getattr(row, field.attname) for field in fields]
    (sent,) = tables.adapt(fields, [values])
    due = [field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)]
    assert list(map(_comparable, sent)) == list(map(_comparable, due))


def _comparable(value: object) -> object:
    """PostgreSQL's driver wraps some values in what has no equality of its own, and takes addresses as text too."""
    match value:
        case Jsonb():
            return value.obj
        case Binary():
            return bytes(value.obj)
        case memoryview():
            return bytes(value)
        case IPv4Address():
            return str(value)
    return value


def test_names_are_ones_that_the_product_accepts() -> None:
    random = Random(1)
    pairs = [names.business(random) for _ in range(5000)]
    actor = Actor.command("test")
    for name, website in pairs:
        merchant = merchants.compose(name=name, website=website, actor=actor)
        assert (merchant.name, merchant.website) == (name, website)
        assert website.isascii()
        assert website.endswith(".example")
    assert len({name for name, _ in pairs}) > 4000
    words = Counter(word for name, _ in pairs for word in name.split())
    assert len([word for word, count in words.items() if count > 20]) > 100


@pytest.mark.parametrize("total", [0, 1, 7, 1000])
def test_an_allotment_gives_out_all_of_it_in_proportion(total: int) -> None:
    random = Random(total)
    shares = [random.random() ** 3 for _ in range(300)]
    allotment = Allotment(total, shares=sum(shares))
    counts = [allotment.next(share) for share in shares]
    assert sum(counts) == total
    assert all(
        abs(count - total * share / sum(shares)) <= 1 for count, share in zip(counts, shares, strict=True)
    )


def test_a_span_is_cut_at_the_full_hours() -> None:
    until = NOW.replace(hour=12, minute=20, second=30)
    hours = Span.of_hours(2, until=until).clock_hours()
    assert hours[0][0] == until.replace(hour=10, second=0, microsecond=0)
    assert hours[-1][1] == until
    assert [start.hour for start, _ in hours] == [10, 11, 12]
    assert all(end == start for (_, end), (start, _) in pairwise(hours))


def test_a_curve_is_a_day_in_the_merchants_own_time() -> None:
    span = Span.of_hours(24, until=NOW.replace(minute=0, second=0, microsecond=0))
    volumes = curve(Rhythm.OFFICE, span=span, utc_offset_hours=9, random=Random(1), roughness=0)
    assert sum(volumes) == pytest.approx(1)
    starts = [start for start, _ in span.clock_hours()]
    busiest = starts[volumes.index(max(volumes))]
    assert (busiest.hour + 9) % 24 in range(9, 17)


@pytest.mark.django_db
def test_the_command_loads_the_standard_data_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "SCALE", 0.01)
    call_command("seed_demo")
    out = capsys.readouterr().out
    accounts = Merchant.objects.count()
    assert f"Loaded {accounts} merchant accounts" in out
    assert "Requests:" in out
    call_command("seed_demo")
    assert "already" in capsys.readouterr().out
    assert Merchant.objects.count() == accounts
    call_command("seed_demo", "--if-empty")
    assert capsys.readouterr().out == ""


@pytest.mark.django_db
def test_the_command_leaves_a_database_in_use_alone(
    merchant: Merchant, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="merchant accounts in this database already"):
        call_command("seed_demo")
    call_command("seed_demo", "--if-empty")
    assert list(Merchant.objects.all()) == [merchant]
    assert not people.present()
    assert capsys.readouterr().out == ""


@pytest.mark.django_db
def test_the_command_makes_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed_demo", merchants=12, keys=8, requests=90, hours=2, seed=7)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("Loaded 12 merchant accounts, 8 API keys and 90 requests in ")
    assert lines[0].startswith("Merchant accounts and API keys: 12 in ")
    assert any(line.startswith("Requests: 90 in ") for line in lines)
    assert any(re.fullmatch(r"Requests: \d+ of 90", line) for line in lines)
    assert RequestLog.objects.filter(at__gte=timezone.now() - timedelta(hours=2, minutes=2)).count() == 90


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"merchants": 1_000_001}, "--merchants is a number from 0 to 1,000,000"),
        ({"merchants": -1}, "--merchants is a number from 0"),
        ({"merchants": 1, "keys": 1_000_001}, "--keys is a number from 0 to 1,000,000"),
        ({"merchants": 1, "keys": 1, "requests": 10_000_001}, "--requests is a number from 0 to 10,000,000"),
        ({"keys": 1}, "--keys needs --merchants"),
        ({"merchants": 1, "requests": 1}, "--requests needs --keys"),
        ({"merchants": 1, "hours": 49}, "--hours is a number from 1 to 48"),
        ({"merchants": 1, "hours": 0}, "--hours is a number from 1 to 48"),
    ],
)
def test_the_command_says_what_it_cannot_make(asked: dict[str, int], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("seed_demo", **asked)
    assert not Merchant.objects.exists()
