"""The history: what is written of each step, by whom, and that it can be read in order."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from operator import attrgetter

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from keys import history, lifecycle, merchants
from keys.chain import PLATFORM
from keys.errors import InvalidField
from keys.history import Actor
from keys.identifiers import first_id_at
from keys.models import HistoryEntry
from keys.models.history import Action, ActorKind
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def test_each_step_with_an_account_or_a_key_has_its_action(actor):
    """The closed list of actions is what can happen, and all of it."""
    merchant = merchants.create(name="Northwind", actor=actor)
    merchants.update(merchant=merchant, name="Contoso", website="", revision=1, actor=actor)
    merchants.disable(merchant=merchant, actor=actor)
    merchants.enable(merchant=merchant, actor=actor)
    key = ApiKeyFactory(merchant=merchant, actor=actor)
    lifecycle.update(key=key, name="Renamed", description="", revision=1, actor=actor)
    lifecycle.duplicate(key=key, actor=actor)
    lifecycle.copy(key=key, actor=actor)
    lifecycle.disable(key=key, actor=actor)
    lifecycle.enable(key=key, actor=actor)
    lifecycle.disable(key=key, actor=actor)
    lifecycle.revoke(key=key, actor=actor)
    entries = HistoryEntry.objects.all()
    assert {entry.action for entry in entries} == {
        action for action in Action if action.startswith(("merchant.", "key."))
    }
    assert {entry.merchant_id for entry in entries} == {merchant.pk}
    assert {entry.actor_user for entry in entries} == {actor.user}
    assert all((entry.key is None) == entry.action.startswith("merchant.") for entry in entries)


def test_what_concerns_the_platform_itself_belongs_to_no_merchant_account(actor):
    entry = history.write(Action.SECRETS_ROTATED, actor=actor, merchant=None, after={"secrets": 12})
    entry.refresh_from_db()
    assert (entry.merchant, entry.key, entry.after) == (None, None, {"secrets": 12})
    assert str(entry) == f"Encryption rotated by {actor.name}"


def test_the_order_of_the_history_is_the_order_of_the_steps_even_within_one_instant(actor):
    key = ApiKeyFactory()
    with time_machine.travel(NOON + timedelta(days=400), tick=False):
        for _ in range(10):
            lifecycle.disable(key=key, actor=actor)
            lifecycle.enable(key=key, actor=actor)
    newest_first = HistoryEntry.objects.filter(key=key).order_by("-at", "-id")
    assert [entry.action for entry in newest_first][:-1] == ["key.enabled", "key.disabled"] * 10
    assert history.latest(key=key) == newest_first[0]


def test_a_row_can_be_composed_for_the_past_and_sorts_there(api_key):
    entry = history.compose(
        Action.KEY_COPIED, actor=Actor.system(), merchant=api_key.merchant, key=api_key, at=NOON
    )
    assert not HistoryEntry.objects.filter(pk=entry.pk).exists()
    history.append([entry])
    assert (entry.at, entry.actor_kind, entry.actor_name) == (NOON, ActorKind.SYSTEM, "merchantadmin")
    assert first_id_at(NOON) <= entry.id < first_id_at(NOON + timedelta(milliseconds=1))


def test_a_person_keeps_the_name_they_had(actor, api_key):
    event = history.latest(key=api_key)
    person = actor.user
    person.first_name, person.last_name = "Renamed", "Since"
    person.save()
    event.refresh_from_db()
    assert event.actor_user.display_name == "Renamed Since"
    assert event.actor_name == actor.name != "Renamed Since"


def test_a_person_in_the_history_is_not_deleted():
    user = UserFactory()
    MerchantFactory(actor=Actor(name="Somebody", user=user))
    with pytest.raises(IntegrityError), transaction.atomic():
        user.delete()


@pytest.mark.parametrize(
    ("reason", "kept"), [("", ""), ("  two\r\n lines\t", "two\n lines"), ("é" * 500, "é" * 500)]
)
def test_a_reason_is_kept_as_text(reason, kept):
    assert history.clean_reason(reason) == kept


@pytest.mark.parametrize("reason", ["x" * 501, "\x00", "\ud800", "\u202e"])
def test_a_reason_that_cannot_be_kept_is_refused_by_its_field(reason):
    with pytest.raises(InvalidField) as refused:
        history.clean_reason(reason)
    assert refused.value.field == "reason"


@pytest.mark.parametrize("values", [{"action": "key.forgotten"}, {"actor_kind": "robot"}])
def test_the_database_knows_the_actions_and_the_kinds_of_actors(merchant, values):
    entry = history.compose(Action.MERCHANT_UPDATED, actor=Actor.system(), merchant=merchant)
    for name, value in values.items():
        setattr(entry, name, value)
    with pytest.raises(IntegrityError, match="history_a"), transaction.atomic():
        history.append([entry])


def test_before_and_after_hold_any_text(merchant, actor):
    value = {"name": '"quotes" \\ 🚀 متجر <b>', "count": 3, "none": None}
    entry = history.write(Action.MERCHANT_UPDATED, actor=actor, merchant=merchant, before=value, after=value)
    entry.refresh_from_db()
    assert entry.before == entry.after == value


def test_an_actor_does_not_change_once_made(actor):
    with pytest.raises(FrozenInstanceError):
        actor.name = "Somebody else"
    assert Actor.command("seed_demo").kind is ActorKind.COMMAND


def test_an_entry_says_what_happened_and_by_whom(api_key, actor):
    assert str(history.latest(key=api_key)) == f"Created by {actor.name}"


@pytest.mark.django_db(transaction=True)
def test_a_row_is_written_in_the_transaction_of_its_change_or_not_at_all():
    with pytest.raises(TransactionManagementError):
        history.write(Action.SECRETS_ROTATED, actor=Actor.system(), merchant=None)
    assert not HistoryEntry.objects.exists()


def test_rows_of_several_chains_are_added_in_one_order_of_locks(actor):
    first, second = MerchantFactory(), MerchantFactory()
    rows = [
        history.compose(Action.MERCHANT_UPDATED, actor=actor, merchant=merchant)
        for merchant in (second, None, first, second)
    ]
    with CaptureQueriesContext(connection) as captured:
        history.append(rows)
    locked = [query["sql"] for query in captured if 'FROM "keys_historyhead"' in query["sql"]]
    assert [row.chain for row in sorted(rows, key=attrgetter("chain"))] == [
        PLATFORM, first.pk, second.pk, second.pk,
    ]  # fmt: skip
    places = [
        locked.index(sql)
        for chain in (PLATFORM, first.pk, second.pk)
        for sql in locked
        if chain.hex in sql.replace("-", "")
    ]
    assert places == sorted(places)
    assert [row.sequence for row in rows] == [2, 1, 2, 3]
    assert rows[3].previous_hash == rows[0].hash


@pytest.mark.parametrize("value", [0.5, {"rate": [1.5]}, float("nan")])
def test_fractions_are_refused_because_they_may_come_back_as_others(actor, value):
    with pytest.raises(TypeError):
        history.compose(Action.MERCHANT_UPDATED, actor=actor, merchant=None, after={"rate": value})
