"""Reading a spool file batch by batch, each while the one before goes into the database."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import spool
from keys.gateway import batches, rollups
from keys.gateway.batches import Batch, Reader, prepared
from keys.identifiers import new_id
from keys.outcomes import Outcome
from keys.spool import Record

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
KEYS = [(new_id(), new_id()) for _ in range(2)]
PATIENCE_SECONDS = 10


def record(
    at: datetime = NOON, key: int = 0, status: int = 200, outcome: str = Outcome.VALID.value
) -> Record:
    return Record(*KEYS[key], at, "GET", "/v1/payments", status, outcome, 12, id=new_id(at))


LINES = [spool.line(record(NOON + timedelta(seconds=number))) for number in range(9)]


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "some.spool"
    path.write_bytes(b"".join(LINES))
    with path.open("rb") as file:
        yield file.fileno()


@pytest.fixture
def reads(monkeypatch) -> list[tuple[int, str]]:
    """Where each batch began, and which thread read it; each holds two whole lines and a piece of the third."""
    monkeypatch.setattr(batches, "BATCH_BYTES", 2 * len(LINES[0]) + 40)
    read, seen = batches.read, []

    def told(descriptor: int, position: int) -> Batch:
        seen.append((position, threading.current_thread().name.partition("_")[0]))
        return read(descriptor, position)

    monkeypatch.setattr(batches, "read", told)
    return seen


def test_each_line_is_in_one_batch_and_the_next_one_is_read_ahead(descriptor, reads) -> None:
    found, position = [], 0
    with Reader(descriptor) as reader:
        while True:
            batch = reader.batch(position)
            assert batch.position == position
            found.append(batch.text)
            position = batch.end
            if batch.is_last:
                break
    assert "".join(found).encode() == b"".join(LINES)
    assert [text.count("\n") for text in found] == [2, 2, 2, 2, 1]
    own, *ahead = (thread for _, thread in reads)
    assert own == threading.current_thread().name
    assert ahead == ["read-ahead"] * 4


def test_what_was_read_ahead_is_forgotten_where_somebody_else_has_taken_it(descriptor, reads) -> None:
    elsewhere = len(LINES[0]) * 5
    with Reader(descriptor) as reader:
        reader.batch(0)
        batch = reader.batch(elsewhere)
        assert batch.position == elsewhere
        assert batch.text.encode() == b"".join(LINES[5:7])
        assert reader.batch(batch.end).text.encode() == b"".join(LINES[7:])


def test_nothing_is_read_once_the_file_may_be_closed(descriptor, monkeypatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", len(LINES[0]))
    began, go_on = threading.Event(), threading.Event()
    pread, ended = os.pread, []

    def slow(*args: int) -> bytes:
        if threading.current_thread().name.startswith("read-ahead"):
            began.set()
            go_on.wait(PATIENCE_SECONDS)
        try:
            return pread(*args)
        finally:
            ended.append(args)

    monkeypatch.setattr(os, "pread", slow)
    with Reader(descriptor) as reader:
        reader.batch(0)
        assert began.wait(PATIENCE_SECONDS)
        threading.Timer(0.05, go_on.set).start()
    assert len(ended) == 2


def test_what_goes_wrong_ahead_is_told_when_it_is_wanted(descriptor, reads, monkeypatch) -> None:
    pread = os.pread

    def failing(descriptor: int, size: int, position: int) -> bytes:
        if position:
            raise OSError("the disk has gone")
        return pread(descriptor, size, position)

    monkeypatch.setattr(os, "pread", failing)
    with Reader(descriptor) as reader:
        batch = reader.batch(0)
        with pytest.raises(OSError, match="the disk has gone"):
            reader.batch(batch.end)
    assert [thread for _, thread in reads] == [threading.current_thread().name, "read-ahead"]


@given(
    st.lists(
        st.builds(
            record,
            at=st.integers(0, 10**11).map(lambda microseconds: NOON + timedelta(microseconds=microseconds)),
            key=st.integers(0, 1),
            status=st.sampled_from([200, 401, 403, 500]),
            outcome=st.sampled_from([Outcome.VALID.value, Outcome.DISABLED.value]),
        ),
        max_size=8,
    )
)
def test_what_lines_add_up_to_is_what_their_records_do(records: list[Record]) -> None:
    batch = prepared(b"".join(map(spool.line, records)).decode())
    assert batch.are_records
    lines = batch.text.encode().splitlines(keepends=True)
    assert sorted(lines) == sorted(map(spool.line, records))
    assert lines == sorted(lines, key=lambda line: line.split(b"\t")[1:3])
    assert batch.increments == rollups.increments(rollups.tally(records))
    assert batch.last_uses == {
        key.hex: spool.moment(max(each.at for each in records if each.key_id == key))
        for key in {each.key_id for each in records}
    }
    counts = rollups.usage_by_minute(records)
    assert {
        (datetime.fromisoformat(f"{at}+00:00"), subject): count
        for (at, subject), count in batch.increments.minutes
    } == {(at, subject.hex): count for (at, subject), count in counts.items()}
    assert {
        (datetime.fromisoformat(f"{at}+00:00"), subject): count
        for (at, subject), count in batch.increments.hours
    } == {(at, subject.hex): count for (at, subject), count in rollups.usage_by_hour(counts).items()}


@pytest.mark.parametrize("piece", [1, 10, 200, 100_000])
def test_lines_are_found_however_the_search_is_divided(piece: int, monkeypatch) -> None:
    monkeypatch.setattr(batches, "PIECE_CHARACTERS", piece)
    text = b"".join(LINES).decode()
    assert prepared(text).are_records
    assert sum(count[0] for _, count in prepared(text).increments.minutes) == 2 * len(LINES)
    assert not prepared(f"{text}rubbish\n").are_records
    assert not prepared(f"rubbish\n{text}").are_records


def test_of_lines_that_are_no_records_nothing_is_counted() -> None:
    batch = prepared("rubbish\n" + spool.line(replace(record(), status=500)).decode())
    assert not batch.are_records
    assert (batch.increments.minutes, batch.increments.hours, batch.last_uses) == ([], [], {})
