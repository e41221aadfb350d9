"""The standard demo data: believable, complete, and nothing in it that the product itself could not have made."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import ip_address
from random import Random

import pytest
from django.contrib.auth import authenticate
from django.db import connection, transaction
from django.test import TestCase

from keys import access, usage, vault
from keys.access import Step
from keys.demo import people, story
from keys.demo.progress import ProgressReport
from keys.demo.rhythms import Span
from keys.demo.scenes import Stage
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, Invitation, Membership, Merchant, RequestLog, User
from keys.models.access import PlatformRole, TeamRole
from keys.models.history import Action
from keys.outcomes import FailureCause
from keys.people import having
from keys.permissions import catalogue
from keys.verification import Attempt, Facts, verdict
from tests.client import ProductClient
from tests.recounts import assert_rollups_equal_rows

# One moment for all, so that the same seed has the same luck every day.
NOW = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)
# A part of the usual requests tells the same story in less time.
SCALE = 0.08


def load(*, seed: int = 1, scale: float = SCALE, report: ProgressReport | None = None) -> story.Loaded:
    return story.load(now=NOW, seed=seed, report=report or ProgressReport(StringIO()), scale=scale)


@pytest.mark.xdist_group("story")
class TestStory(TestCase):
    """One load serves all of these, on one worker."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.loaded = load()
        cls.northwind = Merchant.objects.get(name="Northwind Outfitters")

    def northwind_key(self, name: str) -> ApiKey:
        return self.northwind.api_keys.get(name=name)

    def test_it_says_how_much_it_loaded(self) -> None:
        assert self.loaded.merchants == Merchant.objects.count()
        assert self.loaded.keys == ApiKey.objects.count()
        assert self.loaded.requests == RequestLog.objects.count()

    def test_there_are_accounts_and_keys_of_every_kind(self) -> None:
        assert Merchant.objects.count() >= 40
        assert 2 <= Merchant.objects.filter(status="disabled").count() <= 8
        keys = Counter(ApiKey.objects.values_list("mode", "status"))
        assert {status for _, status in keys} == {"enabled", "disabled", "revoked"}
        assert {mode for mode, _ in keys} == {"live", "test"}
        of_each = Counter(ApiKey.objects.values_list("merchant", flat=True))
        assert len(of_each) == Merchant.objects.count()
        assert set(of_each.values()) <= set(range(1, 8))
        assert len(set(ApiKey.objects.values_list("permissions", flat=True))) > 10

    def test_accounts_were_created_over_three_years(self) -> None:
        ages = [(NOW - merchant.created_at).days for merchant in Merchant.objects.all()]
        assert min(ages) < 100
        assert 900 < max(ages) < 3 * 366

    def test_names_come_in_many_scripts_and_lengths(self) -> None:
        names = list(Merchant.objects.values_list("name", flat=True))
        assert any("CJK" in _scripts(name) for name in names)
        assert any("ARABIC" in _scripts(name) for name in names)
        assert any("GREEK" in _scripts(name) for name in names)
        assert max(map(len, names)) > 100
        assert all(
            website.endswith(".example") for website in Merchant.objects.values_list("website", flat=True)
        )

    def test_northwind_has_the_keys_of_the_tour(self) -> None:
        rows = self.northwind.api_keys.order_by("-status_rank", "-created_at", "-id")
        assert [(key.name, key.mode, key.status) for key in rows] == [
            ("Checkout backend", "live", "enabled"),
            ("Payouts worker", "live", "enabled"),
            ("Reporting", "live", "enabled"),
            ("Sandbox integration", "test", "enabled"),
            ("Seller onboarding", "live", "enabled"),
            ("Old storefront", "live", "disabled"),
            ("Agency 2025", "live", "revoked"),
        ]
        assert self.northwind_key("Seller onboarding").last_used_at is None

    def test_some_keys_are_in_trouble_and_the_others_are_not(self) -> None:
        payouts = self.northwind_key("Payouts worker")
        usages = usage.last_24_hours(ApiKey.objects.values_list("pk", flat=True), now=NOW)
        assert 0.12 < usages[payouts.pk].error_rate < 0.25
        assert usages[payouts.pk].most_common_cause is FailureCause.PERMISSION_DENIED
        worst = {
            each.most_common_cause for each in usages.values() if each.total > 20 and each.error_rate > 0.1
        }
        assert {
            FailureCause.PERMISSION_DENIED,
            FailureCause.SERVER_ERROR,
            FailureCause.DISABLED,
            FailureCause.EXPIRED,
            FailureCause.MERCHANT_DISABLED,
        } <= worst
        calm = [each for each in usages.values() if each.total > 20 and each.error_rate <= 0.03]
        assert len(calm) > len(usages) / 4

    def test_keys_expire_in_the_past_soon_and_later(self) -> None:
        days = [(key.expires_at - NOW) / timedelta(days=1) for key in ApiKey.objects.exclude(expires_at=None)]
        assert min(days) < 0
        assert any(0 < each < 7 for each in days)
        assert max(days) > 30

    def test_some_keys_are_bound_to_networks_and_one_is_used_from_elsewhere(self) -> None:
        assert ApiKey.objects.exclude(allowed_networks="").count() > 5
        assert RequestLog.objects.filter(outcome="NETWORK_NOT_ALLOWED").exists()

    def test_every_answer_is_the_one_that_verification_would_have_given(self) -> None:
        lives = {key.pk: _Past(key) for key in ApiKey.objects.select_related("merchant")}
        checked = 0
        for row in RequestLog.objects.all():
            need = catalogue().need(row.method, row.path)
            assert need is not None
            attempt = Attempt(now=row.at, address=ip_address(row.address), required=need.permission)
            assert row.outcome == verdict(lives[row.key_id].facts(row.at), attempt), (row, row.key)
            if row.outcome != "VALID":
                assert row.status in {401, 403}
            checked += 1
        assert checked == self.loaded.requests > 3000

    def test_requests_fill_thirty_hours_and_none_is_of_the_future(self) -> None:
        times = sorted(RequestLog.objects.values_list("at", flat=True))
        assert times[-1] <= NOW < times[-1] + timedelta(minutes=5)
        assert NOW - timedelta(hours=30, minutes=1) <= times[0] < NOW - timedelta(hours=29)
        hours = Counter(time.replace(minute=0, second=0, microsecond=0) for time in times)
        assert len(hours) >= 30
        by_merchant = Counter(
            time.hour for time in self.northwind.requests.filter(status__lt=400).values_list("at", flat=True)
        )
        assert max(by_merchant.values()) > 3 * min(by_merchant.values())

    def test_rollups_equal_the_rows(self) -> None:
        assert_rollups_equal_rows()

    def test_last_use_is_the_newest_request(self) -> None:
        newest: dict[object, datetime] = {}
        for key_id, at in RequestLog.objects.values_list("key_id", "at"):
            newest[key_id] = max(at, newest.get(key_id, at))
        oldest = RequestLog.objects.order_by("at").first().at
        for key in ApiKey.objects.all():
            if key.pk in newest:
                assert key.last_used_at == newest[key.pk]
            elif key.last_used_at:
                assert key.created_at < key.last_used_at < oldest

    def test_the_keys_are_genuine(self) -> None:
        for key in ApiKey.objects.exclude(status="revoked"):
            assert vault.unseal(key.secret_ciphertext, digest=bytes(key.digest)).masked == key.masked
        key = self.northwind_key("Checkout backend")
        secret = vault.unseal(key.secret_ciphertext, digest=bytes(key.digest))
        answer = ProductClient().get("/v1/whoami", headers={"x-api-key": secret.reveal()})
        assert answer.status_code == 200
        assert answer.json()["key"]["name"] == "Checkout backend"

    def test_the_history_leads_to_what_is_there_now(self) -> None:
        for key in ApiKey.objects.prefetch_related("history"):
            entries = sorted(key.history.all(), key=lambda entry: (entry.at, entry.id))
            assert entries[0].action == Action.KEY_CREATED
            assert entries[0].at == key.created_at
            assert entries[-1].at <= NOW
            now = {"status": "enabled", "description": key.description}
            for entry in entries:
                assert all(now[field] == value for field, value in entry.before.items() if field in now)
                now |= {
                    field: value
                    for field, value in entry.after.items()
                    if entry.action != Action.KEY_DUPLICATED
                }
            assert (now["name"], now["status"]) == (key.name, key.status)
            assert now["description"] == key.description
            assert key.revision == 1 + sum(entry.action == Action.KEY_UPDATED for entry in entries)
            times = [entry.at for entry in entries]
            assert len(set(times)) == len(times)

    def test_histories_look_lived_in(self) -> None:
        of_merchants = {action for action in Action if action.startswith(("merchant.", "key."))}
        told = set(HistoryEntry.objects.values_list("action", flat=True))
        assert told == of_merchants | {Action.PERSON_INVITED, Action.PERSON_JOINED}
        assert HistoryEntry.objects.values("actor_name").distinct().count() >= 5
        assert HistoryEntry.objects.filter(action=Action.KEY_DISABLED).exclude(reason="").exists()

    def test_nobody_has_done_what_they_may_not_do(self) -> None:
        """A row is told by its action; the steps of the platform's own staff have no other key to be weaker with."""
        allowed = {
            Action.KEY_COPIED: Step.COPY_KEY,
            Action.KEY_REVOKED: Step.REVOKE_KEY,
            Action.KEY_CREATED: Step.CREATE_KEY,
            Action.KEY_DISABLED: Step.DISABLE_KEY,
            Action.KEY_UPDATED: Step.CHANGE_KEY,
            Action.MERCHANT_CREATED: Step.CREATE_MERCHANT,
            Action.MERCHANT_DISABLED: Step.DISABLE_MERCHANT,
        }
        roles = {person.pk: access.role_of(person) for person in people.present()}
        seen = HistoryEntry.objects.filter(action__in=allowed).values_list("actor_user", "action").distinct()
        assert {Action(action) for _, action in seen} == set(allowed)
        wrong = [
            (who, action) for who, action in seen if allowed[action] not in access.ROLE_STEPS[roles[who]]
        ]
        assert wrong == []

    def test_whoever_is_in_a_team_has_come_into_it(self) -> None:
        joined = {
            (row.merchant_id, row.actor_user_id, row.after["role"], row.at)
            for row in HistoryEntry.objects.filter(action=Action.PERSON_JOINED)
        }
        members = Membership.objects.select_related("merchant")
        assert joined == {
            (each.merchant_id, each.user_id, each.get_role_display(), each.created_at) for each in members
        }
        assert all(each.created_at > each.merchant.created_at for each in members)
        invited = HistoryEntry.objects.get(action=Action.PERSON_INVITED, merchant__isnull=False)
        assert invited.merchant.memberships.get(user=invited.actor_user).role == TeamRole.OWNER

    def test_nobody_can_sign_in_as_a_demo_person(self) -> None:
        everybody = User.objects.all()
        assert len(people.present()) == len(people.STAFF)
        assert len(everybody) == len(people.STAFF) + len(people.MEMBERS)
        for person in everybody:
            assert not person.has_usable_password()
            assert authenticate(username=person.username, password="") is None

    def test_there_are_people_of_every_role_and_teams_and_nobody_but_you_is_the_last_administrator(
        self,
    ) -> None:
        roles = Counter(access.role_of(person) for person in people.present())
        assert set(roles) == set(PlatformRole)
        active = User.objects.filter(having(PlatformRole.ADMINISTRATOR), is_active=True)
        assert not active.exists()
        northwind = Merchant.objects.get(website="northwind.example")
        assert set(northwind.memberships.values_list("role", flat=True)) == set(TeamRole)
        assert northwind.invitations.count() == 1
        assert Invitation.objects.filter(merchant=None).count() == 1
        agency = User.objects.get(last_name="Haddad")
        assert agency.memberships.count() == 3
        assert not agency.is_staff

    def test_it_is_not_loaded_twice(self) -> None:
        with pytest.raises(story.AlreadyLoaded):
            load(seed=2)
        assert Merchant.objects.count() == self.loaded.merchants


