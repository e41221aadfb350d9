"""Signing people in without passing through the form, with proof of who they are as old as a test wants it."""

from datetime import timedelta

import time_machine
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, RequestFactory
from django.utils import timezone

from keys.models import User


def sign_in(client: Client, person: User, *, seconds_ago: int = 0) -> Client:
    """Let `client` be the browser of `person`, who typed the password `seconds_ago`."""
    client.force_login(person)
    request = RequestFactory().get("/")
    request.session = client.session
    with time_machine.travel(timezone.now() - timedelta(seconds=seconds_ago), tick=False):
        record_authentication(request, person, "password")
    request.session.save()
    return client


def lapse(session_key: str) -> None:
    """Let the time run out in which the sign-in of this session counts as proof."""
    session = SessionStore(session_key)
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        record | {"at": record["at"] - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT}
        for record in session[AUTHENTICATION_METHODS_SESSION_KEY]
    ]
    session.save()
