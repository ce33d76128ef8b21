"""The fault matrix on real sectors: one row for each geometry, and a sample of the points of each fault.

The image fills the first half of the flash and one sector of the second. `python -m tests.faults` tries
every point, on small sectors; the two totals are never added.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.rows import Row, one_row_per_geometry
from tests.faults.totals import Totals, run, words, write_json
from updater.lab.rom import Dialect

POINTS = 4


def sample(points: int, rows: Sequence[Row] | None = None, *, tell: Callable[[str], None]) -> Totals:
    """So many points of each kind of fault, on one row of each geometry or on these."""
    return run(rows or one_row_per_geometry(), dialects=[Dialect.STANDARD], only=points, tell=tell)


def fault_table(*, points: int, json_file: Path | None) -> None:
    """Print the totals. Ends the program with status 1 when something was lost or not true."""
    totals = sample(points, tell=lambda line: print(line, file=sys.stderr, flush=True))
    print("\n".join(words(totals)))
    if json_file:
        write_json(totals, json_file)
    if totals.lost or totals.wrong:
        sys.exit(1)
