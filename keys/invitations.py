"""Invitations: how people come to the platform, and to the team of a merchant account.

An invitation is sent as a link by e-mail. It works for SHELF_LIFE, once, and only until it is withdrawn; of its
token the database holds a digest alone. Sending it again makes another token, so that the older link ends. Each
step is atomic, names its actor and writes its history row in its own transaction.
"""

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from keys import access, history, people, teams
from keys.errors import IllegalTransition, InvalidField, InvitationEnded
from keys.history import Actor
from keys.keyformat import INVITATION_PREFIX
from keys.models import Invitation, Membership, Merchant, User
from keys.models.access import PlatformRole, TeamRole
from keys.models.history import Action

SHELF_LIFE = timedelta(days=7)
# For one team, or for the platform: more, and somebody sends mail for mail's sake.
WAITING_MAX = 100


class InvitationToken:
    """The secret of a link. Masked wherever it is not asked for by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def generate(cls) -> "InvitationToken":
        return cls(INVITATION_PREFIX + secrets.token_urlsafe(32))

    def reveal(self) -> str:
        return self._text

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self._text.encode()).digest()

    def __repr__(self) -> str:
        return "<InvitationToken>"

    __str__ = __repr__


@transaction.atomic
def invite(
    *, email: str, role: PlatformRole | TeamRole, actor: Actor, merchant: Merchant | None = None
) -> tuple[Invitation, InvitationToken]:
    """Invite the owner of an address; returns the invitation, and the token that exists nowhere else.

    Raises InvalidField, also for somebody who is there already.
    """
    email = people.clean_email(email)
    _require_newcomer(email, merchant)
    waiting = Invitation.objects.filter(merchant=merchant, accepted_at=None, withdrawn_at=None)
    if waiting.count() >= WAITING_MAX:
        raise InvalidField("email", f"{WAITING_MAX} invitations are waiting.", "Withdraw some of them first.")
    token = InvitationToken.generate()
    invitation = Invitation(
        email=email,
        merchant=merchant,
        role=role,
        token_digest=token.digest,
        invited_by=actor.user,
        expires_at=timezone.now() + SHELF_LIFE,
    )
    try:
        with transaction.atomic():
            invitation.save(force_insert=True)
    except IntegrityError as error:
        raise InvalidField(
            "email", "This address is invited already.", "Send that invitation again instead."
        ) from error
    _write(Action.PERSON_INVITED, invitation, actor)
    return invitation, token


@transaction.atomic
def resend(*, invitation: Invitation, actor: Actor) -> tuple[Invitation, InvitationToken]:
    """Make another link for a waiting invitation, expired or not; the older one ends."""
    token = InvitationToken.generate()
    now = timezone.now()
    _require_moved(
        Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None).update(
            token_digest=token.digest, expires_at=now + SHELF_LIFE, invited_by=actor.user
        )
    )
    current = Invitation.objects.select_related("merchant").get(pk=invitation.pk)
    _write(Action.PERSON_INVITED, current, actor)
    return current, token


@transaction.atomic
def withdraw(*, invitation: Invitation, actor: Actor) -> None:
    """End a waiting invitation: its link works no more."""
    _require_moved(
        Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None).update(
            withdrawn_at=timezone.now()
        )
    )
    _write(Action.PERSON_UNINVITED, invitation, actor)


def find(token: str) -> Invitation | None:
    """The invitation of a link, whatever has become of it; None for a token that was never made."""
    found = Invitation.objects.select_related("merchant", "invited_by")
    return found.filter(token_digest=InvitationToken(token).digest).first()


def invited_person(invitation: Invitation) -> User | None:
    """Who has the invited address already."""
    return User.objects.filter(email__iexact=invitation.email).first()


@transaction.atomic
def join(
    *,
    invitation: Invitation,
    username: str,
    password: str,
    actor: Actor,
    first_name: str = "",
    last_name: str = "",
) -> User:
    """Make the account of an invited person, with what the invitation gives; raises InvitationEnded, InvalidField.

    `actor` tells of the address and the browser; the person acts themselves. The password was validated before.
    """
    _use(invitation)
    _require_free(username)
    person = User(username=username, email=invitation.email, first_name=first_name, last_name=last_name)
    person.set_password(password)
    try:
        person.full_clean()
        with transaction.atomic():
            person.save(force_insert=True)
    except ValidationError as error:
        field = next(iter(error.message_dict))
        raise InvalidField(field, error.message_dict[field][0]) from error
    except IntegrityError as error:
        raise InvalidField("username", "Somebody else was first with this user name.") from error
    _welcome(person, invitation, actor)
    return person


@transaction.atomic
def accept(*, invitation: Invitation, person: User, actor: Actor) -> None:
    """Give what the invitation gives to somebody who has an account; raises InvitationEnded unless it is theirs."""
    if not person.email or person.email.lower() != invitation.email.lower():
        raise InvitationEnded(
            "This invitation is for somebody else.", "Sign out, and sign in with the invited address."
        )
    _use(invitation)
    _welcome(person, invitation, actor)


def _require_newcomer(email: str, merchant: Merchant | None) -> None:
    known = User.objects.filter(email__iexact=email).first()
    if known is None:
        return
    if merchant is None and access.role_of(known):
        raise InvalidField(
            "email", f"{known} has this address and is here already.", "Change their role instead."
        )
    if merchant and Membership.objects.filter(user=known, merchant=merchant).exists():
        raise InvalidField("email", f"{known} is in this team already.", "Change their role instead.")


def clean_username(text: str) -> str:
    """A user name that nobody has yet; raises InvalidField."""
    try:
        User._meta.get_field("username").run_validators(text)
    except ValidationError as error:
        raise InvalidField(
            "username", "This is not a user name.", "Use letters, digits and @.+-_ only, 150 at most."
        ) from error
    _require_free(text)
    return text


def _require_free(username: str) -> None:
    """A name that differs from another in its case alone, or is another's address, would pose as them."""
    if User.objects.filter(Q(username__iexact=username) | Q(email__iexact=username)).exists():
        raise InvalidField("username", "This user name is taken.", "Choose another one.")