def _scripts(text: str) -> set[str]:
    from unicodedata import name

    return {name(character, "").split()[0] for character in text if character.isalpha()}


class _Past:
    """What was stored of a key at each moment, read back from the history."""

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        self.key_moves = self._moves(key.history)
        self.merchant_moves = self._moves(key.merchant.history.filter(key=None))

    def _moves(self, entries) -> list[tuple[datetime, str]]:
        return sorted((entry.at, entry.after["status"]) for entry in entries.all() if "status" in entry.after)

    def _status(self, moves: list[tuple[datetime, str]], at: datetime) -> str:
        return next((status for moved_at, status in reversed(moves) if moved_at <= at), "enabled")

    def facts(self, at: datetime) -> Facts:
        return Facts(
            key_id=self.key.pk,
            merchant_id=self.key.merchant_id,
            key_status=self._status(self.key_moves, at),
            merchant_status=self._status(self.merchant_moves, at),
            mode=self.key.mode,
            grants=self.key.grants,
            expires_at=self.key.expires_at,
            allowed_networks=self.key.networks,
        )


def _snapshot() -> list[tuple[object, ...]]:
    keys = ApiKey.objects.order_by("created_at", "name").values_list(
        "merchant__name", "name", "description", "mode", "status", "permissions", "created_at", "revision"
    )
    rows = RequestLog.objects.order_by("at", "path").values_list(
        "key__name", "at", "method", "path", "status"
    )
    return [*keys, *rows]


