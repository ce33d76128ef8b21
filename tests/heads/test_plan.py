"""The plan as a value: compared whole, in the safe order, and no more than is needed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semver import Version

from tests.heads.plan_kit import (
    BASE,
    BUTTON,
    FAULTY,
    FIXED,
    FLASH,
    H743,
    KIB,
    OLD,
    addresses,
    behaviour,
    contents,
    facts,
    one_image,
    program,
    widget,
    with_segments,
)
from updater.heads.dfu.scripts import Pace, Polling
from updater.heads.plan import Plan, SectorPlan, make_plan
from updater.heads.planwords import describe
from updater.heads.silicon import Behaviour
from updater.heads.vendor import DfuDetach, Keep, Recovery, RecoveryKind
from updater.words.facts import IdentityFrom, Mode, Sector, Segment

# ---------------------------------------------------------------------------------------------- whole plans


def test_the_whole_plan_for_an_h743_with_the_faulty_rom() -> None:
    """1 MiB and 100 bytes: eight sectors of bank 1, and the first of bank 2 with its cure."""
    data = program(0x10_0064)
    plan = make_plan(facts(rom_version=0x91), one_image(data), widget(), FAULTY)
    bank_1 = tuple(
        SectorPlan(
            sector=Sector(address=at, size=0x2_0000),
            erase_max_ms=4000,
            stuck_wait_ms=None,
            body=(Segment(address=at, data=data[at - FLASH : at - FLASH + 0x2_0000]),),
        )
        for at in (
            0x0802_0000,
            0x0804_0000,
            0x0806_0000,
            0x0808_0000,
            0x080A_0000,
            0x080C_0000,
            0x080E_0000,
        )
    )
    assert plan == Plan(
        product="demo-widget",
        title="Demo Widget",
        hardware="A",
        from_version=Version(1, 0, 0),
        to_version=Version(1, 1, 0),
        identity=IdentityFrom.APPLICATION,
        chip="stm32h743",
        image="main",
        image_because="the bundle has this one image",
        sectors=(
            SectorPlan(
                sector=Sector(address=0x0800_0000, size=0x2_0000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0800_0020, data=data[0x20:0x2_0000]),),
            ),
            *bank_1,
            SectorPlan(
                sector=Sector(address=0x0810_0000, size=0x2_0000),
                erase_max_ms=4000,
                stuck_wait_ms=4000,
                body=(Segment(address=0x0810_0000, data=data[0x10_0000:] + b"\xff" * 28),),
            ),
        ),
        granule=Segment(address=0x0800_0000, data=data[:32]),
        starts_at=0x0800_0000,
        pace=Pace(transfer_size=1024, write_max_ms=100, polling=Polling(at_once=True), may_stick=True),
        keep=(),
        lost_bytes=0x2_0000 - 128,
        recovery=BUTTON,
        ways=(DfuDetach(),),
        reenumerate_within_ms=5000,
        back_within_ms=10_000,
        estimate_ms=plan.estimate_ms,
    )
    assert plan.write_bytes == 0x10_0080
    assert 8 * 2000 + 4000 < plan.estimate_ms < 60_000


def test_the_whole_plan_for_an_f405_found_in_its_rom() -> None:
    """A program in the first two sectors and a table at 0x08020000, found by a person's word."""
    data, table = program(0x4006), bytes(range(10))
    stranger = facts(
        mode=Mode.ROM,
        version=None,
        hardware="B",
        identity=IdentityFrom.PERSON,
        revision=None,
        rom_version=None,
    )
    keep = Keep(address=0x080E_0000, length=0x2_0000)
    plan = make_plan(stranger, with_segments((FLASH, data), (0x0802_0000, table)), widget(keep=(keep,)), OLD)
    assert plan == Plan(
        product="demo-widget",
        title="Demo Widget",
        hardware="B",
        from_version=None,
        to_version=Version(1, 1, 0),
        identity=IdentityFrom.PERSON,
        chip="stm32f405",
        image="main",
        image_because="the bundle has this one image",
        sectors=(
            SectorPlan(
                sector=Sector(address=0x0800_0000, size=0x4000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0800_0008, data=data[8:0x4000]),),
            ),
            SectorPlan(
                sector=Sector(address=0x0800_4000, size=0x4000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0800_4000, data=data[0x4000:] + b"\xff\xff"),),
            ),
            SectorPlan(
                sector=Sector(address=0x0802_0000, size=0x2_0000),
                erase_max_ms=4000,
                stuck_wait_ms=None,
                body=(Segment(address=0x0802_0000, data=table + b"\xff\xff"),),
            ),
        ),
        granule=Segment(address=0x0800_0000, data=data[:8]),
        starts_at=0x0800_0000,
        pace=Pace(transfer_size=2048, write_max_ms=1000, polling=Polling(at_once=True)),
        keep=((0x080E_0000, 0x2_0000),),
        lost_bytes=0x4000 - 8 + 0x2_0000 - 12,
        recovery=BUTTON,
        ways=(),
        reenumerate_within_ms=5000,
        back_within_ms=10_000,
        estimate_ms=plan.estimate_ms,
        blank_is_erased=True,
    )
    assert plan.write_bytes == 0x4008 + 12


