"""Writing requests down: each line is in the file before the answer, and what cannot be written is counted."""

import errno
import fcntl
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event

import pytest
from django.conf import settings

from keys import spool
from keys.gateway import recorder as recording
from keys.gateway.recorder import SpoolRecorder
from keys.models.recording import RecordingLoss
from tests.test_spool import GOOD

Reason = RecordingLoss.Reason
LINE = spool.line(replace(GOOD, method="G00000"))
NO_LIMIT = 1 << 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "spool"


@pytest.fixture
def open_recorder(folder: Path, monkeypatch) -> Iterator[Callable[..., SpoolRecorder]]:
    """Recorders that are looked after when the test says so."""
    monkeypatch.setattr(recording, "LOOK_AFTER_SECONDS", 3600)
    opened = []

    def open_one(limit_bytes: int = NO_LIMIT) -> SpoolRecorder:
        opened.append(SpoolRecorder(folder, limit_bytes=limit_bytes))
        return opened[-1]

    yield open_one
    for recorder in opened:
        recorder.close()


def lines(folder: Path) -> list[bytes]:
    """All that is in the folder, in the order of its files."""
    return b"".join(path.read_bytes() for path in spool.files(folder)).splitlines(keepends=True)


def numbered(number: int) -> bytes:
    return LINE.replace(b"G00000", b"G%05d" % number)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns after each few steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def failing_writes(monkeypatch, *, after_bytes: int = 0) -> Iterator[None]:
    """A full disk: what does not fit any more is not taken, and of the line that just fits, the first part is."""
    write, left = os.write, [after_bytes]

    def write_what_fits(descriptor: int, text: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(descriptor, text[: left[0]])
        left[0] -= taken
        return taken

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_what_fits)
        yield


def test_a_line_is_in_the_file_when_write_returns(open_recorder, folder) -> None:
    recorder = open_recorder()
    for number in range(5):
        recorder.write(numbered(number))
        assert lines(folder) == [numbered(each) for each in range(number + 1)]
    assert len(spool.files(folder)) == 1


