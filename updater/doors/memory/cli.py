"""`updater read`, `write` and `dfu`: arguments in, an exit status out. Imports are late, as in `cli`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from updater.doors.arguments import MakeHands, Parser

if TYPE_CHECKING:
    from updater.doors.terminal import Face


def add_parsers(
    commands: argparse._SubParsersAction[Parser], shared: Parser, one: Parser, *, hands: MakeHands
) -> None:
    """Hang `read` and `dfu` into a command line; `shared` and `one` as for `otp`."""
    read = commands.add_parser("read", parents=[shared, one], help="read memory; nothing is changed")
    read.add_argument("--region", required=True, choices=("flash", "otp", "options", "id"))
    read.add_argument("--address", type=number, metavar="A", help="from this address on (0x...)")
    read.add_argument("--length", type=number, metavar="N", help="so many bytes")
    read.add_argument("--output", type=Path, metavar="FILE", help="keep it in FILE")
    read.add_argument("--compare", type=Path, metavar="FILE", help="say whether it is what FILE says")
    read.add_argument(
        "--format", choices=("bin", "hex", "dfu"), help="of FILE; else told from the end of its name"
    )
    read.set_defaults(run=lambda args, face: _read(args, face, hands))
    write = commands.add_parser(
        "write", parents=[shared, one], help="write a file that nobody signed (engineering updaters only)"
    )
    write.add_argument("file", type=Path, metavar="FILE", help=".bin with --at, .hex or DfuSe .dfu")
    write.add_argument("--at", type=number, metavar="ADDRESS", help="where a .bin file begins (0x...)")
    write.add_argument(
        "--over-kept", action="store_true", help="also where the product keeps its own data, which is lost"
    )
    write.add_argument("--yes", action="store_true", help="answer the one question with yes")
    write.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    write.set_defaults(run=lambda args, face: _write(args, face, hands))
    unprotect = commands.add_parser(
        "unprotect", parents=[shared], help="remove read-out protection: refused, with the way elsewhere"
    )
    unprotect.set_defaults(run=_unprotect)
    dfu = commands.add_parser("dfu", help="DFU files")
    parts = dfu.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = parts.add_parser("show", parents=[shared], help="show what is in a DfuSe or DFU file")
    show.add_argument("file", type=Path, metavar="FILE")
    show.set_defaults(run=_show_dfu)


def number(text: str) -> int:
    """Decimal, or hex with 0x. Raises ValueError, which argparse makes a complaint of."""
    value = int(text, 0)
    if not 0 <= value <= 0xFFFF_FFFF:
        raise ValueError(text)
    return value


def _read(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.memory.console import Files, read, request_for
    from updater.heads.memory import Kind, Wanted

    wanted = Wanted(kind=Kind(args.region), address=args.address, length=args.length)
    files = Files(output=args.output, compare=args.compare, format=args.format)
    with hands(args) as made:
        return read(made, face, request_for(args.device, args.as_product), wanted, files)


def _write(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.memory.console import request_for
    from updater.doors.memory.writing import write

    with hands(args) as made:
        request = request_for(args.device, args.as_product)
        how = {"at": args.at, "over_kept": args.over_kept, "yes": args.yes, "dry": args.dry_run}
        return write(made, face, request, args.file, **how)


def _unprotect(_args: argparse.Namespace, _face: Face) -> int:
    """Of no row in the silicon table a source documents the state after it, so there is nothing to choose."""
    from updater.story.reading import HOW_ELSEWHERE
    from updater.words.errors import Refused

    raise Refused(
        "this updater removes no read-out protection: that erases the whole flash, and of no chip a source "
        "says for sure in what state it is afterwards",
        advice=HOW_ELSEWHERE,
    )


def _show_dfu(args: argparse.Namespace, face: Face) -> int:
    from updater.doors.memory.console import show_dfu

    return show_dfu(face, args.file)
