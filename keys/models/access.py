"""The people of the platform and of its merchants: who they are, in which teams, and who is invited."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from keys.identifiers import INVITATION, MEMBERSHIP, encode, new_id
from keys.models.merchant import Merchant


class Theme(models.TextChoices):
    SYSTEM = "system", "System"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class PlatformRole(models.TextChoices):
    """What a person of the platform is to all merchant accounts. Each is a Django group of its label."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    ADMINISTRATOR = "administrator", "Administrator"

    @property
    def meaning(self) -> str:
        return {
            PlatformRole.VIEWER: "Sees everything but secrets, and changes nothing.",
            PlatformRole.OPERATOR: "Creates, edits, duplicates, disables, enables and copies API keys.",
            PlatformRole.ADMINISTRATOR: "Also revokes keys, and manages merchant accounts, teams and people.",
        }[self]


class TeamRole(models.TextChoices):
    """What a person is to one merchant account."""

    VIEWER = "viewer", "Viewer"
    DEVELOPER = "developer", "Developer"
    OWNER = "owner", "Owner"

    @property
    def meaning(self) -> str:
        return {
            TeamRole.VIEWER: "Sees this account's keys, requests and history, but no secrets.",
            TeamRole.DEVELOPER: "Creates, edits, duplicates, disables, enables and copies this account's keys.",
            TeamRole.OWNER: "Also revokes keys, handles those with restricted permissions, and manages the team.",
        }[self]


class User(AbstractUser):
    """A person who signs in to the console. Never deleted: the history names them; who leaves is deactivated."""

    theme = models.CharField(max_length=6, choices=Theme.choices, default=Theme.SYSTEM)
    keyboard_shortcuts = models.BooleanField(default=True)
    # A part of what each session is checked against: counting it up ends them all.
    session_generation = models.PositiveIntegerField(default=0, editable=False)

    class Meta(AbstractUser.Meta):
        verbose_name = "person"
        verbose_name_plural = "people"
        permissions = [
            ("manage_people", "Can invite, deactivate and give roles to the people of the platform"),
        ]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                condition=~Q(email=""),
                name="user_email_once",
                violation_error_message="Somebody has this e-mail address already.",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        words = self.display_name.split()
        return "".join(word[0] for word in [*words[:1], *words[1:][-1:]]).upper()

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        """What Django keeps in a session, and compares at each request."""
        value = f"{self.password} {self.session_generation}"
        return salted_hmac("keys.User.session", value, secret=secret, algorithm="sha256").hexdigest()


class Membership(models.Model):
    """That a person belongs to the team of a merchant account."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The index of the pair serves to find a person's accounts; that of the account, its team.
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", db_index=False)
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=TeamRole.choices)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions = [("manage_team", "Can invite people to the team of a merchant account and change it")]
        constraints = [
            models.UniqueConstraint(fields=["user", "merchant"], name="membership_once"),
            models.CheckConstraint(condition=Q(role__in=TeamRole.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()}"

    @property
    def public_id(self) -> str:
        return encode(MEMBERSHIP, self.id)


class Invitation(models.Model):
    """That an e-mail address was sent a link to join: the platform, or the team of one merchant account.

    Of the link's token only the digest is stored. A link works once, until it expires or is withdrawn; sending it
    again makes another token.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField()
    merchant = models.ForeignKey(Merchant, models.CASCADE, null=True, related_name="invitations")
    # A PlatformRole where there is no merchant account, and otherwise a TeamRole.
    role = models.CharField(max_length=16)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(merchant=None, role__in=PlatformRole.values)
                | Q(merchant__isnull=False, role__in=TeamRole.values),
                name="invitation_role_is_known",
            ),
            models.UniqueConstraint(
                Lower("email"),
                F("merchant"),
                condition=Q(accepted_at=None, withdrawn_at=None, merchant__isnull=False),
                name="invitation_once_to_a_team",
            ),
            models.UniqueConstraint(
                Lower("email"),
                condition=Q(accepted_at=None, withdrawn_at=None, merchant=None),
                name="invitation_once_to_all",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def public_id(self) -> str:
        return encode(INVITATION, self.id)

    @property
    def role_label(self) -> str:
        return str((PlatformRole if self.merchant_id is None else TeamRole)(self.role).label)

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.withdrawn_at is None

    def is_expired(self, now: datetime | None = None) -> bool:
        return self.expires_at <= (now or timezone.now())
