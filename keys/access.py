"""Who may see and do what: the one place that knows.

A person has a role on the platform, or roles in the teams of single merchant accounts, or none. Platform roles are
Django groups whose permissions ROLE_STEPS lists, so that `user.has_perm` and the Django admin agree; a superuser is
an Administrator. Everything a person reads comes from the querysets of their Access: what is not theirs is not
there. What they see and may not do is refused by `require`. docs/access.md has it as a table.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import connections, transaction
from django.db.models import QuerySet, TextChoices

from keys import usage
from keys.errors import NotAllowed
from keys.models import (
    ApiKey,
    HistoryEntry,
    Invitation,
    Membership,
    Merchant,
    RequestLog,
    User,
)
from keys.models.access import PlatformRole, TeamRole
from keys.permissions import catalogue
from keys.usage import Usage


class Step(TextChoices):
    """What can be done. Each value is a Django permission of the app `keys`; each label completes “You may not …”."""

    VIEW_MERCHANT = "view_merchant", "see this merchant account"
    CREATE_MERCHANT = "add_merchant", "create merchant accounts"
    CHANGE_MERCHANT = "change_merchant", "change this merchant account"
    DISABLE_MERCHANT = "disable_merchant", "disable this merchant account"
    ENABLE_MERCHANT = "enable_merchant", "enable this merchant account"
    CREATE_KEY = "add_apikey", "create API keys here"
    CHANGE_KEY = "change_apikey", "change this API key"
    DUPLICATE_KEY = "duplicate_apikey", "duplicate this API key"
    DISABLE_KEY = "disable_apikey", "disable this API key"
    ENABLE_KEY = "enable_apikey", "enable this API key"
    COPY_KEY = "copy_apikey", "copy this API key"
    REVOKE_KEY = "revoke_apikey", "revoke this API key"
    HANDLE_STRONG_KEY = "handle_strong_apikey", "handle live keys with restricted permissions"
    MANAGE_TEAM = "manage_team", "change this team"
    MANAGE_PEOPLE = "manage_people", "manage people"
    ROTATE_ENCRYPTION = "rotate_encryption", "re-encrypt what is stored"

    @property
    def permission(self) -> str:
        """As `user.has_perm` wants it."""
        return f"keys.{self.value}"


Steps = frozenset[Step]
Subject = TypeVar("Subject", Merchant, ApiKey)

_LOOK = frozenset({Step.VIEW_MERCHANT})
_WORK = _LOOK | {
    Step.CREATE_KEY,
    Step.CHANGE_KEY,
    Step.DUPLICATE_KEY,
    Step.DISABLE_KEY,
    Step.ENABLE_KEY,
    Step.COPY_KEY,
}
TEAM_STEPS: Mapping[str, Steps] = {
    TeamRole.VIEWER: _LOOK,
    TeamRole.DEVELOPER: _WORK,
    TeamRole.OWNER: _WORK | {Step.REVOKE_KEY, Step.HANDLE_STRONG_KEY, Step.MANAGE_TEAM},
}
ROLE_STEPS: Mapping[PlatformRole, Steps] = {
    PlatformRole.VIEWER: _LOOK,
    PlatformRole.OPERATOR: _WORK | {Step.HANDLE_STRONG_KEY},
    PlatformRole.ADMINISTRATOR: frozenset(Step),
}
# What the Django admin asks for beside the steps, to show its pages.
_ADMIN_VIEWS = ("view_apikey", "view_requestlog", "view_historyentry")
_ADMIN_VIEWS_OF_PEOPLE = ("view_user", "view_membership", "view_invitation")
# The roles that may open the Django admin.
STAFF_ROLES = frozenset({PlatformRole.OPERATOR, PlatformRole.ADMINISTRATOR})
# Steps that a strong key allows only to those who may handle it.
_BEYOND_STRENGTH = frozenset({Step.DUPLICATE_KEY, Step.COPY_KEY})


class Access:
    """What one person may see and do, as it was when it was first asked for: make one for each request."""

    def __init__(self, user: User) -> None:
        self.user = user

    # -- What there is for this person ---------------------------------------------------------------------------

    def merchants(self) -> QuerySet[Merchant]:
        every = Merchant.objects.all()
        return every if self.sees_everything else every.filter(pk__in=self._merchant_ids())

    def keys(self) -> QuerySet[ApiKey]:
        every = ApiKey.objects.all()
        return every if self.sees_everything else every.filter(merchant__in=self._merchant_ids())

    def requests(self) -> QuerySet[RequestLog]:
        every = RequestLog.objects.all()
        return every if self.sees_everything else every.filter(merchant__in=self._merchant_ids())

    def history(self) -> QuerySet[HistoryEntry]:
        """What happened to the accounts in reach and to their keys; that of people, only for who manages them."""
        every = HistoryEntry.objects.all()
        if not self.sees_everything:
            return every.filter(merchant__in=self._merchant_ids())
        return every if self.may(Step.MANAGE_PEOPLE) else every.filter(merchant__isnull=False)

    def history_of(self, subject: Merchant | ApiKey) -> QuerySet[HistoryEntry]:
        """What happened to one account or one key, found by that alone: a planner has no other way to choose."""
        subject_is = {"key": subject} if isinstance(subject, ApiKey) else {"merchant": subject}
        every = HistoryEntry.objects.filter(**subject_is)
        return every if self.sees(subject) else every.none()

    def usage(self, merchants_or_keys: Iterable[Merchant | ApiKey]) -> dict[UUID, Usage]:
        """The last 24 hours of these, as far as they are in reach, in one query."""
        return usage.last_24_hours(each.pk for each in merchants_or_keys if self.sees(each))

    def people(self) -> QuerySet[User]:
        return User.objects.all() if self.may(Step.MANAGE_PEOPLE) else User.objects.none()

    def team(self, merchant: Merchant) -> QuerySet[Membership]:
        every = Membership.objects.filter(merchant=merchant)
        return every if self.sees(merchant) else every.none()

    def invitations(self) -> QuerySet[Invitation]:
        """Those that have not been accepted or withdrawn, as far as this person may send and withdraw them."""
        waiting = Invitation.objects.filter(accepted_at=None, withdrawn_at=None)
        if self.may(Step.MANAGE_PEOPLE):
            return waiting
        owned = [pk for pk, role in self.team_roles.items() if Step.MANAGE_TEAM in TEAM_STEPS[role]]
        return waiting.filter(merchant__in=owned)

    # -- What this person may do ---------------------------------------------------------------------------------

    def sees(self, subject: Merchant | ApiKey) -> bool:
        return self.sees_everything or _merchant_id(subject) in self.team_roles

    def steps(self, subject: Merchant | ApiKey | None = None) -> Steps:
        """The steps that this person may take on `subject`, or on the platform; none on what is not in reach."""
        granted = self.platform_steps
        if subject is None:
            return granted
        # Who may do everything on the platform need not be looked for in the teams.
        if granted != ROLE_STEPS[PlatformRole.ADMINISTRATOR]:
            role = self.team_roles.get(_merchant_id(subject))
            granted |= TEAM_STEPS[role] if role else frozenset()
        if isinstance(subject, ApiKey) and Step.HANDLE_STRONG_KEY not in granted and _is_strong(subject):
            granted -= _BEYOND_STRENGTH
        return granted

    def may(self, step: Step, subject: Merchant | ApiKey | None = None) -> bool:
        return step in self.steps(subject)

    def allowing(self, step: Step, rows: QuerySet[Subject]) -> QuerySet[Subject]:
        """Of these merchant accounts or API keys, those on which this person may take `step`: as `may`, for any number.

        A step that depends on what a key is permitted (_BEYOND_STRENGTH) cannot be asked for here.
        """
        if step in _BEYOND_STRENGTH:
            raise ValueError(f"{step} depends on each key.")
        if step in self.platform_steps:
            return rows
        roles = [role for role, steps in TEAM_STEPS.items() if step in steps]
        merchant = "merchant" if rows.model is ApiKey else "pk"
        return rows.filter(**{f"{merchant}__in": self._merchant_ids().filter(role__in=roles)})

    def require(self, step: Step, subject: Merchant | ApiKey | None = None) -> None:
        """Raises NotAllowed."""
        if self.may(step, subject):
            return
        if isinstance(subject, ApiKey) and step in _BEYOND_STRENGTH and self.may(step, subject.merchant):
            raise NotAllowed(f"You may not {step.label}: its permissions are restricted.", ASK_OWNER)
        raise NotAllowed(f"You may not {step.label}.", ASK_OWNER if self.team_roles else ASK_ADMINISTRATOR)

    def require_new_key(self, merchant: Merchant, *, mode: str, permissions: Mapping[str, str]) -> None:
        """Raises NotAllowed unless this person may create such a key; `create` itself knows nothing of people."""
        self.require(Step.CREATE_KEY, merchant)
        if catalogue().is_strong(mode, permissions) and not self.may(Step.HANDLE_STRONG_KEY, merchant):
            names = ", ".join(each.label for each in catalogue().resources.values() if each.restricted)
            raise NotAllowed(f"You may not create live keys that can write to {names}.", ASK_OWNER)

    # -- How it comes ----------------------------------------------------------------------------------------------

    @cached_property
    def sees_everything(self) -> bool:
        return Step.VIEW_MERCHANT in self.platform_steps

    @cached_property
    def platform_steps(self) -> Steps:
        """Nobody does on the platform what they cannot see there."""
        if not self.user.is_active:
            return frozenset()
        if self.user.is_superuser:
            return frozenset(Step)
        granted = self.user.get_all_permissions()
        steps = frozenset(step for step in Step if step.permission in granted)
        return steps if Step.VIEW_MERCHANT in steps else frozenset()

    @cached_property
    def team_roles(self) -> dict[UUID, str]:
        """This person's role in each team, by the id of the merchant account."""
        if not self.user.is_active:
            return {}
        return dict(Membership.objects.filter(user=self.user).values_list("merchant_id", "role"))

    @cached_property
    def only_merchant(self) -> Merchant | None:
        """The one merchant account of somebody who has no other."""
        if self.sees_everything or len(self.team_roles) != 1:
            return None
        return Merchant.objects.get(pk=next(iter(self.team_roles)))

    @property
    def role_label(self) -> str:
        """What this person is, in a word or two, for the corner of each page."""
        for role in reversed(PlatformRole):
            if ROLE_STEPS[role] <= self.platform_steps:
                return role.label
        roles = set(self.team_roles.values())
        return TeamRole(roles.pop()).label if len(roles) == 1 else "Several teams" if roles else "No access"

    def _merchant_ids(self) -> "QuerySet[Any, Any]":
        # A subquery, not a list: who looks after ten thousand accounts has them looked up by the database.
        return Membership.objects.filter(user=self.user, user__is_active=True).values("merchant")


