"""How a person's e-mail address changes: by whoever reads the new one, and not unnoticed by whoever reads the old one.

The link carries the change itself, signed: nothing is stored for an address that nobody has confirmed, so that nothing
can be sent there or found by it either. It works for the person who asked, signed in, as long as their address is the
one that it was. Of an address that is somebody else's, that somebody is told, and who asked learns nothing.
"""

from datetime import timedelta

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from keys import people
from keys.console.actors import actor_of
from keys.models import User

SHELF_LIFE = timedelta(days=3)
SALT = "keys.console.email_change"


def ask(request: HttpRequest, person: User, email: str) -> None:
    """Send the letter that the change begins with, to the new address."""
    if not people.is_free(email, person=person):
        get_adapter(request).send_mail("account/email/email_taken", email, {})
        return
    link = f"{settings.PUBLIC_URL}{reverse('profile-email-confirm', args=[token_for(person, email)])}"
    get_adapter(request).send_mail(
        "account/email/email_confirm", email, {"username": person.username, "link": link}
    )


def token_for(person: User, email: str) -> str:
    return signing.dumps([person.pk, person.email, email], salt=SALT)


def asked_for(token: str, person: User) -> str | None:
    """The address that `person` asked for with this link; None where the link is old, used, or not theirs."""
    try:
        pk, before, email = signing.loads(token, salt=SALT, max_age=SHELF_LIFE)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return str(email) if (pk, before) == (person.pk, person.email) else None


def change(request: HttpRequest, person: User, email: str, *, by: User) -> None:
    """Change the address, and tell whoever reads the old one; raises InvalidField."""
    before = person.email
    with transaction.atomic():
        people.change_email(person=person, email=email, actor=actor_of(request, by))
        # Single sign-on keeps addresses there too, and a forgotten password would still be sent to them.
        EmailAddress.objects.filter(user=person).delete()
    if before and before != email and settings.EMAIL_HOST:
        get_adapter(request).send_mail(
            "account/email/email_changed",
            before,
            {"username": person.username, "email": email, "by": None if by == person else by},
        )
