"""The `updater lab …` commands. Results go to `out`; every failure is an `UpdaterError`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from updater.lab.application import WAYS, LabProduct
from updater.lab.board import Board
from updater.lab.clock import Clock, RealClock, VirtualClock
from updater.lab.record import FAULTS_OF_MILLISECONDS, FAULTS_WITHOUT_VALUE, BoardState, FaultKind, Power
from updater.lab.rom import Dialect
from updater.lab.shelf import REGIONS, add_board, open_lab, read_region, remove_board
from updater.lab.wire import UsbIpServer
from updater.words.errors import StorageFailed, Usage
from updater.words.facts import Segment

FindProduct = Callable[[str | None, str, str | None], LabProduct | None]
"""(product id or None, chip id, hardware or None) -> what the vendor says; raises Usage when unknown."""
FindFirmware = Callable[[str, LabProduct | None], tuple[Segment, ...]]
"""(a version or the path of a bundle, the product) -> the image's segments; raises an UpdaterError."""

USBIP_PORT = 3240
Parser = TypeVar("Parser", bound=argparse.ArgumentParser)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What the lab asks of the rooms above it, which it must not import."""

    find_product: FindProduct
    find_firmware: FindFirmware


def add_parser(
    subparsers: argparse._SubParsersAction[Parser], *, parents: Sequence[Parser] = ()
) -> argparse.ArgumentParser:
    """Hang `lab` and its commands into a command line; `args.lab_command` says which was chosen.

    `parents` are given to every command: the options that the caller's other commands share. Without
    them `list` has a `--json` of its own.
    """
    lab = subparsers.add_parser("lab", help="virtual devices")
    commands = lab.add_subparsers(dest="lab_command", required=True, metavar="COMMAND")
    make = partial(commands.add_parser, parents=list(parents))
    _add_add(make("add", help="put a new board on the shelf"))
    listing = make("list", help="show the boards")
    if not parents:
        listing.add_argument("--json", action="store_true")
    _named(make("remove", help="take a board off the shelf"))
    dump = _named(make("dump", help="write a board's memory to a file"))
    dump.add_argument("--region", choices=REGIONS, required=True)
    dump.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    fault = _named(make("fault", help="make one thing go wrong, once"))
    fault.add_argument(
        "kind", choices=[*map(str, FaultKind), "none"], metavar="KIND", help=", ".join(FaultKind)
    )
    fault.add_argument("value", nargs="?", metavar="VALUE", help="transfer from 1, address, or milliseconds")
    replug = _named(make("replug", help="power cycle"))
    replug.add_argument("--boot", action="store_true", help="hold the BOOT button")
    _named(make("unplug", help="pull the cable"))
    serve = make("serve", help="serve the boards by USB/IP, in real time")
    serve.add_argument("--port", type=int, default=USBIP_PORT)
    serve.add_argument(
        "--attach",
        action="store_true",
        help="plug the boards into this machine (Linux, root): port path 1-N is vhci port N-1",
    )
    serve.add_argument("--dialect", choices=[*map(str, Dialect)], default=Dialect.STANDARD)
    return lab


def run(args: argparse.Namespace, lab_dir: Path, *, vendor: Vendor, out: TextIO | None = None) -> int:
    """Do one `lab` command in the folder `lab_dir`; the exit status. Raises UpdaterError."""
    out = sys.stdout if out is None else out
    name: str = args.lab_command
    if name == "add":
        _add(args, lab_dir, vendor, out)
    elif name == "remove":
        remove_board(lab_dir, args.name)
    elif name == "serve":
        _serve(args, lab_dir, out)
    else:
        clock: Clock = VirtualClock()
        with open_lab(lab_dir, clock) as lab:
            if name == "list":
                _list(lab.boards, out, as_json=getattr(args, "json", False))
                return 0
            board = lab.board(args.name)
            if name == "dump":
                _dump(board, args.region, args.output)
            elif name == "fault":
                board.set_fault(*_fault(args.kind, args.value))
            elif name == "replug":
                board.replug(boot=args.boot)
            else:
                board.unplug()
    return 0


def _named(parser: Parser) -> Parser:
    parser.add_argument("name", metavar="NAME")
    return parser


def _add_add(add: argparse.ArgumentParser) -> None:
    add.add_argument("chip", metavar="CHIP", help="a row of the silicon table, like stm32xxxx")
    add.add_argument("--name")
    add.add_argument("--rev", metavar="LETTER", help="silicon revision; default: the row's last")
    add.add_argument("--rom", metavar="0xNN", help="ROM bootloader ID; default: the row's last")
    add.add_argument("--uid", metavar="24HEX")
    add.add_argument("--product")
    add.add_argument("--hardware")
    add.add_argument("--firmware", metavar="VERSION|FILE.fwb|FILE.bin@ADDR|none", default="none")
    add.add_argument("--port", metavar="PATH", help="USB port path like 1-2.3; default: the next free one")
    add.add_argument("--power", choices=[*map(str, Power)], default=Power.SELF)
    add.add_argument("--boot-button", choices=["yes", "no"], default="yes")
    add.add_argument("--in-rom", action="store_true", help="start in the bootloader")
    add.add_argument(
        "--flash-kib", type=int, metavar="KIB", help="the part's flash; default: the largest part"
    )
    add.add_argument("--reads-size", action="store_true", help="the ROM lets its flash-size register be read")
    add.add_argument("--bank-mode", choices=["single", "dual"], help="what the option bytes say")
    add.add_argument(
        "--ways",
        metavar="KIND,...",
        help=f"by what its firmware can be sent into the bootloader: {', '.join(WAYS)}; "
        "default: the product's own ways",
    )
    add.add_argument("--looks-like", metavar="ID", help="show the face of a look-alike on USB")


def _add(args: argparse.Namespace, lab_dir: Path, vendor: Vendor, out: TextIO) -> None:
    product = _heeding(vendor.find_product(args.product, args.chip, args.hardware), args.ways)
    record = add_board(
        lab_dir,
        chip=args.chip,
        name=args.name,
        revision=args.rev,
        rom_version=None if args.rom is None else _number(args.rom, "a ROM bootloader ID"),
        uid=None if args.uid is None else _uid(args.uid),
        port=args.port,
        power=Power(args.power),
        boot_button=args.boot_button == "yes",
        in_rom=args.in_rom,
        product=product,
        segments=_firmware(args.firmware, product, vendor),
        flash_kib=args.flash_kib,
        reads_size=args.reads_size,
        bank_mode=args.bank_mode,
        looks_like=args.looks_like,
    )
    print(
        f"{record.name}: {record.chip} revision {record.revision}, ROM 0x{record.rom_version:02X},"
        f" at port {record.port}, {record.state}",
        file=out,
    )


def _heeding(product: LabProduct | None, ways: str | None) -> LabProduct | None:
    """The product with firmware that heeds these ways only."""
    if ways is None:
        return product
    kinds = tuple(kind for kind in ways.split(",") if kind)
    if product is None:
        raise Usage("ways into the bootloader of which product?", advice="Name it with --product.")
    if unknown := [kind for kind in kinds if kind not in WAYS]:
        raise Usage(f"{unknown[0]!r} is no way into the bootloader; known are {', '.join(WAYS)}")
    return replace(product, enters=kinds)


def _firmware(spec: str, product: LabProduct | None, vendor: Vendor) -> tuple[Segment, ...]:
    if spec == "none":
        return ()
    path, at, address = spec.rpartition("@")
    if not at or spec.endswith(".fwb"):  # a folder's name may hold an "@" too
        return vendor.find_firmware(spec, product)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Usage(f"the firmware {path} cannot be read: {error.strerror or error}") from error
    return (Segment(address=_number(address, "an address"), data=data),)


def _uid(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Usage(f"{text!r} is no UID: 24 hex digits") from error


def _number(text: str, what: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise Usage(f"{text!r} is not {what}") from error


def _fault(kind: str, value: str | None) -> tuple[FaultKind | None, int]:
    if kind == "none":
        return None, 0
    chosen = FaultKind(kind)
    if chosen in FAULTS_WITHOUT_VALUE:
        if value is not None:
            raise Usage(f"the fault {kind} takes no value")
        return chosen, 0
    if value is None:
        raise Usage(f"the fault {kind} needs a value")
    number = _number(value, "a number")
    counts = chosen is not FaultKind.STICK_BUSY_AT and chosen not in FAULTS_OF_MILLISECONDS
    if number < (1 if counts else 0):
        raise Usage(f"the fault {kind} cannot have the value {number}; transfers are counted from 1")
    return chosen, number


def _list(boards: tuple[Board, ...], out: TextIO, *, as_json: bool) -> None:
    for board in boards:
        record, header = board.record(), board.header
        line = {
            "type": "board",
            "name": board.name,
            "chip": record.chip,
            "revision": record.revision,
            "rom_version": f"0x{record.rom_version:02X}",
            "product": header.product if header else None,
            "version": str(header.version) if header else None,
            "state": str(board.state),
            "port": board.port,
            "uid": board.uid.hex().upper(),
        }
        if as_json:
            print(json.dumps(line), file=out)
        else:
            runs = f"{header.product} {header.version}" if header else "no firmware of ours"
            print(
                f"{board.name}  {record.chip} rev {record.revision} ROM {line['rom_version']}"
                f"  port {board.port}  {board.state}  {runs}",
                file=out,
            )


def _dump(board: Board, region: str, path: Path) -> None:
    contents = read_region(board, region)
    if not contents:
        raise Usage(f"{board.chip.title} has no {region} memory that its ROM shows")
    try:
        path.write_bytes(contents)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error.strerror or error}") from error


def _serve(args: argparse.Namespace, lab_dir: Path, out: TextIO) -> None:
    """Until SIGTERM or SIGINT; the boards are saved then."""
    lab_open = open_lab(lab_dir, RealClock(), dialect=Dialect(args.dialect), charge_usb=False)
    with _told_to_stop() as stop, lab_open as lab:
        try:
            server = UsbIpServer(lab.boards, port=args.port)
        except (OSError, OverflowError) as error:  # OverflowError: no TCP port has this number
            why = error.strerror if isinstance(error, OSError) else None
            raise Usage(
                f"port {args.port} of this machine cannot be used: {why or error}",
                advice="Choose another port with --port.",
            ) from error
        for number, board in enumerate(lab.boards, 1):
            if board.state is not BoardState.UNPLUGGED:
                print(f"1-{number}: {board.name} ({board.state})", file=out, flush=True)
        if args.attach:
            server.keep_attached()
        while not stop.wait(0.2):  # a wait without end would not see a signal on Windows
            pass
        server.close()
        if args.attach:
            server.detach_all()


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Set by SIGTERM and SIGINT, which would else end the process before the boards are saved."""
    told = threading.Event()
    before = {
        wanted: signal.signal(wanted, lambda _number, _frame: told.set())
        for wanted in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield told
    finally:
        for wanted, handler in before.items():
            signal.signal(wanted, handler)
