"""What a plan leaves out because it is needless, and what it never leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.heads.plan_kit import (
    F405,
    FLASH,
    KIB,
    addresses,
    behaviour,
    contents,
    facts,
    one_image,
    program,
    real_behaviour,
    widget,
)
from updater.heads.plan import Plan, SectorPlan, make_plan
from updater.heads.silicon import the_table
from updater.words.facts import Sector, Segment

GADGET = widget(chips=(F405,), flash_kib=1024)
SMALL, LARGE = b"\xff" * 16 * KIB, b"\xff" * 128 * KIB


@pytest.fixture
def plan() -> Plan:
    """100 KiB over the first five sectors of an F405: four of 16 KiB, and one of 64 KiB."""
    device = facts(revision="3", rom_version=0x91)
    return make_plan(device, one_image(program(100 * KIB)), GADGET, behaviour(F405, 0x91, "3"))


# ------------------------------------------------------------------------------- blank sectors are not erased


def test_a_blank_sector_is_written_without_an_erase(plan: Plan) -> None:
    narrowed = plan.narrowed(contents(plan, s1=SMALL, s2=b"\0" * 16 * KIB), trust_blank=True)
    assert addresses(narrowed) == ["0x8000000", "0x8004000", "0x8008000"]
    assert [sector.address for sector in narrowed.erased_sectors] == [FLASH, 0x0800_8000]
    assert narrowed.erase_bytes == 32 * KIB
    assert narrowed.write_bytes == 48 * KIB
    assert narrowed.lost_bytes == 0


def test_the_first_sector_is_erased_even_when_it_is_blank(plan: Plan) -> None:
    narrowed = plan.narrowed(contents(plan, s0=SMALL, s1=SMALL), trust_blank=True)
    assert [sector.address for sector in narrowed.erased_sectors] == [FLASH]


def test_after_an_unfinished_update_blank_proves_nothing(plan: Plan) -> None:
    """An erase that was cut may read blank and not hold what is written."""
    narrowed = plan.narrowed(contents(plan, s1=SMALL), trust_blank=False)
    assert [sector.address for sector in narrowed.erased_sectors] == [FLASH, 0x0800_4000]


def test_a_sector_that_was_not_read_to_its_end_is_not_blank(plan: Plan) -> None:
    narrowed = plan.narrowed(contents(plan, s1=SMALL[: 8 * KIB]), trust_blank=True)
    assert [sector.address for sector in narrowed.erased_sectors] == [FLASH, 0x0800_4000]


def test_flash_with_ecc_is_never_taken_for_erased() -> None:
    """Typed from the reference manuals: F0 to F4 have none; an F7 has none either, but stays erased."""
    trusting = set()
    for chip in the_table().chip:
        if chip.program_unit_bytes.value <= 4:
            trusting.add(chip.id[5:7])
    assert trusting == {"f0", "f1", "f2", "f3", "f4"}
    device = facts(revision="V", rom_version=0x92)
    on_h7 = make_plan(
        device,
        one_image(program(200 * KIB)),
        widget(flash_kib=2048),
        real_behaviour("stm32h743", 0x92, "V"),
    )
    assert not on_h7.blank_is_erased
    assert len(on_h7.narrowed(contents(on_h7, s1=LARGE), trust_blank=True).erased_sectors) == 2


# ------------------------------------------------------------------------------------- an erase and its proof


def step(size: int, *body: tuple[int, int]) -> SectorPlan:
    sector = Sector(address=FLASH, size=size, readable=True, erasable=True, writable=True)
    parts = tuple(Segment(address=FLASH + at, data=b"\1" * length) for at, length in body)
    return SectorPlan(sector=sector, erase_max_ms=1, stuck_wait_ms=None, body=parts)


def test_an_erase_is_proved_where_something_was_and_where_nothing_will_be_written() -> None:
    assert step(16 * KIB, (0, 16 * KIB)).to_prove(8 * KIB) == ((FLASH, 8 * KIB),)
    assert step(16 * KIB, (0, 12 * KIB)).to_prove(8 * KIB) == (
        (FLASH, 8 * KIB),
        (FLASH + 12 * KIB, 4 * KIB),
    )
    assert step(16 * KIB, (10 * KIB, 6 * KIB)).to_prove(8 * KIB) == ((FLASH, 10 * KIB),)
    assert step(16 * KIB).to_prove(8 * KIB) == ((FLASH, 16 * KIB),)
    assert step(16 * KIB, (0, 4 * KIB)).to_prove(16 * KIB) == ((FLASH, 16 * KIB),)


@given(st.integers(1, 64), st.sets(st.integers(0, 64), max_size=8))
def test_every_byte_of_a_touched_sector_is_proved_or_written(seen: int, edges: set[int]) -> None:
    """What is written is read back: so nothing of the sector stays unknown."""
    marks = sorted(edges)
    body = [(a, b - a) for a, b in zip(marks[::2], marks[1::2], strict=False) if a < b]
    one = step(64, *body)
    proved = {at + n for at, length in one.to_prove(seen) for n in range(length)}
    written = {part.address + n for part in one.body for n in range(len(part.data))}
    assert proved | written == set(range(FLASH, FLASH + 64))
    assert proved >= set(range(FLASH, FLASH + seen))
    assert sum(length for _, length in one.to_prove(seen)) == len(proved), "nothing is read twice"


# ------------------------------------------------------------------------------------------ and the estimate


def test_an_update_that_erases_less_is_said_to_take_less(plan: Plan) -> None:
    whole = plan.narrowed(contents(plan, s4=b"\0" * 64 * KIB))
    blank = plan.narrowed(contents(plan, s4=b"\xff" * 64 * KIB), trust_blank=True)
    assert whole.estimate_ms - blank.estimate_ms > 1_000, "DS8626 table 40: 64 KB in 1.2 s"


def test_what_is_said_of_the_time_decides_nothing(plan: Plan) -> None:
    other = replace(plan.typical, erase_ms={16 * KIB: 1, 64 * KIB: 1})
    assert replace(plan, typical=other) == plan
