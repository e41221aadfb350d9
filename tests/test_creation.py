"""The beginning of an API key: what it is made of, who made it, and what is refused."""

from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.utils import timezone

from keys import lifecycle, vault
from keys.errors import AlreadyCreated, InvalidField, SecretUnavailable
from keys.identifiers import new_id
from keys.models import ApiKey, HistoryEntry
from keys.models.apikey import DESCRIPTION_MAX, NAME_MAX
from keys.models.history import Action
from tests.factories import ADDRESS, ApiKeyFactory, MerchantFactory

pytestmark = pytest.mark.django_db

PRESETS = {"mode": "live", "permissions": {"payments": "write"}}


def stored(key: ApiKey) -> ApiKey:
    return ApiKey.objects.get(pk=key.pk)


def events(key: ApiKey) -> list[HistoryEntry]:
    return list(HistoryEntry.objects.filter(key=key).order_by("at", "id"))


def everything() -> tuple[list, list]:
    return list(ApiKey.objects.order_by("pk").values()), list(HistoryEntry.objects.order_by("pk").values())


# -- Create --------------------------------------------------------------------------------------------------------


def test_a_new_key_is_enabled_and_its_secret_verifies(merchant, actor):
    expires_at = timezone.now() + timedelta(days=30)
    key, secret = lifecycle.create(
        merchant=merchant,
        name="  Checkout ",
        description="For the shop.",
        mode="test",
        permissions={"payments": "write", "reports": "read", "payouts": "none"},
        expires_at=expires_at,
        allowed_networks=["203.0.113.7/24", "203.0.113.0/24", "2001:db8::"],
        actor=actor,
    )
    key = stored(key)
    assert (key.name, key.folded_name, key.description) == ("Checkout", "checkout", "For the shop.")
    assert (key.status, key.mode, key.permissions) == ("enabled", "test", "payments:write reports:read")
    assert key.expires_at == expires_at
    assert key.networks == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/128"))
    assert (key.created_by, key.revision, key.last_used_at) == (actor.user, 1, None)
    assert (bytes(key.digest), key.head, key.tail) == (secret.digest, secret.head, secret.tail)
    assert secret.reveal().startswith("sk_test_")
    assert vault.unseal(key.secret_ciphertext, digest=secret.digest) == secret
    assert secret.reveal() not in repr(everything())


def test_a_new_key_is_in_the_history_with_its_presets_and_its_creator(merchant, actor):
    key, _ = lifecycle.create(merchant=merchant, name="Checkout", actor=actor, **PRESETS)
    (event,) = events(key)
    assert (event.action, event.merchant, event.before) == (Action.KEY_CREATED, merchant, {})
    assert event.after == {
        "name": "Checkout",
        "description": "",
        "mode": "live",
        "permissions": "payments:write",
        "expires_at": None,
        "allowed_networks": "",
    }
    assert event.actor_user == actor.user
    assert (event.actor_kind, event.actor_name) == ("person", actor.name)
    assert (event.address, event.user_agent) == (ADDRESS, "Mozilla/5.0")
    assert event.request_id == actor.request_id != ""
    assert event.at == key.created_at


def test_the_same_submission_makes_one_key(merchant, actor):
    submission = {"merchant": merchant, "name": "Checkout", "actor": actor, "key_id": new_id(), **PRESETS}
    key, _ = lifecycle.create(**submission)
    before = everything()
    with pytest.raises(AlreadyCreated, match="Copy it from its page"):
        lifecycle.create(**submission)
    with pytest.raises(AlreadyCreated):
        lifecycle.create(**submission | {"name": "Another name"})
    assert everything() == before
    assert key.pk == submission["key_id"]


@pytest.mark.parametrize("twin", ["Café", "CAFÉ", "cafe", "Cafe\u0301", "  café! ", "Ｃａｆé", "ca\u200dfé"])
def test_a_name_in_use_is_refused_however_it_is_written(merchant, actor, twin):
    ApiKeyFactory(merchant=merchant, name="Café")
    with pytest.raises(InvalidField, match="already has an API key called") as refused:
        lifecycle.create(merchant=merchant, name=twin, actor=actor, **PRESETS)
    assert (refused.value.field, refused.value.advice) == ("name", "Choose another name.")


