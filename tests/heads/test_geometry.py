"""The flash that this very device has: what is read or stated counts, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.heads.plan_kit import FLASH, KIB, facts, real_behaviour, widget
from tests.heads.silicon_kit import new_rom, row
from updater.heads.geometry import RealFlash, flash_of
from updater.heads.silicon import BankMode
from updater.words.errors import DeviceIs, Refused, WrongDevice
from updater.words.facts import Mode, Sector

F767, H743, G0B1, F429 = "stm32f767", "stm32h743", "stm32g0b1", "stm32f429"
SMALL = FLASH + 64 * KIB
"""Where an image ends that every part has room for."""


def flash(
    chip: str, *, needed_end: int = SMALL, told: dict[str, Any] | None = None, **read: Any
) -> RealFlash:
    """The flash of this chip: `read` from the device, `told` by the vendor."""
    return flash_of(row(chip), facts(**read), widget(chips=(chip,), **(told or {})), needed_end=needed_end)


# ------------------------------------------------------------------------------------------------- bank mode


def test_a_bank_mode_that_nobody_knows_is_refused_with_the_option_and_the_way_out() -> None:
    with pytest.raises(Refused, match=r"one bank or two \(nDBANK\)") as refused:
        flash(F767, flash_kib=2048)
    assert (refused.value.exit_status, refused.value.device_is) == (6, DeviceIs.UNTOUCHED)
    assert "bank_mode" in refused.value.advice


@pytest.mark.parametrize("mode", ["single", "dual"])
@pytest.mark.parametrize("by", ["device", "vendor", "both"])
def test_a_bank_mode_is_read_or_stated(mode: BankMode, by: str) -> None:
    read: dict[str, Any] = {"bank_mode": mode} if by != "vendor" else {}
    told: dict[str, Any] = {"bank_mode": mode} if by != "device" else {}
    found = flash(F767, flash_kib=2048, told=told, **read)
    assert found.sectors == row(F767).sectors(kib=2048, bank_mode=mode)
    assert found.bank2_at == (0x0810_0000 if mode == "dual" else None)


@pytest.mark.parametrize(("read", "told"), [("single", "dual"), ("dual", "single")])
def test_a_bank_mode_that_contradicts_the_vendors_is_the_wrong_device(read: BankMode, told: BankMode) -> None:
    with pytest.raises(WrongDevice, match=f"is in {read} bank mode .* should be in {told}") as wrong:
        flash(F767, flash_kib=2048, bank_mode=read, told={"bank_mode": told})
    assert (wrong.value.exit_status, wrong.value.device_is) == (4, DeviceIs.UNTOUCHED)


def test_the_second_bank_of_a_small_part_begins_where_its_first_ends() -> None:
    """STM32Cube_MCU_Overall_Offer issue 11: 0x08080000 on an F767 of 1 MB."""
    found = flash(F767, flash_kib=1024, bank_mode="dual")
    assert (found.bank2_at, found.end) == (0x0808_0000, 0x0810_0000)


def test_a_small_part_in_two_banks_that_no_source_describes_is_refused() -> None:
    """DB1M of the F42x: what the ROM erases there is nowhere published."""
    with pytest.raises(Refused, match="with 1024 KiB in two banks is divided"):
        flash(F429, flash_kib=1024, bank_mode="dual")


def test_a_chip_without_such_an_option_is_not_asked_for_it() -> None:
    assert flash(H743, flash_kib=2048).bank2_at is None
    assert flash(H743, flash_kib=2048, told={"bank_mode": "dual"}).bank2_at is None


def test_where_the_size_decides_where_the_second_bank_begins_it_is_not_guessed() -> None:
    """0x08080000 is bank 2 of an F767 with 1 MB and in the middle of bank 1 of one with 2 MB."""
    assert flash(F767, needed_end=FLASH + 512 * KIB, bank_mode="dual").start == FLASH
    with pytest.raises(Refused, match="not known how much flash"):
        flash(F767, needed_end=FLASH + 512 * KIB + 4, bank_mode="dual")


# ------------------------------------------------------------------------------------------------------ size


@pytest.mark.parametrize(("read", "told"), [({"flash_kib": 1024}, {}), ({}, {"flash_kib": 1024})])
def test_a_size_is_read_or_stated(read: dict[str, Any], told: dict[str, Any]) -> None:
    found = flash(H743, needed_end=0x0818_0000, told=told, **read)
    assert (len(found.sectors), found.start, found.end) == (8, FLASH, 0x0818_0000)


def test_a_register_that_contradicts_the_vendor_is_the_wrong_device() -> None:
    with pytest.raises(WrongDevice, match="has 128 KiB of flash, but a Demo Widget has 2048") as wrong:
        flash(H743, flash_kib=128, told={"flash_kib": 2048})
    assert (wrong.value.exit_status, wrong.value.device_is) == (4, DeviceIs.UNTOUCHED)


def test_where_the_size_is_not_known_only_what_every_part_has_is_used() -> None:
    """An H750 has 128 KB, and its ROM says 2 MB as all others do."""
    found = flash(H743, needed_end=FLASH + 128 * KIB)
    assert found.sectors == (Sector(address=FLASH, size=128 * KIB),)
    with pytest.raises(Refused, match=r"128, 1024, 2048 KiB\), and not all of them have the") as refused:
        flash(H743, needed_end=FLASH + 128 * KIB + 1)
    assert refused.value.exit_status == 6
    assert "flash_kib" in refused.value.advice


def test_where_a_chip_is_sold_in_one_size_nobody_has_to_say_it() -> None:
    assert flash("stm32h503").end == FLASH + 128 * KIB


def test_a_size_that_no_sector_ends_with_is_refused() -> None:
    with pytest.raises(Refused, match="with 100 KiB is divided"):
        flash(H743, told={"flash_kib": 100})


def test_the_gap_of_a_1_mb_part_is_not_flash() -> None:
    found = flash(H743, flash_kib=1024)
    assert [sector.address for sector in found.sectors][3:5] == [0x0806_0000, 0x0810_0000]


@pytest.mark.parametrize(("shown", "kib"), [(64, 128), (256, 512)])
def test_a_string_that_follows_the_size_is_believed_where_it_was_seen_to(shown: int, kib: int) -> None:
    rom = new_rom(f"@Internal Flash   /0x08000000/{shown}*02Kg")
    found = flash(G0B1, needed_end=FLASH + kib * KIB, rom=rom, mode=Mode.ROM)
    assert found.end == FLASH + kib * KIB


def test_a_string_that_lies_is_not_believed() -> None:
    """H7A3 ROM V9.0 says sectors of 2 KB; they have 8 KB."""
    rom = new_rom("@Internal Flash   /0x08000000/256*02Kg", serial="FFFFFFFEFFFF")
    found = flash("stm32h7a3", rom=rom, mode=Mode.ROM)
    assert {sector.size for sector in found.sectors} == {8 * KIB}
    assert found.end == FLASH + 128 * KIB


# ---------------------------------------------------------------------------------------- what is not written


@pytest.mark.parametrize(
    ("chip", "why"),
    [
        ("stm32l072", "its empty memory reads 00"),
        ("stm32l4r5", "which option bit divides its memory depends on the size"),
        ("stm32l4p5", "which option bit divides its memory depends on the size"),
    ],
)
def test_a_chip_whose_flash_is_not_known_well_enough_is_refused_with_the_reason(chip: str, why: str) -> None:
    assert real_behaviour(chip).chip.geometry is None
    with pytest.raises(Refused, match=f"does not write to a STM32L.*: {why}") as refused:
        flash(chip, flash_kib=1024, bank_mode="single")
    assert refused.value.exit_status == 6
