"""The folder of boards: DIR/NAME/{board.toml, flash.bin, otp.bin, options.bin}.

One process at a time works in a folder. A board is written back when the work ends, also when it ended
badly, each file by replacement, so a lab never holds half a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from updater.heads.silicon import BankMode, Chip, Silicon, the_table
from updater.lab.application import LabProduct, vectors_are_valid
from updater.lab.backend import LabBackend, split_port
from updater.lab.board import Board
from updater.lab.clock import Clock
from updater.lab.flash import BLANK, Flash, Memory, bank_mode_in, blank_options, flash_region, size_of
from updater.lab.record import BoardRecord, BoardState, Fault, FaultKind, Power
from updater.lab.rom import Dialect, Snapshot
from updater.lab.serialport import LabSerialPorts
from updater.words.errors import StorageFailed, Usage
from updater.words.facts import Region, Segment

SCHEMA = 1
UID_BYTES = 12
UNKNOWN = "?"
"""The revision of a board whose chip has no row of revisions."""
REGIONS = ("flash", "otp", "options")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Lab:
    """An open folder of boards, in the order of their names, with a pyusb backend over them."""

    boards: tuple[Board, ...]
    backend: LabBackend
    clock: Clock

    @property
    def serial_ports(self) -> LabSerialPorts:
        """The serial ports of the boards."""
        return LabSerialPorts(self.boards, self.clock)

    def board(self, name: str) -> Board:
        """Raises Usage where there is no board of that name."""
        for board in self.boards:
            if board.name == name:
                return board
        raise Usage(f"there is no board {name} in this lab", advice="`updater lab list` shows the boards.")


@contextmanager
def open_lab(
    folder: Path,
    clock: Clock,
    *,
    table: Silicon | None = None,
    dialect: Dialect = Dialect.STANDARD,
    charge_usb: bool = True,
) -> Iterator[Lab]:
    """Lock the folder, load its boards, and write them back at the end whatever happens.

    Raises StorageFailed when another process has the lab, or when a file is missing or damaged.
    """
    addresses = count(1)
    with locked(folder):
        boards = []
        for record in load_records(folder):
            memory = _load_memory(folder / record.name, record, table or the_table())
            boards.append(
                Board(
                    record,
                    table=table or the_table(),
                    memory=memory,
                    clock=clock,
                    next_address=lambda: next(addresses),
                    dialect=dialect,
                    charge_usb=charge_usb,
                )
            )
        before = {board.name: _contents(board) for board in boards}
        try:
            yield Lab(tuple(boards), LabBackend(boards), clock)
        finally:
            for board in boards:
                _save(folder / board.name, board.record(), _contents(board), before[board.name])


def add_board(
    folder: Path,
    *,
    chip: str,
    name: str | None = None,
    revision: str | None = None,
    rom_version: int | None = None,
    uid: bytes | None = None,
    port: str | None = None,
    power: Power = Power.SELF,
    boot_button: bool = True,
    in_rom: bool = False,
    product: LabProduct | None = None,
    segments: Sequence[Segment] = (),
    flash_kib: int | None = None,
    reads_size: bool = False,
    bank_mode: BankMode | None = None,
    looks_like: str | None = None,
    table: Silicon | None = None,
) -> BoardRecord:
    """Put a new board on the shelf and return what is written of it.

    Revision and ROM version default to the row's newest, the UID is made from the name. It runs its
    application when the flash holds valid vectors, else it is in its ROM. Raises Usage for what does not
    exist or does not fit, StorageFailed for the disk.
    """
    known = table or the_table()
    row = known.by_id(chip)
    if row is None:
        names = ", ".join(each.id for each in known.chip)
        raise Usage(f"no chip is called {chip}; the silicon table knows {names}")
    if looks_like is not None and looks_like not in [each.id for each in known.lookalike]:
        names = ", ".join(each.id for each in known.lookalike)
        raise Usage(f"nothing known looks like {looks_like!r}; known are {names}")
    flash = _flash_with(row, segments, _geometry(row, flash_kib, bank_mode))
    with locked(folder, create=True):
        records = load_records(folder)
        name = _free_name(name, [each.name for each in records])
        record = BoardRecord(
            name=name,
            chip=row.id,
            revision=_revision(row, revision),
            rom_version=_rom_version(row, rom_version),
            uid=_uid(uid, name),
            port=_free_port(port, [each.port for each in records]),
            power=power,
            boot_button=boot_button,
            state=BoardState.ROM if in_rom or not vectors_are_valid(flash) else BoardState.APPLICATION,
            product=product,
            flash_kib=flash_kib,
            reads_size=reads_size,
            looks_like=looks_like,
        )
        otp = bytes([BLANK]) * size_of(row, "otp")
        options = _as_delivered(row, blank_options(row, bank_mode), table or the_table())
        contents = {"flash": bytes(flash.contents), "otp": otp, "options": options}
        _save(folder / name, record, contents, {})
    return record


def _as_delivered(row: Chip, options: bytearray, table: Silicon) -> bytes:
    """The option bytes of a new part: not read-protected, which is the first value that the table names."""
    for group in table.options:
        for field in group.fields:
            if row.id in group.chips and field.name == "RDP" and row.option_bytes:
                options[field.at - row.option_bytes.at] = int(next(iter(field.values)), 0)
    return bytes(options)


def remove_board(folder: Path, name: str) -> None:
    """Take a board off the shelf. Raises Usage where there is none of that name."""
    with locked(folder):
        if name not in [record.name for record in load_records(folder)]:
            raise Usage(
                f"there is no board {name} in this lab", advice="`updater lab list` shows the boards."
            )
        with _storage(f"board {name} cannot be removed"):
            (folder / name / "board.toml").unlink()  # first: without it the folder is no board
            for region in REGIONS:
                (folder / name / f"{region}.bin").unlink(missing_ok=True)
            (folder / name).rmdir()


def load_records(folder: Path) -> list[BoardRecord]:
    """All boards of an existing folder, by name. Raises StorageFailed for a damaged one."""
    with _storage(f"the lab folder {folder} cannot be read"):
        names = sorted(
            (entry.name for entry in folder.iterdir() if (entry / "board.toml").is_file()), key=_in_order
        )
        return [_parse(name, (folder / name / "board.toml").read_bytes()) for name in names]


# ------------------------------------------------------------------------------------------------- the lock


@contextmanager
def locked(folder: Path, *, create: bool = False) -> Iterator[None]:
    """Keep every other process out of this folder. Raises StorageFailed at once when one is in."""
    if create:
        with _storage(f"the lab folder {folder} cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise StorageFailed(
            f"there is no lab folder {folder}", advice="Add a virtual board first: `updater lab add CHIP`."
        )
    with _storage(f"the lab folder {folder} cannot be locked"):
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(handle)
        except OSError as error:
            raise StorageFailed(
                f"another process is using the lab folder {folder}",
                advice="Wait until the other command has ended, or stop it, and run this one again.",
            ) from error
        yield
    finally:
        os.close(handle)  # releases the lock


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _storage(message: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"{message}: {error.strerror or error}") from error


# ------------------------------------------------------------------------------------------------- the files


def _load_memory(folder: Path, record: BoardRecord, table: Silicon) -> Memory:
    chip = table.by_id(record.chip)
    if chip is None or record.revision not in [row.letter for row in chip.revisions or ()] + [UNKNOWN]:
        raise _damaged(record.name, f"the table knows no {record.chip} of revision {record.revision}")
    contents: dict[str, bytearray] = {}
    for region in REGIONS:
        with _storage(f"board {record.name}: {region}.bin cannot be read"):
            contents[region] = bytearray((folder / f"{region}.bin").read_bytes())
    mode = bank_mode_in(chip, contents["options"])
    for region, content in contents.items():
        try:
            size = size_of(chip, region, flash_kib=record.flash_kib, bank_mode=mode)
        except ValueError as error:
            raise _damaged(record.name, str(error)) from error
        if len(content) != size:
            raise _damaged(record.name, f"{region}.bin has {len(content)} bytes, not {size}")
    return Memory(
        chip,
        rom_id=record.rom_version,
        flash_kib=record.flash_kib,
        reads_size=record.reads_size,
        **contents,
    )


def _contents(board: Board) -> dict[str, bytes]:
    return {region: read_region(board, region) for region in REGIONS}


def read_region(board: Board, region: str) -> bytes:
    """The raw bytes of `flash`, `otp` or `options`, from the region's first address."""
    held = {
        "flash": board.memory.flash.contents,
        "otp": board.memory.otp.contents if board.memory.otp else b"",
        "options": board.memory.options,
    }
    return bytes(held[region])


