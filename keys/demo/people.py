"""The people of the demo data: the platform's staff, who stand in its history, and the teams of some accounts.

Nobody can sign in as one of them. None of those who are active is an administrator, so that whoever tries the product
is the last one there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db import transaction

from keys import invitations, teams
from keys.access import ROLE_STEPS, Step
from keys.demo.biographies import MerchantLife
from keys.history import Actor
from keys.models import Membership, User
from keys.models.access import PlatformRole, TeamRole
from keys.naming import fold
from keys.people import give_role

PREFIX = "demo-"
STAFF = (
    ("Mira", "Okafor", PlatformRole.OPERATOR),
    ("Jonas", "Lindqvist", PlatformRole.OPERATOR),
    ("Priya", "Raman", PlatformRole.OPERATOR),
    ("Tomás", "Herrera", PlatformRole.VIEWER),
    ("Aiko", "Tanaka", PlatformRole.VIEWER),
    # She has left.
    ("Claire", "Dubois", PlatformRole.ADMINISTRATOR),
)
GONE = ("Claire",)
BROWSERS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36",
)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of a merchant's own, or of an agency that works for several; the accounts by their websites."""

    first: str
    last: str
    employer: str
    role: TeamRole
    websites: tuple[str, ...]


MEMBERS = (
    Member("Hanna", "Weiss", "northwind.example", TeamRole.OWNER, ("northwind.example",)),
    Member("Luis", "Prado", "northwind.example", TeamRole.DEVELOPER, ("northwind.example",)),
    Member("Sunita", "Rao", "northwind.example", TeamRole.DEVELOPER, ("northwind.example",)),
    Member("Peter", "Novák", "northwind.example", TeamRole.VIEWER, ("northwind.example",)),
    Member(
        "Noor", "Haddad", "lanternworks.example", TeamRole.DEVELOPER,
        ("northwind.example", "kestrelbikes.example", "harborandpine.example"),
    ),
    Member("Gwen", "Ashdown", "kestrelbikes.example", TeamRole.OWNER, ("kestrelbikes.example",)),
    Member("Marcus", "Bell", "harborandpine.example", TeamRole.OWNER, ("harborandpine.example",)),
)  # fmt: skip
# To which website's account, or to the platform, and as what.
INVITED = (
    ("joost@northwind.example", "northwind.example", TeamRole.VIEWER),
    ("freya.lund@merchantadmin.example", "", PlatformRole.OPERATOR),
)


@dataclass(frozen=True, slots=True)
class Staff:
    """Actors, each with the role on the platform that says which steps they may have taken."""

    people: tuple[tuple[PlatformRole, Actor], ...]

    def who_may(self, step: Step) -> list[Actor]:
        return [actor for role, actor in self.people if step in ROLE_STEPS[role]]


def username_of(first: str, last: str) -> str:
    return f"{PREFIX}{first}-{last}".lower()


def present() -> list[User]:
    """The demo data's staff in this database, in no order."""
    names = [username_of(first, last) for first, last, _ in STAFF]
    return list(User.objects.filter(username__in=names, password__startswith=UNUSABLE_PASSWORD_PREFIX))


@transaction.atomic
def hire() -> Staff:
    """The staff, made where they are missing: without a usable password.

    Whoever hires them next waits until the transaction ends.
    """
    hired = []
    for number, (first, last, role) in enumerate(STAFF):
        user, is_new = _person(first, last, "merchantadmin.example", is_active=first not in GONE)
        if is_new:
            give_role(user, role)
        hired.append((role, _actor(user, number)))
    return Staff(tuple(hired))


def welcome(lives: Iterable[MerchantLife], *, now: datetime) -> None:
    """Have the merchants' own people come into their teams, in the lives of accounts that are not saved yet."""
    by_website = {life.merchant.website: life for life in lives}
    for number, member in enumerate(MEMBERS):
        user, _ = _person(member.first, member.last, member.employer)
        for website in member.websites:
            life = by_website[website]
            age = now - life.merchant.created_at
            at = life.merchant.created_at + age * (number + 1) / (2 * len(MEMBERS))
            life.welcome(at=at, actor=_actor(user, number), role=member.role)


def form_teams(lives: Iterable[MerchantLife]) -> None:
    """Put who was welcomed into the teams of accounts that are saved, and leave some invitations unanswered."""
    by_website = {life.merchant.website: life for life in lives}
    for life in by_website.values():
        for user, held, at in life.members:
            membership = teams.add(user=user, merchant=life.merchant, role=held)
            Membership.objects.filter(pk=membership.pk).update(created_at=at)
    for email, website, role in INVITED:
        inviting = by_website.get(website)
        # Nobody has the token: the link can only be sent again.
        invitations.invite(
            email=email,
            merchant=inviting.merchant if inviting else None,
            role=role,
            actor=_owner(inviting) if inviting else Actor.command("seed_demo"),
        )


def _owner(life: MerchantLife) -> Actor:
    return _actor(next(user for user, role, _ in life.members if role is TeamRole.OWNER), 0)


def _actor(user: User, number: int) -> Actor:
    return Actor(
        name=user.display_name,
        user=user,
        address=f"198.51.100.{20 + 7 * number}",
        user_agent=BROWSERS[number % len(BROWSERS)],
    )


def _person(first: str, last: str, employer: str, *, is_active: bool = True) -> tuple[User, bool]:
    return User.objects.select_for_update().get_or_create(
        username=username_of(first, last),
        defaults={
            "first_name": first,
            "last_name": last,
            "email": f"{fold(first)}.{fold(last)}@{employer}",
            "is_active": is_active,
            "password": make_password(None),
        },
    )
