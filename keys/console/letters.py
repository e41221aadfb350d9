"""The mail that the console sends. Where no mail server is set, Django writes it to the server's own output."""

import logging
from collections.abc import Callable
from functools import wraps
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.http import Http404, HttpRequest, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse

from keys.invitations import InvitationToken
from keys.models import Invitation

View = Callable[..., HttpResponseBase]

logger = logging.getLogger(__name__)


def by_mail(view: View) -> View:
    """A view that sends links, and is not there without a mail server: they would stand in the server's output."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.EMAIL_HOST:
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


def send_invitation(invitation: Invitation, token: InvitationToken) -> bool:
    """Send the link; False if the mail server did not take it."""
    link = f"{settings.PUBLIC_URL}{reverse('invitation-join', args=[token.reveal()])}"
    place = invitation.merchant.name if invitation.merchant else "Merchant Admin"
    text = render_to_string(
        "keys/mail/invitation.txt", {"invitation": invitation, "place": place, "link": link}
    )
    try:
        send_mail(f"You are invited to {place}", text, None, [invitation.email])
    except (OSError, SMTPException):
        logger.exception("The mail server did not take an invitation")
        return False
    return True
