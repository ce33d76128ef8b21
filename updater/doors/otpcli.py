"""`updater otp ...`: arguments in, an exit status out. Imports are late, as in `cli`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from updater.doors.terminal import Face
    from updater.story.job import Hands

Parser = TypeVar("Parser", bound=argparse.ArgumentParser)
MakeHands = Callable[[argparse.Namespace], AbstractContextManager["Hands"]]


def add_parser(
    commands: argparse._SubParsersAction[Parser], shared: Parser, one: Parser, *, hands: MakeHands
) -> None:
    """Hang `otp` and its commands into a command line.

    `shared` and `one` are the options of all commands, and of those that choose a single device.
    """
    otp = commands.add_parser("otp", help="one-time-programmable memory")
    parts = otp.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = parts.add_parser("show", parents=[shared, one], help="show what is burnt, and what is locked")
    show.set_defaults(run=lambda args, face: _show(args, face, hands))
    write = parts.add_parser("write", parents=[shared, one], help="burn bytes, for ever; never a lock byte")
    write.add_argument(
        "--hex", action="append", required=True, metavar="OFFSET:BYTES", dest="patches",
        help="hex digits for this offset in the OTP data (decimal or 0x...); may be given several times",
    )  # fmt: skip
    write.add_argument("--yes", action="store_true", help="answer the one question with yes")
    write.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    write.set_defaults(run=lambda args, face: _write(args, face, hands))


def _show(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.otpconsole import request_for, show

    with hands(args) as made:
        return show(made, face, request_for(args.device, args.as_product))


def _write(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.otpconsole import request_for, write
    from updater.heads.otp import parse_patches

    patches = parse_patches(args.patches)
    with hands(args) as made:
        request = request_for(args.device, args.as_product)
        return write(made, face, request, patches, yes=args.yes, dry=args.dry_run)
