"""Two ways to one virtual ROM: straight at its table, and over pyusb with the lab's backend.

And small rows: the same silicon with a 32nd of the flash, for tests that flash it thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.small import Small
from updater.hands.usbio import ROM_USB, Attached, Bus, Wire
from updater.heads.dfu.scripts import drive, erase, erase_with_stuck_busy
from updater.heads.dfu.words import Answer, In, Out, Script, Sleep, Wish
from updater.heads.silicon import BankMode, Behaviour, Chip, Silicon, the_table
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.flash import Memory, blank_options, size_of
from updater.lab.rom import Dialect, Rom
from updater.lab.shelf import UNKNOWN, add_board, open_lab
from updater.lab.symptoms import Behaves, behaves

TABLE = the_table()
H743, F405, F767, L476, G0B1 = "stm32h743", "stm32f405", "stm32f767", "stm32l476", "stm32g0b1"
BANK_1, BANK_2 = 0x0800_0000, 0x0810_0000
SECTOR = 0x2_0000
WEDGE = "bank2-erase-wedge"
TOO_EARLY = "a flash operation before the last one had ended"


def row(chip_id: str, table: Silicon = TABLE) -> Chip:
    found = table.by_id(chip_id)
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """One piece of silicon: a row, the ROM in it (0 where no source names one) and its revision."""

    chip: str
    rom_version: int
    revision: str

    def __str__(self) -> str:
        return f"{self.chip}-{self.rom_version:02X}-{self.revision}"


def roms_of(chip_id: str) -> list[int]:
    return [rom.id for rom in row(chip_id).roms] or [0]


def newest(chip_id: str) -> str:
    """The revision letter that comes last in the row."""
    return [UNKNOWN, *(revision.letter for revision in row(chip_id).revisions)][-1]


def every_silicon() -> list[Known]:
    """Every ROM of every row; with each revision where some quirk asks for that, else with the newest."""
    asked = {
        chip
        for quirk in TABLE.quirk
        if quirk.match.rom_unknown_except_revisions
        for chip in quirk.match.chips
    }
    return [
        Known(chip.id, rom, letter)
        for chip in TABLE.chip
        for rom in roms_of(chip.id)
        for letter in ([one.letter for one in chip.revisions] if chip.id in asked else [newest(chip.id)])
    ]


def filled(
    chip: Chip, rom_version: int, *, flash_kib: int | None = None, bank_mode: BankMode | None = None
) -> Memory:
    """Memories whose flash holds zeros everywhere, so that an erase can be seen."""
    return Memory(
        chip,
        flash=bytearray(size_of(chip, "flash", flash_kib=flash_kib, bank_mode=bank_mode)),
        otp=bytearray(b"\xff" * size_of(chip, "otp")),
        options=blank_options(chip, bank_mode),
        rom_id=rom_version,
        flash_kib=flash_kib,
    )


@dataclass
class TableWire:
    """Performs a script's wishes on a ROM's table: no USB, no pyusb, and no time but the silicon's.

    A virtual clock that passes `latest_ms` ends the test: nobody waits for ever. `hears` is told of every
    wish before it is performed; `on_bytes` makes the wire fit where `usbio.Wire` does.
    """

    rom: Rom
    clock: VirtualClock
    asked_for_sleep_ms: float = 0.0
    latest_ms: float = 10 * 3_600_000.0
    sent: list[Wish] = field(default_factory=list)
    hears: Callable[[Wish], None] = field(default=lambda _wish: None)
    on_bytes: Callable[[int], None] = field(default=lambda _count: None)

    def run(self, script: Script[Any]) -> Any:
        return drive(script, self.perform)

    def perform(self, wish: Wish) -> Answer:
        self.hears(wish)
        self.sent.append(wish)
        data = b""
        if isinstance(wish, Sleep):
            self.asked_for_sleep_ms += wish.ms
            self.clock.sleep_ms(wish.ms)
        elif isinstance(wish, Out):
            self.rom.control(0x21, wish.request, wish.value, 0, wish.data, wish.timeout_ms)
        elif isinstance(wish, In):
            data = self.rom.control(0xA1, wish.request, wish.value, 0, wish.length, wish.timeout_ms)
        assert self.clock.now_ms() <= self.latest_ms, "an endless wait"
        return Answer(data, self.clock.now_ms())

    def timed(self, script: Script[Any]) -> float:
        """Milliseconds that a script takes."""
        before = self.clock.now_ms()
        self.run(script)
        return self.clock.now_ms() - before


def table_wire(
    silicon: Known,
    dialect: Dialect = Dialect.STANDARD,
    *,
    memory: Memory | None = None,
    table: Silicon = TABLE,
    bank_mode: BankMode | None = None,
) -> TableWire:
    chip = row(silicon.chip, table)
    memory = memory or filled(chip, silicon.rom_version, bank_mode=bank_mode)
    how = behaves(
        table, chip, rom_version=silicon.rom_version, revision=silicon.revision, bank_mode=memory.bank_mode
    )
    return wire_to(chip, memory, how, dialect)


def wire_to(chip: Chip, memory: Memory, how: Behaves, dialect: Dialect) -> TableWire:
    """A wire to a ROM that behaves like this."""
    clock = VirtualClock()
    size = chip.transfer_size.value
    return TableWire(Rom(memory=memory, behaves=how, transfer_size=size, clock=clock, dialect=dialect), clock)


def h743(rom_version: int, dialect: Dialect = Dialect.STANDARD, revision: str = "V") -> TableWire:
    """An H743 with this ROM."""
    return table_wire(Known(H743, rom_version, revision), dialect)


def erased(behaviour: Behaviour, address: int) -> Script[None]:
    """An erase as the plan tells it: with the cure where the sector needs one."""
    stuck = behaviour.stuck_erase
    if stuck is not None and address >= stuck.from_address:
        return erase_with_stuck_busy(address, stuck.wait_ms)
    return erase(address, behaviour.chip.erase_max_ms.value, behaviour.polling)


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
    folder: Path,
    silicon: Known,
    dialect: Dialect = Dialect.STANDARD,
    *,
    flash_kib: int | None = None,
    bank_mode: BankMode | None = None,
) -> Iterator[OnUsb]:
    add_board(
        folder,
        chip=silicon.chip,
        revision=None if silicon.revision == UNKNOWN else silicon.revision,
        rom_version=silicon.rom_version or None,
        in_rom=True,
        flash_kib=flash_kib,
        bank_mode=bank_mode,
    )
    clock = VirtualClock()
    with open_lab(folder, clock, dialect=dialect) as lab:
        bus = Bus(lab.backend, clock)
        (attached,) = bus.attached({ROM_USB})
        yield OnUsb(lab.boards[0], bus, attached, clock)


# ---------------------------------------------------------------------------------------------- small rows

SCALE = 32
"""A small row's sectors, blocks and parts are a 32nd of the real ones; units, rules and times are real."""


def small_table() -> Silicon:
    """The whole table on small rows, and its quirks where the addresses of those are."""
    return Small(SCALE, SCALE).table()