def _save(folder: Path, record: BoardRecord, now: dict[str, bytes], before: dict[str, bytes]) -> None:
    with _storage(f"board {record.name} cannot be saved"):
        folder.mkdir(exist_ok=True)
        for region, contents in now.items():
            if before.get(region) != contents:
                _replace(folder / f"{region}.bin", contents)
        _replace(folder / "board.toml", _dump(record).encode("utf-8"))


def _replace(path: Path, contents: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(contents)
    os.replace(temporary, path)


def _dump(record: BoardRecord) -> str:
    lines = [
        f"schema = {SCHEMA}",
        f"chip = {json.dumps(record.chip)}",
        f"revision = {json.dumps(record.revision)}",
        f"rom_version = 0x{record.rom_version:02X}",
        f'uid = "{record.uid.hex()}"',
        f"port = {json.dumps(record.port)}",
        f'power = "{record.power}"',
        f"boot_button = {str(record.boot_button).lower()}",
        f'state = "{record.state}"',
        f"write_protected = [{', '.join(f'0x{address:08X}' for address in record.write_protected)}]",
        f"read_protected = {str(record.read_protected).lower()}",
        f"reads_size = {str(record.reads_size).lower()}",
        f"power_ups = {record.power_ups}",
    ]
    if record.flash_kib is not None:
        lines.append(f"flash_kib = {record.flash_kib}")
    if record.looks_like is not None:
        lines.append(f"looks_like = {json.dumps(record.looks_like)}")
    if product := record.product:
        lines += [
            "",
            "[product]",
            f"product = {json.dumps(product.product)}",
            f"hardware = {json.dumps(product.hardware)}",
            f"title = {json.dumps(product.title)}",
            f"usb = {json.dumps(product.usb)}",
            f"header_address = 0x{product.header_address:08X}",
            f"enters = {json.dumps(product.enters)}",
            f'setup = "{product.setup.hex()}"',
            f"dialogue = {json.dumps([[heard.hex(), said.hex()] for heard, said in product.dialogue])}",
        ]
    if fault := record.fault:
        lines += ["", "[fault]", f'kind = "{fault.kind}"', f"value = {fault.value}", f"seen = {fault.seen}"]
    rom = record.rom
    lines += [
        "",
        "[rom]",
        f"state = {int(rom.state)}",
        f"status = {int(rom.status)}",
        f"pointer = 0x{rom.pointer:08X}",
        f"stuck = {str(rom.stuck).lower()}",
        f"hung = {str(rom.hung).lower()}",
    ]
    return "\n".join(lines) + "\n"


def _parse(name: str, contents: bytes) -> BoardRecord:
    try:
        table: dict[str, Any] = tomllib.loads(contents.decode("utf-8"))
        if table.pop("schema") != SCHEMA:
            raise ValueError("unknown schema")
        product = table.pop("product", None)
        fault = table.pop("fault", None)
        table["uid"] = bytes.fromhex(table["uid"])
        table["power"] = Power(table["power"])
        table["state"] = BoardState(table["state"])
        table["write_protected"] = tuple(table["write_protected"])
        split_port(table["port"])
        return BoardRecord(
            name=name,
            product=_product(product) if product else None,
            fault=replace(Fault(**fault), kind=FaultKind(fault["kind"])) if fault else None,
            rom=Snapshot(**table.pop("rom")),
            **table,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(name, f"board.toml: {error}") from error


def _product(table: dict[str, Any]) -> LabProduct:
    if "enters" in table:
        table["enters"] = tuple(table["enters"])
    table["setup"] = bytes.fromhex(table.get("setup", ""))
    pairs = table.get("dialogue", [])
    table["dialogue"] = tuple((bytes.fromhex(heard), bytes.fromhex(said)) for heard, said in pairs)
    return LabProduct(**table)


def _damaged(name: str, why: str) -> StorageFailed:
    return StorageFailed(
        f"board {name} is damaged: {why}",
        advice=f"Remove the folder {name} from the lab folder and add the board again.",
    )


# ---------------------------------------------------------------------------------------------- a new board


def _geometry(chip: Chip, flash_kib: int | None, bank_mode: BankMode | None) -> Region:
    if bank_mode == "dual" and chip.bank_mode is None:
        raise Usage(f"{chip.title} has no option that divides its flash into two banks")
    try:
        return flash_region(chip, flash_kib=flash_kib, bank_mode=bank_mode)
    except ValueError as error:
        raise Usage(str(error)) from error


def _flash_with(chip: Chip, segments: Sequence[Segment], region: Region) -> Flash:
    base, end = region.address, region.sectors[-1].end
    contents = bytearray([BLANK]) * (end - base)
    for segment in segments:
        if segment.address < base or segment.end > end:
            raise Usage(f"firmware at 0x{segment.address:08X} does not fit into the flash of {chip.title}")
        contents[segment.address - base : segment.end - base] = segment.data
    return Flash(region, contents, unit_bytes=chip.program_unit_bytes.value, once_per_erase=False)


def _revision(chip: Chip, wanted: str | None) -> str:
    letters = [row.letter for row in chip.revisions]
    if wanted is not None and wanted not in letters:
        raise Usage(f"{chip.title} has no revision {wanted}; known are {', '.join(letters) or 'none'}")
    return wanted or (letters[-1] if letters else UNKNOWN)


def _rom_version(chip: Chip, wanted: int | None) -> int:
    known = [rom.id for rom in chip.roms]
    if wanted is not None and wanted not in known:
        ids = ", ".join(f"0x{each:02X}" for each in known)
        raise Usage(f"{chip.title} has no ROM 0x{wanted:02X}; known are {ids}")
    return (known[-1] if known else 0) if wanted is None else wanted


def _uid(wanted: bytes | None, name: str) -> bytes:
    if wanted is None:
        return hashlib.sha256(name.encode()).digest()[:UID_BYTES]
    if len(wanted) != UID_BYTES:
        raise Usage(f"a UID has {UID_BYTES} bytes ({2 * UID_BYTES} hex digits), not {len(wanted)}")
    return wanted


def _free_name(wanted: str | None, taken: Sequence[str]) -> str:
    if wanted is None:
        return next(name for number in count(1) if (name := f"board{number}") not in taken)
    if not _NAME.fullmatch(wanted):
        raise Usage(f"{wanted!r} is no name for a board: letters, digits, '.', '_' and '-' only")
    if wanted in taken:
        raise Usage(f"there is already a board {wanted} in this lab")
    return wanted


def _free_port(wanted: str | None, taken: Sequence[str]) -> str:
    if wanted is None:
        return next(port for number in count(1) if (port := f"1-{number}") not in taken)
    try:
        split_port(wanted)
    except ValueError as error:
        raise Usage(f"{wanted!r} is no port path; one looks like 1-2 or 1-2.3") from error
    if wanted in taken:
        raise Usage(f"another board is plugged into port {wanted}")
    return wanted


def _in_order(name: str) -> list[tuple[int, str]]:
    """board2 before board10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
