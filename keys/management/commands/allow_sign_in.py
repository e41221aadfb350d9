"""`manage.py allow_sign_in`: end the wait of somebody whose name or codes were tried too often."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from keys.console import attempts
from keys.models import User


class Command(BaseCommand):
    help = (
        "Forget the wrong passwords and codes that were tried for a person, so that they can sign in at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help="the name that the person signs in with")

    def handle(self, username: str, **options: Any) -> None:
        try:
            person = User.objects.get_by_natural_key(username)
        except User.DoesNotExist as error:
            raise CommandError("Nobody has that user name.") from error
        attempts.forget(person)
        self.stdout.write(f"{person.username} can try again at once.")
        if not person.is_active:
            self.stdout.write("The account is deactivated, though: somebody has to let them in again.")
