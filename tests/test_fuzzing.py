"""The count of what `make fuzz` made up: it is the sum of all workers', and too few fail the run."""

from types import SimpleNamespace

import pytest

from tests import fuzzing


def session(**config: object) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(**config), exitstatus=0)


@pytest.mark.parametrize(("counted", "exitstatus"), [(99, 1), (100, 0)])
def test_a_run_that_made_up_too_few_cases_fails(monkeypatch, counted: int, exitstatus: int) -> None:
    monkeypatch.setattr(fuzzing, "CASES", 100)
    for part in (40, counted - 40):
        worker = session(workeroutput={})
        monkeypatch.setattr(fuzzing, "counted", 0)
        fuzzing.count(part)
        fuzzing.pytest_sessionfinish(worker)
        assert (worker.config.workeroutput, worker.exitstatus) == ({"fuzzed": part}, 0)
    monkeypatch.setattr(fuzzing, "counted", 0)
    for part in (40, counted - 40):
        fuzzing.pytest_testnodedown(SimpleNamespace(workeroutput={"fuzzed": part}), error=None)
    here = session()
    fuzzing.pytest_sessionfinish(here)
    assert (fuzzing.counted, here.exitstatus) == (counted, exitstatus)
