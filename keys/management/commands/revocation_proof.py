"""`manage.py revocation_proof`: whether a key, or all keys of an account, are refused by every verifier."""

import json
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console

from keys import proof
from keys.identifiers import API_KEY, MERCHANT, InvalidIdentifier, decode
from keys.models import ApiKey, Change, Merchant
from keys.models.verifier import ChangeKind
from keys.proof import Proof, clock

# Beside 0, which is: every verifier refuses, and nothing contradicts it.
PENDING, NO_PROOF, CONTRADICTED = 1, 2, 3
LOOK_EVERY_SECONDS = 0.1


class Command(BaseCommand):
    help = (
        "Tell which verifiers have applied the change that refuses an API key, or all keys of a merchant account, how "
        "soon, and which request was accepted last. Ends with 0 when all of them refuse; 1 when one does not answer "
        "and its lease still runs; 2 when there is nothing to prove: no such ID, or it is enabled; 3 when a request "
        "was accepted after all had answered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="of an API key (key_…) or of a merchant account (mch_…)")
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="wait so long for those that do not answer",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object, for scripts")

    def handle(self, *, id: str, wait: float, **options: Any) -> None:
        if not 0 <= wait < float("inf"):
            raise CommandError("--wait is a number of seconds, 0 or more.", returncode=NO_PROOF)
        try:
            subject = find(id)
            told = self.wait(subject, wait)
        except OperationalError as error:
            message = f"The database cannot be used: {str(error).strip()}"
            raise CommandError(message, returncode=NO_PROOF) from error
        if options["json"]:
            self.stdout.write(json.dumps(described(subject, told), indent=2))
        else:
            console = Console(highlight=False, markup=False, soft_wrap=True)
            for line in lines(subject, told):
                console.print(line, style="bold" if line == told.headline else "")
        if told.pending:
            number = len(told.pending)
            who = "One verifier has" if number == 1 else f"{number:,} verifiers have"
            raise CommandError(f"{who} not answered, and may still accept requests.", returncode=PENDING)
        if told.warning:
            raise CommandError(told.warning, returncode=CONTRADICTED)

    def wait(self, subject: ApiKey | Merchant, seconds: float) -> Proof:
        """The proof once it is settled, or as it is when the time is up."""
        deadline = time.monotonic() + seconds
        told = look(subject)
        with Console(stderr=True).status("Waiting for an answer…") as status:
            while told.pending and time.monotonic() < deadline:
                status.update(f"Waiting for {', '.join(silence.verifier for silence in told.pending[:3])}…")
                time.sleep(LOOK_EVERY_SECONDS)
                told = look(subject)
        return told


def find(text: str) -> ApiKey | Merchant:
    """Who has this ID. What was given instead is not repeated: it may be the key itself."""
    subject: ApiKey | Merchant | None
    try:
        if text.startswith(f"{MERCHANT}_"):
            subject = Merchant.objects.filter(pk=decode(MERCHANT, text)).first()
        else:
            subject = ApiKey.objects.filter(pk=decode(API_KEY, text)).first()
    except InvalidIdentifier as error:
        raise CommandError(
            "Give the ID of an API key (key_…) or of a merchant account (mch_…), as its page shows it.",
            returncode=NO_PROOF,
        ) from error
    if subject is None:
        raise CommandError("There is nothing with this ID.", returncode=NO_PROOF)
    return subject


def look(subject: ApiKey | Merchant) -> Proof:
    """The proof as it is now; a CommandError where requests are not refused, or nobody was told that they are."""
    if isinstance(subject, Merchant):
        subject.refresh_from_db()
        told, enabled = proof.of_merchant(subject), subject.is_enabled
    else:
        subject.refresh_from_db(from_queryset=ApiKey.objects.select_related("merchant"))
        told, enabled = proof.of_key(subject), subject.is_enabled and subject.merchant.is_enabled
    if told is None:
        why = "is enabled: requests are accepted." if enabled else "was refused before changes were kept."
        raise CommandError(f"There is nothing to prove: “{subject}” {why}", returncode=NO_PROOF)
    return told


def lines(subject: ApiKey | Merchant, told: Proof) -> list[str]:
    """The proof as people read it, with everything but the warning."""
    changes = [told.change, told.also] if told.also else [told.change]
    return [
        f"“{subject}” ({subject.public_id}): {' and '.join(happened(change, told.now) for change in changes)}.",
        told.headline,
        *(f"  {answer.verifier} after {answer.delay_ms:,} ms" for answer in told.answers),
        *told.remarks,
        f"Last accepted request: {last_accepted(told)}.",
        *([told.backlog] if told.backlog else []),
    ]


def last_accepted(told: Proof) -> str:
    accepted = told.last_accepted
    if accepted is None:
        return "none on record"
    if accepted.until:
        return f"between {clock(accepted.at, told.now)} and {clock(accepted.until, told.now)}"
    return f"{clock(accepted.at, told.now, exact=True)}, {accepted.public_id}"


def happened(change: Change, now: datetime) -> str:
    who = "merchant account" if change.kind == ChangeKind.MERCHANT else "API key"
    return f"{who} {change.status} at {clock(change.at, now, exact=True)}"


def described(subject: ApiKey | Merchant, told: Proof) -> dict[str, Any]:
    """The proof as programs read it; times in ISO 8601."""
    accepted = told.last_accepted
    return {
        "id": subject.public_id,
        "change": _change(told.change),
        "also": _change(told.also) if told.also else None,
        "now": told.now.isoformat(),
        "finding": told.headline,
        "reads_afresh": told.reads_afresh,
        "concerned": told.concerned,
        "answers": [{"verifier": each.verifier, "delay_ms": each.delay_ms} for each in told.answers],
        "silences": [
            {
                "verifier": each.verifier,
                "ends_at": each.ends_at.isoformat(),
                "ended": each.ended,
                "stopped": each.stopped,
            }
            for each in told.silences
        ],
        "slowest_ms": told.slowest_ms,
        "settled": told.is_settled,
        "settled_at": told.settled_at.isoformat() if told.settled_at else None,
        "last_accepted": {
            "id": accepted.public_id or None,
            "at": accepted.at.isoformat(),
            "until": accepted.until.isoformat() if accepted.until else None,
        }
        if accepted
        else None,
        "recorded_until": told.recorded_until.isoformat() if told.recorded_until else None,
        "contradicted": bool(told.warning),
    }


def _change(change: Change) -> dict[str, str]:
    return {"of": change.kind, "status": change.status, "at": change.at.isoformat()}
