"""The benchmark of the gateway: its arithmetic, and that it notices what it is there to notice."""

import sqlite3
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from bench import cores
from bench.errors import BenchError
from bench.gateway import findings, loads, recount, revocation, run, throughput, wrk
from bench.gateway.asker import Asker, is_whole
from bench.gateway.findings import Finding, Result, at_least, at_most
from bench.gateway.loads import Key
from bench.gateway.press import Press
from bench.gateway.switching import Moments
from bench.gateway.throughput import Contestant
from bench.installation import Installation
from bench.sizes import Size
from keys.keyformat import MalformedKey, Mode, PlaintextKey

SECRET = PlaintextKey.generate(Mode.LIVE).reveal()
KEY = Key("enabled", SECRET, "key_1", "mch_1", "POST", "/v1/payments")


class Answering:
    """A server on a port of its own; `status` says what it answers, from the path and headers of a request."""

    def __init__(self, status: Callable[[str], int]) -> None:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append((self.requestline, dict(self.headers)))
                self.send_response(status(self.headers.get("Authorization", "")))
                self.send_header("Content-Length", "0")
                self.send_header("X-Request-Id", "req_1")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def answering(status: Callable[[str], int]) -> Iterator[Answering]:
    with closing(Answering(status)) as server:
        yield server


@pytest.mark.parametrize(
    ("aim", "value", "verdict"),
    [
        (at_least(0.9), 0.9, "met"),
        (at_least(0.9), 0.89, "NOT MET"),
        (at_most(0), 0, "met"),
        (at_most(0), 1, "NOT MET"),
        (None, 1, ""),
    ],
)
def test_a_figure_is_held_against_its_aim(aim, value, verdict) -> None:
    assert Finding("Speed", value, "×", aim).verdict == verdict


def test_the_table_and_the_json_say_what_is_met_what_is_not_and_what_failed() -> None:
    results = [
        Result("one", [Finding("Speed", 0.5, "×", at_least(0.9)), Finding("Kills", 7, "", at_least(1))]),
        Result("two", [], failure="wrk is missing"),
    ]
    shown = StringIO()
    findings.show("sqlite", results, console=Console(file=shown, width=120))
    text = shown.getvalue()
    assert all(words in text for words in ("0.50 ×", "NOT MET", " met ", "wrk is missing", "FAILED"))
    assert results[0].as_json()["findings"][0]["met"] is False
    assert results[1].as_json()["failure"] == "wrk is missing"


def test_a_part_that_cannot_be_measured_is_told_and_keeps_nothing_else_from_it(monkeypatch) -> None:
    def broken(site: object) -> Result:
        raise BenchError("no server")

    monkeypatch.setitem(run.PARTS, "drain", broken)
    assert run._measured("drain", Namespace()).failure == "no server"


def test_keys_are_sent_whole_malformed_and_never_issued() -> None:
    assert PlaintextKey(SECRET)
    with pytest.raises(MalformedKey):
        PlaintextKey(KEY.malformed().split("Bearer ")[1].split("\t")[0])
    texts = loads.unknown_keys(50, Random(1))
    assert len({PlaintextKey(text).reveal() for text in texts}) == 50
    assert SECRET not in repr(KEY)


def test_a_file_of_keys_is_for_its_owner_alone(tmp_path) -> None:
    path = loads.write(tmp_path / "a.requests", [KEY.authorize()])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().splitlines() == [KEY.authorize()]