ASK_OWNER = "Ask an owner of the merchant account, or the platform."
ASK_ADMINISTRATOR = "Ask an administrator of the platform."


def of(user: User) -> Access:
    return Access(user)


def role_of(user: User) -> PlatformRole | None:
    """The platform role that a person was given; of several, the strongest."""
    if user.is_superuser:
        return PlatformRole.ADMINISTRATOR
    names = {group.name for group in user.groups.all()}
    return next((role for role in reversed(PlatformRole) if role.label in names), None)


def _merchant_id(subject: Merchant | ApiKey) -> UUID:
    return subject.merchant_id if isinstance(subject, ApiKey) else subject.pk


def _is_strong(key: ApiKey) -> bool:
    return catalogue().is_strong(key.mode, key.grants)


@transaction.atomic
def ensure_groups() -> None:
    """The groups of the platform roles, each with exactly its permissions; other groups are left alone."""
    known = {
        permission.codename: permission
        for permission in Permission.objects.filter(content_type__app_label="keys")
    }
    for role, steps in ROLE_STEPS.items():
        names = {*(step.value for step in steps), *_ADMIN_VIEWS}
        if role is PlatformRole.ADMINISTRATOR:
            names.update(_ADMIN_VIEWS_OF_PEOPLE)
        group, _ = Group.objects.get_or_create(name=role.label)
        group.permissions.set([known[name] for name in sorted(names)])


def ensure_groups_after_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Receiver of `post_migrate`; a plan that stops short of the tables is left alone."""
    if using != "default" or "keys_membership" not in connections[using].introspection.table_names():
        return
    # Django makes the permissions in a receiver of its own, which may come later than this one.
    create_permissions(sender, verbosity=0, using=using)
    ensure_groups()
