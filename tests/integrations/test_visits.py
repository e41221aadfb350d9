"""One request, however it is served: checked as often as is asked, recorded once, by the one verifier there is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from keys import spool
from keys.gateway import processes
from keys.gateway.integrations.visits import Visit, requirement
from keys.models import ApiKey
from keys.permissions import Need
from tests.integrations.conftest import bearer


def visit(key: ApiKey, path: str = "/payments") -> Visit:
    environ = {"HTTP_AUTHORIZATION": bearer(key)["Authorization"], "REMOTE_ADDR": "192.0.2.1"}
    return Visit(environ, method="GET", path=path)


def need(permission: str) -> Need | None:
    return requirement(permission)("GET", "/payments")


def lines(folder: Path) -> list[str]:
    return [line for path in spool.files(folder) for line in path.read_text().splitlines()]


def test_a_request_is_written_down_once(key: ApiKey, settings) -> None:
    one = visit(key)
    one.check(need("payments:read"))
    assert lines(settings.KEYS_SPOOL_DIR) == []
    one.finish(201)
    one.finish(500)
    (line,) = lines(settings.KEYS_SPOOL_DIR)
    assert spool.parse(f"{line}\n").status == 201


def test_a_request_that_was_never_checked_is_not_written_down(key: ApiKey, settings) -> None:
    visit(key).finish(200)
    assert lines(settings.KEYS_SPOOL_DIR) == []


def test_whoever_is_refused_in_the_end_is_nobody(key: ApiKey) -> None:
    one = visit(key)
    assert one.check(need("payments:write")) is None
    assert one.key.key_id == key.public_id
    assert one.check(need("refunds:write")).status == 403
    assert one.key is None


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 1000])
def test_a_status_that_is_none_is_a_failure(recorded, key: ApiKey, status: int) -> None:
    one = visit(key)
    one.check(need("payments:read"))
    one.finish(status)
    assert [record.status for record in recorded()] == [500]


def test_a_path_that_no_line_can_hold_is_recorded_all_the_same(recorded, key: ApiKey) -> None:
    one = visit(key, "/\t\n\x00\udcff" + "x" * 5000)
    one.check(need("payments:read"))
    one.finish(200)
    (record,) = recorded()
    assert record.path.startswith(r"/\t\n\x00\udcff")


def test_requests_that_come_together_make_one_verifier(verifier, monkeypatch) -> None:
    together, opened = Barrier(4), []

    def open_directory():
        opened.append(verifier.directory)
        return verifier.directory

    def first() -> object:
        together.wait()
        return processes.verifier()

    monkeypatch.setattr(processes, "made", [])
    monkeypatch.setattr(processes, "open_directory", open_directory)
    with ThreadPoolExecutor(4) as pool:
        made = {id(each.result()) for each in [pool.submit(first) for _ in range(4)]}
    processes.made[0].recorder.close()
    assert len(made) == len(opened) == 1
