"""`manage.py verify_history`: whether every row of the history is what was written, and where it was."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from django.db.models import Sum
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keys import chain, integrity
from keys.chain import Finding, Head
from keys.identifiers import HISTORY, encode
from keys.integrity import BadHeads, Verification
from keys.models import HistoryHead

# Beside 0, which is: every row is what was written.
BENT, REFUSED, INTERRUPTED = 1, 2, 130


class Command(BaseCommand):
    help = (
        "Verify the chains of the history: find rows that were edited, removed, inserted or put in another order, and "
        "an end that was cut off. Heads that are exported with --heads and kept elsewhere show later, with --against, "
        "whether a chain was written anew. Nothing is changed, and nobody has to wait. Ends with 0 when every row is "
        "what was written, 1 when one is not, 2 when it was refused or the database cannot be used, 130 at Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--merchant",
            metavar="ID",
            help="look at the chain of one merchant account (mch_…), or of what belongs to none (platform)",
        )
        parser.add_argument(
            "--heads",
            metavar="FILE",
            help="write the last row of each chain there, if all is well; - is standard output",
        )
        parser.add_argument(
            "--against",
            metavar="FILE",
            help="compare with heads that were written earlier; - is standard input",
        )
        parser.add_argument(
            "--json", action="store_true", help="print JSON lines: the findings, then a summary"
        )

    def handle(self, *, merchant: str | None, heads: str | None, against: str | None, **options: Any) -> None:
        if heads == "-" and options["json"]:
            raise CommandError("Of --heads - and --json, one can have standard output.", returncode=REFUSED)
        self.as_json = options["json"]
        # Where the heads go to standard output, they are all that goes there.
        self.console = Console(highlight=False, markup=False, soft_wrap=True, stderr=heads == "-")
        try:
            with ExitStack() as files:
                kept = files.enter_context(reading(against)) if against else ()
                writing = files.enter_context(written_whole(heads)) if heads else None
                self.verify(integrity.chain_named(merchant) if merchant else None, kept, writing)
        except BadHeads as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.", returncode=REFUSED) from error
        except OperationalError as error:
            message = f"The database cannot be used: {str(error).strip()}"
            raise CommandError(message, returncode=REFUSED) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped before the end.", returncode=INTERRUPTED) from None

    def verify(self, only: UUID | None, kept: Any, heads: IO[str] | None) -> None:
        found = 0
        with progress_bar(only) as bar:
            verification = Verification(
                only=only,
                kept=integrity.read_heads(kept, only=only),
                advance=lambda rows: bar.advance(bar.task_ids[0], rows),
                ended=lambda head: keep(head, heads),
            )
            for finding in verification.findings():
                found += 1
                self.tell(finding)
        rows, chains = verification.rows, verification.chains
        if only and not chains:
            raise CommandError("There is no chain with this ID.", returncode=REFUSED)
        if self.as_json:
            self.stdout.write(
                json.dumps({"whole": not found, "rows": rows, "chains": chains, "findings": found})
            )
        if found:
            places = "One place is" if found == 1 else f"{found:,} places are"
            unkept = " No heads were written." if heads else ""
            raise CommandError(f"{places} not as it was written.{unkept}", returncode=BENT)
        if not self.as_json:
            self.console.print(f"{counted(rows, 'row')} in {counted(chains, 'chain')}: as they were written.")

    def tell(self, finding: Finding) -> None:
        entry = encode(HISTORY, finding.entry_id) if finding.entry_id else None
        if not self.as_json:
            self.console.print(f"{finding}{f' ({entry})' if entry else ''}")
            return
        told = {
            "chain": chain.chain_name(finding.chain),
            "kind": finding.kind,
            "first": finding.sequence,
            "last": finding.last,
            "entry": entry,
            "detail": finding.detail,
        }
        self.stdout.write(json.dumps(told))


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def keep(head: Head, file: IO[str] | None) -> None:
    if file and head.sequence:
        file.write(integrity.exported(head) + "\n")


@contextmanager
def progress_bar(only: UUID | None) -> Iterator[Progress]:
    heads = HistoryHead.objects.all() if only is None else HistoryHead.objects.filter(chain=only)
    console = Console(stderr=True)
    columns = (TextColumn("Rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task("Rows", total=heads.aggregate(rows=Sum("sequence"))["rows"] or 0)
        yield bar


def reading(name: str) -> Any:
    return nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8")


@contextmanager
def written_whole(name: str) -> Iterator[IO[str]]:
    """A file that is there only when all of it is: not where anything has gone wrong."""
    if name == "-":
        yield sys.stdout
        return
    target = Path(name)
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}-", delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            yield file
        except BaseException:
            temporary.unlink()
            raise
    temporary.replace(target)
