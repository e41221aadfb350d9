"""The people whose names stand in the demo data's history. Nobody can sign in as one of them."""

from django.contrib.auth.hashers import make_password
from django.db import transaction

from keys.history import Actor
from keys.models import User

PREFIX = "demo-"
STAFF = (
    ("Mira", "Okafor"),
    ("Jonas", "Lindqvist"),
    ("Priya", "Raman"),
    ("Tomás", "Herrera"),
    ("Aiko", "Tanaka"),
    ("Claire", "Dubois"),
)
BROWSERS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36",
)


def present() -> list[User]:
    """The demo people in this database, in no order."""
    return list(User.objects.filter(username__startswith=PREFIX, is_active=False))


@transaction.atomic
def hire() -> list[Actor]:
    """The demo people as actors, made where they are missing: inactive, and without a usable password.

    Whoever hires them next waits until the transaction ends.
    """
    actors = []
    for number, (first, last) in enumerate(STAFF):
        user, _ = User.objects.select_for_update().get_or_create(
            username=f"{PREFIX}{first}-{last}".lower(),
            defaults={
                "first_name": first,
                "last_name": last,
                "email": f"{last}@merchantadmin.example".lower(),
                "is_active": False,
                "password": make_password(None),
            },
        )
        actors.append(
            Actor(
                name=user.display_name,
                user=user,
                address=f"198.51.100.{20 + 7 * number}",
                user_agent=BROWSERS[number % len(BROWSERS)],
            )
        )
    return actors
