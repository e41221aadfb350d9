"""Spool files: a line holds one request, whatever was sent, and both databases store what it says."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from keys import spool
from keys.gateway.calls import subject
from keys.identifiers import new_id
from keys.keyformat import scrub
from keys.models import RecordingLoss, RequestLog
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from keys.outcomes import Outcome
from keys.spool import REQUEST_ID_MAX, Record
from tests.database import undone
from tests.recounts import assert_rollups_equal_rows
from tests.spooled import drain

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
RECORDED = [outcome.value for outcome in Outcome if outcome not in {Outcome.MALFORMED, Outcome.NOT_FOUND}]
# What a header, a path or a hand can hold: also halves of characters, and what means something to COPY.
TEXT = st.text(max_size=40) | st.text("\\\t\n\r\x00.Ntrn! aé\x85\u2028\ud800", max_size=20)
RECORDS = st.builds(
    Record,
    key_id=st.uuids(),
    merchant_id=st.uuids(),
    at=st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    method=TEXT,
    path=TEXT,
    status=st.integers(100, 599),
    outcome=st.sampled_from(RECORDED),
    duration_us=st.integers(0, 999_999_999),
    address=st.none() | st.ip_addresses().map(str),
    request_id=TEXT,
    id=st.uuids(),
    reported=st.booleans(),
)
GOOD = Record(
    key_id=UUID(int=1),
    merchant_id=UUID(int=2),
    at=NOON + timedelta(microseconds=345),
    method="GET",
    path="/v1/payments/é\\pay",
    status=200,
    outcome="VALID",
    duration_us=1500,
    address="203.0.113.7",
    request_id="r 1",
    id=UUID(int=3),
)


def as_kept(record: Record) -> Record:
    """`record` as a page can show it."""
    return replace(
        record,
        method=printable(record.method, METHOD_MAX),
        path=printable(record.path, PATH_MAX),
        request_id=printable(record.request_id, REQUEST_ID_MAX),
    )


def stored() -> dict[UUID, Record]:
    """What is in the table. Of one address, the databases and Python's versions have several spellings."""
    return {row.id: kept_alike(Record(**as_dict(row))) for row in RequestLog.objects.all()}


def kept_alike(record: Record) -> Record:
    return replace(record, address=record.address and str(ip_address(record.address)))


def as_dict(record: Record | RequestLog) -> dict:
    return {name: getattr(record, name) for name in Record.__dataclass_fields__}


