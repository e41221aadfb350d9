"""Spool files: a request is recorded in one before it is answered, and a drain moves it into the database later.

Each process that answers appends to a file of its own, which it keeps locked while it lives; a file that can be locked
is a dead process's, and whoever drains adopts it. A line is one request, in the text format of PostgreSQL's COPY and
with the columns of `COLUMNS`, so that PostgreSQL takes it as it is. A line that begins with `!lost` tells of requests
that could not be written down.

Beside `<name>.spool` the drain keeps `<name>.position`, how far it has come, for whoever wants to know how fresh the
figures are. The truth about that is in the database (keys.models.SpoolFile), where it commits with the rows.
"""

import fcntl
import re
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from operator import itemgetter
from pathlib import Path
from uuid import UUID

from django.conf import settings

from keys.identifiers import new_id
from keys.models.recording import RecordingLoss
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from keys.outcomes import Outcome

SUFFIX = ".spool"
POSITION = ".position"
DRAIN_LOCK = "drain.lock"
REQUEST_ID_MAX = 64
HOST = socket.gethostname()[:255]
# What is counted stands together, so that a drain finds it in each line as one text, and sorts by whose request it was.
COLUMNS = (
    "id", "merchant_id", "key_id", "status", "outcome", "at", "method", "path", "duration_us", "address", "request_id",
    "reported",
)  # fmt: skip
NONE = "\\N"
LOST = "!lost\t"
# Who reads the figures waits no longer than this for those of the last moment.
SETTLE_SECONDS = 0.25
SETTLE_BYTES = 64 * 1024
# What is read of each file to find the first request in it that waits.
LOOK_BYTES = 64 * 1024

# Text as COPY has it. What has matched is not tried another way: no damaged line takes for ever.
_TEXT = r"[^\x00-\x1f\x7f\\]*+(?:\\[tnr\\][^\x00-\x1f\x7f\\]*+)*+"
_MINUTE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]) (?:[01][0-9]|2[0-3]):[0-5][0-9]"
_IN_THE_MINUTE = r":[0-5][0-9]\.[0-9]{6}\+00:00"
# One line, field by field: nothing else is a record, whoever wrote it.
_FIELDS = {
    "id": "[0-9a-f]{32}",
    "merchant_id": "[0-9a-f]{32}",
    "key_id": "[0-9a-f]{32}",
    "status": "[1-5][0-9]{2}",
    "outcome": f"(?:{'|'.join(Outcome.values)})",
    "at": _MINUTE + _IN_THE_MINUTE,
    "method": _TEXT,
    "path": _TEXT,
    "duration_us": "[0-9]{1,9}",
    "address": r"\\N|[0-9A-Fa-f.:]{2,45}",
    "request_id": _TEXT,
    "reported": "[tf]",
}


def _whole(fields: Iterable[str]) -> re.Pattern[str]:
    return re.compile("^" + "\t".join(fields) + "\n", re.MULTILINE)


# Matches a line, and tells its fields.
LINE = _whole(f"({field})" for field in _FIELDS.values())
# Where LINE has its texts.
_TEXTS = [COLUMNS.index(name) for name in ("method", "path", "request_id")]
# Matches a line, and tells the text that `counted` gives, and the time since the beginning of its minute.
_WHAT = "\t".join([*itemgetter("merchant_id", "key_id", "status", "outcome")(_FIELDS), _MINUTE])
_REST = [f"(?:{_FIELDS[name]})" for name in COLUMNS[COLUMNS.index("at") + 1 :]]
COUNTED = _whole([_FIELDS["id"], f"({_WHAT})({_IN_THE_MINUTE})", *_REST])
_LOST_LINE = re.compile(rf"{LOST}({'|'.join(RecordingLoss.Reason.values)})\t([0-9]{{1,15}})\n")
_PLAIN = re.compile(r"[!-\[\]-~]*", re.ASCII)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_ESCAPED = re.compile(r"\\([tnr\\])")
_UNESCAPED = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Record:
    """One finished request made with a known key. `path` has no query string.

    `reported`: `status` is what the API answered; otherwise it is that of the verdict. `request_id` is what others call
    the request.
    """

    key_id: UUID
    merchant_id: UUID
    at: datetime
    method: str
    path: str
    status: int
    outcome: str
    duration_us: int
    address: str | None = None
    request_id: str = ""
    # None: a fresh id of the moment `at`, since a range of time is read as a range of ids.
    id: UUID | None = None
    reported: bool = False


def compose(
    *,
    id: str,
    holder: str,
    at: str,
    method: str,
    path: str,
    status: int,
    outcome: str,
    duration_us: int,
    address: str,
    request_id: str = "",
    reported: str = "f",
) -> bytes:
    """The line of one request, from texts as the database takes them.

    `holder` is `holder_columns(…)`, `at` is `moment(…)`, `method`, `path` and `request_id` are `written(…)`, and
    `address` is `NONE` where it is not known.
    """
    return (
        f"{id}\t{holder}\t{status}\t{outcome}\t{at}\t{method}\t{path}\t"
        f"{duration_us}\t{address}\t{request_id}\t{reported}\n"
    ).encode()


