"""`python -m tests.bench flash [--virtual]`."""

from __future__ import annotations

import argparse

from tests.bench.flash import flash_table, start_table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    commands = parser.add_subparsers(required=True)
    flash = commands.add_parser("flash", help="control transfers and time for two whole flashes")
    flash.add_argument("--virtual", action="store_true", help="only the virtual clock: what the host costs")
    flash.set_defaults(run=lambda args: flash_table(real=not args.virtual))
    start = commands.add_parser("start", help="how long `updater --version` takes as a whole process")
    start.set_defaults(run=lambda _args: start_table())
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
