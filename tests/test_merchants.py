"""Merchant accounts: made, renamed, disabled and enabled, each step told in the history."""

import pytest
from django.db import IntegrityError
from hypothesis import given
from hypothesis import strategies as st

from keys import merchants, search
from keys.errors import IllegalTransition, InvalidField, StaleEdit
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, Merchant, MerchantTerm
from keys.models.history import Action
from keys.models.merchant import NAME_MAX
from tests.factories import ActorFactory, ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace() -> Actor:
    return ActorFactory(user=UserFactory(first_name="Grace", last_name="Hopper"))


def stored(merchant: Merchant) -> Merchant:
    return Merchant.objects.get(pk=merchant.pk)


def events(merchant: Merchant) -> list[HistoryEntry]:
    return list(HistoryEntry.objects.filter(merchant=merchant).order_by("at", "id"))


def everything() -> list[list]:
    return [list(model.objects.order_by("pk").values()) for model in (Merchant, MerchantTerm, HistoryEntry)]


def test_a_new_account_is_enabled_and_in_the_history(actor):
    merchant = merchants.create(name=" Café  Nørd ", website="https://Cafe.example/", actor=actor)
    merchant = stored(merchant)
    assert (merchant.name, merchant.sort_name, merchant.website) == ("Café Nørd", "cafe nord", "Cafe.example")
    assert (merchant.status, merchant.revision, merchant.created_by) == ("enabled", 1, actor.user)
    (event,) = events(merchant)
    assert (event.action, event.key, event.before) == (Action.MERCHANT_CREATED, None, {})
    assert event.after == {"name": "Café Nørd", "website": "Cafe.example"}
    assert (event.actor_user, event.at) == (actor.user, merchant.created_at)


def test_two_businesses_may_share_a_name(actor):
    made = {merchants.create(name="Café", actor=actor).pk for _ in range(2)}
    assert len(made) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Enter a name."),
        ("\u200d", "Enter a name."),
        ("x" * (NAME_MAX + 1), "121 characters long; 120 is the most"),
        ("a\x00", "U+0000"),
        ("moc.elpmaxe\u202e", "U+202E"),
        ("ﷺ" * 14, "ligatures"),
    ],
)
def test_a_name_that_cannot_be_kept_is_refused_and_nothing_is_made(actor, name, message):
    before = everything()
    with pytest.raises(InvalidField) as refused:
        merchants.create(name=name, actor=actor)
    assert refused.value.field == "name"
    assert message in refused.value.message
    assert everything() == before


@pytest.mark.parametrize(
    "name", ["متجر الكتب", "🚀", "—", "한" * NAME_MAX, "Robert'); DROP TABLE keys_merchant;--"]
)
def test_any_other_name_is_kept_and_found(actor, name):
    merchant = merchants.create(name=name, actor=actor)
    assert stored(merchant).name == name
    assert search.find(name) == [merchant.pk]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("northwind.example", "northwind.example"),
        (" HTTPS://northwind.example/ ", "northwind.example"),
        ("http://shop.northwind.example:8443/de?x=1#y", "shop.northwind.example:8443/de?x=1#y"),
        ("https://", ""),
        ("müller.example", "müller.example"),
    ],
)
def test_a_website_is_kept_without_its_scheme(typed, kept):
    assert merchants.clean_website(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "northwind",
        "a b.example",
        "javascript:alert(1.0)",
        "ftp://x.example",
        "@x.example",
        ".",
        "a..b",
        "x.example:port",
    ],
)
def test_what_is_not_a_website_is_refused(typed):
    with pytest.raises(InvalidField, match="is not a website") as refused:
        merchants.clean_website(typed)
    assert refused.value.field == "website"


@given(st.text(max_size=60))
def test_a_website_that_was_accepted_is_accepted_again_unchanged(typed):
    try:
        kept = merchants.clean_website(typed)
    except InvalidField:
        return
    assert merchants.clean_website(kept) == kept


def test_an_update_saves_what_changed_and_tells_only_that(merchant, actor):
    saved = merchants.update(merchant=merchant, name="Ærø Shop", website="", revision=1, actor=actor)
    assert (saved.name, saved.sort_name, saved.revision) == ("Ærø Shop", "aero shop", 2)
    assert events(merchant)[-1].before == {"name": merchant.name}
    assert events(merchant)[-1].after == {"name": "Ærø Shop"}
    merchants.update(merchant=saved, name="Ærø Shop", website="aero.example", revision=2, actor=actor)
    event = events(merchant)[-1]
    assert (event.action, event.before, event.after) == (
        Action.MERCHANT_UPDATED,
        {"website": ""},
        {"website": "aero.example"},
    )


def test_an_account_is_found_by_its_new_name_and_no_longer_by_the_old(actor):
    merchant = MerchantFactory(name="Northwind Traders", website="northwind.example")
    merchants.update(merchant=merchant, name="🚀", website="", revision=1, actor=actor)
    assert search.find("northwind") == search.find("example") == []
    assert search.find("🚀") == [merchant.pk]


