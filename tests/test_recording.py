"""What becomes of a request of a known key: one row, its counts, the key's last use; exactly once or not at all."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keys import merchants, spool, usage
from keys.gateway import batches, drain
from keys.gateway.ingest import ingest
from keys.history import Actor
from keys.identifiers import first_id_at, new_id
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey, RequestLog, UsageHour, UsageMinute
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from keys.outcomes import Outcome
from keys.spool import REQUEST_ID_MAX
from tests.factories import ApiKeyFactory, MerchantFactory, RecordFactory

pytestmark = pytest.mark.django_db


def authorize(client, key: ApiKey, uri: str = "/v1/payments", method: str = "GET", **given):
    headers = {"X-API-Key": key.secret.reveal(), "X-Original-Method": method, "X-Original-URI": uri}
    return client.get("/v1/authorize", headers=headers, **given)


def test_the_original_request_is_recorded(client, api_key, time_machine, settings) -> None:
    moment = datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC)
    time_machine.move_to(moment, tick=False)
    settings.TRUSTED_PROXY_COUNT = 1
    answer = authorize(
        client, api_key, "/v1/payments?secret=yes", "POST", HTTP_X_FORWARDED_FOR="::ffff:203.0.113.7"
    )
    record = RequestLog.objects.get()
    assert (record.key_id, record.merchant_id) == (api_key.pk, api_key.merchant_id)
    assert record.at == moment
    assert (record.method, record.path) == ("POST", "/v1/payments")
    assert (record.status, record.outcome) == (200, "VALID")
    assert record.address == "203.0.113.7"
    assert record.public_id == answer["X-Request-Id"]
    assert 0 < record.duration_us < 60_000_000
    assert first_id_at(moment) <= record.pk < first_id_at(moment + timedelta(milliseconds=1))
    api_key.refresh_from_db()
    assert api_key.last_used_at == moment


def test_whoami_records_itself(client, api_key) -> None:
    client.head("/v1/whoami?key=value", headers={"X-API-Key": api_key.secret.reveal()})
    record = RequestLog.objects.get()
    assert (record.method, record.path, record.status) == ("HEAD", "/v1/whoami", 200)
    assert record.address == "127.0.0.1"


def usable() -> ApiKey:
    return ApiKeyFactory()


def of_a_disabled_merchant() -> ApiKey:
    key = ApiKeyFactory()
    merchants.disable(merchant=key.merchant, actor=Actor.system())
    return key


def disabled() -> ApiKey:
    return ApiKeyFactory(disabled=True)


def revoked() -> ApiKey:
    return ApiKeyFactory(revoked=True)


def expired() -> ApiKey:
    return ApiKeyFactory(expired=True)


def elsewhere() -> ApiKey:
    return ApiKeyFactory(allowed_networks=["203.0.113.0/24"])


def powerless() -> ApiKey:
    return ApiKeyFactory(permissions={})


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (usable, Outcome.VALID),
        (of_a_disabled_merchant, Outcome.MERCHANT_DISABLED),
        (disabled, Outcome.DISABLED),
        (revoked, Outcome.REVOKED),
        (expired, Outcome.EXPIRED),
        (elsewhere, Outcome.NETWORK_NOT_ALLOWED),
        (powerless, Outcome.PERMISSION_DENIED),
    ],
)
def test_every_verdict_on_a_known_key_is_recorded_and_counted(client, make, outcome: Outcome) -> None:
    key = make()
    answer = authorize(client, key)
    record = RequestLog.objects.get()
    assert (record.outcome, record.status) == (outcome, outcome.http_status)
    assert record.status == answer.status_code
    for subject, used in usage.last_24_hours([key.pk, key.merchant_id]).items():
        assert (used.succeeded, used.failed) == ((1, 0) if outcome is Outcome.VALID else (0, 1)), subject
        assert [cause for cause, count in used.causes.items() if count] == (
            [] if outcome is Outcome.VALID else [outcome.lower()]
        )


@pytest.mark.parametrize("user", [lambda: MerchantFactory().public_id, lambda: "mch_nonsense", lambda: ""])
def test_a_key_with_a_wrong_merchant_is_recorded_for_the_key(client, api_key, user) -> None:
    credentials = b64encode(f"{user()}:{api_key.secret.reveal()}".encode()).decode()
    answer = client.get("/v1/whoami", headers={"Authorization": f"Basic {credentials}"})
    record = RequestLog.objects.get()
    assert (answer.status_code, record.status, record.outcome) == (401, 401, "MERCHANT_MISMATCH")
    assert (record.key_id, record.merchant_id) == (api_key.pk, api_key.merchant_id)


def test_requests_without_a_known_key_are_not_recorded(client, api_key) -> None:
    for key in ("", "nonsense", PlaintextKey.generate(Mode.LIVE).reveal()):
        assert client.get("/v1/whoami", headers={"X-API-Key": key}).status_code == 401
    assert not RequestLog.objects.exists()
    assert not UsageMinute.objects.exists()


def test_the_console_is_not_counted(console, api_key) -> None:
    headers = {"Authorization": f"Bearer {api_key.secret.reveal()}"}
    for path in (api_key.get_absolute_url(), "/accounts/login/", "/nothing"):
        console.get(path, headers=headers)
    assert not RequestLog.objects.exists()
    api_key.refresh_from_db()
    assert api_key.last_used_at is None


def test_rows_minutes_and_hours_tell_the_same(client, time_machine) -> None:
    keys = [ApiKeyFactory(), ApiKeyFactory(permissions={})]
    start = datetime(2026, 3, 1, 22, 58, 30, tzinfo=UTC)
    for step in range(8):
        time_machine.move_to(start + timedelta(seconds=45 * step), tick=False)
        for key in keys:
            authorize(client, key)
    for model, unit in ((UsageMinute, "minute"), (UsageHour, "hour")):
        expected: dict = {}
        for record in RequestLog.objects.all():
            at = record.at.replace(second=0, microsecond=0, **({"minute": 0} if unit == "hour" else {}))
            for subject in (record.key_id, record.merchant_id):
                counts = expected.setdefault((subject, at), [0, 0])
                counts[record.status >= 400] += 1
        found = {(row.subject_id, row.at): [row.succeeded, row.failed] for row in model.objects.all()}
        assert found == expected
    assert RequestLog.objects.count() == 16


def test_last_use_moves_forward_only(api_key) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ingest([RecordFactory(key=api_key, at=now)])
    ingest([RecordFactory(key=api_key, at=now - timedelta(hours=1))])
    api_key.refresh_from_db()
    assert api_key.last_used_at == now
    assert api_key.revision == 1


def test_a_moment_told_in_another_zone_is_the_same_minute_and_hour(api_key) -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    ingest([RecordFactory(key=api_key, at=datetime(2026, 3, 1, 17, 45, 10, tzinfo=india))])
    assert {row.at for row in UsageMinute.objects.all()} == {datetime(2026, 3, 1, 12, 15, tzinfo=UTC)}
    assert {row.at for row in UsageHour.objects.all()} == {datetime(2026, 3, 1, 12, tzinfo=UTC)}


def test_a_record_without_an_id_gets_one_of_its_moment(api_key) -> None:
    at = datetime(2025, 1, 2, 3, 4, 5, 6789, tzinfo=UTC)
    ingest([RecordFactory(key=api_key, at=at, id=None)])
    record = RequestLog.objects.get()
    assert first_id_at(at) <= record.pk < first_id_at(at + timedelta(milliseconds=1))


def test_nothing_to_record_costs_nothing(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        ingest([])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/v1/payments", "/v1/payments"),
        ("/a\x00b", r"/a\x00b"),
        ("/a\r\nb", r"/a\r\nb"),
        ("/\udcff", r"/\udcff"),
        ("/\u202egpj", r"/\u202egpj"),
        ("/é/😀", "/é/😀"),
        ("/" + "x" * 30, "/" + "x" * 19),
        ("\x00" * 30, r"\x00" * 5),
    ],
)
def test_what_cannot_be_printed_is_escaped_and_cut(text: str, shown: str) -> None:
    assert printable(text, 20) == shown


def test_whatever_was_sent_fits_its_columns(api_key) -> None:
    ingest([RecordFactory(key=api_key, method="\x00" * 99, path="\ud800" * 5000, request_id="\n" * 99)])
    record = RequestLog.objects.get()
    assert len(record.method) == METHOD_MAX
    assert len(record.path) == PATH_MAX
    assert len(record.request_id) == REQUEST_ID_MAX


def test_draining_once_takes_all_of_a_file_however_many_batches_that_is(
    api_key, tmp_path, monkeypatch
) -> None:
    records = RecordFactory.build_batch(30, key=api_key)
    (tmp_path / f"{new_id()}.spool").write_bytes(b"".join(map(spool.line, records)))
    monkeypatch.setattr(batches, "BATCH_BYTES", 1000)
    drain.Drain(tmp_path).once()
    assert RequestLog.objects.count() == 30
    assert spool.backlog_bytes(tmp_path) == 0
