"""A ROM on the bench: one virtual chip without USB around it, and a host that speaks in raw bytes."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from semver import Version

from updater.heads.silicon import BankMode, Chip, the_table
from updater.lab.application import LabProduct
from updater.lab.board import Board
from updater.lab.clock import Clock, VirtualClock
from updater.lab.flash import Memory, blank_options, size_of
from updater.lab.record import BoardRecord, BoardState, Power
from updater.lab.rom import Dialect, Rom
from updater.lab.shelf import UNKNOWN
from updater.lab.symptoms import behaves
from updater.words.facts import ProductHeader, Segment

FLASH = 0x08000000
H743, F405 = "stm32h743", "stm32f405"
CHIPS = (H743, F405)
ROMS = {H743: (0x92, "V"), F405: (0x91, "3")}
WIDGET = LabProduct(product="demo-widget", hardware="A", title="Demo Widget", usb="1209:0001")
UID = bytes.fromhex("320020000E5138343934373101020304")[:12]

SET_ADDRESS, ERASE = 0x21, 0x41
DNLOAD, UPLOAD, GETSTATUS, CLRSTATUS, GETSTATE, ABORT = 1, 2, 3, 4, 5, 6
IDLE, SYNC, BUSY, DNLOAD_IDLE, MANIFEST_SYNC, MANIFEST, UPLOAD_IDLE, ERROR = 2, 3, 4, 5, 6, 7, 9, 10


def chip_row(name: str) -> Chip:
    chip = the_table().by_id(name)
    assert chip is not None
    return chip


def silicon_of(name: str, rom_version: int | None = None, revision: str | None = None) -> tuple[int, str]:
    """A ROM and a revision letter: those asked for, or the row's last ones."""
    chip = chip_row(name)
    rom, letter = ROMS.get(name) or (
        chip.roms[-1].id if chip.roms else 0,
        chip.revisions[-1].letter if chip.revisions else UNKNOWN,
    )
    return (rom if rom_version is None else rom_version), revision or letter


def fresh_memory(
    chip: Chip,
    rom_id: int,
    *,
    flash_kib: int | None = None,
    reads_size: bool = False,
    bank_mode: BankMode | None = None,
) -> Memory:
    return Memory(
        chip,
        rom_id=rom_id,
        flash=bytearray(b"\xff" * size_of(chip, "flash", flash_kib=flash_kib, bank_mode=bank_mode)),
        otp=bytearray(b"\xff" * size_of(chip, "otp")),
        options=blank_options(chip, bank_mode),
        flash_kib=flash_kib,
        reads_size=reads_size,
    )


def rom_of(
    name: str,
    dialect: Dialect = Dialect.STANDARD,
    *,
    rom_version: int | None = None,
    revision: str | None = None,
    flash_kib: int | None = None,
    reads_size: bool = False,
    bank_mode: BankMode | None = None,
    **changes: Any,
) -> Rom:
    """A ROM by the table; `changes` are symptoms that no row has."""
    chip = chip_row(name)
    rom_version, revision = silicon_of(name, rom_version, revision)
    memory = fresh_memory(chip, rom_version, flash_kib=flash_kib, reads_size=reads_size, bank_mode=bank_mode)
    own = behaves(the_table(), chip, rom_version=rom_version, revision=revision, bank_mode=memory.bank_mode)
    return Rom(
        memory=memory,
        behaves=replace(own, **changes),
        transfer_size=chip.transfer_size.value,
        clock=VirtualClock(),
        dialect=dialect,
    )


class Host:
    """The five lines that a DFU host needs."""

    def __init__(self, rom: Rom) -> None:
        self.rom = rom
        self.clock = rom.clock

    def out(self, request: int, value: int = 0, data: bytes = b"") -> None:
        self.rom.control(0x21, request, value, 0, data)

    def read(self, request: int, value: int = 0, length: int = 6) -> bytes:
        return self.rom.control(0xA1, request, value, 0, length)

    def status(self) -> tuple[int, int, int]:
        """bStatus, bwPollTimeout, bState."""
        data = self.read(GETSTATUS)
        assert len(data) == 6
        return data[0], int.from_bytes(data[1:4], "little"), data[4]

    def result(self) -> tuple[int, int]:
        """bStatus and bState."""
        code, _, state = self.status()
        return code, state

    def download(self, block: int, data: bytes) -> tuple[int, int]:
        """DNLOAD, the GETSTATUS that must say dfuDNBUSY, and the one that says how it ended."""
        self.out(DNLOAD, block, data)
        assert self.result() == (0, BUSY)
        return self.result()

    def point(self, address: int) -> tuple[int, int]:
        return self.download(0, struct.pack("<BI", SET_ADDRESS, address))

    def erase(self, address: int) -> tuple[int, int]:
        return self.download(0, struct.pack("<BI", ERASE, address))

    def upload(self, address: int, length: int) -> bytes:
        """The memory at this address, as AN3156 has it: pointer, ABORT, UPLOAD of block 2, ABORT."""
        assert self.point(address) == (0, DNLOAD_IDLE)
        self.out(ABORT)
        data = self.read(UPLOAD, 2, length)
        self.out(ABORT)
        return data


def image(version: str = "1.0.0", *, size: int = 4096) -> bytes:
    """Valid vectors, a product header at 0x400, and something to compare."""
    header = ProductHeader(
        product="demo-widget", hardware="A", version=Version.parse(version), security_counter=1
    )
    data = bytearray(number * 7 % 251 for number in range(size))
    data[:8] = struct.pack("<II", 0x20020000, FLASH + 0x801)
    data[0x400 : 0x400 + 44] = header.pack()
    return bytes(data)


def firmware(version: str = "1.0.0") -> tuple[Segment, ...]:
    return (Segment(address=FLASH, data=image(version)),)


def board_of(
    name: str = F405,
    *,
    state: BoardState = BoardState.APPLICATION,
    flash: bytes | None = None,
    power: Power = Power.SELF,
    dialect: Dialect = Dialect.STANDARD,
    boot_button: bool = True,
    clock: Clock | None = None,
    rom_version: int | None = None,
    flash_kib: int | None = None,
    reads_size: bool = False,
    bank_mode: BankMode | None = None,
    looks_like: str | None = None,
) -> Board:
    chip = chip_row(name)
    rom_version, revision = silicon_of(name, rom_version)
    memory = fresh_memory(chip, rom_version, flash_kib=flash_kib, reads_size=reads_size, bank_mode=bank_mode)
    contents = image() if flash is None else flash
    memory.flash.contents[: len(contents)] = contents
    addresses = count(1)
    return Board(
        BoardRecord(
            name="board1",
            chip=name,
            revision=revision,
            rom_version=rom_version,
            uid=UID,
            port="1-1",
            power=power,
            state=state,
            product=WIDGET,
            boot_button=boot_button,
            flash_kib=flash_kib,
            reads_size=reads_size,
            looks_like=looks_like,
        ),
        table=the_table(),
        memory=memory,
        clock=clock or VirtualClock(),
        next_address=lambda: next(addresses),
        dialect=dialect,
    )


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