def test_an_update_without_a_change_writes_nothing(merchant, actor):
    before = everything()
    merchants.update(merchant=merchant, name=f" {merchant.name} ", website="", revision=99, actor=actor)
    assert everything() == before


def test_a_stale_edit_says_who_was_first_and_what_is_there_now(merchant, actor, grace):
    merchants.update(merchant=merchant, name="First", website="", revision=1, actor=grace)
    before = everything()
    with pytest.raises(StaleEdit, match="Grace Hopper saved this merchant account while you") as refused:
        merchants.update(merchant=merchant, name="Second", website="", revision=1, actor=actor)
    assert refused.value.changes == {"name": "First", "website": ""}
    assert everything() == before


STEPS = {"disabled": merchants.disable, "enabled": merchants.enable}


@pytest.mark.parametrize("target", STEPS)
def test_a_step_moves_the_account_tells_why_and_leaves_its_keys_alone(target, grace):
    merchant = MerchantFactory(disabled=target == "enabled")
    for state in ("enabled", "disabled", "revoked"):
        ApiKeyFactory(merchant=merchant, state=state)
    keys = list(ApiKey.objects.order_by("pk").values())
    moved = STEPS[target](merchant=merchant, actor=grace, reason="Ticket 4711")
    assert moved.status == stored(merchant).status == target
    event = events(merchant)[-1]
    other = {"enabled": "disabled", "disabled": "enabled"}[target]
    assert event.action == f"merchant.{target}"
    assert (event.before, event.after) == ({"status": other}, {"status": target})
    assert (event.actor_name, event.reason) == ("Grace Hopper", "Ticket 4711")
    assert list(ApiKey.objects.order_by("pk").values()) == keys


def test_a_step_that_somebody_took_already_is_refused_with_their_name(merchant, actor, grace):
    opened = stored(merchant)
    with pytest.raises(IllegalTransition, match=r"account is Enabled already\. There is nothing left"):
        merchants.enable(merchant=opened, actor=actor)
    merchants.disable(merchant=merchant, actor=grace)
    before = everything()
    with pytest.raises(IllegalTransition, match="Disabled already, by Grace Hopper"):
        merchants.disable(merchant=opened, actor=actor)
    assert everything() == before


@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b"])
def test_a_reason_that_cannot_be_kept_is_refused_and_the_account_stays(merchant, actor, reason):
    with pytest.raises(InvalidField, match="Reason"):
        merchants.disable(merchant=merchant, actor=actor, reason=reason)
    assert stored(merchant).is_enabled


ALL_STEPS = {
    "create": lambda merchant, actor: merchants.create(name="Another", actor=actor),
    "update": lambda merchant, actor: merchants.update(
        merchant=merchant, name="Another", website="", revision=merchant.revision, actor=actor
    ),
    "disable": lambda merchant, actor: merchants.disable(merchant=merchant, actor=actor),
}


@pytest.mark.parametrize("step", ALL_STEPS.values(), ids=ALL_STEPS)
def test_a_step_whose_history_cannot_be_written_is_undone(step, merchant, actor, monkeypatch):
    before = everything()

    def refuse(entries):
        raise IntegrityError("no history today")

    with monkeypatch.context() as broken:
        broken.setattr(HistoryEntry.objects, "bulk_create", refuse)
        with pytest.raises(IntegrityError, match="no history today"):
            step(merchant, actor)
    assert everything() == before
    step(merchant, actor)
    assert everything() != before


@pytest.mark.parametrize("order", [["sort_name", "id"], ["-sort_name", "-id"]])
def test_accounts_sort_by_code_point_on_every_database(order):
    names = [
        "Zebra",
        "apple",
        "Ähre",
        "ähnlich",
        "Éclair",
        "_x",
        "10",
        "9",
        "a b",
        "ab",
        "a-c",
        "Ω",
        "日本",
        "🚀",
        "z",
    ]
    for name in names:
        MerchantFactory(name=name)
    found = Merchant.objects.order_by(*order)
    reverse = order[0].startswith("-")
    assert list(found) == sorted(found, key=lambda each: (each.sort_name, each.pk), reverse=reverse)
    assert [each.name for each in Merchant.objects.order_by("sort_name")] == [
        "10", "9", "a b", "a-c", "ab", "ähnlich", "Ähre", "apple", "Éclair", "_x", "z", "Zebra", "Ω", "日本", "🚀",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a\U0001f680", "a\uff5e", "a\ue9e9", "aé", "a", "a ", "A", "ß"])
def test_folded_text_is_compared_by_code_point_whatever_the_locale(text):
    """A code point above U+FFFF sorts after one below it, as it does not in UTF-16."""
    one = Merchant(name="one", sort_name=text)
    other = Merchant(name="other", sort_name="a\uff00")
    Merchant.objects.bulk_create([one, other])
    expected = sorted([one, other], key=lambda each: each.sort_name)
    assert list(Merchant.objects.order_by("sort_name")) == expected
    assert Merchant.objects.filter(sort_name__gte="a\uff00", pk=one.pk).exists() == (text >= "a\uff00")
