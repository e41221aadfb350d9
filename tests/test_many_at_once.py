"""Many keys or accounts moved in one transaction: each as if by itself, at the price of a few statements."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from keys import lifecycle, merchants
from keys.errors import InvalidField
from keys.history import Actor
from keys.integrity import Verification
from keys.models import ApiKey, HistoryEntry, Merchant
from keys.states import DISABLE_KEY, DISABLE_MERCHANT, ENABLE_KEY, REVOKE_KEY
from tests.factories import ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.django_db


def told(**of: object) -> list[tuple]:
    rows = HistoryEntry.objects.filter(**of).exclude(action__endswith="created").order_by("at", "id")
    return [(row.action, row.before, row.after, row.actor_name, row.reason) for row in rows]


@pytest.fixture
def keys(actor: Actor) -> list[ApiKey]:
    """Two of one account, one of another, and one that was disabled before."""
    first = ApiKeyFactory()
    return [first, ApiKeyFactory(merchant=first.merchant), ApiKeyFactory(), ApiKeyFactory(disabled=True)]


def test_those_are_moved_that_can_be_and_each_has_its_row(keys: list[ApiKey], actor: Actor) -> None:
    before = told(key=keys[3])
    moved = lifecycle.move_many(keys=keys, transition=DISABLE_KEY, actor=actor, reason="leaked")
    assert moved == {key.pk for key in keys[:3]}
    assert set(ApiKey.objects.values_list("status", flat=True)) == {"disabled"}
    for key in keys[:3]:
        step = ({"status": "enabled"}, {"status": "disabled"}, actor.name, "leaked")
        assert told(key=key) == [("key.disabled", *step)]
    assert told(key=keys[3]) == before
    assert list(Verification().findings()) == []


def test_what_is_revoked_loses_its_text_and_nothing_else_does(keys: list[ApiKey], actor: Actor) -> None:
    other = ApiKeyFactory()
    lifecycle.move_many(keys=keys, transition=DISABLE_KEY, actor=actor)
    assert ApiKey.objects.filter(secret_ciphertext=None).count() == 0
    assert lifecycle.move_many(keys=keys, transition=REVOKE_KEY, actor=actor) == {key.pk for key in keys}
    assert set(ApiKey.objects.exclude(secret_ciphertext=None)) == {other}
    assert lifecycle.move_many(keys=keys, transition=ENABLE_KEY, actor=actor) == set()


def test_a_bad_reason_moves_nothing(keys: list[ApiKey], actor: Actor) -> None:
    with pytest.raises(InvalidField):
        lifecycle.move_many(keys=keys, transition=DISABLE_KEY, actor=actor, reason="x" * 501)
    assert ApiKey.objects.filter(status="enabled").count() == 3


def test_accounts_too(actor: Actor) -> None:
    accounts = [MerchantFactory(), MerchantFactory(), MerchantFactory(disabled=True)]
    moved = merchants.move_many(accounts=accounts, transition=DISABLE_MERCHANT, actor=actor, reason="closed")
    assert moved == {account.pk for account in accounts[:2]}
    assert not Merchant.objects.filter(status="enabled").exists()
    for account in accounts[:2]:
        step = ({"status": "enabled"}, {"status": "disabled"}, actor.name, "closed")
        assert told(merchant=account) == [("merchant.disabled", *step)]
    assert list(Verification().findings()) == []


def test_twenty_keys_take_as_many_statements_as_two(actor: Actor) -> None:
    keys = [ApiKeyFactory() for _ in range(22)]
    numbers = []
    for some in (keys[:2], keys[2:]):
        with CaptureQueriesContext(connection) as captured:
            assert len(lifecycle.move_many(keys=some, transition=DISABLE_KEY, actor=actor)) == len(some)
        numbers.append(len(captured))
    assert numbers[0] == numbers[1] < 10
