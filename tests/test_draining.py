"""From the spool into the database: each line exactly once, whatever dies, fails or is rubbish on the way."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from keys import spool, usage
from keys.gateway import ingest as ingesting
from keys.gateway.drain import Drain
from keys.gateway.recorder import SpoolRecorder
from keys.models import ApiKey, LastUse, RecordingLoss, RequestLog, SpoolFile, UsageHour, UsageMinute
from keys.models.requestlog import METHOD_MAX, PATH_MAX
from keys.naming import printable
from tests.database import undone
from tests.factories import ApiKeyFactory, RecordFactory

NOW = datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC)
MEBIBYTE = 1024 * 1024


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def recorder(folder):
    """A process that answers, and lives."""
    recorder = SpoolRecorder(folder, limit_bytes=64 * MEBIBYTE)
    yield recorder
    with suppress(OSError):
        recorder.close()


def records(key: ApiKey, number: int = 3, **given) -> list[spool.Record]:
    return [RecordFactory(key=key, at=NOW, path=f"/v1/payments/{place}", **given) for place in range(number)]


def write(recorder: SpoolRecorder, records: list[spool.Record]) -> None:
    for record in records:
        recorder.write(spool.line(record))


def left_by_the_dead(folder: Path, content: bytes, name: str = "0001") -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{name}{spool.SUFFIX}"
    path.write_bytes(content)
    return path


def lost() -> dict[str, int]:
    return dict(RecordingLoss.objects.values_list("reason", "requests"))


def counted(key: ApiKey) -> int:
    totals = [
        sum(row.succeeded + row.failed for row in model.objects.filter(subject_id=subject))
        for model in (UsageMinute, UsageHour)
        for subject in (key.pk, key.merchant_id)
    ]
    assert len(set(totals)) == 1, totals
    return totals[0]


printed = st.text(max_size=60) | st.sampled_from(
    ["/v1/a\\b", "/\t\n\r", "/\x00", "/\ud800", "/é😀", "/" * 3000]
)


@given(printed, printed, printed)
def test_a_line_is_one_line_and_says_what_was_recorded(method: str, path: str, request_id: str) -> None:
    record = RecordFactory.build(
        key_id=spool.UUID(int=1),
        merchant_id=spool.UUID(int=2),
        method=method,
        path=path,
        request_id=request_id,
        at=NOW,
    )
    line = spool.line(record).decode()
    assert line.count("\n") == 1
    parsed = spool.parse(line)
    assert parsed.method == printable(method, METHOD_MAX)
    assert parsed.path == printable(path, PATH_MAX)
    assert parsed.request_id == printable(request_id, spool.REQUEST_ID_MAX)
    assert replace(parsed, method="", path="", request_id="") == replace(
        record, method="", path="", request_id=""
    )


@pytest.mark.django_db(transaction=True)
def test_a_savepoint_is_only_made_for_lines_that_are_no_records(folder, api_key) -> None:
    """SQLite goes through what a savepoint keeps at every statement: with many keys minutes, not seconds, a batch."""
    for number, rubbish in enumerate([b"", b"rubbish\n"]):
        left_by_the_dead(folder, b"".join([rubbish, *map(spool.line, records(api_key))]))
        with CaptureQueriesContext(connection) as queries:
            Drain(folder).once()
        assert any(query["sql"].startswith("SAVEPOINT") for query in queries) is bool(rubbish)
        assert RequestLog.objects.count() == 3 * (number + 1)


@pytest.mark.django_db
class TestOneProcess:
    @pytest.mark.parametrize("path", ["/v1/payments", "/a\\b\\", "/\t\n\r\x00", "/é😀", "/\u2028"])
    def test_the_database_stores_what_the_line_says(self, folder, recorder, api_key, path) -> None:
        record = RecordFactory(key=api_key, at=NOW, path=path, address=None)
        recorder.write(spool.line(record))
        Drain(folder).once()
        row = RequestLog.objects.get()
        assert row.path == printable(path, PATH_MAX)
        assert (row.pk, row.at, row.address, row.reported) == (record.id, NOW, None, False)
        api_key.refresh_from_db()
        assert api_key.last_used_at == NOW

    def test_lines_are_taken_once_while_their_writer_lives(self, folder, recorder, api_key) -> None:
        drain = Drain(folder)
        for number in (1, 2, 3):
            write(recorder, records(api_key, 2))
            drain.once()
            assert RequestLog.objects.count() == counted(api_key) == 2 * number
        assert len(spool.files(folder)) == 1
        assert spool.backlog_bytes(folder) == 0
        drain.once()
        assert RequestLog.objects.count() == 6

    def test_a_file_goes_when_all_is_in_and_its_writer_is_gone(self, folder, recorder, api_key) -> None:
        write(recorder, records(api_key))
        drain = Drain(folder)
        drain.once()
        assert spool.files(folder)
        recorder.close()
        drain.once()
        assert not spool.files(folder)
        assert not SpoolFile.objects.exists()
        assert [path.name for path in folder.iterdir()] == []
        assert RequestLog.objects.count() == 3

    def test_what_the_dead_left_is_adopted(self, folder, api_key) -> None:
        left_by_the_dead(folder, b"".join(map(spool.line, records(api_key))))
        Drain(folder).once()
        assert RequestLog.objects.count() == counted(api_key) == 3
        assert not spool.files(folder)
        assert not lost()

    @pytest.mark.parametrize("torn", [1, 40, 120])
    def test_a_torn_last_line_is_one_request_lost(self, folder, api_key, torn) -> None:
        whole = b"".join(map(spool.line, records(api_key)))
        left_by_the_dead(folder, whole[:-torn])
        drain = Drain(folder)
        drain.once()
        drain.once()
        assert RequestLog.objects.count() == counted(api_key) == 2
        assert lost() == {"unreadable": 1}
        assert not spool.files(folder)

    @pytest.mark.parametrize(
        "rubbish",
        [
            b"rubbish\n",
            b"\x00\xff\xfe\n",
            b"\n",
            b"\t" * 11 + b"\n",
            b"x" * 300_000 + b"\n",
            "an unknown outcome",
            "a month that is none",
            "a status that is none",
        ],
    )
    def test_rubbish_is_counted_and_stops_nothing(self, folder, api_key, rubbish) -> None:
        first, *others = map(spool.line, records(api_key, 3))
        broken = {
            "an unknown outcome": first.replace(b"VALID", b"SOLID"),
            "a month that is none": first.replace(b"2026-03-01", b"2026-13-01"),
            "a status that is none": first.replace(b"\t200\t", b"\t999\t"),
        }.get(rubbish, rubbish)
        left_by_the_dead(folder, others[0] + broken + others[1])
        Drain(folder).once()
        assert RequestLog.objects.count() == counted(api_key) == 2
        assert lost() == {"unreadable": 1}

    def test_losses_told_in_the_spool_come_into_the_database(self, folder, api_key) -> None:
        line = spool.line(records(api_key, 1)[0])
        left_by_the_dead(folder, spool.lost_line("spool_full", 1204) + line + b"!lost\trubbish\n")
        Drain(folder).once()
        assert lost() == {"spool_full": 1204, "unreadable": 1}
        assert RequestLog.objects.count() == 1

    def test_the_same_line_twice_counts_once(self, folder, api_key) -> None:
        lines = list(map(spool.line, records(api_key)))
        left_by_the_dead(folder, b"".join(lines + lines[:1]))
        left_by_the_dead(folder, lines[2], "0002")
        Drain(folder).once()
        assert RequestLog.objects.count() == counted(api_key) == 3

    @pytest.mark.parametrize("report_first", [True, False])
    def test_a_report_stands_whichever_comes_first(self, folder, recorder, api_key, report_first) -> None:
        [verdict] = records(api_key, 1)
        report = replace(verdict, status=502, reported=True)
        pair = [report, verdict] if report_first else [verdict, report]
        for record in pair:
            write(recorder, [record])
            Drain(folder).once()
        row = RequestLog.objects.get()
        assert (row.status, row.reported) == (502, True)
        assert counted(api_key) == 1
        assert UsageHour.objects.get(subject_id=api_key.pk).server_error == 1

    def test_more_than_one_batch_is_drained(self, folder, api_key, monkeypatch) -> None:
        monkeypatch.setattr("keys.gateway.batches.BATCH_BYTES", 500)
        left_by_the_dead(folder, b"".join(map(spool.line, records(api_key, 20))))
        Drain(folder).once()
        assert RequestLog.objects.count() == counted(api_key) == 20

    def test_who_is_told_to_stop_takes_one_batch_and_looks_again(self, folder, api_key, monkeypatch) -> None:
        """However large the file: a moment later the process may be killed."""
        monkeypatch.setattr("keys.gateway.batches.BATCH_BYTES", 500)
        left_by_the_dead(folder, b"".join(map(spool.line, records(api_key, 20))))
        drain = Drain(folder)
        drain.stop()
        counts = []
        while drain.round() == 0:
            counts.append(RequestLog.objects.count())
        steps = [after - before for before, after in pairwise([0, *counts])]
        assert sum(steps) == 20
        assert max(steps) <= 500 // len(spool.line(records(api_key, 1)[0]))

    @pytest.mark.parametrize("table", [RequestLog, UsageMinute, UsageHour, LastUse, SpoolFile])
    def test_a_batch_goes_in_whole_or_not_at_all(self, folder, recorder, api_key, table, monkeypatch) -> None:
        write(recorder, records(api_key))

        name = table._meta.db_table

        def failing(run, sql, *given):
            if sql.replace('"', "").startswith((f"UPDATE {name}", f"INSERT INTO {name}")):
                raise OperationalError("database is locked")
            return run(sql, *given)

        drain = Drain(folder)
        if table is RequestLog:
            # PostgreSQL copies the rows, which no wrapper sees.
            monkeypatch.setattr(ingesting, "_copy", lambda text: failing(None, f"INSERT INTO {name}"))
        with connection.execute_wrapper(failing), pytest.raises(OperationalError):
            drain.once()
        monkeypatch.undo()
        assert not RequestLog.objects.exists()
        assert not UsageMinute.objects.exists()
        assert not UsageHour.objects.exists()
        assert spool.backlog_bytes(folder) > 0
        drain.once()
        assert RequestLog.objects.count() == counted(api_key) == 3
        assert usage.last_24_hours([api_key.pk], now=NOW)[api_key.pk].total == 3


@pytest.mark.django_db
@given(st.binary(max_size=400))
def test_no_bytes_break_the_drain(tmp_path_factory, content: bytes) -> None:
    with undone():
        folder = tmp_path_factory.mktemp("spool")
        line = spool.line(records(ApiKeyFactory(), 1)[0])
        left_by_the_dead(folder, content + b"\n" + line)
        Drain(folder).once()
        assert RequestLog.objects.count() == 1
        assert not spool.files(folder)


@pytest.mark.django_db(transaction=True)
class TestMany:
    def test_two_drains_of_one_folder_count_nothing_twice(self, folder, recorder, api_key) -> None:
        write(recorder, records(api_key, 300))
        recorder.close()
        failures: list[Exception] = []

        def drain() -> None:
            try:
                Drain(folder).once()
            except (OperationalError, FileNotFoundError) as error:
                failures.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=drain) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        Drain(folder).once()
        assert RequestLog.objects.count() == counted(api_key) == 300, failures

    def test_one_drains_and_the_other_stands_by(self, folder, api_key) -> None:
        first, second = Drain(folder), Drain(folder)
        threads = [threading.Thread(target=each.run) for each in (first, second)]
        for thread in threads:
            thread.start()
        while not spool.is_drained(folder):
            assert all(thread.is_alive() for thread in threads)
        left_by_the_dead(folder, b"".join(map(spool.line, records(api_key))))
        while RequestLog.objects.count() < 3:
            assert any(thread.is_alive() for thread in threads)
        for each, thread in zip((first, second), threads, strict=True):
            each.stop()
            thread.join()
        assert counted(api_key) == 3
        assert not spool.is_drained(folder)

    def test_who_stops_drains_what_is_there_first(self, folder, recorder, api_key) -> None:
        drain = Drain(folder)
        thread = threading.Thread(target=drain.run)
        thread.start()
        while not spool.is_drained(folder):
            assert thread.is_alive()
        write(recorder, records(api_key, 50))
        drain.stop()
        thread.join()
        assert RequestLog.objects.count() == 50


class TestRecorder:
    def test_files_are_for_nobody_else(self, folder, recorder) -> None:
        recorder.write(b"line\n")
        [path] = spool.files(folder)
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_a_full_file_is_followed_by_another_and_nothing_is_lost(
        self, folder, recorder, monkeypatch
    ) -> None:
        monkeypatch.setattr("keys.gateway.recorder.FILE_BYTES_MAX", 1000)
        written, done, deadline = [], threading.Event(), time.monotonic() + 30

        def look_after() -> None:
            while not done.is_set():
                recorder.look_after()

        def write() -> None:
            """At least so much, and until files have followed meanwhile: who looks after them may be late."""
            while len(written) < 6000 or (len(spool.files(folder)) < 3 and time.monotonic() < deadline):
                recorder.write(b"0123456789\n")
                written.append(1)

        looker = threading.Thread(target=look_after)
        writers = [threading.Thread(target=write) for _ in range(3)]
        for thread in [looker, *writers]:
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        looker.join()
        lines = [line for path in spool.files(folder) for line in path.read_bytes().splitlines()]
        assert lines == [b"0123456789"] * len(written)
        assert len(spool.files(folder)) >= 3
        assert not recorder.lost_in_total

    def test_beyond_the_limit_requests_are_counted_and_told_when_there_is_room(self, folder) -> None:
        recorder = SpoolRecorder(folder, limit_bytes=100)
        recorder.write(b"x" * 200 + b"\n")
        recorder.look_after()
        for _ in range(5):
            recorder.write(b"lost\n")
        assert recorder.lost_in_total == {"spool_full": 5}
        for path in spool.files(folder):
            spool.note_position(path, path.stat().st_size)
        recorder.look_after()
        recorder.write(b"kept\n")
        recorder.close()
        [path] = spool.files(folder)
        assert path.read_bytes().endswith(b"!lost\tspool_full\t5\nkept\n")

    def test_a_disk_without_room_breaks_no_request(self, folder, recorder, monkeypatch) -> None:
        written = os.write

        def full(descriptor: int, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        recorder.write(b"first\n")
        recorder.write(b"second\n")
        monkeypatch.setattr(os, "write", written)
        recorder.look_after()
        recorder.write(b"third\n")
        [path] = spool.files(folder)
        assert path.read_bytes() == b"!lost\twrite_failed\t2\nthird\n"

    def test_half_a_line_ends_its_file(self, folder, recorder, monkeypatch) -> None:
        written = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: written(descriptor, data[:3]))
        recorder.write(b"first\n")
        monkeypatch.setattr(os, "write", written)
        recorder.look_after()
        recorder.write(b"second\n")
        torn, whole = (path.read_bytes() for path in spool.files(folder))
        assert (torn, whole) == (b"fir", b"second\n")
