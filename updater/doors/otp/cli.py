"""`updater otp ...`: arguments in, an exit status out. Imports are late, as in `cli`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from updater.doors.arguments import MakeHands, Parser

if TYPE_CHECKING:
    from updater.doors.terminal import Face


def add_parser(
    commands: argparse._SubParsersAction[Parser], shared: Parser, one: Parser, *, hands: MakeHands
) -> None:
    """Hang `otp` and its commands into a command line.

    `shared` and `one` are the options of all commands, and of those that choose a single device.
    """
    otp = commands.add_parser("otp", help="one-time-programmable memory")
    parts = otp.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = parts.add_parser("show", parents=[shared, one], help="show what is burnt, and what is locked")
    _add_layout(show)
    show.set_defaults(run=lambda args, face: _show(args, face, hands))
    plan = parts.add_parser("plan", parents=[shared, one], help="show what `write` would burn, and stop")
    _add_layout(plan, required=True)
    add_sources(plan)
    _add_row(plan)
    plan.set_defaults(run=lambda args, face: _write_layout(args, face, hands, dry=True))
    write = parts.add_parser("write", parents=[shared, one], help="burn bytes, for ever; never a lock byte")
    what = write.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--hex", action="append", metavar="OFFSET:BYTES", dest="patches",
        help="hex digits for this offset in the OTP data (decimal or 0x...); may be given several times",
    )  # fmt: skip
    _add_layout(what)
    add_sources(write)
    _add_row(write)
    write.add_argument("--yes", action="store_true", help="answer the one question with yes")
    write.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    write.set_defaults(run=lambda args, face: _write(args, face, hands))
    lock = parts.add_parser(
        "lock", parents=[shared, one], help="lock a block that the layout names, for ever"
    )
    _add_layout(lock, required=True)
    lock.add_argument("--block", type=int, metavar="N", required=True)
    lock.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    lock.set_defaults(run=lambda args, face: _lock(args, face, hands))


def _add_layout(parser: argparse._ActionsContainer, *, required: bool = False) -> None:
    parser.add_argument(
        "--layout", nargs="?", const="", metavar="WHAT", required=required,
        help="what the bytes mean: a release (a bundle file, link or version; without WHAT the newest), or a "
        ".toml file in an engineering updater",
    )  # fmt: skip


def _lock(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.otp.console import request_for
    from updater.doors.otp.layouts import Wanted, lock

    with hands(args) as made:
        request = request_for(args.device, args.as_product)
        return lock(made, face, request, Wanted(layout=args.layout), args.block, dry=args.dry_run)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Where the values of a layout come from."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="sets",
        help="a value that the layout asks for; may be given several times",
    )  # fmt: skip
    parser.add_argument("--from", type=Path, metavar="FILE.csv", dest="table", help="a row for each board")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="where counted numbers are kept: one file for all benches"
    )


def _add_row(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--row", type=int, metavar="N", help="this row, 1 being the first; else the next free one"
    )


def _write_layout(args: argparse.Namespace, face: Face, hands: MakeHands, *, dry: bool) -> int:
    from updater.doors.otp.console import request_for
    from updater.doors.otp.layouts import Wanted, write_by_layout

    wanted = Wanted(
        layout=args.layout, sets=tuple(args.sets), table=args.table, row=args.row, ledger=args.ledger
    )
    with hands(args) as made:
        request = request_for(args.device, args.as_product)
        return write_by_layout(made, face, request, wanted, yes=not dry and args.yes, dry=dry)


def _show(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.otp.console import request_for, show
    from updater.doors.otp.layouts import Wanted, show_by_layout

    with hands(args) as made:
        if args.layout is not None:
            request = request_for(args.device, args.as_product)
            return show_by_layout(made, face, request, Wanted(layout=args.layout))
        return show(made, face, request_for(args.device, args.as_product))


def _write(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.otp.console import request_for, write
    from updater.heads.otp.plan import parse_patches
    from updater.words.errors import Usage

    if args.layout is not None:
        return _write_layout(args, face, hands, dry=args.dry_run)
    if args.sets or args.table or args.ledger or args.row is not None:
        raise Usage(
            "--set, --from, --ledger and --row need a layout", advice="Add --layout WHAT, without --hex."
        )
    patches = parse_patches(args.patches)
    with hands(args) as made:
        request = request_for(args.device, args.as_product)
        return write(made, face, request, patches, yes=args.yes, dry=args.dry_run)
