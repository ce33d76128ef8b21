"""The figures of the README and of docs/reliability.md: measured, kept as JSON in docs/figures, and written
between two marks.

`python -m tests.bench figures WHAT ...` measures and writes all; without WHAT it only writes the pages.
What goes stale is found by tests: the text by tests/bench/test_figures.py, which also tries a thin thread of
what the figures say; the totals of the matrix by the test that tries the whole of it (`-m faults`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import compare
from tests.bench.compare import CASES, GIVE_UP_S, REV_V, SAME, Goal, Measured
from tests.bench.faults import POINTS, sample
from tests.bench.model import Modelled, model, model_goals, model_words
from tests.faults.matrix import AGAIN, BOOT, ENDINGS, LEFT_ALONE, LOST, REPLUGGED, TOLD, WENT_THROUGH
from tests.faults.rows import every_row
from tests.faults.totals import run, words

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "figures"
README = ROOT / "README.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
PAGES = (README, RELIABILITY)
MATRIX, FULL_SIZE, BESIDE = "matrix", "full-size", "compare"
WHAT = (MATRIX, FULL_SIZE, BESIDE)
BEGIN = "<!-- From here on written by `python -m tests.bench figures` from docs/figures. -->"
END = "<!-- Up to here. -->"
Figures = Mapping[str, Any]


def load(what: str, folder: Path = FOLDER) -> Figures:
    """What was measured last."""
    figures: Figures = json.loads(_file(what, folder).read_text("utf-8"))
    return figures


def save(what: str, figures: Figures, folder: Path = FOLDER) -> None:
    """Keep it."""
    folder.mkdir(parents=True, exist_ok=True)
    _file(what, folder).write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _file(what: str, folder: Path) -> Path:
    return folder / f"{what}.json"


def make(wanted: Sequence[str], *, rounds: int) -> None:
    """Measure what is wanted, keep it, and write the pages anew. Status 1 where a promise was broken."""
    if unknown := set(wanted) - set(WHAT):
        sys.exit(f"no figures are called {', '.join(unknown)}; there are {', '.join(WHAT)}")
    broken = False
    for what in wanted:
        if what == BESIDE:
            save(what, compared(CASES, rounds=rounds))
        else:
            totals = run(every_row(), tell=_progress) if what == MATRIX else sample(POINTS, tell=_progress)
            print("\n".join(words(totals)))
            broken = broken or bool(totals.lost or totals.wrong)
            save(what, totals.as_json())
    for page in PAGES:
        page.write_text(with_figures(page), "utf-8")
    if broken:
        sys.exit(1)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def compare_table(*, rounds: int, cases: Sequence[str], json_file: Path | None, keep: Path | None) -> None:
    """`python -m tests.bench compare`: some cases, or all."""
    figures = compared([case for case in CASES if case in cases], rounds=rounds, keep=keep)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def compared(cases: Sequence[str], *, rounds: int, keep: Path | None = None) -> Figures:
    """Measure beside dfu-util, print it, and return it as JSON."""
    load_before, started = os.getloadavg()[0], time.monotonic()
    measured = compare.measure(cases, rounds, keep)
    took_s, modelled = time.monotonic() - started, model(cases)
    print("\n".join([*compare.report(measured), "", *model_words(modelled), "", f"took {took_s:.0f} s"]))
    return {
        "schema": 1,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "load_before": round(load_before, 2),
        "took_s": round(took_s),
        "measured": [asdict(one) for one in measured.values()],
        "goals": [asdict(goal) for goal in compare.goals(measured)],
        "model": [asdict(one) for one in modelled],
    }


# ------------------------------------------------------------------------------------------- on the pages


def with_figures(page: Path, folder: Path = FOLDER) -> str:
    """One of the PAGES, with its figures between the two marks."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    matrix = load(MATRIX, folder)
    if page == README:
        lines = list(fault_lines(matrix, load(FULL_SIZE, folder)))
    else:
        lines = [*kind_lines(matrix), "", *compare_lines(load(BESIDE, folder))]
    return "\n".join([before + BEGIN, "", *lines, "", END + after])


def fault_lines(matrix: Figures, sample: Figures) -> Iterator[str]:
    """The totals of the matrix with those of the sample beside them."""
    both = matrix, sample
    yield _row("", "every point, sectors scaled down", "a sample of the points, real sectors")
    yield _row("---", "---:", "---:")
    yield _row("kinds of silicon", *(str(len(one["rows"])) for one in both))
    yield _row("transfers of one update", *("{} to {}".format(*_span(one)) for one in both))
    yield _row("faults tried", *(_number(one["total"]["tried"]) for one in both))
    for how, name in _ENDED.items():
        yield _row(name, *(_number(one["total"]["ended"].get(how, 0)) for one in both))
    yield _row("an untrue word was said", *(_number(len(one["broken_promises"])) for one in both))