def line(record: Record) -> bytes:
    """The line of a record that may come from anywhere."""
    return compose(
        id=(record.id or new_id(record.at)).hex,
        holder=holder_columns(record.key_id, record.merchant_id),
        at=moment(record.at),
        method=written(record.method, METHOD_MAX),
        path=written(record.path, PATH_MAX),
        status=record.status,
        outcome=record.outcome,
        duration_us=record.duration_us,
        address=record.address or NONE,
        request_id=written(record.request_id, REQUEST_ID_MAX),
        reported="t" if record.reported else "f",
    )


def parse(line: str) -> Record:
    """The record that a line holds; raises ValueError where it holds none."""
    match = LINE.fullmatch(line)
    if match is None or not is_printable(match.groups()):
        raise ValueError("not a line of a spool file")
    id_, merchant, key, status, outcome, at, method, path, duration, address, request_id, reported = (
        match.groups()
    )
    return Record(
        id=UUID(id_),
        key_id=UUID(key),
        merchant_id=UUID(merchant),
        at=datetime.fromisoformat(at),
        method=unescape(method),
        path=unescape(path),
        status=int(status),
        outcome=outcome,
        duration_us=int(duration),
        address=None if address == NONE else str(ip_address(address)),
        request_id=unescape(request_id),
        reported=reported == "t",
    )


def counted(*, status: int, outcome: str, key_id: UUID, merchant_id: UUID, at: datetime) -> str:
    """What a request counts as: merchant account, key, status, outcome and minute, as a line has them."""
    minute = moment(at)[: len("2026-03-01 12:34")]
    return f"{holder_columns(key_id, merchant_id)}\t{status}\t{outcome}\t{minute}"


def is_printable(fields: Sequence[str]) -> bool:
    """Whether the texts among the fields of a line are what a page can show."""
    return all(fields[place].isprintable() for place in _TEXTS)


def parse_lost(line: str) -> tuple[str, int]:
    """Why, and how many, of a line that begins with LOST; what is damaged counts as one that cannot be read."""
    match = _LOST_LINE.fullmatch(line)
    return (match[1], int(match[2])) if match else (RecordingLoss.Reason.UNREADABLE, 1)


def holder_columns(key_id: UUID, merchant_id: UUID) -> str:
    return f"{merchant_id.hex}\t{key_id.hex}"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(" ", "microseconds")


def written(text: str, maximum: int) -> str:
    """`text` as a line can hold it, a database store it and a page show it."""
    if len(text) <= maximum and _PLAIN.fullmatch(text):
        return text
    return printable(text, maximum).translate(_ESCAPES)


def unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _UNESCAPED[match[1]], text) if "\\" in text else text


def lost_line(reason: str, requests: int) -> bytes:
    return f"{LOST}{reason}\t{requests}\n".encode()


def directory() -> Path:
    return Path(settings.KEYS_SPOOL_DIR)


def files(folder: Path) -> list[Path]:
    """The spool files, oldest first: their names begin with the time of their making."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return []


def backlog_bytes(folder: Path) -> int:
    """What is written down and not yet in the database, about."""
    waiting = 0
    for path in files(folder):
        with suppress(FileNotFoundError):
            waiting += max(0, path.stat().st_size - position(path))
    return waiting


def waiting_since(folder: Path) -> datetime | None:
    """When the first request came that is written down and not yet in the database, about; None without any."""
    return min(filter(None, map(_first_waiting, files(folder))), default=None)


def _first_waiting(path: Path) -> datetime | None:
    """A file is written in the order of the answers: hardly any request in it came before the first of them."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(position(path))
        found = LINE.search(file.read(LOOK_BYTES).decode(errors="surrogateescape"))
        return datetime.fromisoformat(found[COLUMNS.index("at") + 1]) if found else None
    return None


def position(path: Path) -> int:
    """How far the spool file has been drained, as the drain has last noted it."""
    try:
        return int.from_bytes(path.with_suffix(POSITION).read_bytes())
    except FileNotFoundError:
        return 0


def note_position(path: Path, position: int) -> None:
    with suppress(OSError), path.with_suffix(POSITION).open("wb", buffering=0) as file:
        file.write(position.to_bytes(8))


def remove(path: Path) -> None:
    """Remove a spool file that is in the database, all of it: last, so that nothing is left beside it."""
    path.with_suffix(POSITION).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def is_drained(folder: Path) -> bool:
    """Whether somebody is draining this folder now."""
    try:
        with (folder / DRAIN_LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def settle(folder: Path) -> None:
    """Wait until the requests of the last moment are in the figures, so that who made one sees it counted.

    It is not waited for a backlog: it would take long, and nobody knows one request among so many.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while 0 < backlog_bytes(folder) <= SETTLE_BYTES and time.monotonic() < deadline and is_drained(folder):
        time.sleep(0.005)