def test_only_a_running_application_is_asked_to_enter_its_bootloader() -> None:
    assert make_plan(facts(), BASE, widget(), FIXED).ways == (DfuDetach(),)
    assert make_plan(facts(mode=Mode.ROM), BASE, widget(), FIXED).ways == ()


@pytest.mark.parametrize(
    ("which", "waits"), [(FIXED, None), (FAULTY, 4000), (behaviour(H743), 4000), (OLD, None)]
)
def test_only_sectors_that_stick_have_a_wait(which: Behaviour, waits: int | None) -> None:
    far = 0x0812_0000 if which.chip.id == H743 else 0x080E_0000
    plan = make_plan(facts(), with_segments((FLASH, program(KIB)), (far, b"\1" * 64)), widget(), which)
    assert [step.stuck_wait_ms for step in plan.sectors] == [None, waits]


# ------------------------------------------------------------------------------------------- the safe order


def test_the_vector_sector_comes_first_and_its_granule_last_and_not_in_the_body() -> None:
    plan = make_plan(facts(), one_image(program(300 * KIB)), widget(), FIXED)
    assert [step.sector.address for step in plan.sectors] == [0x0800_0000, 0x0802_0000, 0x0804_0000]
    assert plan.parts[-1] == plan.granule == Segment(address=FLASH, data=program(32))
    assert [hex(part.address) for part in plan.parts] == ["0x8000020", "0x8020000", "0x8040000", "0x8000000"]


@pytest.mark.parametrize(("which", "granule"), [(FIXED, 32), (OLD, 8)])
def test_an_image_of_one_granule_has_no_body(which: Behaviour, granule: int) -> None:
    plan = make_plan(facts(), one_image(program(granule, reset=FLASH + 1)), widget(), which)
    assert plan.sectors[0].body == ()
    assert plan.parts == (plan.granule,)
    assert plan.write_bytes == granule


def test_a_short_end_is_filled_with_the_value_of_erased_flash() -> None:
    plan = make_plan(facts(), one_image(program(KIB + 4)), widget(), FIXED)
    assert plan.sectors[0].body[0].data == program(KIB + 4)[32:] + b"\xff" * 28


def test_a_segment_in_the_middle_of_a_program_unit_is_filled_on_both_sides() -> None:
    plan = make_plan(
        facts(), with_segments((FLASH, program(KIB)), (0x0800_1008, b"\xaa" * 8)), widget(), FIXED
    )
    assert plan.sectors[0].body[1] == Segment(
        address=0x0800_1000, data=b"\xff" * 8 + b"\xaa" * 8 + b"\xff" * 16
    )


# ---------------------------------------------------------------------------------------- what differs only

BIG = make_plan(facts(), one_image(program(300 * KIB)), widget(), FIXED)


BLANK = b"\xff" * 0x2_0000


def test_where_all_is_right_nothing_is_erased_or_written() -> None:
    nothing = BIG.narrowed(contents(BIG))
    assert (nothing.sectors, nothing.parts) == ((), ())
    assert (nothing.write_bytes, nothing.lost_bytes, nothing.estimate_ms) == (0, 0, 0)
    assert (
        replace(nothing, sectors=BIG.sectors, lost_bytes=BIG.lost_bytes, estimate_ms=BIG.estimate_ms) == BIG
    )


