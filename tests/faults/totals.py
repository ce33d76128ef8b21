"""All jobs on all cores, and what came of them: printed, and as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.job import Job, Work
from tests.faults.matrix import ENDINGS, Matrix, Result, Tally
from tests.faults.rows import Row
from updater.lab.rom import Dialect


class Task(NamedTuple):
    """One job on boards of one dialect; `only` so many points of each kind, or all."""

    job: Job
    dialect: Dialect
    only: int | None


@dataclass
class Totals:
    """Everything that was counted. `wrong` are the promises that were broken, each in words."""

    is_sample: bool
    rows: list[str]
    by_kind: dict[str, Tally] = field(default_factory=dict)
    by_family: dict[str, Tally] = field(default_factory=dict)
    by_work: dict[str, Tally] = field(default_factory=dict)
    by_row: dict[str, Tally] = field(default_factory=dict)
    whole: Tally = field(default_factory=Tally)
    wrong: list[str] = field(default_factory=list)
    commands: int = 0
    transfers: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def lost(self) -> int:
        return self.whole.mended["lost"]

    def add(self, task: Task, result: Result, cpu_seconds: float) -> None:
        for kind, tally in result.tallies.items():
            for table, name in (
                (self.by_kind, kind),
                (self.by_family, result.family),
                (self.by_work, str(task.job.work)),
                (self.by_row, str(task.job.row)),
            ):
                table.setdefault(name, Tally()).add(tally)
            self.whole.add(tally)
        self.wrong += result.wrong
        self.commands += result.commands
        self.transfers.append(result.transfers)
        self.cpu_seconds += cpu_seconds

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "exhaustive": not self.is_sample,
            "rows": self.rows,
            "transfers_of_an_update": [min(self.transfers), max(self.transfers)],
            "commands": self.commands,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "broken_promises": self.wrong,
            "total": counts(self.whole),
            "by_kind": {name: counts(tally) for name, tally in sorted(self.by_kind.items())},
            "by_family": {name: counts(tally) for name, tally in sorted(self.by_family.items())},
            "by_work": {name: counts(tally) for name, tally in sorted(self.by_work.items())},
            "by_row": {name: counts(self.by_row[name]) for name in self.rows if name in self.by_row},
        }


def counts(tally: Tally) -> dict[str, Any]:
    """As JSON, in an order that is always the same."""
    return {
        "tried": tally.tried,
        "left": dict(sorted(tally.left.items())),
        "ended": dict(sorted(tally.mended.items())),
    }


def run(
    rows: Sequence[Row],
    *,
    works: Iterable[Work] = Work,
    dialects: Iterable[Dialect] = Dialect,
    only: int | None = None,
    processes: int | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> Totals:
    """Every fault on every job of these rows."""
    tasks = [Task(Job(row, work), dialect, only) for row in rows for work in works for dialect in dialects]
    totals = Totals(is_sample=only is not None, rows=[str(row) for row in rows])
    started = time.perf_counter()
    with Pool(processes or os.cpu_count() or 1) as pool:
        for number, (task, result, seconds) in enumerate(pool.imap_unordered(_one, tasks), 1):
            totals.add(task, result, seconds)
            tell(f"{number}/{len(tasks)} {task.job.row}, {task.job.work}, {task.dialect}: {seconds:.1f} s")
    totals.seconds = time.perf_counter() - started
    return totals


def _one(task: Task) -> tuple[Task, Result, float]:
    started = time.process_time()
    result = Matrix(task.job, task.dialect, task.only).run()
    return task, result, time.process_time() - started


def words(totals: Totals) -> list[str]:
    """The tables, as they are printed."""
    least, most = min(totals.transfers), max(totals.transfers)
    how = "A SAMPLE of the points" if totals.is_sample else "every point"
    lines = [
        f"{len(totals.rows)} kinds of silicon, 3 plans each; an update is {least} to {most} transfers; {how}",
        f"{totals.commands:,} commands in {totals.seconds:.0f} s ({totals.cpu_seconds:.0f} s of CPU)",
        "",
        *_table("fault", totals.by_kind),
        "",
        *_table("plan", totals.by_work),
        "",
        *_table("family", dict(sorted(totals.by_family.items()))),
        "",
        *_table("", {"all": totals.whole}),
        "",
        f"lost: {totals.lost}; promises broken: {len(totals.wrong)}",
    ]
    return lines + [f"  {wrong}" for wrong in totals.wrong[:40]]


def _table(title: str, tallies: dict[str, Tally]) -> list[str]:
    columns = [name for name in ENDINGS if any(tally.mended[name] for tally in tallies.values())]
    lines = [f"{title:<34}{'tried':>9}" + "".join(f"{ENDINGS[name]:>14}" for name in columns)]
    for name, tally in tallies.items():
        numbers = "".join(f"{tally.mended[column]:>14,}" for column in columns)
        lines.append(f"{name:<34}{tally.tried:>9,}{numbers}")
    return lines


def write_json(totals: Totals, path: Path) -> None:
    path.write_text(json.dumps(totals.as_json(), indent=1) + "\n", "utf-8")
