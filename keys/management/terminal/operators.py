"""On whose behalf a command works: a person of the console, or whoever has a shell on this host."""

import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from keys import access
from keys.access import Access, Step
from keys.history import Actor
from keys.management.terminal.exits import Exit, failure
from keys.models import ApiKey, Merchant, User
from keys.models.history import ActorKind

Subject = TypeVar("Subject", Merchant, ApiKey)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, what is in sight, and what may be done with it. Without `access` that is everything."""

    actor: Actor
    access: Access | None = None

    @classmethod
    def named(cls, username: str | None, *, command: str) -> "Operator":
        """The person with this user name, or without one the operating-system user, with full rights."""
        account = f"{_account_name()}@{socket.gethostname()}"
        if username is None:
            return cls(Actor(name=account, kind=ActorKind.COMMAND, user_agent=f"manage.py {command}"))
        person = User.objects.filter(username=username).first()
        if person is None:
            raise failure("There is no person with this user name.", Exit.NOT_FOUND)
        if not person.is_active:
            raise failure("This person’s account is not active.", Exit.FORBIDDEN)
        trace = f"manage.py {command}, by {account}"
        return cls(Actor(name=person.display_name, user=person, user_agent=trace), access.of(person))

    def merchants(self) -> QuerySet[Merchant]:
        return self.access.merchants() if self.access else Merchant.objects.all()

    def keys(self) -> QuerySet[ApiKey]:
        return self.access.keys() if self.access else ApiKey.objects.all()

    def searched(self) -> QuerySet[Any, Any] | None:
        """The ids that a search keeps to; None where it need not."""
        if self.access is None or self.access.sees_everything:
            return None
        return self.access.merchants().values("pk")

    def may(self, step: Step, subject: Merchant | ApiKey) -> bool:
        return self.access is None or self.access.may(step, subject)

    def allowing(self, step: Step, rows: QuerySet[Subject]) -> QuerySet[Subject]:
        """Of these rows, those on which `step` may be taken."""
        return self.access.allowing(step, rows) if self.access else rows

    def require(self, step: Step, subject: Merchant | ApiKey | None = None) -> None:
        """Raises NotAllowed."""
        if self.access:
            self.access.require(step, subject)

    def require_new_key(self, merchant: Merchant, *, mode: str, permissions: Mapping[str, str]) -> None:
        """Raises NotAllowed."""
        if self.access:
            self.access.require_new_key(merchant, mode=mode, permissions=permissions)


def add_actor(parser: CommandParser) -> None:
    parser.add_argument(
        "--actor",
        metavar="USER",
        help="act as this person of the console, who sees and does only what is theirs (default: the operating-system "
        "user, with full rights)",
    )


def _account_name() -> str:
    """From the user database: the environment says what anybody likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