def test_where_one_other_sector_differs_the_vector_sector_is_written_too() -> None:
    narrowed = BIG.narrowed(contents(BIG, s2=BLANK))
    assert addresses(narrowed) == ["0x8000000", "0x8040000"]
    assert narrowed.parts[-1] == BIG.granule
    assert narrowed.write_bytes == 128 * KIB + 44 * KIB
    assert narrowed.lost_bytes == 84 * KIB
    assert narrowed.estimate_ms < BIG.estimate_ms


def test_where_only_the_vector_sector_differs_only_it_is_written() -> None:
    assert addresses(BIG.narrowed(contents(BIG, s0=BLANK))) == ["0x8000000"]


def test_a_granule_alone_that_differs_is_a_difference() -> None:
    first = BIG.sectors[0]
    assert addresses(BIG.narrowed(contents(BIG, s0=first.content_with(*first.body)))) == ["0x8000000"]


def test_where_all_differ_the_plan_stays_as_it_was() -> None:
    assert BIG.narrowed(contents(BIG, s0=BLANK, s1=BLANK, s2=BLANK)) == BIG


SPREAD = ((FLASH, program(KIB)), (0x0800_4000, b"\x11" * KIB), (0x0800_8000, b"\x22" * KIB))
"""An image in the first three sectors of an F405."""


def all_blank(plan: Plan) -> dict[int, bytes]:
    return {step.sector.address: b"\xff" * step.sector.size for step in plan.sectors}


def test_what_is_known_to_be_erased_is_not_erased_again_but_for_the_first_sector() -> None:
    plan = make_plan(facts(), with_segments(*SPREAD), widget(), OLD)
    narrowed = plan.narrowed(all_blank(plan) | {0x0800_8000: bytes(16 * KIB)}, trust_blank=True)
    assert addresses(narrowed) == ["0x8000000", "0x8004000", "0x8008000"]
    assert [sector.address for sector in narrowed.erased_sectors] == [FLASH, 0x0800_8000]
    assert narrowed.write_bytes == 3 * KIB
    assert narrowed.lost_bytes == 2 * (16 - 1) * KIB


def test_after_a_cut_what_reads_blank_may_be_half_erased_and_is_erased_again() -> None:
    plan = make_plan(facts(), with_segments(*SPREAD), widget(), OLD)
    assert plan.narrowed(all_blank(plan)) == plan


def test_flash_with_ecc_is_erased_whatever_it_reads() -> None:
    """A unit that was programmed with all ones reads blank and takes no second write (RM0433)."""
    held = contents(BIG, s0=BLANK, s1=BLANK, s2=BLANK)
    assert BIG.narrowed(held, trust_blank=True) == BIG


def test_a_blank_sector_that_was_not_read_to_its_end_is_erased() -> None:
    plan = make_plan(facts(), with_segments(*SPREAD), widget(), OLD)
    held = all_blank(plan) | {0x0800_4000: b"\xff" * 100}
    erased = plan.narrowed(held, trust_blank=True).erased_sectors
    assert [sector.address for sector in erased] == [FLASH, 0x0800_4000]


def test_bytes_behind_the_image_are_no_difference() -> None:
    tail = contents(BIG)[0x0804_0000][:-4] + b"old!"
    assert BIG.narrowed(contents(BIG, s2=tail)).sectors == ()


@pytest.mark.parametrize("at", [0, 31, 32, 0x1_FFFF])
def test_a_single_bit_anywhere_in_the_image_is_a_difference(at: int) -> None:
    data = bytearray(contents(BIG)[FLASH])
    data[at] ^= 1
    assert addresses(BIG.narrowed(contents(BIG, s0=bytes(data)))) == ["0x8000000"]


def test_a_sector_that_could_not_be_read_in_full_is_a_difference() -> None:
    assert addresses(BIG.narrowed(contents(BIG, s1=b""))) == ["0x8000000", "0x8020000"]


# ------------------------------------------------------------------------------------------- in plain words


def test_the_plan_in_words() -> None:
    keep = Keep(address=0x081E_0000, length=0x2_0000)
    plan = make_plan(facts(), one_image(program(130 * KIB)), widget(keep=(keep,)), FIXED)
    seconds = round(plan.estimate_ms / 1000)
    lines = describe(plan)
    lost = lines.pop(5)
    assert lost.startswith("lost:     129,024 bytes")
    assert lines == [
        "Demo Widget, hardware A: version 1.0.0 -> 1.1.0",
        "image:    main (the bundle has this one image)",
        "erase:    2 sectors: 128 KiB at 0x08000000, 128 KiB at 0x08020000",
        "write:    133,120 bytes; every byte is read back and compared",
        f"time:     about {seconds} s",
        "kept:     131,072 bytes at 0x081E0000",
        "if cut:   bring the device into its bootloader, then run the same command:",
        "          Hold the button while you plug it in.",
    ]


