"""The quirks on each ROM that they are about, and which of their symptoms have a proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from tests.pair.job import flasher_on, install, plan_for, program
from tests.pair.kit import TABLE, Known, TableWire, newest, roms_of, row, table_wire
from updater.heads.dfu.words import Command, Out, Request
from updater.heads.plan import Plan
from updater.heads.silicon import BankMode, Behaviour, Chip, Quirk, Silicon
from updater.lab.rom import Dialect
from updater.words.facts import Segment

each_dialect = pytest.mark.parametrize("dialect", list(Dialect))

PROVED: set[str] = set()
"""Symptoms that a test has been written for; the modules fill it when they are imported."""


@dataclass(frozen=True, slots=True)
class Case:
    """A quirk on one of the ROMs that it is about."""

    quirk: Quirk
    silicon: Known

    def __str__(self) -> str:
        return f"{self.quirk.id}-{self.silicon.chip}-{self.silicon.rom_version:02X}"

    @property
    def chip(self) -> Chip:
        return row(self.silicon.chip)

    @property
    def bank_mode(self) -> BankMode | None:
        return self.quirk.match.bank_mode

    @property
    def bare(self) -> Silicon:
        """The table as somebody has it who does not know this quirk."""
        return TABLE.without_remedy(self.quirk.id)

    def behaviour(self, table: Silicon = TABLE, *, is_rom_known: bool = True) -> Behaviour:
        return table.behaviour(
            row(self.silicon.chip, table),
            rom_version=self.silicon.rom_version if is_rom_known else None,
            revision=self.silicon.revision,
            bank_mode=self.bank_mode,
        )

    def wire(self, dialect: Dialect = Dialect.STANDARD, table: Silicon = TABLE) -> TableWire:
        """A ROM with this quirk, whose flash holds zeros."""
        return table_wire(self.silicon, dialect, table=table, bank_mode=self.bank_mode)

    def plan(self, segments: list[Segment], table: Silicon = TABLE, **product: Any) -> Plan:
        return plan_for(self.behaviour(table), segments, bank_mode=self.bank_mode, **product)


CASES = [
    Case(quirk, Known(chip, rom_version, newest(chip)))
    for quirk in TABLE.quirk
    for chip in quirk.match.chips
    if row(chip).geometry  # nothing is ever erased or written on the others
    for rom_version in (quirk.match.rom_versions or roms_of(chip))
]


def proves(*symptoms: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """This test shows both halves for these symptoms: on every ROM that has one of them, both dialects."""
    PROVED.update(symptoms)
    cases = [case for case in CASES if any(asdict(case.quirk.symptom)[name] for name in symptoms)]
    assert cases, symptoms

    def marked(test: Callable[..., None]) -> Callable[..., None]:
        on_each: Callable[..., None] = pytest.mark.parametrize("case", cases, ids=str)(test)
        on_both: Callable[..., None] = each_dialect(on_each)
        return on_both

    return marked


def first_and_last(case: Case) -> list[Segment]:
    """An image in the first sector and in the last, neither of them filled."""
    first, last = (
        case.chip.flash.sectors[0],
        case.behaviour().chip.sectors(kib=None, bank_mode=case.bank_mode)[-1],
    )
    return [part_in(first.address, first.size), part_in(last.address, last.size)]


def part_in(address: int, size: int) -> Segment:
    """Some bytes from the start of a sector: blocks, and a rest that is no block and no multiple of 8."""
    return Segment(address=address, data=program(min(size - 36, 5_004), at=address))


def carried_out(wire: TableWire, plan: Plan) -> Plan:
    """Look, flash. Raises what stops it."""
    return install(flasher_on(wire, wire.clock), plan)


def holds(wire: TableWire, *segments: Segment) -> bool:
    """Whether the flash of this ROM has these bytes, seen from the inside."""
    flash = wire.rom.memory.flash
    return all(flash.read(part.address, len(part.data)) == part.data for part in segments)


def erase_commands(wire: TableWire) -> list[bytes]:
    """What the host has sent to have erased."""
    sent = [wish for wish in wire.sent if isinstance(wish, Out) and wish.request == Request.DNLOAD]
    return [wish.data for wish in sent if wish.value == 0 and wish.data[:1] == bytes([Command.ERASE])]


def also_on(quirk_id: str, chip_id: str) -> Silicon:
    """The table with this quirk on every ROM of this chip too."""
    quirks = tuple(
        replace(one, match=replace(one.match, chips=(*one.match.chips, chip_id), rom_versions=()))
        if one.id == quirk_id
        else one
        for one in TABLE.quirk
    )
    return replace(TABLE, quirk=quirks)