@given(RECORDS)
def test_a_line_holds_exactly_its_record(record: Record) -> None:
    line = spool.line(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert spool.parse(line.decode()) == as_kept(record)
    what, rest = spool.COUNTED.fullmatch(line.decode()).groups()
    counted = "status", "outcome", "key_id", "merchant_id", "at"
    assert what == spool.counted(**{name: getattr(record, name) for name in counted})
    assert what.split("\t")[-1] + rest == spool.moment(record.at)


@given(TEXT, TEXT)
@example("sk_live_" + "a1B2" * 10, "/v1/sk_test_" + "a1B2" * 10)
def test_the_verifier_composes_one_line_whatever_was_sent(method: str, path: str) -> None:
    written = subject(method, path, None)
    line = spool.compose(
        id=GOOD.id.hex,
        holder=spool.holder_columns(GOOD.key_id, GOOD.merchant_id),
        at=spool.moment(NOON),
        method=written.method,
        path=written.path,
        status=200,
        outcome="VALID",
        duration_us=12,
        address=spool.NONE,
    )
    parsed = spool.parse(line.decode())
    assert parsed.method == printable(scrub(method), METHOD_MAX)
    assert parsed.path == printable(scrub(path), PATH_MAX)
    assert (parsed.address, parsed.request_id, parsed.reported) == (None, "", False)


@pytest.mark.django_db
@given(st.lists(RECORDS, min_size=1, max_size=5, unique_by=lambda record: record.id))
@example([GOOD])
def test_the_database_stores_what_the_lines_say(records: list[Record]) -> None:
    with undone():
        drain(b"".join(map(spool.line, records)))
        assert stored() == {record.id: as_kept(record) for record in records}
        assert_rollups_equal_rows()
        assert not RecordingLoss.objects.exists()


@pytest.mark.django_db
@given(st.lists(RECORDS, min_size=1, max_size=4, unique_by=lambda record: record.id))
def test_one_by_one_the_database_stores_the_same(records: list[Record]) -> None:
    """A line that is no record sends the others another way."""
    with undone():
        drain(b"".join([*map(spool.line, records), b"rubbish\n"]))
        assert stored() == {record.id: as_kept(record) for record in records}
        assert_rollups_equal_rows()
        assert RecordingLoss.objects.get().requests == 1


FIELDS = spool.line(GOOD).decode().removesuffix("\n").split("\t")
DAMAGE = {
    "id": ("", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "A", "\\N"),
    "key_id": ("", "\\N"),
    "merchant_id": ("key",),
    "at": (
        *("2026-02-30 12:00:00.000000+00:00", "2026-13-01 12:00:00.000000+00:00", "0000-01-01 00:00:00.000000+00:00"),
        *("2026-03-29 24:00:00.000000+00:00", "2026-03-29 12:60:00.000000+00:00", "2026-03-29 12:00:60.000000+00:00"),
        *("2026-03-29 12:00:00+00:00", "2026-03-29 12:00:00.000000", "2026-03-29 12:00:00.000000+01:00", "now", ""),
        "\u0662\u0660\u0662\u0666-03-29 12:00:00.000000+00:00",
    ),
    "method": ("G\x00T", "G\rT", "\\N", "\\", "\\q", "\x7f", "\u202e", "\ud800", "\x85"),
    "path": ("/\x00", "/\x1b[31m", "/\\", "/\\x41", "/\\.", "/\u2028", "/\udcff"),
    "status": ("", "099", "600", "20", "2000", "OK", "-200", "\uff12\uff10\uff10"),
    "outcome": ("", "valid", "LOST", "VALID "),
    "duration_us": ("", "-1", "1.5", "1000000000", "\u0661"),
    "address": ("", "::::::", "1.2.3", "999.0.0.1", "localhost", "1.2.3.4/24", "fe80::1%eth0", "\\n"),
    "request_id": ("\\N", "\\", "a\x01"),
    "reported": ("", "true", "T", "1"),
}  # fmt: skip


def damaged(column: str, value: str) -> str:
    fields = list(FIELDS)
    fields[spool.COLUMNS.index(column)] = value
    return "\t".join(fields) + "\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "line",
    [
        *(
            pytest.param(damaged(column, value), id=f"{column}={value!a}")
            for column, values in DAMAGE.items()
            for value in values
        ),
        pytest.param("\n", id="nothing"),
        pytest.param("\t".join(FIELDS[:-1]) + "\n", id="a field less"),
        pytest.param("\t".join([*FIELDS, "t"]) + "\n", id="a field more"),
        pytest.param("\t".join(FIELDS)[40:] + "\n", id="the second half"),
        pytest.param("\t".join(FIELDS) * 2 + "\n", id="two in one"),
        pytest.param(" " + "\t".join(FIELDS) + "\n", id="not from its beginning"),
        pytest.param("\\.\n", id="the end of COPY"),
        pytest.param(f"{spool.LOST}no_reason\t1\n", id="lost for no known reason"),
        pytest.param(f"{spool.LOST}unreadable\t-1\n", id="less than none lost"),
        pytest.param(f"{spool.LOST}unreadable\t\n", id="nobody knows how many lost"),
    ],
)
def test_a_damaged_line_is_no_record_and_stops_no_other(line: str) -> None:
    if not line.startswith(spool.LOST):
        with pytest.raises(ValueError):  # noqa: PT011 - each field has its own
            spool.parse(line)
    others = [replace(GOOD, id=new_id(NOON)) for _ in range(2)]
    before, after = (spool.line(other).decode() for other in others)
    drain((before + line + after).encode(errors="surrogatepass"))
    assert stored() == {other.id: other for other in others}
    assert_rollups_equal_rows()
    lost = RecordingLoss.objects.get()
    assert (lost.reason, lost.requests, lost.host) == ("unreadable", 1, spool.HOST)


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["method", "path", "request_id"])
def test_a_text_that_is_too_long_is_cut_by_both_databases(column: str) -> None:
    """As `compose` would have done; nothing that fits a page is refused."""
    drain(damaged(column, "x" * 5000).encode())
    (record,) = stored().values()
    maximum = {"method": METHOD_MAX, "path": PATH_MAX, "request_id": REQUEST_ID_MAX}[column]
    assert getattr(record, column) == "x" * maximum


