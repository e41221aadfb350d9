"""A log file line by line: where reading goes on, and what becomes of it when the file is turned over or damaged."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keys.gateway import logfile
from keys.gateway.logfile import CHUNK_BYTES, LogFile, NotALogFile, Positions
from keys.models import ApiKey, RequestLog
from tests.factories import ApiKeyFactory
from tests.recounts import assert_rollups_equal_rows
from tests.test_gateway_server import database_url
from tests.test_import_requests import (  # noqa: F401
    ROOT,
    log_file,
    nginx,
    own_positions,
    recorded,
    run,
    statuses,
)

pytestmark = pytest.mark.django_db

PATIENCE_SECONDS = 60


@pytest.fixture
def positions(tmp_path: Path) -> Positions:
    return Positions(tmp_path / "positions")


@pytest.fixture
def opened(positions: Positions) -> Iterator[Callable[[Path], LogFile]]:
    files = []

    def open_(path: Path) -> LogFile:
        files.append(LogFile(path, positions))
        return files[-1]

    yield open_
    for file in files:
        file.close()


def test_lines_come_once_whole_and_in_order(log: Path, opened) -> None:
    log.write_bytes(b"one\ntwo\nthr")
    file = opened(log)
    assert file.lines(1) == [b"one"]
    assert file.lines(5) == [b"two"]
    assert file.lines(5) == []
    assert file.remainder() == b"thr"
    with log.open("ab") as more:
        more.write(b"ee\nfour\n")
    assert file.lines(5) == [b"three", b"four"]
    assert file.remainder() == b""


def test_it_goes_on_where_it_was(log: Path, opened) -> None:
    log.write_bytes(b"one\ntwo\nthree\n")
    file = opened(log)
    file.lines(2)
    file.note()
    file.lines(1)
    assert opened(log).lines(5) == [b"three"]


def test_notes_are_for_the_file_and_not_for_its_name(log: Path, opened) -> None:
    log.write_bytes(b"one\n")
    file = opened(log)
    file.lines(5)
    file.note()
    renamed = log.rename(log.with_suffix(".1"))
    log.write_bytes(b"two\n")
    assert opened(log).lines(5) == [b"two"]
    assert opened(renamed).lines(5) == []


@pytest.mark.parametrize("content", [b"other\nlines\n", b"x\n", b""])
def test_notes_about_a_file_that_was_written_anew_are_not_believed(log: Path, opened, content: bytes) -> None:
    log.write_bytes(b"one\ntwo\n")
    file = opened(log)
    file.lines(5)
    file.note()
    log.write_bytes(content)
    assert b"\n".join([*opened(log).lines(5), b""]) == content


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"position": -1, "head": ""}', b'{"position": 99, "head": "00"}']
)
def test_damaged_notes_are_no_notes(log: Path, opened, tmp_path: Path, damage: bytes) -> None:
    log.write_bytes(b"one\n")
    file = opened(log)
    file.lines(5)
    file.note()
    (note,) = (tmp_path / "positions").iterdir()
    note.write_bytes(damage)
    assert opened(log).lines(5) == [b"one"]


def test_notes_that_cannot_be_kept_stop_nothing(log: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log.write_bytes(b"one\n")
    with logfile.opened(log, Positions(tmp_path / "file")) as file:
        assert file.lines(5) == [b"one"]
        file.note()


def test_notes_of_files_long_gone_are_forgotten(log: Path, opened, positions, tmp_path: Path) -> None:
    log.write_bytes(b"one\n")
    opened(log).note()
    (note,) = (tmp_path / "positions").iterdir()
    positions.forget_old()
    assert note.exists()
    os.utime(note, (0, 0))
    positions.forget_old()
    assert not note.exists()


@pytest.mark.parametrize("content", [b"2\n", b"another first line\nand more\n"])
def test_a_file_that_is_truncated_is_read_from_its_beginning(log: Path, opened, content: bytes) -> None:
    """As `copytruncate` does it; that it is longer than it was before the next look changes nothing."""
    log.write_bytes(b"one\ntwo\n")
    file = opened(log)
    assert file.lines(5) == [b"one", b"two"]
    file.note()
    with log.open("r+b") as same:
        same.truncate()
        same.write(content)
    assert file.lines(5) == content.splitlines()
    assert file.lines(5) == []


def test_a_file_that_is_renamed_is_read_to_its_end_first(log: Path, opened) -> None:
    log.write_bytes(b"one\n")
    file = opened(log)
    assert file.lines(5) == [b"one"]
    old = log.rename(log.with_suffix(".1"))
    assert not file.is_replaced()
    log.write_bytes(b"three\n")
    # The server has not opened the new file yet.
    with old.open("ab") as same:
        same.write(b"two\n")
    assert not file.is_replaced()
    assert file.lines(5) == [b"two"]
    os.utime(old, (time.time() - 60,) * 2)
    assert file.is_replaced()
    file.reopen()
    assert file.lines(5) == [b"three"]
    assert not file.is_replaced()


def test_a_line_without_end_is_passed_over(log: Path, opened) -> None:
    log.write_bytes(b"x" * (CHUNK_BYTES * 2 + 5) + b"\nnext\n")
    file = opened(log)
    found = []
    while lines := file.lines(1000):
        found += lines
    assert found[-1] == b"next"
    assert len(found) == 4
    assert all(len(line) <= 256 for line in found)


def test_the_last_line_counts_without_its_end_once_it_is_whole(api_key: ApiKey, log: Path) -> None:
    first, second = recorded(api_key, number=2)
    line = nginx(api_key, second, status=500)
    log.write_bytes(nginx(api_key, first, status=500) + line[:30])
    assert "Imported 1 requests" in run(log)
    with log.open("ab") as more:
        more.write(line[30:-1])
    assert "Imported 1 requests" in run(log)
    with log.open("ab") as more:
        more.write(b"\n")
    assert run(log) == "Imported 0 requests; 0 were known already.\n"
    assert statuses(api_key) == [500, 500]


def test_a_directory_is_no_log_file(tmp_path: Path, positions: Positions) -> None:
    with pytest.raises(NotALogFile):
        LogFile(tmp_path, positions)


@contextmanager
def following(log: Path, data: Path) -> Iterator[subprocess.Popen]:
    environ = os.environ | {
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(data),
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_requests", str(log), "--follow"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_followed_through_rotation_and_truncation_each_request_is_corrected_once(
    log, tmp_path, number
) -> None:
    key = ApiKeyFactory()
    ids = recorded(key, number=8)
    lines = [nginx(key, id_, status=500 + place) for place, id_ in enumerate(ids)]

    def corrected(count: int) -> Callable[[], bool]:
        return lambda: RequestLog.objects.filter(reported=True).count() == count

    def append(path: Path, *texts: bytes) -> None:
        with path.open("ab") as file:
            file.write(b"".join(texts))

    with following(log, tmp_path / "data") as process:
        # It waits for the file, and for the end of a line.
        append(log, lines[0], lines[1][:50])
        until(corrected(1))
        append(log, lines[1][50:])
        until(corrected(2))
        # Renamed; the server writes two more lines before it opens the new file.
        rotated = log.rename(log.with_suffix(".1"))
        append(rotated, lines[2])
        append(log, lines[4])
        append(rotated, lines[3])
        until(corrected(5))
        # Emptied, as `copytruncate` does.
        log.write_bytes(b"")
        append(log, lines[5], b"rubbish\n")
        until(corrected(6))
        process.send_signal(number)
        told, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, told
        assert told == "Imported 6 requests; 0 were known already; skipped 1 lines (1 no JSON).\n"
    # Killed at any moment, it misses nothing the next time, and counts nothing twice.
    with following(log, tmp_path / "data") as process:
        append(log, lines[6])
        until(corrected(7))
        process.kill()
    append(log, lines[7])
    with following(log, tmp_path / "data"):
        until(corrected(8))
    assert statuses(key) == [500 + place for place in range(8)]
    assert_rollups_equal_rows()
