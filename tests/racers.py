"""What the processes of tests/test_races.py do. Each waits with `together()` until all are ready, then goes."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from django.utils import timezone

from keys import history, invitations, lifecycle, merchants, people
from keys.errors import DomainError, StaleEdit
from keys.gateway import ingest as ingesting
from keys.history import Actor
from keys.models import ApiKey, Invitation, Merchant, User
from keys.models.access import PlatformRole
from keys.spool import Record
from keys.states import DISABLE_KEY, ENABLE_KEY

Together = Callable[[], int]
PRESETS = {"mode": "live", "permissions": {"payments": "write"}}


def racer(number: int) -> Actor:
    return Actor.command(f"racer {number}")


def attempt(step: Callable[[], object]) -> dict:
    """What became of one step: done, or refused by the domain; anything else ends the race."""
    try:
        done = step()
    except DomainError as error:
        changes = error.changes if isinstance(error, StaleEdit) else None
        return {"refused": type(error).__name__, "said": str(error), "changes": changes}
    key = done[0] if isinstance(done, tuple) else done
    return {"done": key.pk.hex if isinstance(key, ApiKey | Merchant) else True}


def hammer(*, number: int, together: Together, key: str, steps: int, seed: int) -> dict:
    """Random steps on one key, on the strength of what was read some steps before. Late in the race also revoke."""
    random, actor = Random(seed + number), racer(number)
    choices = {
        "disable": lambda: lifecycle.disable(key=held, actor=actor),
        "enable": lambda: lifecycle.enable(key=held, actor=actor),
        "copy": lambda: lifecycle.copy(key=held, actor=actor),
        "duplicate": lambda: lifecycle.duplicate(key=held, actor=actor),
        "update": lambda: lifecycle.update(
            key=held,
            name=f"Name {random.randrange(10**9)}",
            description=f"By {number}",
            revision=held.revision,
            actor=actor,
        ),
        "revoke": lambda: lifecycle.revoke(key=held, actor=actor),
    }
    done: Counter[str] = Counter()
    together()
    for step in range(steps):
        if step % 3 == 0:
            held = ApiKey.objects.get(pk=key)
        weights = [6, 6, 2, 1, 4, 1 if step > steps * 3 // 4 else 0]
        (name,) = random.choices(list(choices), weights)
        done[name] += "done" in attempt(choices[name])
    return done


def same_step(*, number: int, together: Together, step: str, keys: list[str]) -> list[dict]:
    """The same step on the same keys, all at once, by people who opened the page before."""
    held = [ApiKey.objects.get(pk=key) for key in keys]
    outcomes = []
    for key in held:
        together()
        outcomes.append(attempt(lambda key=key: getattr(lifecycle, step)(key=key, actor=racer(number))))
    return outcomes


def sweep(*, number: int, together: Together, keys: list[str], rounds: int, seed: int) -> dict:
    """The same keys, all of them at once and in ever another order, with steps on single ones in between."""
    random, actor = Random(seed + number), racer(number)
    held = [ApiKey.objects.get(pk=key) for key in keys]
    done: Counter[str] = Counter()
    together()
    for _ in range(rounds):
        random.shuffle(held)
        transition = random.choice((DISABLE_KEY, ENABLE_KEY))
        done["moved"] += len(lifecycle.move_many(keys=held, transition=transition, actor=actor))
        done["moved"] += "done" in attempt(lambda: lifecycle.disable(key=held[0], actor=actor))
    return done


def enable_or_revoke(*, number: int, together: Together, keys: list[str]) -> list[dict]:
    """Every second process enables what the others revoke."""
    return same_step(number=number, together=together, step="revoke" if number % 2 else "enable", keys=keys)


def same_update(*, number: int, together: Together, keys: list[str]) -> list[dict]:
    held = [ApiKey.objects.get(pk=key) for key in keys]
    outcomes = []
    for key in held:
        values = {"name": f"{key.name} by {number}", "description": "", "revision": key.revision}
        together()
        outcomes.append(attempt(lambda: lifecycle.update(key=key, actor=racer(number), **values)))  # noqa: B023
    return outcomes


def same_merchant_update(*, number: int, together: Together, merchants_: list[str]) -> list[dict]:
    held = [Merchant.objects.get(pk=merchant) for merchant in merchants_]
    outcomes = []
    for merchant in held:
        values = {"name": f"Account by {number}", "website": "", "revision": merchant.revision}
        together()
        outcomes.append(attempt(lambda: merchants.update(merchant=merchant, actor=racer(number), **values)))  # noqa: B023
    return outcomes


def same_submission(*, number: int, together: Together, merchant: str, ids: list[str]) -> list[dict]:
    """One form sent by all at once, again and again; each with a name of its own."""
    account = Merchant.objects.get(pk=merchant)
    outcomes = []
    for key_id in ids:
        values = {"name": f"{key_id} {number}", "key_id": UUID(key_id), **PRESETS}
        together()
        outcomes.append(attempt(lambda: lifecycle.create(merchant=account, actor=racer(number), **values)))  # noqa: B023
    return outcomes


def same_name(*, number: int, together: Together, merchant: str, names: list[str]) -> list[dict]:
    account = Merchant.objects.get(pk=merchant)
    outcomes = []
    for name in names:
        together()
        outcomes.append(
            attempt(lambda: lifecycle.create(merchant=account, name=name, actor=racer(number), **PRESETS))  # noqa: B023
        )
    return outcomes


def leave_office(*, number: int, together: Together, administrators: list[int], rounds: int) -> list[dict]:
    """In each round each process ends the rule of another administrator: every second by role, or altogether."""
    outcomes = []
    for round_ in range(rounds):
        together()
        person = User.objects.get(pk=administrators[number])
        if (number + round_) % 2:
            step = lambda: people.deactivate(person=person, actor=racer(number))  # noqa: B023, E731
        else:
            step = lambda: people.change_role(person=person, role=None, actor=racer(number))  # noqa: B023, E731
        outcomes.append(attempt(step))
        together()
        reinstate(person)
    return outcomes


def reinstate(person: User) -> None:
    """Past the domain, so that the next round begins as this one did."""
    User.objects.filter(pk=person.pk).update(is_active=True)
    people.give_role(person, PlatformRole.ADMINISTRATOR)


def same_link(*, number: int, together: Together, invitation: str) -> list[dict]:
    """One link used by all at once, each for an account of their own."""
    held = Invitation.objects.get(pk=invitation)
    together()
    return [
        attempt(
            lambda: invitations.join(
                invitation=held, username=f"racer{number}", password=f"{number}", actor=racer(number)
            )
        )
    ]


def ingest(
    *,
    number: int,
    together: Together,
    keys: list[str],
    merchant: str,
    batches: int,
    start: str,
    days_apart: int,
) -> int:
    """Batches that all touch the same keys, in every order, and the same minutes unless they are days apart."""
    random, first = Random(number), datetime.fromisoformat(start) + timedelta(days=days_apart * number)
    together()
    for batch in range(batches):
        random.shuffle(keys)
        ingesting.ingest(
            [
                Record(
                    key_id=UUID(key),
                    merchant_id=UUID(merchant),
                    at=first + timedelta(seconds=random.randrange(120), microseconds=number * 1000 + batch),
                    method="GET",
                    path="/v1/payments",
                    status=random.choice([200, 500]),
                    outcome="VALID",
                    duration_us=1,
                )
                for key in keys
            ]
        )
    return batches * len(keys)


def killed_in_the_middle(*, number: int, together: Together, key: str, merchant: str, step: str) -> object:
    """A step that dies (SIGKILL) after its change and before its history, or before the last use is written."""

    def die(*args, **given):
        os.kill(os.getpid(), signal.SIGKILL)

    held, actor = ApiKey.objects.select_related("merchant").get(pk=key), racer(number)
    history.HistoryEntry.objects.bulk_create = die
    ingesting._touch = die
    record = Record(
        key_id=held.pk,
        merchant_id=held.merchant_id,
        at=timezone.now(),
        method="GET",
        path="/",
        status=200,
        outcome="VALID",
        duration_us=1,
    )
    steps = {
        "create": lambda: lifecycle.create(merchant=held.merchant, name="New", actor=actor, **PRESETS),
        "duplicate": lambda: lifecycle.duplicate(key=held, actor=actor),
        "update": lambda: lifecycle.update(
            key=held, name="New", description="", revision=held.revision, actor=actor
        ),
        "enable": lambda: lifecycle.enable(key=held, actor=actor),
        "revoke": lambda: lifecycle.revoke(key=held, actor=actor),
        "enable many": lambda: lifecycle.move_many(keys=[held], transition=ENABLE_KEY, actor=actor),
        "copy": lambda: lifecycle.copy(key=held, actor=actor),
        "merchant": lambda: merchants.create(name="New", actor=actor),
        "disable the account": lambda: merchants.disable(merchant=held.merchant, actor=actor),
        "ingest": lambda: ingesting.ingest([record]),
    }
    together()
    return steps[step]()
