"""What a chip's own ways make of the plan: two banks, supply voltage, program units, how it starts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.heads.plan_kit import (
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
    with_segments,
)
from tests.heads.silicon_kit import row
from updater.heads.plan import DeviceFeature, MassErase, Plan, is_blank, make_plan
from updater.heads.planwords import describe
from updater.heads.silicon import BankMode
from updater.heads.vendor import Keep, Recovery, RecoveryKind
from updater.words.errors import DeviceIs, Refused, WrongDevice

F767, F405, H743, L476 = "stm32f767", "stm32f405", "stm32h743", "stm32l476"
BANK_2 = 0x0810_0000
BOTH = ((FLASH, program(20 * KIB)), (BANK_2, b"\x11" * 20 * KIB))
"""An image in the first two sectors of either bank."""


def f767(*segments: tuple[int, bytes], mode: BankMode = "dual", kib: int = 2048, **product: Any) -> Plan:
    """The plan for an F767 whose option bytes have been read."""
    return make_plan(
        facts(flash_kib=kib, bank_mode=mode),
        with_segments(*segments),
        widget(chips=(F767,), **product),
        real_behaviour(F767, 0x93, None, mode),
    )


# ------------------------------------------------------------------------------------- the F76x in two banks


def test_an_image_in_bank_1_goes_sector_by_sector() -> None:
    plan = f767(*BOTH[:1])
    assert plan.mass_erase is None
    assert addresses(plan) == ["0x8000000", "0x8004000"]
    assert "erase:    2 sectors: 16 KiB at 0x08000000, 16 KiB at 0x08004000" in describe(plan)


def test_in_one_bank_the_same_addresses_go_sector_by_sector() -> None:
    plan = f767(*BOTH, mode="single")
    assert plan.mass_erase is None
    assert addresses(plan) == ["0x8000000", "0x8100000"]


def test_an_image_that_reaches_bank_2_needs_the_whole_flash_to_be_erased_and_says_so() -> None:
    plan = f767(*BOTH)
    sectors = row(F767).sectors(kib=2048, bank_mode="dual")
    assert plan.mass_erase is not None
    assert plan.mass_erase == MassErase(
        sectors=sectors, bank2_at=BANK_2, max_ms=64_000, because=plan.mass_erase.because
    )
    assert plan.erased_sectors == sectors
    assert len(sectors) == 24
    assert addresses(plan) == ["0x8000000", "0x8004000", "0x8100000", "0x8104000"]
    assert plan.lost_bytes == 2048 * KIB - 40 * KIB
    (line,) = [line for line in describe(plan) if line.startswith("erase:")]
    assert line.startswith("erase:    the WHOLE flash, 2,048 KiB: With its flash in two banks, this ROM")
    assert any(line.startswith(f"lost:     {2048 * KIB - 40 * KIB:,} bytes") for line in describe(plan))


def test_to_erase_everything_is_estimated_longer_than_to_erase_a_few_sectors() -> None:
    """Once, and by what is typical: the ceiling of 64 s is for the device that never ends."""
    assert f767(*BOTH, mode="single").estimate_ms < f767(*BOTH).estimate_ms < 64_000


def test_a_part_of_1_mb_has_its_second_bank_at_0x08080000() -> None:
    below = f767((FLASH, program(KIB)), (0x0807_0000, b"\x11" * KIB), kib=1024)
    above = f767((FLASH, program(KIB)), (0x0808_0000, b"\x11" * KIB), kib=1024)
    assert below.mass_erase is None
    assert above.mass_erase is not None
    assert above.mass_erase.bank2_at == 0x0808_0000
    assert above.erase_bytes == 1024 * KIB


@pytest.mark.parametrize(
    "product",
    [
        {"keep": (Keep(address=0x081E_0000, length=0x2_0000),)},
        {"keep": (Keep(address=0x080E_0000, length=4),)},
        {"recovery": Recovery(kind=RecoveryKind.RESIDENT_LOADER)},
    ],
    ids=["keeps data in bank 2", "keeps data in bank 1", "has a loader of its own"],
)
def test_where_something_must_survive_a_mass_erase_is_refused_with_the_reason(
    product: dict[str, Any],
) -> None:
    with pytest.raises(Refused, match="this bootloader erases the wrong sectors") as refused:
        f767(*BOTH, **product)
    assert (refused.value.exit_status, refused.value.device_is) == (6, DeviceIs.UNTOUCHED)
    assert "the whole flash cannot be erased instead" in refused.value.message
    assert f767(*BOTH[:1], **product).mass_erase is None


def test_a_rom_that_can_neither_erase_the_sector_nor_all_is_refused() -> None:
    both_faults = real_behaviour(F767, 0x93, None, "dual")
    object.__setattr__(both_faults, "no_mass_erase", "it cannot")
    with pytest.raises(Refused, match="erases the wrong sectors"):
        make_plan(
            facts(flash_kib=2048, bank_mode="dual"), with_segments(*BOTH), widget(chips=(F767,)), both_faults
        )


def test_no_address_is_ever_shifted() -> None:
    """That i-4 would hit sector i is an inference: every planned sector is one that the image touches."""
    plan = f767(*BOTH)
    for step in plan.sectors:
        assert any(step.sector.address < at + len(data) and at < step.sector.end for at, data in BOTH)


# ------------------------------------------------------------------------ narrowed: as little as is possible


def whole_flash(plan: Plan) -> dict[int, bytes]:
    """What the erased sectors hold when the image is already there: blank where it has nothing."""
    assert plan.mass_erase is not None
    blank = {sector.address: b"\xff" * sector.size for sector in plan.mass_erase.sectors}
    return blank | contents(plan)


def test_where_all_is_right_nothing_is_erased_at_all() -> None:
    plan = f767(*BOTH)
    nothing = plan.narrowed(whole_flash(plan))
    assert (nothing.sectors, nothing.mass_erase, nothing.erased_sectors) == ((), None, ())
    assert nothing.lost_bytes == 0


def test_where_only_bank_1_differs_the_whole_flash_is_not_erased() -> None:
    plan = f767(*BOTH)
    narrowed = plan.narrowed(whole_flash(plan) | {0x0800_4000: b"\0" * 16 * KIB})
    assert narrowed.mass_erase is None
    assert addresses(narrowed) == ["0x8000000", "0x8004000"]
    assert narrowed.lost_bytes == 12 * KIB
    assert narrowed.estimate_ms < plan.estimate_ms


@pytest.mark.parametrize("at", [0x0810_0000, 0x0810_4000])
def test_where_a_sector_of_bank_2_differs_all_is_written_again(at: int) -> None:
    plan = f767(*BOTH)
    assert plan.narrowed(whole_flash(plan) | {at: b"\0" * 16 * KIB}) == plan


PLACES = [0x0804_0000, 0x080C_0000, 0x0810_0000, 0x0812_0000, 0x0816_0000, 0x0818_0000, 0x081A_0000]
FILL = st.sampled_from(["right", "blank", "zero", "one bit", "tail"])


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_narrowed_plan_erases_nothing_that_the_plan_did_not_and_leaves_nothing_wrong(
    data: st.DataObject,
) -> None:
    """Over any content: sectors left alone are right, and no bank-2 sector is erased by itself."""
    mode: BankMode = data.draw(st.sampled_from(["single", "dual"]))
    ends = data.draw(st.lists(st.sampled_from(PLACES), unique=True, max_size=3))
    tail = data.draw(st.sampled_from([4, 1000, 20 * KIB]))
    plan = f767((FLASH, program(20 * KIB)), *((at, b"\x11" * tail) for at in sorted(ends)), mode=mode)
    right = contents(plan)
    held = {sector.address: b"\xff" * sector.size for sector in plan.erased_sectors} | right
    for address in right:
        held[address] = spoilt(data.draw(FILL), right[address])
    narrowed = plan.narrowed(held)

    assert set(narrowed.erased_sectors) <= set(plan.erased_sectors)
    if narrowed.mass_erase is None:
        if mode == "dual":
            assert all(step.sector.address < BANK_2 for step in narrowed.sectors)
        kept = [step for step in plan.sectors if step not in narrowed.sectors]
        for step in kept:
            assert not step.differs_from(held[step.sector.address], plan.granule)
    else:
        assert narrowed == plan
        assert any(
            step.sector.address >= BANK_2 and step.differs_from(held[step.sector.address], plan.granule)
            for step in plan.sectors
        )
    if narrowed.sectors:
        assert narrowed.sectors[0].sector.address == FLASH
        assert narrowed.lost_bytes == narrowed.erase_bytes - narrowed.write_bytes


def spoilt(how: str, right: bytes) -> bytes:
    if how == "blank":
        return b"\xff" * len(right)
    if how == "zero":
        return bytes(len(right))
    if how == "one bit":
        return right[:40] + bytes([right[40] ^ 1]) + right[41:]
    if how == "tail" and is_blank(right[-4:]):
        return right[:-4] + b"old!"  # behind the image: no difference
    return right


# ------------------------------------------------------------------------------------------- supply voltage


@pytest.mark.parametrize(
    ("supply_mv", "told"),
    [(None, False), (2699, False), (2700, True), (3300, True), (3600, True), (3601, False), (1800, False)],
)
def test_the_rom_is_told_the_supply_only_where_the_vendor_states_one_in_the_range(
    supply_mv: int | None, told: bool
) -> None:
    """AN2606, Device Feature of the F4: 3 at 0xFFFF0000 means 2.7 V to 3.6 V."""
    plan = make_plan(facts(), one_image(program(KIB)), widget(supply_mv=supply_mv), behaviour(F405))
    assert plan.feature == (
        DeviceFeature(address=0xFFFF_0000, value=3, supply_mv=supply_mv) if told and supply_mv else None
    )
    words = [line for line in describe(plan) if line.startswith("speed:")]
    assert len(words) == (1 if told else 0)


def test_the_plan_says_which_supply_was_stated() -> None:
    plan = make_plan(facts(), one_image(program(KIB)), widget(supply_mv=3300), behaviour(F405))
    (line,) = [line for line in describe(plan) if line.startswith("speed:")]
    assert "3.3 V" in line


def test_a_chip_without_a_device_feature_is_told_nothing() -> None:
    plan = make_plan(facts(), one_image(program(KIB)), widget(supply_mv=3300), behaviour(H743, 0x92, "V"))
    assert plan.feature is None


# ------------------------------------------------------------------------------------------ how it starts

AXI_SRAM_END = 0x2408_0000


@pytest.mark.parametrize(
    ("rom_version", "sp", "replug"),
    [
        (0xD2, 0x2000_1000, True),
        (0xD2, AXI_SRAM_END, True),
        (0xD3, 0x2000_1000, False),
        (0xD3, AXI_SRAM_END, False),
        *((rom, AXI_SRAM_END, True) for rom in (0x90, 0x91, 0x92)),
        *((rom, AXI_SRAM_END - 16, True) for rom in (0x90, 0x91, 0x92)),
        *((rom, AXI_SRAM_END - 20, False) for rom in (0x90, 0x91, 0x92)),
        (0x91, 0x2002_0000 - 12, True),
        (0x91, 0x2002_0000 - 20, False),
        (0x91, 0x3004_8000, True),
        (0x91, 0x3801_0000 - 4, True),
        (0x91, 0x2000_1000, False),
    ],
)
def test_what_the_rom_cannot_start_must_be_replugged(rom_version: int, sp: int, replug: bool) -> None:
    """AN2606 table 136: Go is broken in V13.2; since V9.0 the stack must begin below the RAM's end - 16."""
    which = behaviour(H743, rom_version, "V")
    plan = make_plan(facts(rom_version=rom_version), one_image(program(KIB, sp=sp)), widget(), which)
    assert (plan.replug_because is not None) is replug
    told = [line for line in describe(plan) if line.startswith("at end:")]
    assert len(told) == (1 if replug else 0)