def test_only_the_owner_can_read_what_is_recorded(open_recorder, folder) -> None:
    before = os.umask(0)
    try:
        open_recorder().write(LINE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


def test_a_file_is_locked_while_its_process_writes_to_it(open_recorder, folder) -> None:
    recorder = open_recorder()
    (path,) = spool.files(folder)
    assert is_locked(path)
    recorder.close()
    assert not is_locked(path)


def test_a_file_has_its_name_only_when_it_is_locked(open_recorder, folder, monkeypatch) -> None:
    """Until then it is a draft, which no drain takes for a file whose process is gone."""
    lock, seen = fcntl.flock, []

    def watched(descriptor: int, how: int) -> None:
        seen.append([path.suffix for path in folder.iterdir()])
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", watched)
    open_recorder()
    assert seen == [[".new"]]
    assert not spool.files(folder)[0].with_suffix(".new").exists()


def test_a_file_that_is_large_is_followed_by_another(open_recorder, folder, monkeypatch) -> None:
    monkeypatch.setattr(recording, "FILE_BYTES_MAX", 2 * len(LINE))
    recorder = open_recorder()
    for number in range(5):
        recorder.write(numbered(number))
        recorder.look_after()
    first, second, third = spool.files(folder)
    assert [path.read_bytes().count(b"\n") for path in (first, second, third)] == [2, 2, 1]
    assert [is_locked(path) for path in (first, second, third)] == [False, False, True]
    assert lines(folder) == [numbered(number) for number in range(5)]


def test_threads_lose_nothing_while_files_change_beneath_them(
    open_recorder, folder, monkeypatch, restless_threads
) -> None:
    monkeypatch.setattr(recording, "FILE_BYTES_MAX", 1)
    recorder = open_recorder()
    open_before = open_descriptors()
    enough, together = Event(), Barrier(4)

    def write(first: int) -> list[bytes]:
        written = []
        together.wait()
        while not enough.is_set():
            written.append(numbered(first + len(written)))
            recorder.write(written[-1])
        return written

    with ThreadPoolExecutor(3) as threads:
        writing = [threads.submit(write, 30_000 * thread) for thread in range(3)]
        together.wait()
        while len(spool.files(folder)) < 30:
            recorder.look_after()
        enough.set()
        written = [line for each in writing for line in each.result(20)]
    assert sorted(lines(folder)) == sorted(written)
    assert not recorder.lost_in_total
    assert open_descriptors() == open_before


def test_beyond_the_limit_requests_are_counted_and_told_of_when_there_is_room(
    open_recorder, folder, caplog
) -> None:
    recorder = open_recorder(limit_bytes=2 * len(LINE))
    for number in range(3):
        recorder.write(numbered(number))
    recorder.look_after()
    for number in range(7):
        recorder.write(numbered(number))
    assert len(lines(folder)) == 3
    assert recorder.lost == {Reason.SPOOL_FULL: 7}
    recorder.look_after()
    recorder.write(LINE)
    (path,) = spool.files(folder)
    spool.note_position(path, path.stat().st_size)
    recorder.look_after()
    recorder.write(numbered(9))
    told = [spool.parse_lost(line.decode()) for line in lines(folder) if line.startswith(b"!")]
    assert {reason for reason, _ in told} == {Reason.SPOOL_FULL}
    assert sum(requests for _, requests in told) == 8
    assert lines(folder)[-1] == numbered(9)
    assert recorder.lost == {Reason.SPOOL_FULL: 0}
    assert recorder.lost_in_total == {Reason.SPOOL_FULL: 8}
    assert all(record.levelno == logging.ERROR for record in caplog.records)


def test_while_nothing_can_be_recorded_that_is_not_said_all_the_time(
    open_recorder, monkeypatch, caplog
) -> None:
    recorder = open_recorder(limit_bytes=-1)
    for _ in range(20):
        recorder.write(LINE)
        recorder.look_after()
    assert len(caplog.records) == 1
    monkeypatch.setattr(recording, "TELL_SECONDS", 0.0)
    recorder.look_after()
    assert [record.getMessage().split()[0] for record in caplog.records] == ["1", "19"]


def test_a_full_disk_breaks_no_answer_and_is_told_of_when_there_is_room(
    open_recorder, folder, monkeypatch, caplog
) -> None:
    recorder = open_recorder()
    recorder.write(numbered(1))
    with failing_writes(monkeypatch):
        for number in range(5):
            recorder.write(numbered(number))
            recorder.look_after()
        assert len(caplog.records) == 1
    recorder.write(numbered(2))
    recorder.look_after()
    assert lines(folder) == [numbered(1), numbered(2), spool.lost_line(Reason.WRITE_FAILED, 5)]
    assert "5 requests could not be recorded" in caplog.text


def test_after_half_a_line_nothing_comes_into_that_file(open_recorder, folder, monkeypatch) -> None:
    recorder = open_recorder()
    recorder.write(numbered(1))
    with failing_writes(monkeypatch, after_bytes=50):
        for number in range(2, 5):
            recorder.write(numbered(number))
    # Even now that there is room: the next line would be glued to the half of that one.
    recorder.write(numbered(5))
    first, *others = spool.files(folder)
    assert (first.read_bytes(), others) == (numbered(1) + numbered(2)[:50], [])
    assert recorder.lost == {Reason.WRITE_FAILED: 3}
    recorder.look_after()
    recorder.write(numbered(6))
    first, second = spool.files(folder)
    assert first.read_bytes() == numbered(1) + numbered(2)[:50]
    assert second.read_bytes() == spool.lost_line(Reason.WRITE_FAILED, 3) + numbered(6)
    assert not is_locked(first)


def test_half_a_line_about_losses_ends_a_file_too(open_recorder, folder, monkeypatch) -> None:
    recorder = open_recorder(limit_bytes=-1)
    recorder.write(LINE)
    recorder.limit_bytes = NO_LIMIT
    with failing_writes(monkeypatch, after_bytes=5):
        recorder.look_after()
    recorder.look_after()
    recorder.write(numbered(1))
    first, second = spool.files(folder)
    assert first.read_bytes() == b"!lost"
    assert second.read_bytes() == spool.lost_line(Reason.SPOOL_FULL, 1) + numbered(1)


REAL_LIMIT = """
import django, resource, sys
django.setup()
from pathlib import Path
from keys.gateway import recorder as recording
from tests.test_spool import GOOD
from keys import spool
recording.LOOK_AFTER_SECONDS = 3600
recorder = recording.SpoolRecorder(Path(sys.argv[1]), limit_bytes=1 << 40)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(100):
    recorder.write(spool.line(GOOD))
    if number % 10 == 9:
        recorder.look_after()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
recorder.close()
"""


def test_where_the_system_itself_takes_no_more_all_is_accounted_for(folder) -> None:
    """A file may not grow beyond 1,000 bytes: the system takes a part of the line, and then nothing."""
    environment = os.environ | {
        "DATA_DIR": str(folder.parent),
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
    }
    command = [sys.executable, "-c", REAL_LIMIT, str(folder)]
    subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True, timeout=60)
    recorded, told, torn = 0, 0, 0
    for path in spool.files(folder):
        for line in path.read_text().splitlines(keepends=True):
            if line.startswith(spool.LOST):
                told += spool.parse_lost(line)[1]
            elif line.endswith("\n"):
                assert spool.parse(line) == GOOD
                recorded += 1
            else:
                torn += 1
    assert recorded + told + torn == 100
    assert min(recorded, told, torn) > 5