@pytest.mark.django_db
def test_the_same_seed_tells_the_same_story_with_other_secrets() -> None:
    stories, digests = [], []
    for seed in (3, 3):
        with transaction.atomic():
            load(seed=seed, scale=0.003)
            stories.append(_snapshot())
            digests.append({bytes(digest) for digest in ApiKey.objects.values_list("digest", flat=True)})
            transaction.set_rollback(True)
    assert stories[0] == stories[1]
    assert not digests[0] & digests[1]


def test_the_story_can_be_told_at_any_hour_and_with_any_seed() -> None:
    for seed in range(8):
        now = NOW + seed * timedelta(minutes=201)
        staff = people.Staff(((PlatformRole.ADMINISTRATOR, Actor.command("test")),))
        stage = Stage(Span.of_hours(story.HOURS, until=now), staff, Random(seed))
        for account in [story.open_account(part, stage) for part in story.PARTS]:
            lives = [account.life, *(told.life for told in story.tell(account, stage))]
            entries = [entry for life in lives for entry in life.history]
            assert all(entry.at <= now for entry in entries)
            recent = [
                entry.at for entry in entries if entry.at >= stage.span.start and "status" in entry.after
            ]
            assert all(at == at.replace(second=0, microsecond=0) for at in recent)


@pytest.mark.django_db
def test_a_load_that_breaks_off_leaves_nothing() -> None:
    class Breaking(ProgressReport):
        def advance(self, count: int) -> None:
            assert RequestLog.objects.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(scale=0.003, report=Breaking(StringIO()))
    assert not Merchant.objects.exists()
    assert not RequestLog.objects.exists()
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_loads_at_once_one_finds_the_other() -> None:
    def load_once() -> str:
        try:
            load(scale=0.002)
        except story.AlreadyLoaded:
            return "already"
        finally:
            connection.close()
        return "loaded"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lambda _: load_once(), range(2)))
    assert outcomes == ["already", "loaded"]
    assert Merchant.objects.count() == len(story.PARTS)
