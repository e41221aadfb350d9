"""The people of the demo data: the platform's staff, who stand in its history, and the teams of some accounts.

Nobody can sign in as one of them. None of those who are active is an administrator, so that whoever tries the product
is the last one there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db import transaction

from keys import invitations, teams
from keys.history import Actor
from keys.models import Merchant, User
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


def username_of(first: str, last: str) -> str:
    return f"{PREFIX}{first}-{last}".lower()


def present() -> list[User]:
    """The demo data's staff in this database, in no order."""
    names = [username_of(first, last) for first, last, _ in STAFF]
    return list(User.objects.filter(username__in=names, password__startswith=UNUSABLE_PASSWORD_PREFIX))


@transaction.atomic
def hire() -> list[Actor]:
    """The staff as actors, made where they are missing: without a usable password.

    Whoever hires them next waits until the transaction ends.
    """
    actors = []
    for number, (first, last, role) in enumerate(STAFF):
        user, is_new = _person(first, last, "merchantadmin.example", is_active=first not in GONE)
        if is_new:
            give_role(user, role)
        actors.append(
            Actor(
                name=user.display_name,
                user=user,
                address=f"198.51.100.{20 + 7 * number}",
                user_agent=BROWSERS[number % len(BROWSERS)],
            )
        )
    return actors


def form_teams(accounts: Iterable[Merchant], *, actor: Actor) -> None:
    """Put the merchants' own people into their teams, and leave some invitations waiting for an answer."""
    by_website = {account.website: account for account in accounts}
    for member in MEMBERS:
        user, _ = _person(member.first, member.last, member.employer)
        for website in member.websites:
            teams.add(user=user, merchant=by_website[website], role=member.role)
    for email, website, role in INVITED:
        # Nobody has the token: the link can only be sent again.
        invitations.invite(email=email, merchant=by_website.get(website), role=role, actor=actor)


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
