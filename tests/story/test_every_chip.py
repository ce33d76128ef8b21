"""From the running application to the next version, on every chip that may be written to."""

from __future__ import annotations

import pytest

from tests.desk import FLASH, Desk, Said, program
from updater.heads.silicon import the_table

WRITTEN = [row.id for row in the_table().chip if row.geometry is not None]
ODD = (FLASH, 6_019)
"""No program unit divides this length."""
OLD, NEW = program("1.0.0", ODD), program("1.1.0", ODD)


@pytest.mark.parametrize("chip", WRITTEN)
def test_a_gizmo_with_this_chip_is_updated(desk: Desk, chip: str) -> None:
    desk.sells(chip, bank_mode="single")
    desk.plug_in_gizmo(chip, OLD)
    desk.scribble(-256, b"\x5a" * 256)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert said.last["verified"] == "read-back"
    assert desk.holds(NEW)
    assert desk.flash()[-256:] == b"\x5a" * 256


@pytest.mark.parametrize(
    ("chip", "sent"),
    [
        ("stm32f411", 6_020),
        ("stm32f722", 6_024),
        ("stm32l476", 6_024),
        ("stm32g0b1", 6_024),
        ("stm32wb55", 6_024),
        ("stm32u575", 6_032),
        ("stm32c562", 6_032),
        ("stm32h743", 6_048),
    ],
)
def test_an_image_of_odd_length_is_sent_in_whole_program_units(desk: Desk, chip: str, sent: int) -> None:
    """Units of 4, 8, 16 and 32 bytes (AN2606 table 7, RM0433); what is filled up is erased flash."""
    desk.sells(chip)
    desk.plug_in_gizmo(chip, OLD)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["wrote_bytes"]) == (0, sent), said.last
    assert set(desk.flash()[6_019:sent]) == {0xFF}


def test_a_g0b1_shows_three_alternates_with_one_name_that_end_where_its_flash_ends(desk: Desk) -> None:
    """128 KiB; observed on EBB42 boards."""
    desk.chip_is("stm32g0b1", alternates=("@Internal Flash   /0x08000000/64*02Kg",) * 3)
    desk.sells("stm32g0b1", recovery={"kind": "empty-check"})
    large = program("1.1.0", (FLASH, 6_000), (FLASH + 0x0001_F000, 2_000))
    desk.plug_in_gizmo("stm32g0b1", OLD, flash_kib=128)
    refused = desk.install(desk.bundle(program("1.1.0", (FLASH, 6_000), (FLASH + 0x0002_0000, 2_000))))
    assert (refused.exit, refused.last["error"]) == (6, "Refused")
    assert "parts have 128, 256, 512 KiB" in refused.last["message"]
    assert desk.holds(OLD)
    said = desk.install(desk.bundle(large))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(large)


def test_a_g0b1_found_in_its_rom_is_as_large_as_its_layout_says(desk: Desk) -> None:
    desk.sells("stm32g0b1")
    desk.plug_in_gizmo("stm32g0b1", OLD, in_rom=True)
    second_bank = program("1.1.0", (FLASH, 6_000), (FLASH + 0x0004_0000, 5_000))
    said = desk.install(desk.bundle(second_bank))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(second_bank)


@pytest.mark.parametrize("chip", ["stm32c562", "stm32wb55", "stm32g0b1"])
def test_a_chip_that_boots_its_rom_when_it_is_empty_needs_no_button_after_a_cut(
    desk: Desk, chip: str
) -> None:
    """The vector table is written last: until then an unplugged device comes back in its bootloader."""
    desk.sells(chip, recovery={"kind": "empty-check"})
    desk.plug_in_gizmo(chip, OLD, boot_button=False, power="bus")
    bundle = desk.bundle(NEW)
    with desk.cut(lambda block, _data: block >= 2):
        said = desk.install(bundle)
    assert said.exit == 9
    assert "Unplug the device, plug it in again" in said.last["advice"]
    desk.replug()
    again = desk.install(bundle, "--as", "gizmo")
    assert (again.exit, again.last["result"]) == (0, "confirmed"), again.last
    assert desk.holds(NEW)


def test_an_h563_speaks_protocol_3_and_shows_it(desk: Desk) -> None:
    """bcdDevice 0300 (chcbaram/stm32h563-core); a listing elsewhere has 0200, which contradicts the row."""
    desk.sells("stm32h563")
    desk.chip_is("stm32h563", bcd_device=0x0200)
    desk.plug_in_gizmo("stm32h563", OLD)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert "bcdDevice 0200, not 0300" in said.last["message"]
    assert desk.holds(OLD)


def write_ms(said: Said) -> int:
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    return next(int(one["ms"]) for one in said.last["steps"] if one["step"] == "write")


def test_an_f405_programs_whole_words_where_the_vendor_states_the_supply(desk: Desk) -> None:
    """16 us a word instead of 16 us a byte (DS8626 table 40)."""
    old, new = program("1.0.0", (FLASH, 64_000)), program("1.1.0", (FLASH, 64_000))
    took = []
    for supply in ({}, {"supply_mv": 3300}):
        desk.sells("stm32f405", **supply)
        desk.plug_in_gizmo("stm32f405", old)
        took.append(write_ms(desk.install(desk.bundle(new))))
        desk.updater("lab", "remove", "board1")
    bytewise, wordwise = took
    assert 600 < bytewise - wordwise < 1_000  # 16,000 words, 48 us less each
    assert wordwise < bytewise / 2


def test_a_rom_that_does_not_take_the_supply_is_updated_all_the_same(desk: Desk) -> None:
    desk.chip_is("stm32f405", supply=None)
    desk.sells("stm32f405", supply_mv=3300)
    desk.plug_in_gizmo("stm32f405", OLD)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert "Note: This bootloader cannot be sped up. The update goes on." in said.err
    assert desk.holds(NEW)