@pytest.mark.django_db
@given(st.integers(0, len(spool.line(GOOD)) - 2), st.integers(0, 255))
def test_a_byte_that_flipped_never_stops_the_others(place: int, byte: int) -> None:
    """The line is another record then, or none."""
    line = bytearray(spool.line(GOOD))
    assume(byte != 10)
    line[place] = byte
    other = replace(GOOD, id=UUID(int=77))
    with undone():
        drain(bytes(line) + spool.line(other))
        assert stored()[other.id] == other
        lost = sum(loss.requests for loss in RecordingLoss.objects.all())
        assert len(stored()) + lost == 2
        assert_rollups_equal_rows()


@pytest.mark.parametrize("text", ["\\t" * 200_000, "a" * 400_000, "\\\\" * 200_000, "é" * 200_000])
def test_no_line_takes_for_ever(text: str) -> None:
    began = time.monotonic()
    for line in (damaged("path", text + "\x00"), damaged("method", text).replace("VALID", "LOST")):
        assert not spool.LINE.findall(line)
        assert not spool.COUNTED.findall(line)
        with pytest.raises(ValueError, match="not a line"):
            spool.parse(line)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("reason", RecordingLoss.Reason.values)
def test_losses_are_told_in_a_line_too(reason: str) -> None:
    line = spool.lost_line(reason, 1234).decode()
    assert spool.parse_lost(line) == (reason, 1234)
    assert not spool.LINE.findall(line)
    assert line.startswith(spool.LOST)


def test_the_backlog_is_what_no_drain_has_taken(tmp_path: Path) -> None:
    assert spool.backlog_bytes(tmp_path / "nowhere") == 0
    for name, size in (("b", 100), ("a", 30)):
        (tmp_path / f"{name}{spool.SUFFIX}").write_bytes(b"x" * size)
    (tmp_path / "c.new").write_bytes(b"x" * 50)
    assert [path.name for path in spool.files(tmp_path)] == ["a.spool", "b.spool"]
    assert spool.backlog_bytes(tmp_path) == 130
    spool.note_position(tmp_path / "b.spool", 60)
    assert spool.position(tmp_path / "b.spool") == 60
    assert spool.backlog_bytes(tmp_path) == 70
    spool.note_position(tmp_path / "b.spool", 200)
    assert spool.backlog_bytes(tmp_path) == 30
    spool.remove(tmp_path / "b.spool")
    spool.remove(tmp_path / "b.spool")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.spool", "c.new"]


def test_a_note_that_is_half_written_is_none(tmp_path: Path) -> None:
    path = tmp_path / f"a{spool.SUFFIX}"
    path.write_bytes(b"x" * 10)
    spool.note_position(path, 7)
    path.with_suffix(spool.POSITION).write_bytes(b"")
    assert spool.position(path) == 0
    assert spool.backlog_bytes(tmp_path) == 10


def test_the_columns_are_those_of_the_table() -> None:
    assert set(spool.COLUMNS) == {field.column for field in RequestLog._meta.concrete_fields}
    assert re.fullmatch(spool.LINE, "\t".join(FIELDS) + "\n").groups() == tuple(FIELDS)