@pytest.mark.parametrize(
    ("one", "other"),
    [("🚀", "🔥"), ("—", "…"), ("!", "?"), ("काम", "कम"), ("Prod", "Prod 2"), ("👍🏽", "👍🏿")],
)
def test_names_that_look_different_live_side_by_side(merchant, actor, one, other):
    for name in (one, other):
        lifecycle.create(merchant=merchant, name=name, actor=actor, **PRESETS)
    assert {key.name for key in merchant.api_keys.all()} == {one, other}


def test_a_name_is_free_for_another_account_and_after_its_key_is_revoked(merchant, actor):
    key = ApiKeyFactory(merchant=merchant, name="Checkout", disabled=True)
    lifecycle.create(merchant=MerchantFactory(), name="Checkout", actor=actor, **PRESETS)
    with pytest.raises(InvalidField):
        lifecycle.create(merchant=merchant, name="Checkout", actor=actor, **PRESETS)
    lifecycle.revoke(key=key, actor=actor)
    lifecycle.create(merchant=merchant, name="Checkout", actor=actor, **PRESETS)
    assert merchant.api_keys.filter(name="Checkout").count() == 2


REFUSED_VALUES = {
    "no name": ({"name": " \n"}, "name", "Enter a key name."),
    "a long name": ({"name": "x" * (NAME_MAX + 1)}, "name", "81 characters long; 80 is the most"),
    "a control character": ({"name": "a\x00b"}, "name", "U+0000"),
    "a bidirectional override": ({"name": "live\u202etset"}, "name", "U+202E"),
    "a long description": ({"description": "x" * (DESCRIPTION_MAX + 1)}, "description", "501 characters"),
    "a control character in the description": ({"description": "\x1b[31m"}, "description", "U+001B"),
    "no mode": ({"mode": ""}, "mode", "Choose Live mode or Test mode."),
    "an unknown mode": ({"mode": "LIVE"}, "mode", "Choose Live mode or Test mode."),
    "an unknown resource": ({"permissions": {"gold": "read"}}, "permissions", "no resource called “gold”"),
    "an unknown access": ({"permissions": {"payments": "admin"}}, "permissions", "“admin” is not an access"),
    "a very long resource": (
        {"permissions": {"x" * 9_999: "read"}},
        "permissions",
        "no resource called “xxx",
    ),
    "an expiry in the past": (
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        "expires_at",
        "has passed already",
    ),
    "not a network": ({"allowed_networks": ["203.0.113.0/33"]}, "allowed_networks", "is not a network"),
    "an empty network": ({"allowed_networks": [""]}, "allowed_networks", "is not a network"),
    "too many networks": (
        {"allowed_networks": [f"10.0.{number}.0/24" for number in range(51)]},
        "allowed_networks",
        "50 networks are the most",
    ),
}