def test_a_folder_that_was_removed_is_made_again(open_recorder, folder) -> None:
    recorder = open_recorder()
    recorder.write(LINE)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    recorder.look_after()
    recorder.write(numbered(1))
    assert lines(folder) == [numbered(1)]


def test_a_folder_that_cannot_be_made_costs_requests_and_no_answer(open_recorder, folder, caplog) -> None:
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("in the way")
    recorder = open_recorder()
    for _ in range(3):
        recorder.write(LINE)
        recorder.look_after()
    made = [record.getMessage() for record in caplog.records if "can be made" in record.getMessage()]
    assert made == [f"No spool file can be made in {folder}: Not a directory"]
    folder.parent.unlink()
    recorder.look_after()
    recorder.write(numbered(1))
    assert lines(folder) == [spool.lost_line(Reason.WRITE_FAILED, 3), numbered(1)]


def test_a_file_that_cannot_be_locked_leaves_nothing_behind(open_recorder, folder, monkeypatch) -> None:
    recorder = open_recorder()
    (path,) = spool.files(folder)
    open_before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks")))
        patch.setattr(recording, "FILE_BYTES_MAX", 0)
        for number in range(3):
            recorder.look_after()
            recorder.write(numbered(number))
    assert lines(folder) == [numbered(number) for number in range(3)]
    assert list(folder.iterdir()) == [path]
    assert open_descriptors() == open_before


def test_what_was_lost_last_is_told_when_the_recorder_closes(open_recorder, folder) -> None:
    recorder = open_recorder(limit_bytes=-1)
    for _ in range(4):
        recorder.write(LINE)
    recorder.close()
    assert lines(folder) == [spool.lost_line(Reason.SPOOL_FULL, 4)]
    recorder.write(LINE)
    assert recorder.lost_in_total == {Reason.SPOOL_FULL: 4, Reason.WRITE_FAILED: 1}


def test_it_looks_after_itself(folder, monkeypatch) -> None:
    monkeypatch.setattr(recording, "LOOK_AFTER_SECONDS", 0.001)
    turns = []
    look_after = SpoolRecorder.look_after

    def counted(recorder: SpoolRecorder) -> None:
        turns.append(True)
        if len(turns) == 2:
            raise RuntimeError("something nobody thought of")
        look_after(recorder)
        if len(turns) > 4:
            enough.set()

    enough = Event()
    monkeypatch.setattr(SpoolRecorder, "look_after", counted)
    recorder = SpoolRecorder(folder, limit_bytes=NO_LIMIT)
    assert enough.wait(10)
    recorder.close()