def test_the_reason_for_a_replug_is_the_roms_or_the_programs() -> None:
    image = one_image(program(KIB, sp=AXI_SRAM_END))
    for rom_version, words in ((0xD2, "cannot start the new program"), (0x92, "at the very end of a memory")):
        plan = make_plan(facts(), image, widget(), behaviour(H743, rom_version, "V"))
        assert words in (plan.replug_because or "")


def test_on_other_chips_a_stack_may_begin_at_the_very_end() -> None:
    plan = make_plan(facts(), one_image(program(KIB, sp=0x2002_0000)), widget(), behaviour(F405))
    assert plan.replug_because is None


# ----------------------------------------------------------------------------------------- units and places


def test_an_l47x_is_sent_multiples_of_eight_bytes() -> None:
    """AN2606: its ROM corrupts buffers over 256 bytes whose length is not a multiple of 8."""
    plan = make_plan(
        facts(flash_kib=1024),
        with_segments((FLASH, program(516 + 3)), (0x0800_1004, b"\x11" * 500)),
        widget(chips=(L476,)),
        real_behaviour(L476, 0x92),
    )
    assert [(part.address % 8, len(part.data) % 8) for part in plan.parts] == [(0, 0)] * 3
    assert plan.sectors[1].sector.address == 0x0800_1000
    assert plan.sectors[1].body[0].data == b"\xff" * 4 + b"\x11" * 500