_ENDED = {
    WENT_THROUGH: "the update went through all the same",
    AGAIN: "the same command finished it",
    f"{AGAIN}, {REPLUGGED}": "the same command, after unplugging",
    f"{AGAIN}, {BOOT}": "the same command, after the BOOT button",
    f"{AGAIN}, {TOLD}": "the same command, with `--as`",
    f"{AGAIN}, {BOOT}, {TOLD}": "the same command, after the BOOT button and with `--as`",
    LEFT_ALONE: "another board was there, and was left alone",
    LOST: "**the device was lost**",
}


def kind_lines(matrix: Figures) -> Iterator[str]:
    """The totals of the matrix by kinds of fault."""
    seen = [how for how in ENDINGS if how in matrix["total"]["ended"]]
    yield _row("fault, at every point", "tried", *(ENDINGS[how] for how in seen))
    yield _row("---", *("---:" for _ in range(len(seen) + 1)))
    for kind, counts in matrix["by_kind"].items():
        ended = counts["ended"]
        yield _row(kind, _number(counts["tried"]), *(_number(ended.get(how, 0)) for how in seen))


def compare_lines(figures: Figures) -> Iterator[str]:
    """The updater beside dfu-util: seconds in the guest and by the model, and the ratios."""
    measured = [Measured(**one) for one in figures["measured"]]
    modelled = [Modelled(**one) for one in figures["model"]]
    rounds = figures["rounds"]
    times = "one run each" if rounds == 1 else f"medians of {rounds} runs each"
    yield "## Beside dfu-util"
    yield ""
    yield from _COMPARED
    cores, load_before = figures["cores"], figures["load_before"]
    yield f"Here: {times}, on {cores} cores, which had a load of {load_before:.1f} before it began."
    yield ""
    yield _row("seconds", "updater", "`dfu-util -D`", "updater, model", "`dfu-util -D`, model")
    yield _row("---", "---:", "---:", "---:", "---:")
    by_model = {(one.case, one.host): f"{one.seconds:.1f}" for one in modelled}
    in_guest = {(one.case, one.host): _seconds(one) for one in measured}
    for case in sorted({*CASES, *(one.case for one in modelled)}, key=_in_order):
        cells = [table.get((case, host), "") for table in (in_guest, by_model) for host in _HOSTS]
        yield _row(case, *cells)
    yield ""
    yield _row("ratio", "measured", "goal")
    yield _row("---", "---:", "---:")
    for goal in [Goal(**one) for one in figures["goals"]]:
        yield _goal(goal, "")
    for goal in model_goals(modelled):
        yield _goal(goal, " (model)")


def _in_order(case: str) -> tuple[int, str]:
    """What only the model tells stands behind the case that it is about."""
    return next(number for number, known in enumerate(CASES) if case.startswith(known)), case


_HOSTS = ("updater", "dfu-util")
_COMPARED = (
    "The updater beside dfu-util 0.11, on the same virtual boards, over the kernel's USB stack in an",
    "emulated guest. An F405 holds 1 MiB of something else, and 900,000 bytes are installed. The updater",
    "compares, erases, writes, and reads everything back; `dfu-util -D` reads nothing back. The boards take",
    "the datasheet's typical times, and a millisecond for each transfer and each KiB; on top come emulation,",
    "TCP and the hosts' own work. *Model*: the same by the lab's virtual clock, with nothing on top. That",
    "the ROM of an F4 erases faster once it was told its supply is our conclusion from RM0090 and DS8626,",
    "which no trace confirms; so it is counted both ways. The goals are this project's own.",
)


def _seconds(one: Measured) -> str:
    if one.case == REV_V and one.exit_status:
        return f"never (given up after {GIVE_UP_S} s)"
    if one.case == SAME and one.host == "dfu-util":
        return f"{one.upload_s:.1f} (`-U`)"
    return f"{one.median_s:.1f}"


def _goal(goal: Goal, suffix: str) -> str:
    most = "" if goal.at_most is None else f"at most {goal.at_most:.2f}"
    missed = "" if goal.is_met else ", **missed**"
    return _row(goal.goal + suffix, f"{goal.ratio:.3f}", most + missed)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(count: int) -> str:
    return f"{count:,}"


def _span(one: Figures) -> tuple[str, str]:
    least, most = one["transfers_of_an_update"]
    return _number(least), _number(most)
