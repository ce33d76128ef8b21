"""Two ways to one virtual ROM: straight at its table, and over pyusb with the lab's backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from updater.dfu.scripts import Pace, drive
from updater.dfu.words import Answer, In, Out, Script, Sleep, Wish
from updater.facts import Sector
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.flash import Memory, blank_options, size_of
from updater.lab.rom import Dialect, Rom
from updater.lab.shelf import add_board, open_lab
from updater.lab.symptoms import behaves
from updater.silicon import Behaviour, Chip, Silicon, the_table
from updater.usbio import ROM_USB, Attached, Bus, Wire

TABLE = the_table()
H743, F405 = "stm32h743", "stm32f405"
BANK_1, BANK_2 = 0x0800_0000, 0x0810_0000
SECTOR = 0x2_0000
WEDGE = "bank2-erase-wedge"
TOO_EARLY = "a flash operation before the last one had ended"


def row(chip_id: str, table: Silicon = TABLE) -> Chip:
    found = table.by_id(chip_id)
    assert found is not None
    return found


def roms_of(chip_id: str) -> list[int]:
    return [rom.id for rom in row(chip_id).roms]


def letters_of(chip_id: str) -> list[str]:
    return [revision.letter for revision in row(chip_id).revisions]


def every_silicon() -> list[tuple[str, int, str]]:
    """(chip, ROM version, revision letter) for all that the table knows."""
    return [
        (chip.id, rom, letter)
        for chip in TABLE.chip
        for rom in roms_of(chip.id)
        for letter in letters_of(chip.id)
    ]


def pace_of(behaviour: Behaviour) -> Pace:
    chip = behaviour.chip
    return Pace(
        transfer_size=chip.transfer_size.value,
        write_max_ms=chip.write_max_ms.value,
        polling=behaviour.polling,
    )


def filled(chip: Chip, rom_version: int) -> Memory:
    """Memories whose flash holds zeros everywhere, so that an erase can be seen."""
    return Memory(
        chip,
        flash=bytearray(size_of(chip, "flash")),
        otp=bytearray(b"\xff" * size_of(chip, "otp")),
        options=blank_options(chip),
        rom_id=rom_version,
    )


@dataclass
class TableWire:
    """Performs a script's wishes on a ROM's table: no USB, no pyusb, and no time but the silicon's."""

    rom: Rom
    clock: VirtualClock
    asked_for_sleep_ms: float = 0.0
    sent: list[Wish] = field(default_factory=list)

    def run(self, script: Script[Any]) -> Any:
        return drive(script, self.perform)

    def perform(self, wish: Wish) -> Answer:
        self.sent.append(wish)
        data = b""
        if isinstance(wish, Sleep):
            self.asked_for_sleep_ms += wish.ms
            self.clock.sleep_ms(wish.ms)
        elif isinstance(wish, Out):
            self.rom.control(0x21, wish.request, wish.value, 0, wish.data, wish.timeout_ms)
        elif isinstance(wish, In):
            data = self.rom.control(0xA1, wish.request, wish.value, 0, wish.length, wish.timeout_ms)
        return Answer(data, self.clock.now_ms())

    def timed(self, script: Script[Any]) -> float:
        """Milliseconds that a script takes."""
        before = self.clock.now_ms()
        self.run(script)
        return self.clock.now_ms() - before


def table_wire(
    chip_id: str,
    rom_version: int,
    revision: str,
    dialect: Dialect = Dialect.STANDARD,
    *,
    memory: Memory | None = None,
) -> TableWire:
    clock = VirtualClock()
    chip = row(chip_id)
    rom = Rom(
        memory=memory or filled(chip, rom_version),
        behaves=behaves(TABLE, chip, rom_version=rom_version, revision=revision),
        transfer_size=chip.transfer_size.value,
        clock=clock,
        dialect=dialect,
    )
    return TableWire(rom, clock)


@dataclass(frozen=True, slots=True)
class OnUsb:
    """A board in its ROM, found by pyusb."""

    board: Board
    bus: Bus
    attached: Attached
    clock: VirtualClock

    @contextmanager
    def opened(self) -> Iterator[Wire]:
        with self.bus.open_dfu(self.attached) as wire:
            yield wire


@contextmanager
def on_usb(
    folder: Path, chip_id: str, rom_version: int, revision: str, dialect: Dialect = Dialect.STANDARD
) -> Iterator[OnUsb]:
    add_board(folder, chip=chip_id, revision=revision, rom_version=rom_version, in_rom=True)
    clock = VirtualClock()
    with open_lab(folder, clock, dialect=dialect) as lab:
        bus = Bus(lab.backend, clock)
        (attached,) = bus.attached({ROM_USB})
        yield OnUsb(lab.boards[0], bus, attached, clock)


def sector_at(chip: Chip, address: int) -> Sector:
    return next(sector for sector in chip.flash.sectors if sector.address <= address < sector.end)