def test_the_plan_for_a_stranger_says_that_nothing_is_proved() -> None:
    stranger = facts(mode=Mode.ROM, version=None, hardware=None, identity=IdentityFrom.PERSON)
    words = describe(make_plan(stranger, BASE, widget(recovery=Recovery(kind=RecoveryKind.NONE)), FIXED))
    assert words[0] == "Demo Widget: version unknown -> 1.1.0"
    assert "identity: not proven; you said which product this is" in words
    assert words[-1] == "if cut:   this device cannot be recovered by you. Do not unplug it."


def test_the_plan_that_has_nothing_to_do_says_so() -> None:
    assert "erase:    nothing" in describe(BIG.narrowed(contents(BIG)))


# -------------------------------------------------------------------------------------------- for any image

PATTERN = program(400 * KIB)


@st.composite
def images(draw: st.DrawFn) -> tuple[Behaviour, list[tuple[int, bytes]]]:
    """A chip, and segments that lie in its flash, in order, no two of them in one program unit."""
    which = draw(st.sampled_from([FIXED, FAULTY, OLD]))
    unit, end = which.chip.program_unit_bytes.value, which.chip.flash.sectors[-1].end
    length = draw(st.integers(32, 300 * KIB))
    segments = [(FLASH, program(8, reset=FLASH + 1) + PATTERN[8:length])]
    for _ in range(draw(st.integers(0, 3))):
        free = segments[-1][0] + len(segments[-1][1])
        free += -free % unit
        at = free + draw(st.sampled_from([0, 4, 32, 1000, 60_000]) | st.integers(0, 900_000)) & ~3
        size = draw(st.sampled_from([1, 4, 31, 32, 2048, 0x2_0000]) | st.integers(1, 300_000))
        if at + size + unit > end:
            break
        segments.append((at, PATTERN[:size]))
    return which, segments


@settings(max_examples=150, deadline=None)
@given(images())
def test_the_parts_cover_exactly_the_padded_image(made: tuple[Behaviour, list[tuple[int, bytes]]]) -> None:
    which, segments = made
    chip = which.chip
    unit, flash = chip.program_unit_bytes.value, chip.flash.sectors
    plan = make_plan(facts(), with_segments(*segments), widget(), which)

    size = flash[-1].end - FLASH
    wanted, covered = bytearray(b"\xff" * size), bytearray(size)
    for at, data in segments:
        first, last = (at - FLASH) // unit * unit, -(-(at + len(data) - FLASH) // unit) * unit
        covered[first:last] = b"\1" * (last - first)
        wanted[at - FLASH : at - FLASH + len(data)] = data
    got, painted = bytearray(b"\xff" * size), bytearray(size)
    for part in plan.parts:
        first, last = part.address - FLASH, part.end - FLASH
        assert 0 <= first < last <= size
        assert first % 4 == 0
        assert painted.find(1, first, last) < 0, "two parts overlap"
        painted[first:last] = b"\1" * (last - first)
        got[first:last] = part.data
    assert painted == covered
    assert got == wanted

    assert plan.sectors[0].sector == flash[0]
    assert all(a.sector.address < b.sector.address for a, b in pairwise(plan.sectors))
    assert {step.sector for step in plan.sectors} <= set(flash)
    touched = {step.sector.address for step in plan.sectors}
    for sector in flash:
        used = covered.find(1, sector.address - FLASH, sector.end - FLASH) >= 0
        assert (sector.address in touched) == used
    for step in plan.sectors:
        for run in step.body:
            assert step.sector.address <= run.address < run.end <= step.sector.end
            assert run.address >= plan.granule.end
            assert (run.address - FLASH) % unit == 0
            assert len(run.data) % unit == 0
    assert plan.granule.address == FLASH
    assert len(plan.granule.data) == chip.granule_bytes
    assert plan.write_bytes == covered.count(1)
    assert plan.lost_bytes == sum(step.sector.size for step in plan.sectors) - plan.write_bytes
    held = {sector.address: bytes(wanted[sector.address - FLASH : sector.end - FLASH]) for sector in flash}
    assert plan.narrowed(held).sectors == ()
