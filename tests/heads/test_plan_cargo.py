"""Plans for a piece of the flash: what has no vector table, and what must keep its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.heads.plan_kit import FLASH, KIB, facts, program, widget
from updater.heads.plan import Cargo, Plan, plan_cargo
from updater.heads.silicon import the_table
from updater.heads.vendor import Keep
from updater.words.errors import Refused, WrongDevice
from updater.words.facts import Segment

TABLES = bytes(range(1, 201)) * 10
F405, F767 = "stm32f405", "stm32f767"


def plan(chip: str, *parts: Segment, over_kept: bool = False, **described: Any) -> Plan:
    row = the_table().by_id(chip)
    assert row is not None
    mode = described.get("bank_mode")
    behaviour = the_table().behaviour(row, rom_version=None, revision=None, bank_mode=mode)
    cargo = Cargo(segments=parts, name="x.bin", because="", to_version=None, is_piece=True)
    product = widget(chips=(chip,), **described)
    return plan_cargo(facts(chip=chip), cargo, product, behaviour, over_kept=over_kept)


def test_a_piece_touches_its_own_sectors_alone_and_its_first_unit_comes_last() -> None:
    made = plan(F405, Segment(address=FLASH + 256 * KIB, data=TABLES))
    assert [(one.address, one.size) for one in made.erased_sectors] == [(FLASH + 256 * KIB, 128 * KIB)]
    assert made.granule == Segment(address=FLASH + 256 * KIB, data=TABLES[:8])
    assert (made.starts_at, made.write_bytes) == (FLASH, len(TABLES))
    assert b"".join(part.data for part in (made.granule, *made.parts[:-1])) == TABLES


def test_a_whole_program_starts_where_its_vectors_are() -> None:
    made = plan(F405, Segment(address=FLASH, data=program(4096)))
    assert (made.starts_at, made.granule.address) == (FLASH, FLASH)


@pytest.mark.parametrize("at", [FLASH, FLASH + 8, FLASH + 16 * KIB - 4])
def test_what_reaches_into_the_vector_tables_sector_must_be_a_program(at: int) -> None:
    with pytest.raises(WrongDevice, match="vector table"):
        plan(F405, Segment(address=at, data=TABLES))


def test_a_piece_that_needs_the_whole_flash_erased_is_refused() -> None:
    """The F767's ROM erases the wrong sector in bank 2 (decision 0009): the program would be lost."""
    with pytest.raises(Refused, match="the program in it would be lost"):
        plan(F767, Segment(address=0x0810_0000, data=TABLES), bank_mode="dual", flash_kib=2048)


def test_kept_data_is_in_the_way_unless_that_is_said() -> None:
    keep = (Keep(address=FLASH + 300 * KIB, length=16),)
    piece = Segment(address=FLASH + 256 * KIB, data=TABLES)
    with pytest.raises(Refused, match="keeps its own data"):
        plan(F405, piece, keep=keep)
    assert plan(F405, piece, keep=keep, over_kept=True).erase_bytes == 128 * KIB
