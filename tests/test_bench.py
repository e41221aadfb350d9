"""The benchmark's own arithmetic, and that the pages it asks for are the product's."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.test import Client, override_settings
from rich.console import Console

from bench import cores
from bench.console import measure, report
from bench.console.measure import Series
from bench.console.pages import Page, admin_pages, pages
from bench.console.probe import subjects
from bench.installation import Installation
from bench.sizes import Size
from bench.stock_admin import settings as stock_admin
from keys.demo import bulk
from keys.demo.progress import ProgressReport
from tests.factories import ApiKeyFactory


class Stopwatch:
    """Answers each page after the seconds given for it, a hundred times as slowly in the first rounds."""

    def __init__(self, seconds: float, slow_rounds: int) -> None:
        self.seconds, self.slow_rounds, self.asked = seconds, slow_rounds, []

    def time(self, path: str) -> tuple[float, int]:
        self.asked.append(path)
        return self.seconds * (100 if len(self.asked) <= self.slow_rounds else 1), 1234


def measured(big: float, small: float, admin: float) -> list[Series]:
    series = [
        Series("small", Page("Merchants", "/m/", "Admin"), Stopwatch(small, 3)),
        Series("big", Page("Merchants", "/m/", "Admin"), Stopwatch(big, 3)),
        Series("big", Page("Admin", "/a/"), Stopwatch(admin, 3)),
    ]
    measure.run(series, rounds=10, warm_up=3)
    return series


def test_each_page_is_asked_for_once_a_round_and_the_first_rounds_do_not_count() -> None:
    for each in measured(0.006, 0.005, 0.02):
        assert len(each.visitor.asked) == 13
        assert len(each.seconds) == 10
        assert each.median_ms == pytest.approx(1000 * each.visitor.seconds)


@pytest.mark.parametrize(
    ("big", "of_small_met", "of_admin_met"),
    [(0.006, True, True), (0.0061, False, True), (0.011, False, False)],
)
def test_a_page_is_judged_by_the_small_data_set_and_by_the_admin(
    big: float, of_small_met: bool, of_admin_met: bool
) -> None:
    (row,) = report.rows(measured(big, 0.005, 0.02))
    told = row.as_json()
    assert (told["times_small_met"], told["times_admin_met"]) == (of_small_met, of_admin_met)
    assert told["big_ms"] == pytest.approx(1000 * big)
    assert told["times_small"] == pytest.approx(big / 0.005)
    assert told["times_admin"] == pytest.approx(big / 0.02)


def test_the_table_says_which_aims_are_met(tmp_path) -> None:
    installations = []
    for name in ("big", "small"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bench.json").write_text('{"size": "", "built_at": 0, "seconds": 61}')
        installations.append(Installation.at(tmp_path / name, name=name, database_url="", size=Size(1, 2, 3)))
    shown = StringIO()
    report.show(
        "sqlite",
        report.rows(measured(0.006, 0.004, 0.02)),
        big=installations[0],
        small=installations[1],
        console=Console(file=shown, width=120),
    )
    assert "1.50 NOT MET" in shown.getvalue()
    assert "0.30 met" in shown.getvalue()
    assert "Built in 61 s and 61 s." in shown.getvalue()


@pytest.mark.django_db
def test_the_pages_are_there_and_show_what_they_are_measured_for(console: Client) -> None:
    bulk.load(
        merchants=300,
        keys=300,
        requests=2000,
        hours=30,
        now=datetime.now(UTC),
        seed=1,
        report=ProgressReport(StringIO()),
    )
    chosen = subjects("")
    shown = {page.name: console.get(page.path) for page in pages(chosen)}
    assert all(answer.status_code == 200 for answer in shown.values())
    deep, search = (shown[name].content.decode() for name in ("Deep page", "Search"))
    assert "before=" in deep
    assert deep.count('scope="row"') == 25
    assert search.count('scope="row"') >= 20
    assert chosen["word"] in search
    assert shown["Developers"].content.decode().count('scope="row"') == 4
    assert "No requests" not in shown["API key"].content.decode()


@pytest.mark.django_db
def test_the_stock_admin_lists_the_rows_with_a_count_as_django_makes_it(console: Client) -> None:
    key = ApiKeyFactory()
    stock = {name: getattr(stock_admin, name) for name in ("MIDDLEWARE", "ROOT_URLCONF", "TEMPLATES")}
    with override_settings(**stock):
        merchants, keys = (console.get(page.path) for page in admin_pages())
    assert key.merchant.name in merchants.content.decode()
    assert key.name in keys.content.decode()
    assert "1 API key\n" in keys.content.decode()


def test_a_data_set_that_is_too_large_for_one_load_comes_in_several() -> None:
    assert len(Size(10, 100_000, 0).loads()) == 1
    loads = Size(75_001, 150_001, 7).loads()
    totals = [sum(int(load[place].partition("=")[2]) for load in loads) for place in range(3)]
    assert totals == [75_001, 150_001, 7]
    assert len({load[3] for load in loads}) == len(loads) == 2


def test_processes_started_on_a_core_stay_there_and_we_do_not() -> None:
    if not hasattr(os, "sched_getaffinity"):
        assert cores.plan().server is None
        return
    before = os.sched_getaffinity(0)
    with cores.pinned(frozenset({min(before)})):
        told = subprocess.check_output([sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"])
    assert told.decode().strip() == repr({min(before)})
    assert os.sched_getaffinity(0) == before
