"""The life of an API key: each step does what it says, tells the history, and refuses with a reason and a way on."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from keys import history, lifecycle
from keys.errors import (
    AlreadyCreated,
    DomainError,
    IllegalTransition,
    InvalidField,
    SecretUnavailable,
    StaleEdit,
)
from keys.history import Actor
from keys.keyformat import PlaintextKey
from keys.models import ApiKey, HistoryEntry
from keys.models.history import Action
from keys.verification import Attempt, Facts, verdict
from tests.factories import ActorFactory, ApiKeyFactory, UserFactory, use

pytestmark = pytest.mark.django_db

PRESETS = {"mode": "live", "permissions": {"payments": "write"}}


@pytest.fixture
def grace() -> Actor:
    return ActorFactory(user=UserFactory(first_name="Grace", last_name="Hopper"))


def stored(key: ApiKey) -> ApiKey:
    return ApiKey.objects.get(pk=key.pk)


def events(key: ApiKey) -> list[HistoryEntry]:
    return list(HistoryEntry.objects.filter(key=key).order_by("at", "id"))


def everything() -> tuple[list, list]:
    return list(ApiKey.objects.order_by("pk").values()), list(HistoryEntry.objects.order_by("pk").values())


# -- Update --------------------------------------------------------------------------------------------------------


def test_an_update_saves_what_changed_and_tells_only_that(api_key, actor):
    saved = lifecycle.update(key=api_key, name="New name", description="", revision=1, actor=actor)
    assert (saved.name, saved.folded_name, saved.revision) == ("New name", "new name", 2)
    assert stored(api_key).name == "New name"
    event = events(api_key)[-1]
    assert event.action == Action.KEY_UPDATED
    assert (event.before, event.after) == ({"name": api_key.name}, {"name": "New name"})
    saved = lifecycle.update(key=saved, name="New name", description="Why.", revision=2, actor=actor)
    assert (events(api_key)[-1].before, events(api_key)[-1].after) == (
        {"description": ""},
        {"description": "Why."},
    )


def test_an_update_without_a_change_writes_nothing(api_key, actor):
    before = everything()
    lifecycle.update(key=api_key, name=f" {api_key.name} ", description="", revision=99, actor=actor)
    assert everything() == before


def test_a_stale_edit_says_who_was_first_and_what_is_there_now(api_key, actor, grace):
    lifecycle.update(key=api_key, name="Grace’s name", description="Grace’s.", revision=1, actor=grace)
    before = everything()
    with pytest.raises(StaleEdit, match="Grace Hopper saved this key while you were editing it") as refused:
        lifecycle.update(key=api_key, name="My name", description="", revision=1, actor=actor)
    assert refused.value.changes == {"name": "Grace’s name", "description": "Grace’s."}
    assert "Nothing of yours is saved yet" in refused.value.advice
    assert everything() == before
    lifecycle.update(key=api_key, name="My name", description="", revision=2, actor=actor)
    assert stored(api_key).name == "My name"


def test_a_revision_that_never_was_is_stale_too(api_key, actor):
    with pytest.raises(StaleEdit, match="Somebody saved this key"):
        lifecycle.update(key=api_key, name="My name", description="", revision=2**31, actor=actor)


def test_a_rename_onto_a_name_in_use_is_refused_and_one_to_itself_is_not(merchant, actor):
    ApiKeyFactory(merchant=merchant, name="Checkout")
    key = ApiKeyFactory(merchant=merchant, name="Till")
    before = everything()
    with pytest.raises(InvalidField, match="already has an API key called “CHECKOUT”"):
        lifecycle.update(key=key, name="CHECKOUT", description="", revision=1, actor=actor)
    assert everything() == before
    assert lifecycle.update(key=key, name="TILL", description="", revision=1, actor=actor).name == "TILL"


def test_a_revoked_key_is_not_renamed(actor, grace):
    key = lifecycle.revoke(key=ApiKeyFactory(disabled=True), actor=grace)
    with pytest.raises(
        IllegalTransition, match=r"revoked, by Grace Hopper\. Revoked is final\. Duplicate it"
    ):
        lifecycle.update(key=key, name="New name", description="", revision=1, actor=actor)


# -- Disable, enable, revoke ---------------------------------------------------------------------------------------

STEPS = {"disable": lifecycle.disable, "enable": lifecycle.enable, "revoke": lifecycle.revoke}
LEGAL = {
    ("enabled", "disable"): "disabled",
    ("disabled", "enable"): "enabled",
    ("disabled", "revoke"): "revoked",
}


@pytest.mark.parametrize(("state", "step"), LEGAL)
def test_a_legal_step_moves_the_key_and_tells_who_why_and_from_where(state, step, grace):
    key = ApiKeyFactory(state=state)
    moved = STEPS[step](key=key, actor=grace, reason=" Ticket 4711 ")
    assert moved.status == stored(key).status == LEGAL[state, step]
    event = events(key)[-1]
    assert event.action == f"key.{LEGAL[state, step]}"
    assert (event.before, event.after) == ({"status": state}, {"status": LEGAL[state, step]})
    assert (event.actor_user, event.actor_name, event.reason) == (grace.user, "Grace Hopper", "Ticket 4711")
    assert (event.address, event.request_id) == (grace.address, grace.request_id)


ILLEGAL = {
    ("enabled", "enable"): ("This API key is Enabled already.", "There is nothing left to do."),
    ("enabled", "revoke"): (
        "Only a disabled API key can be revoked.",
        "Disable it first, then revoke it.",
    ),
    ("disabled", "disable"): (
        "This API key is Disabled already, by Grace Hopper.",
        "There is nothing left to do.",
    ),
    **{
        ("revoked", step): (
            "This API key was revoked, by Grace Hopper. Revoked is final.",
            "Duplicate it to get a new key with the same presets.",
        )
        for step in STEPS
    },
}


def test_each_step_is_legal_or_not_in_each_state():
    assert {*LEGAL, *ILLEGAL} == {
        (state, step) for state in ("enabled", "disabled", "revoked") for step in STEPS
    }


@pytest.mark.parametrize(("state", "step"), ILLEGAL)
def test_an_illegal_step_is_refused_with_the_reason_and_a_way_on(state, step, actor, grace):
    key = ApiKeyFactory(state=state, actor=grace)
    before = everything()
    with pytest.raises(IllegalTransition) as refused:
        STEPS[step](key=key, actor=actor)
    assert (refused.value.message, refused.value.advice) == ILLEGAL[state, step]
    assert everything() == before


def test_a_step_judges_the_key_as_it_is_not_as_it_was_read(api_key, actor, grace):
    """Two people open the same page: one is first, and the other is told."""
    opened = stored(api_key)
    lifecycle.disable(key=api_key, actor=grace)
    assert opened.is_enabled
    with pytest.raises(IllegalTransition, match="Disabled already, by Grace Hopper"):
        lifecycle.disable(key=opened, actor=actor)
    disabled = stored(api_key)
    lifecycle.enable(key=api_key, actor=grace)
    with pytest.raises(IllegalTransition, match=r"enabled again, by Grace Hopper\. Disable it first"):
        lifecycle.revoke(key=disabled, actor=actor)
    lifecycle.disable(key=api_key, actor=grace)
    lifecycle.revoke(key=api_key, actor=grace)
    with pytest.raises(IllegalTransition, match="revoked, by Grace Hopper"):
        lifecycle.enable(key=disabled, actor=actor)


def test_the_one_who_is_named_is_the_latest(actor, grace):
    key = ApiKeyFactory()
    for person in (grace, actor):
        lifecycle.disable(key=key, actor=person)
        if person is grace:
            lifecycle.enable(key=key, actor=person)
    with pytest.raises(IllegalTransition, match=f"by {actor.name}"):
        lifecycle.disable(key=key, actor=grace)


def test_revoking_destroys_the_ciphertext_and_keeps_the_rest(actor):
    key = ApiKeyFactory(disabled=True)
    revoked = stored(lifecycle.revoke(key=key, actor=actor))
    assert revoked.secret_ciphertext is None
    assert not revoked.can_be_copied
    assert (bytes(revoked.digest), revoked.masked) == (key.secret.digest, key.masked)


def test_a_step_changes_nothing_but_the_state(actor):
    key = ApiKeyFactory(description="Kept.", expires_at=timezone.now() + timedelta(days=1))
    in_hand = stored(key)
    [used] = use(key, succeeded=1)
    before = ApiKey.objects.values().get(pk=key.pk)
    lifecycle.disable(key=in_hand, actor=actor)
    after = ApiKey.objects.values().get(pk=key.pk)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"status", "status_rank"}
    assert stored(key).last_used_at == used.at


@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b", "\u202e"])
def test_a_reason_that_cannot_be_kept_is_refused_and_the_key_stays(api_key, actor, reason):
    with pytest.raises(InvalidField) as refused:
        lifecycle.disable(key=api_key, actor=actor, reason=reason)
    assert refused.value.field == "reason"
    assert stored(api_key).is_enabled


# -- Copy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_copying_reveals_the_very_key_and_is_recorded_without_it(actor, state):
    key = ApiKeyFactory(state=state)
    secret = lifecycle.copy(key=key, actor=actor)
    assert isinstance(secret, PlaintextKey)
    assert secret.reveal() == key.secret.reveal()
    event = events(key)[-1]
    assert (event.action, event.before, event.after) == (Action.KEY_COPIED, {}, {})
    assert event.actor_user == actor.user
    assert secret.reveal() not in repr(everything())


def test_a_revoked_key_is_not_copied_even_by_one_who_holds_the_old_row(actor):
    key = ApiKeyFactory(disabled=True)
    in_hand = stored(key)
    lifecycle.revoke(key=key, actor=actor)
    before = everything()
    with pytest.raises(SecretUnavailable, match=r"revoked; its text is destroyed.*Duplicate it"):
        lifecycle.copy(key=in_hand, actor=actor)
    assert everything() == before


def test_a_swapped_ciphertext_is_noticed_and_nothing_is_copied(actor):
    key, other = ApiKeyFactory(), ApiKeyFactory()
    ApiKey.objects.filter(pk=key.pk).update(secret_ciphertext=other.secret_ciphertext)
    before = everything()
    with pytest.raises(SecretUnavailable, match="belongs to another key"):
        lifecycle.copy(key=key, actor=actor)
    assert everything() == before


# -- All steps -----------------------------------------------------------------------------------------------------

ALL_STEPS = {
    "create": lambda key, actor: lifecycle.create(
        merchant=key.merchant, name="Another", actor=actor, **PRESETS
    ),
    "duplicate": lambda key, actor: lifecycle.duplicate(key=key, actor=actor),
    "update": lambda key, actor: lifecycle.update(
        key=key, name="Another", description="", revision=key.revision, actor=actor
    ),
    "enable": lambda key, actor: lifecycle.enable(key=key, actor=actor),
    "revoke": lambda key, actor: lifecycle.revoke(key=key, actor=actor),
    "copy": lambda key, actor: lifecycle.copy(key=key, actor=actor),
}


@pytest.mark.parametrize("step", ALL_STEPS.values(), ids=ALL_STEPS)
def test_a_step_whose_history_cannot_be_written_is_undone(step, actor, monkeypatch):
    key = ApiKeyFactory(disabled=True)
    before = everything()

    def refuse(entries):
        raise IntegrityError("no history today")

    with monkeypatch.context() as broken:
        broken.setattr(HistoryEntry.objects, "bulk_create", refuse)
        with pytest.raises(IntegrityError, match="no history today"):
            step(key, actor)
    assert everything() == before
    step(key, actor)
    assert everything() != before


@pytest.mark.parametrize("step", ALL_STEPS.values(), ids=ALL_STEPS)
def test_a_step_of_a_command_has_no_person_and_says_its_name(step):
    step(ApiKeyFactory(disabled=True), Actor.command("rotate_keys"))
    event = HistoryEntry.objects.order_by("at", "id").last()
    assert (event.actor_kind, event.actor_user, event.actor_name) == ("command", None, "rotate_keys")
    assert (event.address, event.user_agent, event.request_id) == (None, "", "")


def test_what_headers_carry_is_stored_printable_and_cut(api_key):
    actor = Actor(name="n" * 999, user_agent="a\x00\ud800\n" + "b" * 999, request_id="r" * 99)
    event = events(lifecycle.disable(key=api_key, actor=actor))[-1]
    assert event.actor_name == "n" * 160
    assert event.user_agent.startswith("a\\x00\\ud800\\nbbb")
    assert (len(event.user_agent), len(event.request_id)) == (300, 64)


def test_every_refusal_is_a_domain_error_with_a_way_on():
    for error in (IllegalTransition, StaleEdit, InvalidField, AlreadyCreated, SecretUnavailable):
        assert issubclass(error, DomainError)
    assert str(DomainError("Why.", "What to do.")) == "Why. What to do."
    assert str(DomainError("Why.")) == "Why."


def test_disabled_and_revoked_and_expired_keys_do_not_verify(actor):
    """What the life cycle says is what the verifier hears."""
    told = {}
    for trait in ("plain", "disabled", "revoked", "expired"):
        key = ApiKeyFactory(**{} if trait == "plain" else {trait: True})
        facts = Facts(
            key_id=key.pk,
            merchant_id=key.merchant_id,
            key_status=key.status,
            merchant_status=key.merchant.status,
            mode=key.mode,
            grants=key.grants,
            expires_at=key.expires_at,
            allowed_networks=key.networks,
        )
        told[trait] = verdict(facts, Attempt(now=timezone.now(), address=None)).value
    assert told == {"plain": "VALID", "disabled": "DISABLED", "revoked": "REVOKED", "expired": "EXPIRED"}


def test_the_newest_event_of_a_kind_is_found(api_key, actor):
    lifecycle.disable(key=api_key, actor=actor)
    lifecycle.enable(key=api_key, actor=actor)
    assert history.latest(key=api_key).action == Action.KEY_ENABLED
    assert history.latest(key=api_key, action=Action.KEY_DISABLED).after == {"status": "disabled"}
    assert history.latest(key=api_key, action=Action.KEY_REVOKED) is None
