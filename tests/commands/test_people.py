"""Commands on behalf of a person: what is not theirs is not there, and what they may not do is not done."""

import pytest
from django.db.models import Count

from keys.models import ApiKey, HistoryEntry, Merchant, User
from keys.models.history import Action
from tests.commands.conftest import Run
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory


@pytest.fixture
def other(db: None) -> ApiKey:
    """A key of an account that is no one's here."""
    return ApiKeyFactory(merchant=MerchantFactory(name="Corner shop"))


def member(merchant: Merchant, role: str) -> User:
    return UserFactory(team=(merchant, role))


def test_a_member_of_a_team_sees_that_account_alone(run: Run, api_key: ApiKey, other: ApiKey) -> None:
    words = ("--fields", "id", "--actor", member(api_key.merchant, "viewer").username)
    assert run("apikeys", "list", *words).lines == [api_key.public_id]
    assert run("merchants", "list", *words).lines == [api_key.merchant.public_id]
    assert run("merchants", "list", "--search", "corner", *words).out == ""
    assert run("merchants", "list", "--search", other.merchant, *words).out == ""
    assert run("apikeys", "list", "--merchant", other.merchant, *words).out == ""


@pytest.mark.parametrize(
    "words",
    [
        "apikeys show {key}",
        "apikeys disable {key}",
        "apikeys disable {key} --dry-run",
        "apikeys update {key} --name x",
        "apikeys duplicate {key}",
        "apikeys copy {key} --show-secret --yes --confirm x",
        "apikeys create --merchant {merchant} --name x --mode test --preset read-only",
        "merchants show {merchant}",
        "merchants disable {merchant}",
        "merchants update {merchant} --name x",
    ],
)
def test_what_is_not_theirs_is_not_there(run: Run, merchant: Merchant, other: ApiKey, words: str) -> None:
    owner = member(merchant, "owner")
    filled = words.format(key=other.public_id, merchant=other.merchant.public_id)
    ended = run(*filled.split(), "--actor", owner.username, status=3)
    assert other.name not in ended.complaint + ended.err


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("viewer", "apikeys disable {key}"),
        ("viewer", "apikeys update {key} --name x"),
        ("viewer", "apikeys duplicate {key}"),
        ("viewer", "apikeys copy {key} --show-secret --yes --confirm x"),
        ("viewer", "apikeys create --merchant {merchant} --name x --mode test --preset read-only"),
        ("developer", "apikeys create --merchant {merchant} --name x --mode live --preset full-access"),
        ("developer", "apikeys revoke {key} --yes"),
        ("owner", "merchants disable {merchant}"),
        ("owner", "merchants update {merchant} --name x"),
        ("owner", "merchants create --name x"),
    ],
)
def test_what_a_role_does_not_allow_is_not_done(run: Run, api_key: ApiKey, role: str, words: str) -> None:
    before = list(ApiKey.objects.values()), list(Merchant.objects.values()), HistoryEntry.objects.count()
    actor = member(api_key.merchant, role)
    filled = words.format(key=api_key.public_id, merchant=api_key.merchant.public_id)
    assert "You may not" in run(*filled.split(), "--actor", actor.username, status=5).complaint
    after = list(ApiKey.objects.values()), list(Merchant.objects.values()), HistoryEntry.objects.count()
    assert after == before


def test_what_a_role_allows_is_done_and_recorded(run: Run, api_key: ApiKey, other: ApiKey) -> None:
    owner = member(api_key.merchant, "owner")
    run("apikeys", "disable", "--all", "--yes", "--actor", owner.username)
    run("apikeys", "revoke", api_key, "--yes", "--actor", owner.username)
    assert HistoryEntry.objects.get(action=Action.KEY_REVOKED).actor_user == owner
    other.refresh_from_db()
    assert other.is_enabled


def test_only_what_will_be_changed_is_counted_and_the_rest_is_told(
    run: Run, api_key: ApiKey, other: ApiKey, answers: list[str]
) -> None:
    """Who sees everything and works in one team: those of others are left out, and said to be."""
    ApiKeyFactory(merchant=other.merchant)
    ApiKeyFactory(merchant=other.merchant, disabled=True)
    owner = UserFactory(role="viewer", team=(api_key.merchant, "owner"))
    words = ("apikeys", "disable", "--all", "--actor", owner.username)
    dry = run(*words, "--dry-run")
    assert [line.split("\t")[0] for line in dry.lines] == [api_key.public_id]
    told = (
        "Left alone: 1 API key that is disabled.\nLeft alone: 2 API keys that this person may not disable.\n"
    )
    assert dry.err == f"{told}Would disable 1 API key. Nothing was changed.\n"
    answers += ["y"]
    ended = run(*words, status=5)
    assert ended.err == f"{told}Disable 1 API key? [y/N] "
    assert (ended.out, ended.complaint) == ("Disabled 1 API key.\n", "Not allowed for 2 API keys.")
    answers += ["1"]
    ended = run("apikeys", "revoke", "--all", "--actor", owner.username, status=5)
    assert "To revoke 1 API key for ever, type their number:" in ended.err
    assert dict(ApiKey.objects.values_list("status").annotate(Count("pk"))) == {
        "enabled": 2,
        "disabled": 1,
        "revoked": 1,
    }


def test_with_ids_a_dry_run_says_what_a_person_may_not_do(run: Run, api_key: ApiKey, other: ApiKey) -> None:
    developer = UserFactory(role="viewer", team=(api_key.merchant, "developer"))
    dry = run("apikeys", "disable", api_key, other, "--dry-run", "--actor", developer.username)
    assert [line.split("\t")[0] for line in dry.lines] == [api_key.public_id]
    assert "Left alone: 1 API key that this person may not disable." in dry.err


def test_where_nothing_is_allowed_nothing_is_asked(run: Run, merchant: Merchant, answers: list[str]) -> None:
    operator = UserFactory(role="operator").username
    ended = run("merchants", "disable", "--all", "--actor", operator, status=5)
    assert ended.complaint == "Not allowed for 1 merchant account."
    assert ended.out == "Disabled 0 merchant accounts.\n"


def test_of_many_nothing_is_done_that_is_not_allowed(run: Run, api_key: ApiKey, other: ApiKey) -> None:
    viewer = UserFactory(role="viewer").username
    ended = run("apikeys", "disable", "--all", "--yes", "--actor", viewer, status=5)
    assert ended.complaint == "Not allowed for 2 API keys."
    assert ended.out == "Disabled 0 API keys.\n"
    assert not ApiKey.objects.filter(status="disabled").exists()
    assert run("apikeys", "disable", "--all", "--dry-run", "--actor", viewer).out == ""
    operator = UserFactory(role="operator").username
    assert len(run("apikeys", "disable", "--all", "--dry-run", "--actor", operator).lines) == 2
