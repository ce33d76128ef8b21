"""`updater install --all` and `updater station`: arguments in, an exit status out. Imports are late."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from updater.doors.arguments import MakeHands, Parser
from updater.doors.otp.cli import add_sources
from updater.words.errors import Usage

if TYPE_CHECKING:
    from updater.doors.terminal import Face
    from updater.story.job import Hands, Request
    from updater.story.production import Production


def add_options(install: argparse.ArgumentParser) -> None:
    """What `install` takes for several devices."""
    install.add_argument("--all", action="store_true", help="update every device that is connected")
    _add_paper(install)


def add_parser(commands: argparse._SubParsersAction[Parser], shared: Parser, *, hands: MakeHands) -> None:
    """Hang `station` into a command line."""
    station = commands.add_parser(
        "station", parents=[shared], help="update every device that is plugged in, until you stop it"
    )
    station.add_argument("what", nargs="?", metavar="WHAT", help="update link, file, page, code or version")
    station.add_argument(
        "--as", dest="as_product", metavar="PRODUCT[:HARDWARE]", help="say what silent devices are"
    )
    station.add_argument("--again", action="store_true", help="install the version that is there already")
    station.add_argument("--yes", action="store_true", help="answer the one question with yes")
    station.add_argument("--boards", type=_count, metavar="N", help="end after N boards")
    station.add_argument(
        "--otp", nargs="?", const="", metavar="LAYOUT.toml",
        help="burn each board's own values as well: by the layout in the bundle file WHAT, or (engineering "
        "updaters only) by this file",
    )  # fmt: skip
    add_sources(station)
    _add_paper(station)
    station.set_defaults(run=lambda args, face: _station(args, face, hands))


def _add_paper(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--receipts",
        type=Path,
        metavar="DIR",
        help="of several devices: add a line per board to DIR/boards.jsonl and DIR/boards.csv",
    )
    parser.add_argument(
        "--label",
        metavar="TEXT",
        help="of several devices: the text of each board's label, with $title, $version, $serial, ...",
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


def install_every(args: argparse.Namespace, hands: Hands, face: Face, request: Request) -> int:
    """`updater install --all`. Raises `Usage` where one device was chosen as well."""
    from updater.doors.bench.console import Paper, install_every
    from updater.doors.bench.face import lanes_face

    if args.device is not None:
        raise Usage("--all and --device exclude each other", advice="Leave one of them out.")
    paper = Paper(folder=args.receipts, label=args.label)
    return install_every(hands, face, lanes_face(face), request, paper, yes=args.yes, dry=args.dry_run)


def _station(args: argparse.Namespace, face: Face, hands: MakeHands) -> int:
    from updater.doors.bench.console import Paper, station
    from updater.doors.bench.face import lanes_face
    from updater.doors.console import knowing_code, request_for, with_options
    from updater.hands.host import lab_folder
    from updater.heads.tally import LABEL, label_fields, label_for

    if lab_folder(args.lab) and args.real_time is None and args.boards is None:
        args.real_time = 1.0  # boards come and go while time passes
    with hands(args) as made:
        made = knowing_code(made, args.what, face.emit)
        request = request_for(args.what, made.home.vendor)
        request = with_options(request, device=None, as_product=args.as_product, again=args.again)
        production = _production(args, made, face, request)
        layout = production.layout if production else None
        usual = label_for(layout) if layout else LABEL
        paper = Paper(
            folder=args.receipts or made.store.folder / "receipts",
            label=usual if args.label is None else args.label,
            fields=tuple(label_fields(layout)) if layout else (),
        )
        return station(
            made, face, lanes_face(face), request, paper,
            yes=args.yes, boards=args.boards, production=production,
        )  # fmt: skip


def _production(args: argparse.Namespace, hands: Hands, face: Face, request: Request) -> Production | None:
    """What each board gets beside its firmware. Raises `Usage`, `Refused`, and what the gate does."""
    from updater.doors.otp.layouts import Wanted, production_for

    if args.otp is None:
        if args.sets or args.table or args.ledger:
            raise Usage("--set, --from and --ledger need a layout", advice="Add --otp.")
        return None
    wanted = Wanted(layout=args.otp, sets=tuple(args.sets), table=args.table, ledger=args.ledger)
    return production_for(hands, face, request, wanted)
