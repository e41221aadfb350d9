"""The teams of merchant accounts: who belongs to one, and as what. They grow by invitation (keys/invitations.py).

As in keys/lifecycle.py each step is atomic, names its actor and writes its history row in its own transaction.
"""

from django.db import transaction
from django.utils import timezone

from keys import history
from keys.errors import IllegalTransition
from keys.history import Actor
from keys.models import Invitation, Membership, Merchant, User
from keys.models.access import TeamRole
from keys.models.history import Action


@transaction.atomic
def change_role(*, member: Membership, role: TeamRole, actor: Actor) -> Membership:
    """Give a member of a team another role in it."""
    current = _locked(member)
    before = TeamRole(current.role)
    if before is role:
        return current
    current.role = role
    current.save(update_fields=["role"])
    history.write(
        Action.PERSON_ROLE_CHANGED,
        actor=actor,
        merchant=current.merchant,
        before={"person": current.user.username, "role": before.label},
        after={"person": current.user.username, "role": role.label},
    )
    return current


@transaction.atomic
def remove(*, member: Membership, actor: Actor) -> None:
    """Take somebody out of a team: the account is out of their reach at once, and what they sent out is withdrawn."""
    current = _locked(member)
    current.delete()
    Invitation.objects.filter(
        merchant=current.merchant, invited_by=current.user, accepted_at=None, withdrawn_at=None
    ).update(withdrawn_at=timezone.now())
    history.write(
        Action.PERSON_REMOVED,
        actor=actor,
        merchant=current.merchant,
        before={"person": current.user.username, "role": TeamRole(current.role).label},
        after={"person": current.user.username, "role": "none"},
    )


def add(*, user: User, merchant: Merchant, role: TeamRole) -> Membership:
    """Put somebody into a team, or give them this role where they are in it. For invitations and demo data."""
    member, _ = Membership.objects.update_or_create(user=user, merchant=merchant, defaults={"role": role})
    return member


def _locked(member: Membership) -> Membership:
    """`member` as it is now; it stays so until the transaction ends."""
    members = Membership.objects.select_for_update(of=("self",)).select_related("user", "merchant")
    current = members.filter(pk=member.pk).first()
    if current is None:
        raise IllegalTransition("This person is not in the team any more.", "Somebody was first.")
    return current