def _use(invitation: Invitation, now: datetime | None = None) -> None:
    """Of two who use the same link at once, one succeeds."""
    now = now or timezone.now()
    usable = Invitation.objects.filter(
        pk=invitation.pk,
        token_digest=invitation.token_digest,
        accepted_at=None,
        withdrawn_at=None,
        expires_at__gt=now,
    )
    if not usable.update(accepted_at=now):
        raise InvitationEnded("This invitation has ended.", "Ask for another one.")


def _welcome(person: User, invitation: Invitation, actor: Actor) -> None:
    merchant = invitation.merchant
    if merchant is not None:
        role: PlatformRole | TeamRole = TeamRole(invitation.role)
        teams.add(user=person, merchant=merchant, role=TeamRole(invitation.role))
    else:
        role = max(filter(None, (PlatformRole(invitation.role), access.role_of(person))), key=_STRENGTH.index)
        if role is not access.role_of(person):
            people.give_role(person, PlatformRole(role))
    history.write(
        Action.PERSON_JOINED,
        actor=replace(actor, user=person, name=person.display_name),
        merchant=merchant,
        after={"person": person.username, "email": invitation.email, "role": role.label},
    )


_STRENGTH = list(PlatformRole)


def _require_moved(rows: int) -> None:
    if not rows:
        raise IllegalTransition(
            "This invitation was accepted or withdrawn already.", "There is nothing left to do."
        )


def _write(action: Action, invitation: Invitation, actor: Actor) -> None:
    facts = {"email": invitation.email, "role": invitation.role_label}
    before, after = ({}, facts) if action is Action.PERSON_INVITED else (facts, {})
    history.write(action, actor=actor, merchant=invitation.merchant, before=before, after=after)
