"""Demo traffic: real requests with demo keys, to this machine only, that the server records as any other."""

import re
from collections import Counter
from contextlib import closing
from random import Random

import pytest
from django.core.management import CommandError, call_command

from keys.access import Step
from keys.demo import people
from keys.demo.live import Address, Traffic, TrafficError, find_holders
from keys.keyformat import PATTERN
from keys.models import ApiKey, HistoryEntry, Merchant, RequestLog
from tests.factories import ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def demo_key() -> ApiKey:
    actor = people.hire().who_may(Step.CREATE_MERCHANT)[0]
    return ApiKeyFactory(merchant=MerchantFactory(actor=actor), actor=actor)


def demo_sibling(key: ApiKey, **given) -> ApiKey:
    return ApiKeyFactory(merchant=key.merchant, actor=people.hire().who_may(Step.CREATE_MERCHANT)[0], **given)


def traffic_to(url: str, *, seed: int = 1) -> Traffic:
    usable, disabled = find_holders(count=40, random=Random(seed))
    return Traffic(Address.parse(url), usable, disabled, Random(seed))


def test_requests_are_recorded_as_they_were_answered(live_server, demo_key: ApiKey) -> None:
    demo_sibling(demo_key, name="Off", disabled=True)
    with closing(traffic_to(live_server.url)) as traffic:
        traffic.try_out()
        for _ in range(60):
            traffic.step()
    rows = RequestLog.objects.all()
    assert Counter(row.status for row in rows) == traffic.answers
    assert traffic.answers.total() == 61
    assert set(traffic.answers) == {200, 401, 403}
    assert traffic.answers[200] > 40
    assert {row.outcome for row in rows} == {"VALID", "DISABLED", "PERMISSION_DENIED"}
    assert {row.path for row in rows} > {"/v1/whoami"}
    assert {row.method for row in rows} >= {"GET", "POST"}


def test_only_demo_keys_that_this_machine_may_use_are_read(demo_key: ApiKey) -> None:
    ApiKeyFactory(name="Of a real person")
    demo_sibling(demo_key, name="Bound", allowed_networks=["203.0.113.0/24"])
    demo_sibling(demo_key, name="Expired", expired=True)
    demo_sibling(demo_key, name="Ended", revoked=True)
    off = demo_sibling(demo_key, name="Off", disabled=True)
    closed = MerchantFactory(actor=people.hire().who_may(Step.CREATE_MERCHANT)[0], disabled=True)
    ApiKeyFactory(merchant=closed, actor=people.hire().who_may(Step.CREATE_MERCHANT)[0])
    usable, disabled = find_holders(count=40, random=Random(1))
    assert [holder.secret for holder in usable] == [demo_key.secret]
    assert [holder.secret for holder in disabled] == [off.secret]


def test_all_three_ways_to_send_a_key_are_used(live_server, demo_key: ApiKey) -> None:
    (holder,), _ = find_holders(count=1, random=Random(1))
    random = Random(1)
    sent = [holder.credentials(random) for _ in range(30)]
    text = demo_key.secret.reveal()
    assert {"X-API-Key": text} in sent
    assert {"Authorization": f"Bearer {text}"} in sent
    assert sum(each.get("Authorization", "").startswith("Basic ") for each in sent) > 3


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:8000",
        "http://example.com",
        "https://127.0.0.1:8000",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@example.com/",
        "http://127.0.0.1:many",
        "http://",
        "127.0.0.1:8000",
        "",
    ],
)
def test_secrets_never_leave_this_machine(url: str) -> None:
    with pytest.raises(TrafficError, match="is not a server on this machine"):
        Address.parse(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8123", "http://localhost:8123", "http://[::1]:8123"])
def test_any_loopback_address_will_do(url: str) -> None:
    assert str(Address.parse(url)) == url


def test_a_server_on_another_database_is_noticed(live_server, demo_key: ApiKey) -> None:
    with closing(traffic_to(live_server.url)) as traffic:
        (holder,) = traffic.usable
        stranger = type(holder.secret).generate(holder.secret.mode)
        traffic.usable = [type(holder)(holder.merchant_id, stranger, holder.covered, holder.others)]
        with pytest.raises(TrafficError, match="does not know the keys of this database"):
            traffic.try_out()


def test_a_server_that_is_not_there_is_said(demo_key: ApiKey, unused_url: str) -> None:
    with (
        closing(traffic_to(unused_url)) as traffic,
        pytest.raises(TrafficError, match="No server answers at"),
    ):
        traffic.try_out()


@pytest.fixture
def unused_url() -> str:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_connection_that_the_server_closed_is_opened_again(live_server, demo_key: ApiKey) -> None:
    with closing(traffic_to(live_server.url)) as traffic:
        traffic.try_out()
        traffic._connection.sock.shutdown(2)
        traffic.step()
        assert traffic.answers.total() == 2


def test_the_command_sends_counts_and_prints_no_secret(
    live_server, demo_key: ApiKey, capsys: pytest.CaptureFixture[str]
) -> None:
    before = HistoryEntry.objects.count()
    call_command("demo_traffic", url=live_server.url, rate=200, seconds=0.2)
    out, err = capsys.readouterr()
    (said,) = re.findall(r"Stopped after ([\d,]+) requests: ", out)
    assert int(said.replace(",", "")) == RequestLog.objects.count() > 1
    assert live_server.url in out
    assert not PATTERN.search(out + err)
    assert HistoryEntry.objects.count() == before


def test_ctrl_c_ends_it_in_good_order(
    live_server, demo_key: ApiKey, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Traffic) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Traffic, "step", interrupted)
    call_command("demo_traffic", url=live_server.url)
    assert "Stopped after 1 request: 1 × 200." in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"rate": 0}, {"rate": 1001}, {"keys": 0}, {"seconds": 0}, {"seconds": -1}])
def test_the_command_says_what_it_cannot_do(given: dict[str, float], demo_key: ApiKey) -> None:
    with pytest.raises(CommandError, match=r"--(rate|keys)"):
        call_command("demo_traffic", **given)


def test_the_command_says_when_there_are_no_demo_keys() -> None:
    ApiKeyFactory()
    with pytest.raises(CommandError, match="seed_demo"):
        call_command("demo_traffic")
    assert Merchant.objects.exists()
