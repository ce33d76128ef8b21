"""Small rows: the silicon table on chips with a fraction of the flash, to be flashed thousands of times.

Every sector of every row is the same fraction of the real one, so counts, mixtures of sizes, gaps between
banks, and rows that look alike stay as they are. Program units, rules, quirks and times are the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby

from msgspec.structs import replace

from updater.heads.dfu.layout import parse_layout
from updater.heads.silicon import Chip, Fact, Quirk, Silicon, the_table
from updater.words.facts import Sector

START = 0x0800_0000


@dataclass(frozen=True, slots=True)
class Small:
    """Sectors, parts and addresses divided by `scale`, the ROM's blocks (wTransferSize) by `blocks`."""

    scale: int
    blocks: int

    def table(self) -> Silicon:
        """The whole table so, with its quirks where the addresses now are."""
        return _table(self)

    def chip(self, chip: Chip) -> Chip:
        """This row so. Parts that would not end with a KiB are left out."""
        scale = self.scale
        first, *others = chip.alternates.value
        parts = tuple(
            replace(one, kib=one.kib // scale, layout=self._layout(one.layout)) for one in chip.parts
        )
        shown = tuple(replace(one, value=self._layout(one.value)) for one in chip.also_shows)
        kibs = tuple(kib // scale for kib in chip.sizes_kib.value if kib % scale == 0)
        lab, fast = chip.lab, chip.lab.erase_ms_fast
        bank, real = chip.bank_mode, chip.geometry
        return replace(
            chip,
            alternates=replace(chip.alternates, value=(self._layout(first), *others)),
            also_shows=shown,
            geometry=replace(real, value=self._layout(real.value)) if real else None,
            parts=parts,
            sizes_kib=replace(chip.sizes_kib, value=kibs),
            transfer_size=replace(chip.transfer_size, value=chip.transfer_size.value // self.blocks),
            bank_mode=replace(bank, dual=self._layout(bank.dual)) if bank else None,
            lab=replace(
                lab,
                erase_ms=self._by_size(lab.erase_ms),
                erase_ms_fast=self._by_size(fast) if fast else None,
            ),
        )

    def _by_size(self, times: Fact[dict[str, int]]) -> Fact[dict[str, int]]:
        return replace(times, value={str(int(size) // self.scale): ms for size, ms in times.value.items()})

    def address(self, address: int) -> int:
        """Where an address of the real flash lies in the small one."""
        return START + (address - START) // self.scale

    def quirk(self, quirk: Quirk) -> Quirk:
        """The quirk with its addresses and lengths so."""
        symptom, remedy = quirk.symptom, quirk.remedy
        if symptom.erase_sticks_from is not None:
            symptom = replace(symptom, erase_sticks_from=self.address(symptom.erase_sticks_from))
        if symptom.corrupts_odd_buffers_over is not None:
            longest = symptom.corrupts_odd_buffers_over // self.blocks
            symptom = replace(symptom, corrupts_odd_buffers_over=longest)
        if remedy.stuck_erase_from is not None:
            remedy = replace(remedy, stuck_erase_from=self.address(remedy.stuck_erase_from))
        return replace(quirk, symptom=symptom, remedy=remedy)

    def _layout(self, text: str) -> str:
        words, end = "@Internal Flash  ", None
        for (size, bits), run in groupby(parse_layout(text, 0).sectors, key=_like):
            sectors = list(run)
            for part in _without_gaps(sectors):
                address = self.address(part[0].address)
                words += "," if part[0].address == end else f"/0x{address:08X}/"
                words += f"{len(part)}*{size // self.scale} {chr(0x60 | bits)}"
                end = part[-1].end
        return words


def _like(sector: Sector) -> tuple[int, int]:
    return sector.size, sector.readable | sector.erasable << 1 | sector.writable << 2


def _without_gaps(sectors: list[Sector]) -> list[list[Sector]]:
    parts = [[sectors[0]]]
    for sector in sectors[1:]:
        if sector.address == parts[-1][-1].end:
            parts[-1].append(sector)
        else:
            parts.append([sector])
    return parts


@cache
def _table(small: Small) -> Silicon:
    real = the_table()
    return replace(real, chip=tuple(map(small.chip, real.chip)), quirk=tuple(map(small.quirk, real.quirk)))