def test_an_answer_is_whole_when_its_body_is() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2"
    assert not is_whole(head + b"\r\n\r\n{", len(head))
    assert is_whole(head + b"\r\n\r\n{}", len(head))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
    assert not is_whole(head + b"\r\n\r\n2\r\n{}\r\n", len(head))
    assert is_whole(head + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n", len(head))


def test_an_asker_tells_status_and_id_and_an_end_from_an_answer() -> None:
    with answering(lambda authorization: 401) as server, Asker(server.port) as asker:
        answer = asker.ask(loads.as_bytes(KEY.authorize()))
        assert (answer.status, answer.request_id) == (401, "req_1")
        assert answer.sent_ns < answer.answered_ns
        requestline, headers = server.asked[0]
        assert requestline == "GET /v1/authorize HTTP/1.1"
        assert headers["Authorization"] == f"Bearer {SECRET}"
        assert (headers["X-Original-Method"], headers["X-Original-URI"]) == ("POST", "/v1/payments")


class FakeSwitch:
    """Says that a commit had returned `early_seconds` before the server hears of it."""

    def __init__(self, early_seconds: float) -> None:
        self.early_seconds, self.asked = early_seconds, False
        self.disabled_at = float("inf")

    def ask(self, key_id: str) -> None:
        self.asked, self.returned_ns = True, time.monotonic_ns()
        self.disabled_at = time.monotonic() + self.early_seconds

    def answered(self) -> list[Moments]:
        self.asked = False
        return [Moments(self.returned_ns - 1_000_000, self.returned_ns)]

    def status(self, authorization: str) -> int:
        return 401 if time.monotonic() > self.disabled_at else 200


def test_the_time_to_the_last_acceptance_is_that_of_the_slowest_server() -> None:
    slow, quick = FakeSwitch(0.08), FakeSwitch(0.0)

    def both(key_id: str) -> None:
        FakeSwitch.ask(slow, key_id)
        FakeSwitch.ask(quick, key_id)

    slow.ask = both
    with (
        answering(slow.status) as one,
        answering(quick.status) as other,
        closing(Press.on([one.port, other.port], connections=2)) as press,
    ):
        after_return, after_begin = revocation.disable(KEY, press, slow)
    assert 60 < after_return < 1000
    assert after_begin == pytest.approx(after_return + 1)


def test_servers_that_never_refuse_are_no_measurement(monkeypatch) -> None:
    monkeypatch.setattr(revocation, "PATIENCE_SECONDS", 0.2)
    with (
        answering(lambda authorization: 200) as server,
        closing(Press.on([server.port], connections=1)) as press,
        pytest.raises(BenchError, match="agree"),
    ):
        revocation.disable(KEY, press, FakeSwitch(0))


OTHER = Key("enabled", PlaintextKey.generate(Mode.LIVE).reveal(), "key_2", "mch_2", "GET", "/v1/payments")


def run_of(requests: int, *, refused: int = 0, p99_ms: float = 2.0) -> wrk.Run:
    return wrk.Run(requests, seconds=2.0, p50_ms=1.0, p99_ms=p99_ms, refused=refused, broken=0)


def test_ratios_are_those_of_medians_and_each_has_its_aim() -> None:
    def of(name: str, *requests: int, p99_ms: float = 2.0) -> Contestant:
        return Contestant(
            name, None, Path(), runs=[run_of(each, p99_ms=p99_ms) for each in requests], processor_us=[1.0]
        )

    found = [
        of(throughput.FLOOR, 100, 90, 5),
        of(throughput.VERIFIED, 81, 300, 72, p99_ms=3.2),
        of("djangorestframework-api-key", 3),
        *(of(name, 45) for name in throughput.REFUSALS),
    ]
    judged = {each.what: each for each in throughput.judge(found, vendor="postgresql")}
    ratio = judged["authorize, Bearer ÷ bare no-op"]
    assert (ratio.value, ratio.verdict) == (pytest.approx(0.9), "met")
    assert judged["p99 of authorize, Bearer ÷ p99 of bare no-op"].verdict == "NOT MET"
    peer = judged["authorize, Bearer ÷ djangorestframework-api-key"]
    assert (peer.value, peer.verdict) == (pytest.approx(27), "NOT MET")
    sqlite = {each.what: each for each in throughput.judge(found, vendor="sqlite")}
    assert sqlite[peer.what].verdict == "met"
    assert judged["401: wrong checksum ÷ bare no-op"].verdict == "met"


@pytest.mark.parametrize(("status", "refused"), [(200, 1), (401, 99)])
def test_a_run_with_answers_of_another_kind_is_no_measurement(monkeypatch, status, refused) -> None:
    monkeypatch.setattr(wrk, "run", lambda **_: run_of(100, refused=refused))
    monkeypatch.setattr(throughput, "processor_seconds", lambda pid: 0.0)
    server = Namespace(port=1, worker=lambda: 1)
    site = Namespace(plan=cores.plan())
    with pytest.raises(BenchError, match="of 100 answers"):
        Contestant("It", server, Path(), status=status).measure(connections=1, seconds=1, site=site)


def test_what_wrk_prints_is_read_and_its_silence_is_an_error() -> None:
    figures = '{"requests": 9, "seconds": 3.0, "p50_ms": 1, "p99_ms": 2, "refused": 0, "broken": 0}'
    assert wrk.read(f"Running\nfigures: {figures}\nDone").rate == 3
    with pytest.raises(BenchError, match="unable to connect"):
        wrk.read("unable to connect")


def test_without_wrk_there_is_an_error_that_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr(wrk.shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="apt-get install wrk"):
        wrk.require()


@pytest.fixture
def counted(tmp_path) -> Installation:
    """Three requests of one key within an hour, counted as they should be."""
    installation = Installation.at(
        tmp_path, name="x", database_url=f"sqlite:///{tmp_path / 'x.sqlite3'}", size=Size(0, 0, 0)
    )
    columns = ", ".join(f"{name} INTEGER DEFAULT 0" for name in recount.COLUMNS)
    with closing(sqlite3.connect(tmp_path / "x.sqlite3", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE keys_requestlog (key_id, merchant_id, at, status, outcome)")
        for at, status, outcome in (
            ("2026-03-01 12:34:56.7", 200, "VALID"),
            ("2026-03-01 12:34:59", 401, "DISABLED"),
            ("2026-03-01 12:35:00", 502, "VALID"),
        ):
            connection.execute(
                "INSERT INTO keys_requestlog VALUES ('k', 'm', ?, ?, ?)", (at, status, outcome)
            )
        for table, *_ in recount.SPANS.values():
            connection.execute(f"CREATE TABLE {table} (subject_id, at, {columns})")
        for subject in "km":
            columns = "subject_id, at, succeeded, failed, disabled, server_error"
            minute, hour = (
                f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?, ?, ?)"
                for table, _ in recount.SPANS.values()
            )
            connection.execute(minute, (subject, "2026-03-01 12:34:00", 1, 1, 1, 0))
            connection.execute(minute, (subject, "2026-03-01 12:35:00", 0, 1, 0, 1))
            connection.execute(hour, (subject, "2026-03-01 12:00:00", 1, 2, 1, 1))
    return installation


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keys_usageminute SET succeeded = 2 WHERE at = '2026-03-01 12:34:00' AND subject_id = 'm'",
        "UPDATE keys_usagehour SET disabled = 0, revoked = 1 WHERE subject_id = 'k'",
        "DELETE FROM keys_usageminute WHERE at = '2026-03-01 12:35:00' AND subject_id = 'k'",
        "UPDATE keys_requestlog SET status = 404 WHERE status = 502",
        "INSERT INTO keys_usagehour (subject_id, at, failed) VALUES ('other', '2026-03-01 12:00:00', 1)",
    ],
)
def test_a_rollup_that_is_not_what_its_rows_add_up_to_is_found(counted, change) -> None:
    assert recount.differences(counted) == []
    with closing(sqlite3.connect(counted.data_dir / "x.sqlite3", isolation_level=None)) as connection:
        connection.execute(change)
    assert recount.differences(counted)


@pytest.mark.process
def test_wrk_sends_each_line_of_a_file_as_it_is(tmp_path) -> None:
    wrk.require()
    keys = [KEY, OTHER]
    file = loads.write(tmp_path / "a.requests", [key.authorize() for key in keys])
    with answering(lambda authorization: 200 if SECRET in authorization else 401) as server:
        found = wrk.run(port=server.port, requests=file, connections=1, seconds=1)
        asked = server.asked[: 2 * (len(server.asked) // 2)]
    assert (found.requests > 10, found.broken) == (True, 0)
    assert found.refused == pytest.approx(found.requests / 2, abs=1)
    assert found.p99_ms >= found.p50_ms > 0
    # wrk tries its script out first, and throws that request away.
    for place, (requestline, headers) in enumerate(asked, start=1):
        key = keys[place % 2]
        assert requestline == "GET /v1/authorize HTTP/1.1"
        assert headers["Authorization"] == f"Bearer {key.secret}"
        assert (headers["X-Original-Method"], headers["X-Original-URI"]) == (key.method, key.path)