def test_a_chip_whose_flash_is_not_known_is_not_planned_for() -> None:
    with pytest.raises(Refused, match="does not write to a STM32L4R5"):
        make_plan(
            facts(flash_kib=2048),
            one_image(program(KIB)),
            widget(chips=("stm32l4r5",)),
            real_behaviour("stm32l4r5"),
        )


@pytest.mark.parametrize("at", [0x0808_0000, 0x080F_FFE0])
def test_an_image_in_the_gap_between_two_banks_is_refused(at: int) -> None:
    """An H743 of 1 MB has nothing between 0x08080000 and 0x08100000."""
    with pytest.raises(WrongDevice, match="lies in a gap between two banks") as wrong:
        make_plan(
            facts(flash_kib=1024),
            with_segments((FLASH, program(KIB)), (at, b"\x11" * 32)),
            widget(),
            real_behaviour(H743, 0x92, "V"),
        )
    assert wrong.value.device_is is DeviceIs.UNTOUCHED


def test_an_image_that_begins_before_the_gap_and_ends_in_it_is_refused() -> None:
    with pytest.raises(WrongDevice, match="gap"):
        make_plan(
            facts(flash_kib=1024),
            one_image(program(512 * KIB + 32)),
            widget(),
            real_behaviour(H743, 0x92, "V"),
        )


def test_an_image_in_both_banks_of_a_part_with_a_gap_is_planned() -> None:
    plan = make_plan(
        facts(flash_kib=1024),
        with_segments((FLASH, program(KIB)), (BANK_2, b"\x11" * 32)),
        widget(),
        real_behaviour(H743, 0x91, "V"),
    )
    assert addresses(plan) == ["0x8000000", "0x8100000"]
    assert [step.stuck_wait_ms for step in plan.sectors] == [None, 4000]
