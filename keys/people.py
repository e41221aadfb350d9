"""The people of the platform: their roles, and whether they come in. (keys/teams.py has the merchants' own people.)

As in keys/lifecycle.py each step is atomic, names its actor and writes its history row in its own transaction.
Whatever happens at once, an active administrator is left: steps that could take the last one wait for each other.
"""

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from keys import access, history
from keys.errors import IllegalTransition, InvalidField, LastAdministrator
from keys.history import Actor
from keys.models import Invitation, User
from keys.models.access import PlatformRole
from keys.models.history import Action

EMAIL_MAX = 254


@transaction.atomic
def change_role(*, person: User, role: PlatformRole | None, actor: Actor) -> User:
    """Give `person` this role on the platform, or none; raises LastAdministrator."""
    current = _locked(person)
    before = access.role_of(current)
    if before is role:
        return current
    if before is PlatformRole.ADMINISTRATOR and current.is_active:
        _require_another_administrator(current, "Give somebody else that role first.")
    give_role(current, role)
    history.write(
        Action.PERSON_ROLE_CHANGED,
        actor=actor,
        merchant=None,
        before=_told(current, role=before.label if before else "none"),
        after=_told(current, role=role.label if role else "none"),
    )
    return current


@transaction.atomic
def deactivate(*, person: User, actor: Actor, reason: str = "") -> User:
    """Let `person` in no more: all their sessions end at once, and the invitations that they sent are withdrawn."""
    reason = history.clean_reason(reason)
    current = _locked(person)
    if not current.is_active:
        raise IllegalTransition(f"{current} is deactivated already.", "There is nothing left to do.")
    if access.role_of(current) is PlatformRole.ADMINISTRATOR:
        _require_another_administrator(current, "Give somebody else that role first.")
    User.objects.filter(pk=current.pk).update(is_active=False, session_generation=F("session_generation") + 1)
    Invitation.objects.filter(invited_by=current, accepted_at=None, withdrawn_at=None).update(
        withdrawn_at=timezone.now()
    )
    return _moved(current, Action.PERSON_DEACTIVATED, actor=actor, reason=reason)


@transaction.atomic
def reactivate(*, person: User, actor: Actor, reason: str = "") -> User:
    """Let `person` in again, with the roles they had. Their old sessions stay ended."""
    reason = history.clean_reason(reason)
    current = _locked(person)
    if current.is_active:
        raise IllegalTransition(f"{current} is active already.", "There is nothing left to do.")
    User.objects.filter(pk=current.pk).update(is_active=True)
    return _moved(current, Action.PERSON_REACTIVATED, actor=actor, reason=reason)


@transaction.atomic
def change_email(*, person: User, email: str, actor: Actor) -> User:
    """Give `person` another e-mail address, or none; raises InvalidField, also where it is somebody else's."""
    email = clean_email(email) if email else ""
    current = _locked(person)
    if current.email == email:
        return current
    if email and not is_free(email, person=current):
        raise InvalidField("email", "Somebody else has this address.", "Choose another one.")
    try:
        with transaction.atomic():
            User.objects.filter(pk=current.pk).update(email=email)
    except IntegrityError as error:
        raise InvalidField("email", "Somebody else was first with this address.") from error
    history.write(
        Action.PERSON_EMAIL_CHANGED,
        actor=actor,
        merchant=None,
        before=_told(current, email=current.email),
        after=_told(current, email=email),
    )
    current.email = email
    return current


def clean_email(text: str) -> str:
    email = text.strip()
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidField(
            "email", "That is not an e-mail address.", "Write it like ada@example.com."
        ) from error
    if len(email) > EMAIL_MAX:
        raise InvalidField("email", f"An e-mail address has at most {EMAIL_MAX} characters.")
    return User.objects.normalize_email(email)


def is_free(email: str, *, person: User) -> bool:
    """Whether nobody but `person` has this address, or a user name that reads like it and would pose as theirs."""
    theirs = Q(email__iexact=email) | Q(username__iexact=email)
    return not User.objects.filter(theirs).exclude(pk=person.pk).exists()


def having(role: PlatformRole) -> Q:
    """The people of one platform role. (Of somebody who is in several groups, each counts here.)"""
    in_group = Q(pk__in=User.groups.through.objects.filter(group__name=role.label).values("user_id"))
    if role is PlatformRole.ADMINISTRATOR:
        return in_group | Q(is_superuser=True)
    return in_group & Q(is_superuser=False)


def give_role(person: User, role: PlatformRole | None) -> None:
    """Put `person` into the role's group alone. For the steps of this module, for invitations and demo data."""
    groups = {group.name: group for group in Group.objects.filter(name__in=PlatformRole.labels)}
    person.groups.remove(*groups.values())
    if role is not None:
        person.groups.add(groups[role.label])
    person.is_staff = role in access.STAFF_ROLES
    person.is_superuser = False
    person.save(update_fields=["is_staff", "is_superuser"])


def _locked(person: User) -> User:
    """`person` as they are now. Whoever changes people next waits until the transaction ends.

    On SQLite the transaction itself is the lock. On PostgreSQL the row of one group stands for all people: of two
    administrators who demote each other, each would otherwise still see the other.
    """
    Group.objects.select_for_update(no_key=True).get(name=PlatformRole.ADMINISTRATOR.label)
    return User.objects.get(pk=person.pk)


def _require_another_administrator(person: User, advice: str) -> None:
    others = User.objects.filter(having(PlatformRole.ADMINISTRATOR), is_active=True).exclude(pk=person.pk)
    if not others.exists():
        raise LastAdministrator(f"{person} is the last administrator.", advice)


def _moved(person: User, action: Action, *, actor: Actor, reason: str) -> User:
    current = User.objects.get(pk=person.pk)
    states = {True: "active", False: "deactivated"}
    history.write(
        action,
        actor=actor,
        merchant=None,
        before=_told(current, status=states[person.is_active]),
        after=_told(current, status=states[current.is_active]),
        reason=reason,
    )
    return current


def _told(person: User, **facts: str) -> dict[str, str]:
    """How the history names the person that a row is about."""
    return {"person": person.username, **facts}
