"""People and teams: roles, deactivation, the last administrator; and who is first when several act at once."""

from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from keys import access, people, teams
from keys.errors import IllegalTransition, LastAdministrator
from keys.history import Actor
from keys.models import HistoryEntry, Invitation, Membership, Merchant, User
from keys.models.access import PlatformRole, TeamRole
from keys.models.history import Action
from tests.factories import InvitationFactory, MerchantFactory, UserFactory
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db


def stored(person: User) -> User:
    return User.objects.get(pk=person.pk)


def told() -> list[tuple]:
    rows = HistoryEntry.objects.filter(action__startswith="person.").order_by("at", "id")
    return [(row.action, row.before, row.after) for row in rows]


def test_a_role_is_given_changed_and_taken(actor: Actor) -> None:
    ada = UserFactory(username="ada")
    for role in (PlatformRole.VIEWER, PlatformRole.ADMINISTRATOR, PlatformRole.OPERATOR, None):
        people.change_role(person=ada, role=role, actor=actor)
        assert access.role_of(stored(ada)) is role
        assert stored(ada).is_staff is (role in access.STAFF_ROLES)
    labels = ["none", "Viewer", "Administrator", "Operator", "none"]
    assert told() == [
        (Action.PERSON_ROLE_CHANGED, {"person": "ada", "role": before}, {"person": "ada", "role": after})
        for before, after in pairwise(labels)
    ]
    assert {row.actor_user for row in HistoryEntry.objects.filter(merchant=None)} == {actor.user}

    people.change_role(person=ada, role=None, actor=actor)
    assert len(told()) == 4


def test_a_superuser_who_is_given_a_role_is_one_no_more(actor: Actor) -> None:
    root = UserFactory(operator=True)
    people.change_role(person=root, role=PlatformRole.OPERATOR, actor=actor)

    assert not stored(root).is_superuser
    assert access.role_of(stored(root)) is PlatformRole.OPERATOR


def test_other_groups_of_a_person_stay(actor: Actor) -> None:
    ada = UserFactory()
    other = ada.groups.create(name="Auditors")
    people.change_role(person=ada, role=PlatformRole.VIEWER, actor=actor)

    assert set(ada.groups.values_list("name", flat=True)) == {"Viewer", other.name}


def test_who_is_deactivated_is_out_at_once_and_old_sessions_stay_ended(
    client: Client, actor: Actor, merchant: Merchant
) -> None:
    ada = UserFactory(username="ada", role="viewer", team=(merchant, "owner"))
    sign_in(client, ada)
    mine = InvitationFactory(merchant=merchant, actor=Actor(name="Ada", user=ada))
    others = InvitationFactory(merchant=merchant)
    assert client.get("/profile/").status_code == 200

    people.deactivate(person=ada, actor=actor, reason="Left")
    assert client.get("/profile/").status_code == 302
    assert Invitation.objects.get(pk=mine.pk).withdrawn_at
    assert not Invitation.objects.get(pk=others.pk).withdrawn_at
    with pytest.raises(IllegalTransition, match="deactivated already"):
        people.deactivate(person=ada, actor=actor)

    people.reactivate(person=ada, actor=actor)
    assert client.get("/profile/").status_code == 302
    assert access.role_of(stored(ada)) is PlatformRole.VIEWER
    assert stored(ada).memberships.get().role == "owner"
    with pytest.raises(IllegalTransition, match="active already"):
        people.reactivate(person=ada, actor=actor)
    states = [
        ({"status": "active"}, {"status": "deactivated"}),
        ({"status": "deactivated"}, {"status": "active"}),
    ]
    assert told()[-2:] == [
        (f"person.{name}", {"person": "ada"} | before, {"person": "ada"} | after)
        for name, (before, after) in zip(("deactivated", "reactivated"), states, strict=True)
    ]


def test_the_last_administrator_stays(operator: User, actor: Actor) -> None:
    """Of those who are active: superusers and those of the group alike."""
    UserFactory(role="administrator", is_active=False)
    UserFactory(role="operator")
    steps = (
        lambda person: people.deactivate(person=person, actor=actor),
        lambda person: people.change_role(person=person, role=PlatformRole.OPERATOR, actor=actor),
        lambda person: people.change_role(person=person, role=None, actor=actor),
    )
    for step in steps:
        with pytest.raises(LastAdministrator, match="is the last administrator"):
            step(operator)
    assert stored(operator).is_superuser
    assert stored(operator).is_active
    assert told() == []

    for step in steps:
        another = UserFactory(role="administrator")
        step(another)
    another = UserFactory(role="administrator")
    people.change_role(person=operator, role=None, actor=actor)
    with pytest.raises(LastAdministrator):
        people.deactivate(person=another, actor=actor)


def test_an_administrator_who_does_not_come_in_can_be_demoted(operator: User, actor: Actor) -> None:
    gone = UserFactory(role="administrator", is_active=False)
    people.change_role(person=gone, role=None, actor=actor)

    assert access.role_of(stored(gone)) is None


def test_roles_in_a_team_and_the_end_of_a_membership(actor: Actor, merchant: Merchant) -> None:
    ada = UserFactory(username="ada", team=(merchant, "viewer"))
    mine = InvitationFactory(merchant=merchant, actor=Actor(name="Ada", user=ada))
    elsewhere = InvitationFactory(merchant=MerchantFactory(), actor=Actor(name="Ada", user=ada))
    member = ada.memberships.get()
    teams.change_role(member=member, role=TeamRole.OWNER, actor=actor)
    teams.change_role(member=member, role=TeamRole.OWNER, actor=actor)
    assert ada.memberships.get().role == "owner"

    teams.remove(member=member, actor=actor)
    assert not ada.memberships.exists()
    assert Invitation.objects.get(pk=mine.pk).withdrawn_at
    assert not Invitation.objects.get(pk=elsewhere.pk).withdrawn_at
    with pytest.raises(IllegalTransition, match="not in the team any more"):
        teams.remove(member=member, actor=actor)
    with pytest.raises(IllegalTransition, match="not in the team any more"):
        teams.change_role(member=member, role=TeamRole.VIEWER, actor=actor)
    rows = HistoryEntry.objects.filter(merchant=merchant, action__startswith="person.").exclude(
        action="person.invited"
    )
    assert [(row.action, row.before["role"], row.after["role"]) for row in rows.order_by("at", "id")] == [
        (Action.PERSON_ROLE_CHANGED, "Viewer", "Owner"),
        (Action.PERSON_REMOVED, "Owner", "none"),
    ]


def test_a_pair_is_a_membership_once_and_with_a_role_that_exists(merchant: Merchant) -> None:
    person = UserFactory(team=(merchant, "viewer"))
    for merchant_, role in ((merchant, "viewer"), (MerchantFactory(), "king")):
        with pytest.raises(IntegrityError), transaction.atomic():
            Membership.objects.create(user=person, merchant=merchant_, role=role)


def test_an_address_belongs_to_one_person_whatever_its_case() -> None:
    UserFactory(email="Ada@example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        UserFactory(email="ada@EXAMPLE.com")
    for _ in range(2):
        UserFactory(email="")
