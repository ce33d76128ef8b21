"""ROMs whose layout string lies: how much flash there is comes from the chip or the vendor, or nowhere."""

from __future__ import annotations

import pytest

from tests.desk import FLASH, Desk, program

KIB = 1024
SMALL, LARGE = (FLASH, 6_000), (FLASH, 200 * KIB)
BEYOND = (FLASH, 6_000), (FLASH + 0x0002_0000, 3_000)
"""Something behind the first 128 KiB."""


def test_an_image_for_a_larger_part_is_refused_before_anything_is_touched(desk: Desk) -> None:
    """An H750 has 128 KiB and its ROM says 2 MiB."""
    old = program("1.0.0", SMALL)
    desk.sells("stm32h743", flash_kib=128)
    desk.plug_in_gizmo("stm32h743", old, flash_kib=128)
    said = desk.install(desk.bundle(program("1.1.0", *BEYOND)))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "untouched")
    assert "flash is from 0x08000000 to 0x08020000" in said.last["message"]
    assert desk.board()["state"] == "application"
    assert desk.holds(old)


@pytest.mark.parametrize("boot", [False, True])
def test_a_size_that_nobody_knows_is_not_guessed(desk: Desk, boot: bool) -> None:
    old = program("1.0.0", SMALL)
    desk.sells("stm32h743")
    desk.plug_in_gizmo("stm32h743", old, flash_kib=128, in_rom=boot)
    said = desk.install(desk.bundle(program("1.1.0", *BEYOND)))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "untouched")
    assert "parts have 128, 1024, 2048 KiB" in said.last["message"]
    assert "state flash_kib" in said.last["advice"]
    assert desk.holds(old)


def test_what_every_part_has_may_be_written_without_knowing_the_size(desk: Desk) -> None:
    new = program("1.1.0", SMALL)
    desk.sells("stm32h743")
    desk.plug_in_gizmo("stm32h743", program("1.0.0", SMALL), flash_kib=128)
    said = desk.install(desk.bundle(new))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(new)


def test_the_size_is_read_from_the_chip_where_its_rom_lets_it_be_read(desk: Desk) -> None:
    new = program("1.1.0", *BEYOND)
    desk.sells("stm32h743")
    desk.plug_in_gizmo("stm32h743", program("1.0.0", SMALL), flash_kib=1024, reads_size=True, in_rom=True)
    assert desk.updater("devices", "--json").last["flash_kib"] == 1024
    said = desk.install(desk.bundle(new))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(new)


def test_a_size_that_is_not_as_the_vendor_states_stops_a_stranger_at_once(desk: Desk) -> None:
    old = program("1.0.0", SMALL)
    desk.sells("stm32h743", flash_kib=2048)
    desk.plug_in_gizmo("stm32h743", old, flash_kib=128, reads_size=True, in_rom=True)
    said = desk.install(desk.bundle(program("1.1.0", *BEYOND)))
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert "has 128 KiB of flash, but a Gizmo has 2048" in said.last["message"]
    assert desk.holds(old)


def test_a_size_that_is_not_as_the_vendor_states_stops_before_the_first_erase(desk: Desk) -> None:
    """The application cannot say it; the ROM can. The device is sent back to its old program."""
    old = program("1.0.0", SMALL)
    desk.sells("stm32h743", flash_kib=2048)
    desk.plug_in_gizmo("stm32h743", old, flash_kib=128, reads_size=True)
    before = desk.flash()
    said = desk.install(desk.bundle(program("1.1.0", *BEYOND)))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "runs-old")
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


@pytest.mark.parametrize(
    ("chip", "kib", "length"),
    [
        ("stm32h7a3", 128, 100 * KIB),  # H7B0: its ROM says 256 sectors of 8 KiB
        ("stm32h723", 512, 200 * KIB),  # its ROM says 8 sectors of 128 KiB
        ("stm32f722", 512, 100 * KIB),  # its OTP string has no multiplier: "01*528e"
        ("stm32f429", 2048, 100 * KIB),  # two segments of option bytes in one string
    ],
)
def test_a_part_whose_rom_says_something_else_is_updated(
    desk: Desk, chip: str, kib: int, length: int
) -> None:
    new = program("1.1.0", (FLASH, length))
    desk.sells(chip, flash_kib=kib)
    desk.plug_in_gizmo(chip, program("1.0.0", SMALL), flash_kib=kib)
    said = desk.install(desk.bundle(new))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(new)


def test_a_rom_that_says_2_kib_sectors_is_erased_by_its_true_ones_of_8(desk: Desk) -> None:
    """An H7A3 with ROM V9.0 (AN2606 table 138)."""
    shown = "@Internal Flash   /0x08000000/256*02Kg"
    desk.chip_is("stm32h7a3", alternates=(shown,))
    desk.sells("stm32h7a3", flash_kib=2048)
    desk.plug_in_gizmo("stm32h7a3", program("1.0.0", SMALL), rom_version=0x90)
    new = program("1.1.0", (FLASH, 20 * KIB))
    said = desk.install(desk.bundle(new))
    assert (said.exit, said.last["erased_sectors"]) == (0, 3), said.last
    assert desk.holds(new)


@pytest.mark.parametrize("mode", ["single", "dual"])
def test_an_option_that_means_nothing_on_this_part_is_not_asked_for(desk: Desk, mode: str) -> None:
    """An F429 of 2 MiB always has two banks; DB1M is about parts of 1 MiB only."""
    new = program("1.1.0", (FLASH, 6_000), (FLASH + 0x0010_0000, 3_000))
    desk.sells("stm32f429", flash_kib=2048, bank_mode=mode)
    desk.plug_in_gizmo("stm32f429", program("1.0.0", SMALL), in_rom=True)
    said = desk.install(desk.bundle(new))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(new)


@pytest.mark.parametrize("chip", ["stm32l072", "stm32l4r5", "stm32l4p5"])
def test_a_chip_whose_flash_is_not_known_well_enough_is_not_written(desk: Desk, chip: str) -> None:
    old = program("1.0.0", SMALL)
    desk.sells(chip)
    desk.plug_in_gizmo(chip, old)
    said = desk.install(desk.bundle(program("1.1.0", SMALL)))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "untouched")
    assert "this updater does not write to a" in said.last["message"]
    assert "not supported yet" in said.last["advice"]
    assert desk.board()["state"] == "application"


def test_a_chip_that_reads_00_where_it_is_empty_is_refused_with_that_reason(desk: Desk) -> None:
    desk.sells("stm32l072")
    desk.plug_in_gizmo("stm32l072", program("1.0.0", SMALL), in_rom=True)
    said = desk.install(desk.bundle(program("1.1.0", SMALL)))
    assert said.exit == 6
    assert "its empty memory reads 00" in said.last["message"]
