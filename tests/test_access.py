"""Who may see and do what: roles as groups, teams, scoped querysets, strong keys."""

import re
from itertools import pairwise, product
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from keys import access, people, search
from keys.access import ROLE_STEPS, TEAM_STEPS, Access, Step
from keys.errors import NotAllowed
from keys.models import ApiKey, User
from keys.models.access import PlatformRole, TeamRole
from keys.permissions import Catalogue, CatalogueError, catalogue
from tests.factories import (
    ActorFactory,
    ApiKeyFactory,
    InvitationFactory,
    MerchantFactory,
    UserFactory,
    use,
)

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("role", PlatformRole)
def test_a_role_is_a_group_and_django_agrees(role: PlatformRole) -> None:
    person = User.objects.get(pk=UserFactory(role=role).pk)

    assert [group.name for group in person.groups.all()] == [role.label]
    assert {step for step in Step if person.has_perm(step.permission)} == ROLE_STEPS[role]
    assert Access(person).steps() == ROLE_STEPS[role]
    assert Access(person).role_label == role.label
    assert access.role_of(person) is role
    assert (person.is_staff, person.is_superuser) == (role in access.STAFF_ROLES, False)


def test_each_role_may_do_more_than_the_one_below() -> None:
    for roles, steps in ((PlatformRole, ROLE_STEPS), (TeamRole, TEAM_STEPS)):
        assert all(steps[lower] < steps[higher] for lower, higher in pairwise(roles))
    assert not TEAM_STEPS[TeamRole.OWNER] & {Step.MANAGE_PEOPLE, Step.CREATE_MERCHANT, Step.DISABLE_MERCHANT}


def test_every_step_is_a_permission_of_django() -> None:
    stored = set(Permission.objects.filter(content_type__app_label="keys").values_list("codename", flat=True))
    assert set(Step.values) <= stored


def test_a_migration_gives_the_groups_exactly_their_permissions_again() -> None:
    viewers = Group.objects.get(name="Viewer")
    viewers.permissions.add(Permission.objects.get(codename="revoke_apikey"))
    Group.objects.filter(name="Operator").delete()
    others = Group.objects.create(name="Auditors")
    others.permissions.add(Permission.objects.get(codename="view_merchant"))

    call_command("migrate", verbosity=0)

    assert not viewers.permissions.filter(codename="revoke_apikey").exists()
    assert Group.objects.get(name="Operator").permissions.filter(codename="copy_apikey").exists()
    assert others.permissions.count() == 1


def test_what_django_grants_without_a_role_counts_once_accounts_can_be_seen() -> None:
    person = UserFactory()
    person.user_permissions.add(Permission.objects.get(codename="copy_apikey"))
    assert Access(User.objects.get(pk=person.pk)).steps() == frozenset()

    person.user_permissions.add(Permission.objects.get(codename="view_merchant"))
    granted = Access(User.objects.get(pk=person.pk))
    assert granted.steps() == {Step.COPY_KEY, Step.VIEW_MERCHANT}
    assert granted.sees_everything


def test_somebody_deactivated_sees_and_may_nothing(api_key: ApiKey) -> None:
    for person in (
        UserFactory(role="administrator", is_active=False),
        UserFactory(operator=True, is_active=False),
        UserFactory(team=(api_key.merchant, "owner"), is_active=False),
    ):
        mine = Access(person)
        assert not mine.steps(api_key)
        assert not mine.merchants().exists()
        assert not mine.keys().exists()


# -- What there is -----------------------------------------------------------------------------------------------------


def test_everything_of_one_s_own_accounts_is_there_and_nothing_else() -> None:
    own, other = (ApiKeyFactory() for _ in range(2))
    for key in (own, other):
        use(key, failed=1)
        InvitationFactory(merchant=key.merchant)
    InvitationFactory()
    mine = Access(UserFactory(team=(own.merchant, "owner")))

    assert list(mine.merchants()) == [own.merchant]
    assert list(mine.keys()) == [own]
    assert [entry.key for entry in mine.requests()] == [own]
    assert {entry.merchant for entry in mine.history()} == {own.merchant}
    assert {each.failed for each in mine.usage([own, own.merchant]).values()} == {1}
    assert mine.usage([other, other.merchant]) == {}
    assert [invitation.merchant for invitation in mine.invitations()] == [own.merchant]
    assert not mine.people().exists()
    assert mine.team(own.merchant).count() == 1
    assert not mine.team(other.merchant).exists()
    assert mine.only_merchant == own.merchant


def test_the_platform_sees_all_and_the_history_of_people_is_for_who_manages_them() -> None:
    key = ApiKeyFactory()
    administrator, viewer = UserFactory(role="administrator"), UserFactory(role="viewer")
    people.change_role(person=UserFactory(), role=PlatformRole.VIEWER, actor=ActorFactory(user=administrator))
    for person in (administrator, viewer):
        assert Access(person).keys().filter(pk=key.pk).exists()
        assert Access(person).only_merchant is None
    assert Access(administrator).history().filter(merchant=None).exists()
    assert not Access(viewer).history().filter(merchant=None).exists()
    assert not Access(viewer).invitations().exists()


