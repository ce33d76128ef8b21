"""`python -m tests.faults [--json FILE] [ROW ...]`: the fault matrix, exhaustively, on small sectors."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.faults.rows import every_row
from tests.faults.totals import run, words, write_json


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only rows whose name has this in it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the totals there too")
    parser.add_argument("--processes", type=int, help="how many at once; one for each core if not said")
    parser.add_argument("--quiet", action="store_true", help="no line for each job")
    args = parser.parse_args()
    rows = [row for row in every_row() if not args.rows or any(part in str(row) for part in args.rows)]
    tell = (lambda _line: None) if args.quiet else (lambda line: print(line, file=sys.stderr, flush=True))
    totals = run(rows, processes=args.processes, tell=tell)
    print("\n".join(words(totals)))
    if args.json:
        write_json(totals, args.json)
    return 1 if totals.lost or totals.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
