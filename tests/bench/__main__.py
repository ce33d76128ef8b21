"""`python -m tests.bench flash [--virtual]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench.compare import CASES
from tests.bench.exe import exe_table
from tests.bench.faults import POINTS, fault_table
from tests.bench.figures import WHAT, compare_table, make
from tests.bench.flash import flash_table, start_table
from tests.bench.gate import gate_table
from tests.bench.lanes import lanes_table
from tests.bench.silicon import JOB_KIB, silicon_table
from tests.bench.site import site_table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    commands = parser.add_subparsers(required=True)
    flash = commands.add_parser("flash", help="control transfers and time for two whole flashes")
    flash.add_argument("--virtual", action="store_true", help="only the virtual clock: what the host costs")
    flash.set_defaults(run=lambda args: flash_table(real=not args.virtual))
    start = commands.add_parser("start", help="how long `updater --version` takes as a whole process")
    start.set_defaults(run=lambda _args: start_table())
    beside = commands.add_parser("compare", help="beside dfu-util, in the guest; about 5 minutes a round")
    beside.add_argument("--rounds", type=int, default=3)
    beside.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    beside.add_argument("--json", type=Path, metavar="FILE")
    beside.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for boards and logs")
    beside.set_defaults(
        run=lambda args: compare_table(
            rounds=args.rounds, cases=args.case or CASES, json_file=args.json, keep=args.keep
        )
    )
    silicon = commands.add_parser("silicon", help="each family's time, its host overhead, each remedy's gain")
    silicon.add_argument("--kib", type=int, default=JOB_KIB, help="how much is flashed")
    silicon.add_argument("--chip", action="append", metavar="ROW", help="only this row; may be repeated")
    silicon.set_defaults(run=lambda args: silicon_table(kib=args.kib, chips=args.chip))
    faults = commands.add_parser("faults", help="a sample of faults at full size, one row per geometry")
    faults.add_argument("--points", type=int, default=POINTS, help="how many points of each kind of fault")
    faults.add_argument("--json", type=Path, metavar="FILE")
    faults.set_defaults(run=lambda args: fault_table(points=args.points, json_file=args.json))
    lanes = commands.add_parser("lanes", help="`install --all` on several boards beside one, in real time")
    lanes.add_argument("--boards", type=int, nargs="+", default=[1, 4, 8, 16], metavar="N")
    lanes.add_argument("--kib", type=int, default=128, help="how much each board is flashed with")
    lanes.set_defaults(run=lambda args: lanes_table(counts=args.boards, kib=args.kib))
    exe = commands.add_parser("exe", help="size, files, start and sameness of the executables; minutes")
    exe.add_argument("--once", action="store_true", help="build the product once, and compare nothing")
    exe.set_defaults(run=lambda args: exe_table(once=args.once))
    figures = commands.add_parser("figures", help="measure what is named, and write the figures on the pages")
    figures.add_argument("what", nargs="*", metavar="WHAT", help=f"any of {', '.join(WHAT)}")
    figures.add_argument("--rounds", type=int, default=3, help="of the comparison")
    figures.set_defaults(run=lambda args: make(args.what, rounds=args.rounds))
    gate = commands.add_parser(
        "gate", help="the gate's time and memory, for a bundle of 2 MB and one of 64 MB"
    )
    gate.set_defaults(run=lambda _args: gate_table())
    site = commands.add_parser("site", help="what a check costs by how many releases are published")
    site.add_argument("--releases", type=int, nargs="+", default=[10, 1_000, 100_000], metavar="N")
    site.set_defaults(run=lambda args: site_table(counts=args.releases))
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