def test_a_role_on_the_platform_and_one_in_a_team_add_up(api_key: ApiKey) -> None:
    both = Access(UserFactory(role="viewer", team=(api_key.merchant, "owner")))
    elsewhere = ApiKeyFactory()

    assert both.may(Step.REVOKE_KEY, api_key)
    assert both.sees(elsewhere)
    assert not both.may(Step.REVOKE_KEY, elsewhere)
    assert not both.may(Step.REVOKE_KEY)


def test_steps_end_with_the_membership(api_key: ApiKey) -> None:
    person = UserFactory(team=(api_key.merchant, "developer"))
    assert Access(person).may(Step.COPY_KEY, api_key)

    person.memberships.all().delete()
    assert not Access(person).may(Step.COPY_KEY, api_key)
    assert not Access(person).keys().exists()
    assert Access(person).role_label == "No access"


def test_a_search_looks_among_one_s_own_accounts_alone() -> None:
    """However many others match, they do not take the place of one's own."""
    for _ in range(search.FOUND + 2):
        MerchantFactory(name="Acme")
    own = MerchantFactory(name="Acmeworks")
    mine = Access(UserFactory(team=(own, "viewer"))).merchants().values("pk")

    assert own.pk not in search.find("acme")
    assert search.find("acme", among=mine) == [own.pk]
    assert search.find("ac acmew", among=mine) == [own.pk]
    assert search.find(own.public_id, among=mine) == [own.pk]
    assert search.find(MerchantFactory().public_id, among=mine) == []


def test_few_questions_are_asked(api_key: ApiKey) -> None:
    """None for a superuser, two of Django's for a role on the platform, and one more for teams."""
    for person, most in (
        (UserFactory(operator=True), 0),
        (UserFactory(role="administrator"), 2),
        (UserFactory(role="operator"), 3),
        (UserFactory(team=(api_key.merchant, "owner")), 3),
    ):
        mine = Access(User.objects.get(pk=person.pk))
        with CaptureQueriesContext(connection) as captured:
            for _ in range(3):
                assert mine.may(Step.COPY_KEY, api_key)
                assert mine.sees(api_key.merchant)
        assert len(captured) == most


def test_the_rows_that_a_step_is_allowed_for_are_those_that_each_by_itself_allows(api_key: ApiKey) -> None:
    ApiKeyFactory(merchant=api_key.merchant, permissions=STRONG)
    ApiKeyFactory()
    account = api_key.merchant
    for person in (
        *(UserFactory(role=role) for role in PlatformRole),
        *(UserFactory(team=(account, role)) for role in TeamRole),
        *(UserFactory(role="viewer", team=(account, role)) for role in TeamRole),
        UserFactory(operator=True),
        UserFactory(team=(account, "owner"), is_active=False),
    ):
        mine = Access(User.objects.get(pk=person.pk))
        for step, rows in product(
            set(Step) - {Step.COPY_KEY, Step.DUPLICATE_KEY}, (mine.keys(), mine.merchants())
        ):
            assert set(mine.allowing(step, rows)) == {row for row in rows if mine.may(step, row)}, (
                person,
                step,
            )


def test_a_step_that_depends_on_what_a_key_may_do_is_not_allowed_for_many_at_once(api_key: ApiKey) -> None:
    with pytest.raises(ValueError, match="depends on each key"):
        Access(UserFactory(operator=True)).allowing(Step.COPY_KEY, ApiKey.objects.all())


# -- What may be done --------------------------------------------------------------------------------------------------


def test_a_refusal_says_what_and_whom_to_ask(api_key: ApiKey) -> None:
    viewer, stranger = UserFactory(team=(api_key.merchant, "viewer")), UserFactory(role="viewer")
    with pytest.raises(NotAllowed, match=r"You may not copy this API key\. Ask an owner"):
        Access(viewer).require(Step.COPY_KEY, api_key)
    with pytest.raises(NotAllowed, match=r"You may not copy this API key\. Ask an administrator"):
        Access(stranger).require(Step.COPY_KEY, api_key)


STRONG = {"payouts": "write", "payments": "read"}