@pytest.mark.parametrize(("values", "field", "message"), REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_a_value_that_cannot_be_accepted_is_refused_by_its_field_and_nothing_is_made(
    merchant, actor, values, field, message
):
    before = everything()
    with pytest.raises(InvalidField) as refused:
        lifecycle.create(**{"merchant": merchant, "name": "Checkout", "actor": actor} | PRESETS | values)
    assert refused.value.field == field
    assert message in refused.value.message
    assert len(str(refused.value)) < 300
    assert everything() == before


@pytest.mark.parametrize("name", ["متجر الكتب", "חנות", "🚀 Raketen", "👩‍👩‍👧‍👦", "<b>bold</b>", "%_\\'\""])
def test_any_other_name_is_kept_as_it_is(merchant, actor, name):
    key, _ = lifecycle.create(merchant=merchant, name=name, actor=actor, **PRESETS)
    assert stored(key).name == name
    assert events(key)[0].after["name"] == name


def test_with_show_once_nothing_is_stored_that_could_be_copied(merchant, actor, settings):
    settings.KEYS_SECRET_POLICY = "show_once"
    submission = {"merchant": merchant, "name": "Checkout", "actor": actor, "key_id": new_id(), **PRESETS}
    key, secret = lifecycle.create(**submission)
    assert stored(key).secret_ciphertext is None
    assert bytes(stored(key).digest) == secret.digest
    with pytest.raises(SecretUnavailable, match=r"not stored.*Duplicate it"):
        lifecycle.copy(key=key, actor=actor)
    with pytest.raises(AlreadyCreated) as refused:
        lifecycle.create(**submission)
    assert "Copy" not in str(refused.value)


# -- Duplicate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["enabled", "disabled", "revoked"])
def test_a_duplicate_has_every_preset_a_new_secret_and_its_origin(merchant, actor, state):
    origin = ApiKeyFactory(
        merchant=merchant,
        name="Checkout",
        description="For the shop.",
        mode="test",
        permissions={"payments": "read", "reports": "read"},
        expires_at=timezone.now() + timedelta(days=3),
        allowed_networks=["203.0.113.0/24", "2001:db8::/32"],
        state=state,
    )
    copy, secret = lifecycle.duplicate(key=origin, actor=actor)
    copy = stored(copy)
    same = ("merchant_id", "description", "mode", "permissions", "expires_at", "allowed_networks")
    assert {name: getattr(copy, name) for name in same} == {name: getattr(origin, name) for name in same}
    assert (copy.name, copy.status, copy.created_by) == ("Checkout (copy)", "enabled", actor.user)
    assert copy.duplicated_from == origin
    assert secret != origin.secret
    assert bytes(copy.digest) == secret.digest != bytes(origin.digest)


def test_a_duplicate_is_told_in_both_histories(api_key, actor):
    copy, _ = lifecycle.duplicate(key=api_key, actor=actor, name="Second till")
    told = events(api_key)[-1]
    assert (told.action, told.actor_user) == (Action.KEY_DUPLICATED, actor.user)
    assert told.after == {"duplicate": copy.public_id, "name": "Second till"}
    (created,) = events(copy)
    assert created.after["duplicated_from"] == api_key.public_id


def test_an_expired_key_is_not_duplicated_without_its_expiry(actor):
    key = ApiKeyFactory(expired=True)
    before = everything()
    with pytest.raises(InvalidField, match="has passed already") as refused:
        lifecycle.duplicate(key=key, actor=actor)
    assert refused.value.field == "expires_at"
    assert everything() == before


def test_a_duplicate_takes_the_presets_as_they_are_now(api_key, actor):
    in_hand = stored(api_key)
    lifecycle.update(key=api_key, name="Renamed", description="New.", revision=1, actor=actor)
    copy, _ = lifecycle.duplicate(key=in_hand, actor=actor)
    assert (copy.name, copy.description) == ("Renamed (copy)", "New.")


def test_copies_are_numbered_past_the_names_in_use(merchant, actor):
    key = ApiKeyFactory(merchant=merchant, name="Checkout")
    names = [lifecycle.duplicate(key=key, actor=actor)[0].name for _ in range(22)]
    assert names == ["Checkout (copy)", *(f"Checkout (copy {number})" for number in range(2, 23))]
    gone = lifecycle.disable(key=merchant.api_keys.get(name="Checkout (copy 2)"), actor=actor)
    lifecycle.revoke(key=gone, actor=actor)
    assert lifecycle.free_copy_name(key) == "Checkout (copy 2)"


@pytest.mark.parametrize("name", ["x" * NAME_MAX, "x" + "👩‍👩‍👧‍👦" * 11, "—", "한" * NAME_MAX])
def test_a_copy_of_any_name_fits_and_is_free(merchant, actor, name):
    key = ApiKeyFactory(merchant=merchant, name=name)
    copies = [lifecycle.duplicate(key=key, actor=actor)[0].name for _ in range(3)]
    assert all(len(copy) <= NAME_MAX and "(copy" in copy for copy in copies)
    assert all("\u200d (" not in copy for copy in copies)


def test_a_permission_that_left_the_catalogue_is_not_granted_again(api_key, actor, monkeypatch):
    # A copy: put back into the dictionary itself, the entry would come last from then on.
    others = {name: each for name, each in lifecycle.catalogue().resources.items() if name != "refunds"}
    monkeypatch.setattr(lifecycle.catalogue(), "resources", others)
    with pytest.raises(InvalidField, match="no resource called “refunds”"):
        lifecycle.duplicate(key=api_key, actor=actor)
