"""`manage.py reset_second_factor`: the last resort of somebody who has lost app, passkeys and recovery codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from keys.console import attempts, factors
from keys.history import Actor
from keys.models import User


class Command(BaseCommand):
    help = (
        "Remove the authenticator app, the passkeys and the recovery codes of a person, and end their sessions. They "
        "sign in with their password then. It is written into the history; make sure that it is really them who asks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help="the name that the person signs in with")
        parser.add_argument("--reason", default="", help="why: it stands in the history")

    def handle(self, username: str, reason: str, **options: Any) -> None:
        try:
            person = User.objects.get_by_natural_key(username)
        except User.DoesNotExist as error:
            raise CommandError("Nobody has that user name.") from error
        removed = factors.reset(person, actor=Actor.command("reset_second_factor"), reason=reason)
        attempts.forget(person)
        if not removed:
            self.stdout.write(f"{person.username} has no second factor: there was nothing to remove.")
            return
        self.stdout.write(
            f"Removed: {', '.join(removed)}. {person.username} signs in with the password alone."
        )
        if not person.has_usable_password():
            self.stdout.write(
                f"They have no password: set one with manage.py changepassword {person.username}"
            )
