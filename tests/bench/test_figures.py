"""The figures on the pages are those of docs/figures, and what these say is still so.

All of the matrix is tried by `-m faults`, which holds its totals against the committed ones, and the sample
on one row. Here a thin thread is: how many faults there are on a few rows, and the whole model of the
comparison.
Where one of these fails, `python -m tests.bench figures matrix full-size compare` measures anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.compare import CASES
from tests.bench.faults import POINTS, sample
from tests.bench.figures import BESIDE, FULL_SIZE, MATRIX, PAGES, RELIABILITY, load, with_figures
from tests.bench.model import SLOW_ERASES, Modelled, model, model_goals
from tests.faults.job import Job, Work, remembering
from tests.faults.matrix import ENDINGS, Matrix
from tests.faults.rows import every_row, one_row_per_geometry
from tests.faults.totals import counts
from updater.lab.record import Power
from updater.lab.rom import Dialect

SAME_TO = 0.001
QUICK = ("stm32f042", "stm32f405", "stm32h743 ROM 90")
QUICK_AND_REAL = "stm32h7r3"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_show_what_was_measured(page: Path) -> None:
    assert page.read_text("utf-8") == with_figures(page)


@pytest.mark.parametrize("what", [MATRIX, FULL_SIZE])
def test_nothing_was_lost_and_no_promise_broken(what: str) -> None:
    figures = load(what)
    assert figures["exhaustive"] is (what == MATRIX)
    assert figures["broken_promises"] == []
    assert "lost" not in figures["total"]["ended"]


@pytest.mark.parametrize("what", [MATRIX, FULL_SIZE])
def test_every_fault_that_was_tried_is_shown_with_its_ending(what: str) -> None:
    total = load(what)["total"]
    assert set(total["ended"]) <= set(ENDINGS)
    assert sum(total["ended"].values()) == total["tried"]


def test_the_figures_are_about_the_rows_of_today() -> None:
    assert load(MATRIX)["rows"] == [str(row) for row in every_row()]
    assert load(FULL_SIZE)["rows"] == [str(row) for row in one_row_per_geometry()]


@pytest.mark.parametrize("name", QUICK)
def test_there_are_as_many_faults_as_the_matrix_had(name: str) -> None:
    """One for each transfer of an update, so this changes with whatever the flasher sends."""
    row, tried = next(row for row in every_row() if str(row).startswith(name)), 0
    for work in Work:
        for dialect in Dialect:
            matrix = Matrix(Job(row, work), dialect)
            with remembering():
                whole = matrix.desk.run(matrix.desk.start(Power.SELF))
                tried += sum(1 for _ in matrix.trials(whole))
    assert load(MATRIX)["by_row"][str(row)]["tried"] == tried


@pytest.mark.faults
def test_a_sample_on_real_sectors_ends_as_it_did() -> None:
    rows = [row for row in one_row_per_geometry() if row.chip_id == QUICK_AND_REAL]
    fresh = sample(POINTS, rows, tell=lambda _line: None)
    assert load(FULL_SIZE)["by_row"][str(rows[0])] == counts(fresh.whole)


def test_the_comparison_was_measured_of_the_updater_of_today() -> None:
    kept = {(one["case"], one["host"]): one["seconds"] for one in load(BESIDE)["model"]}
    fresh = {(one.case, one.host): one.seconds for one in model()}
    assert kept == pytest.approx(fresh, rel=SAME_TO)
    assert {one["case"] for one in load(BESIDE)["measured"]} == set(CASES)


def test_a_goal_that_is_met_on_an_inference_alone_is_shown_without_it_too() -> None:
    goals = {goal.goal: goal for goal in model_goals([Modelled(**one) for one in load(BESIDE)["model"]])}
    assert goals["supply range set / dfu-util -D without"].is_met
    assert not goals["supply range set, if the ROM erases no faster then"].is_met
    assert SLOW_ERASES in RELIABILITY.read_text("utf-8")