def test_strong_keys_are_for_owners_and_the_platform(api_key: ApiKey) -> None:
    merchant = api_key.merchant
    strong = ApiKeyFactory(merchant=merchant, permissions=STRONG)
    sandbox = ApiKeyFactory(merchant=merchant, permissions=STRONG, test_mode=True)
    reading = ApiKeyFactory(merchant=merchant, permissions={"payouts": "read"})
    developer = Access(UserFactory(team=(merchant, "developer")))

    for key in (api_key, sandbox, reading):
        assert {Step.COPY_KEY, Step.DUPLICATE_KEY} <= developer.steps(key)
    assert developer.steps(strong) == developer.steps(api_key) - {Step.COPY_KEY, Step.DUPLICATE_KEY}
    with pytest.raises(NotAllowed, match="its permissions are restricted"):
        developer.require(Step.COPY_KEY, strong)
    with pytest.raises(NotAllowed, match="live keys that can write to Payouts"):
        developer.require_new_key(merchant, mode="live", permissions=STRONG)
    developer.require_new_key(merchant, mode="test", permissions=STRONG)
    developer.require_new_key(merchant, mode="live", permissions={"payouts": "read"})
    for person in (UserFactory(team=(merchant, "owner")), UserFactory(role="operator")):
        Access(person).require_new_key(merchant, mode="live", permissions=STRONG)
        Access(person).require(Step.COPY_KEY, strong)
    with pytest.raises(NotAllowed):
        Access(UserFactory(team=(merchant, "viewer"))).require_new_key(merchant, mode="test", permissions={})


def test_what_is_restricted_comes_from_the_catalogue() -> None:
    assert [each.name for each in catalogue().resources.values() if each.restricted] == ["payouts"]
    for wrong in ("yes", 1, None):
        with pytest.raises(CatalogueError, match="restricted"):
            Catalogue({"resources": [{"name": "a", "write": ["POST /a"], "restricted": wrong}]})
    with pytest.raises(CatalogueError, match="restricted"):
        Catalogue({"resources": [{"name": "a", "read": ["GET /a"], "restricted": True}]})


# -- One place ---------------------------------------------------------------------------------------------------------

SCOPED = ("Merchant", "ApiKey", "RequestLog", "HistoryEntry", "Membership", "Invitation", "User")
# Said beside each why nothing is shown of what it finds.
UNSCOPED = {
    ("forms.py", "Merchant"),  # whether a name is taken, for those who see all accounts
    ("sso.py", "User"),  # who it is that signs in
    ("filters.py", "Membership"),  # a condition on people, who come scoped
}


def test_the_console_asks_access_for_whatever_it_shows() -> None:
    """A query that does not begin there would show what is somebody else's."""
    begins = re.compile(rf"\b({'|'.join(SCOPED)})\.objects\b|get_object_or_404\(({'|'.join(SCOPED)})\b")
    own = re.compile(r"Authenticator\.objects|authenticators")
    found = {
        (file.name, match[1] or match[2])
        for file in (ROOT / "keys" / "console").rglob("*.py")
        for match in begins.finditer(own.sub("", file.read_text()))
    }
    assert found == UNSCOPED


def test_templates_ask_for_steps_that_exist() -> None:
    asked = {
        name
        for file in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r'"(\w+)" (?:not )?in (?:\w+\.)?(?:may|steps)\b', file.read_text())
    }
    assert len(asked) > 10
    assert asked <= set(Step.values)


def test_the_table_of_the_docs_says_what_the_code_does() -> None:
    """Each step of the code stands in a row of docs/access.md, ticked for the roles that may take it."""
    table = (ROOT / "docs/access.md").read_text()
    found = re.findall(r"^\| ([a-z][^|]+) \|([^|]*)\|([^|]*)\|([^|]*)\|$", table, re.MULTILINE)
    rows = [row for row in found if row[0] != "step"]
    platform = {text: [bool(mark.strip()) for mark in marks] for text, *marks in rows[:8]}
    team = {text: [bool(mark.strip()) for mark in marks] for text, *marks in rows[8:]}
    for step, text in {
        Step.VIEW_MERCHANT: "see merchant accounts, keys without their text, requests, history, teams",
        Step.COPY_KEY: "create, edit, duplicate, disable, enable and copy keys, strong ones too",
        Step.HANDLE_STRONG_KEY: "create, edit, duplicate, disable, enable and copy keys, strong ones too",
        Step.REVOKE_KEY: "revoke keys",
        Step.CREATE_MERCHANT: "create, change, disable and enable merchant accounts",
        Step.MANAGE_TEAM: "change teams",
        Step.MANAGE_PEOPLE: "invite, deactivate and give roles to people",
        Step.ROTATE_ENCRYPTION: "re-encrypt what is stored, with [rotate_encryption](commands.md#rotate_encryption)",
    }.items():
        assert platform[text] == [step in ROLE_STEPS[role] for role in PlatformRole], step
    for step, text in {
        Step.VIEW_MERCHANT: "see the account, its keys without their text, requests, history, team",
        Step.COPY_KEY: "create, edit, duplicate, disable, enable and copy keys",
        Step.HANDLE_STRONG_KEY: "create, duplicate and copy [strong keys](permissions.md#restricted-resources)",
        Step.REVOKE_KEY: "revoke keys",
        Step.MANAGE_TEAM: "invite people to the team, change their roles, remove them",
    }.items():
        assert team[text] == [step in TEAM_STEPS[role] for role in TeamRole], step
