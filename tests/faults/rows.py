"""Which silicon the matrix is about: every row that is written to, on a chip with small sectors.

A row counts once for each set of quirks that its ROMs, revisions and bank modes can have: those behave
differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from tests.small import Small
from updater.heads.silicon import BankMode, Behaviour, Chip, Silicon, the_table
from updater.lab.shelf import UNKNOWN
from updater.words.facts import Sector

LARGEST_SECTOR = 4096


@dataclass(frozen=True)
class Row:
    """One kind of silicon: a chip row, the ROM in it, its revision, and how its flash is divided."""

    chip_id: str
    rom_version: int
    revision: str
    bank_mode: BankMode | None
    full_size: bool = False

    def __str__(self) -> str:
        rom = f" ROM {self.rom_version:02X}" if self.rom_version else ""
        letter = f" rev {self.revision}" if self.revision != UNKNOWN else ""
        return f"{self.chip_id}{rom}{letter}{f' {self.bank_mode} bank' if self.bank_mode else ''}"

    @property
    def family(self) -> str:
        return self.chip_id[:7]

    @cached_property
    def scale(self) -> int:
        """By what its sectors are divided, so that none has more than 4 KiB."""
        if self.full_size:
            return 1
        chip = the_table().by_id(self.chip_id)
        assert chip is not None
        largest = max(sector.size for sectors in chip.shown_layouts for sector in sectors)
        return max(1, largest // LARGEST_SECTOR)

    @property
    def table(self) -> Silicon:
        """The whole table at this row's scale: what looks alike goes on looking alike."""
        return Small(self.scale, 1).table() if self.scale > 1 else the_table()

    @cached_property
    def chip(self) -> Chip:
        chip = self.table.by_id(self.chip_id)
        assert chip is not None
        return chip

    @property
    def kib(self) -> int:
        """The largest part."""
        return max(self.chip.sizes_kib.value)

    @cached_property
    def sectors(self) -> tuple[Sector, ...]:
        return self.chip.sectors(kib=self.kib, bank_mode=self.bank_mode)

    @cached_property
    def behaviour(self) -> Behaviour:
        """What the updater knows to do with it."""
        return self.table.behaviour(
            self.chip, rom_version=self.rom_version, revision=self.revision, bank_mode=self.bank_mode
        )


def every_row(*, full_size: bool = False) -> list[Row]:
    """Every row that is written to, once for each distinct set of quirks and each bank mode.

    Where the table says that a quirk need not be reckoned with on a revision whose ROM cannot be read, that
    revision is not combined with the ROM that has it.
    """
    table, rows = the_table(), []
    for chip in table.chip:
        if chip.geometry is None:
            continue
        modes: tuple[BankMode | None, ...] = ("single", "dual") if chip.bank_mode else (None,)
        seen = set()
        for rom in [rom.id for rom in chip.roms] or [0]:
            for letter in [one.letter for one in reversed(chip.revisions)] or [UNKNOWN]:
                for mode in modes:
                    quirks = table.quirks(chip, rom_version=rom, revision=letter, bank_mode=mode)
                    unread = table.quirks(chip, rom_version=None, revision=letter, bank_mode=mode)
                    key = (mode, tuple(quirk.id for quirk in quirks))
                    is_sold = set(quirks) <= set(unread)  # a ROM that this revision never has is no case
                    if is_sold and key not in seen:
                        seen.add(key)
                        rows.append(Row(chip.id, rom, letter, mode, full_size))
    return rows


def one_row_per_geometry() -> list[Row]:
    """Of all rows with the same real sectors, erased in the same way, the first; at full size."""
    found: dict[tuple[tuple[tuple[int, int], ...], bool], Row] = {}
    for row in every_row(full_size=True):
        erases_all = row.behaviour.no_sector_erase_in_bank2 is not None
        found.setdefault((_shape(row.sectors), erases_all), row)
    return list(found.values())


def _shape(sectors: tuple[Sector, ...]) -> tuple[tuple[int, int], ...]:
    """Runs of equal sectors (size, count), a gap between banks as a run of its own."""
    sizes, end = [], sectors[0].address
    for sector in sectors:
        if sector.address != end:
            sizes.append(-(sector.address - end))
        sizes.append(sector.size)
        end = sector.end
    return tuple((size, len(list(run))) for size, run in groupby(sizes))
