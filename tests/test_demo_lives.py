"""Lives as the demo data tells them: the rows that the life cycle leaves, in no other order than it allows."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from keys import lifecycle, merchants
from keys.demo.biographies import KeyLife, MerchantLife, save
from keys.history import Actor
from keys.models import ApiKey, Merchant
from tests.test_demo import NOW

COLUMNS = ("action", "before", "after", "reason", "actor_name", "actor_kind", "address", "user_agent")


@pytest.mark.django_db
def test_a_told_life_leaves_the_rows_that_the_life_cycle_leaves(actor: Actor) -> None:
    presets = {
        "mode": "live",
        "permissions": {"payments": "write"},
        "allowed_networks": ["203.0.113.7/24"],
        "expires_at": timezone.now() + timedelta(days=9),
    }
    merchant = merchants.create(name="Lived", website="lived.example", actor=actor)
    merchants.update(merchant=merchant, name="Lived On", website="lived.example", revision=1, actor=actor)
    merchants.disable(merchant=merchant, actor=actor, reason="a")
    merchants.enable(merchant=merchant, actor=actor, reason="b")
    key, _ = lifecycle.create(merchant=merchant, name="K", description="d", actor=actor, **presets)
    lifecycle.copy(key=key, actor=actor)
    lifecycle.update(key=key, name="Kk", description="d", revision=1, actor=actor)
    lifecycle.duplicate(key=ApiKey.objects.get(pk=key.pk), actor=actor, name="Twin")
    lifecycle.disable(key=key, actor=actor, reason="c")
    lifecycle.enable(key=key, actor=actor, reason="d")
    lifecycle.disable(key=key, actor=actor, reason="e")
    lifecycle.revoke(key=key, actor=actor, reason="f")

    def at(hour: int) -> datetime:
        return NOW - timedelta(days=3) + timedelta(hours=hour)

    account = MerchantLife(name="Lived", website="lived.example", at=at(0), actor=actor)
    account.update(at=at(1), actor=actor, name="Lived On")
    account.disable(at=at(2), actor=actor, reason="a")
    account.enable(at=at(3), actor=actor, reason="b")
    life = KeyLife(merchant=account.merchant, name="K", description="d", at=at(4), actor=actor, **presets)
    life.copy(at=at(5), actor=actor)
    life.update(at=at(6), actor=actor, name="Kk")
    twin = life.duplicate(at=at(7), actor=actor, name="Twin")
    life.disable(at=at(8), actor=actor, reason="c")
    life.enable(at=at(9), actor=actor, reason="d")
    life.disable(at=at(10), actor=actor, reason="e")
    life.revoke(at=at(11), actor=actor, reason="f")
    save([account], [life, twin])

    told, lived = Merchant.objects.get(pk=account.merchant.pk), Merchant.objects.get(pk=merchant.pk)
    assert _columns_of(told) == _columns_of(lived)
    assert list(told.terms.values_list("term")) == list(lived.terms.values_list("term"))
    assert _history(told) == _history(lived)
    assert len(_history(told)) == 13
    assert [_columns_of(each) for each in told.api_keys.order_by("name")] == [
        _columns_of(each) for each in lived.api_keys.order_by("name")
    ]


def _columns_of(row: Merchant | ApiKey) -> dict[str, object]:
    """All columns but those that differ between any two rows."""
    own = {
        "id",
        "created_at",
        "digest",
        "head",
        "tail",
        "secret_ciphertext",
        "merchant_id",
        "duplicated_from_id",
    }
    columns = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.attname not in own
    }
    if isinstance(row, ApiKey):
        columns["sealed"] = row.secret_ciphertext is not None
        columns["origin"] = row.duplicated_from and row.duplicated_from.name
    return columns


def _history(merchant: Merchant) -> list[tuple[object, ...]]:
    """The entries in order, with public ids replaced by names. What happens at one moment has no order."""
    names = {key.public_id: key.name for key in merchant.api_keys.all()}
    return [
        (
            entry.key and entry.key.name,
            *(getattr(entry, column) for column in COLUMNS if column != "after"),
            {field: names.get(value, value) for field, value in entry.after.items()},
        )
        for entry in merchant.history.order_by("at", "action")
    ]


def test_a_life_obeys_the_life_cycle() -> None:
    actor = Actor.command("test")
    account = MerchantLife(name="Obedient", website="", at=NOW - timedelta(days=9), actor=actor)
    at = NOW - timedelta(days=2)
    life = KeyLife(merchant=account.merchant, name="K", mode="live", permissions={}, at=at, actor=actor)
    with pytest.raises(ValueError, match="enabled, not disabled"):
        life.revoke(at=NOW, actor=actor, reason="")
    with pytest.raises(ValueError, match="before"):
        life.disable(at=at - timedelta(seconds=1), actor=actor, reason="")
    life.disable(at=at, actor=actor, reason="")
    life.revoke(at=NOW, actor=actor, reason="")
    for step in (life.enable, life.disable):
        with pytest.raises(ValueError, match="revoked, not"):
            step(at=NOW, actor=actor, reason="")
    with pytest.raises(ValueError, match="revoked"):
        life.copy(at=NOW, actor=actor)
    with pytest.raises(ValueError, match="revoked"):
        life.update(at=NOW, actor=actor, name="Other")
    with pytest.raises(ValueError, match="enabled, not disabled"):
        account.enable(at=NOW, actor=actor, reason="")
