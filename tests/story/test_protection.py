"""Locked chips: nothing is forced, nothing is half done without saying so, and what ran before runs again."""

from __future__ import annotations

import pytest

from tests.desk import FLASH, Desk, program
from updater.lab.rom import Dialect

OLD, NEW = program("1.0.0", (FLASH, 40_000)), program("1.1.0", (FLASH, 40_000))
CHIPS = {"stm32f405": FLASH + 0x4000, "stm32l476": FLASH + 0x0800, "stm32h7a3": FLASH + 0x2000}
"""And where their second sector begins."""
BANK_2 = 0x0810_0000


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("at_the_pointer", [True, False])
@pytest.mark.parametrize("chip", CHIPS)
def test_a_read_protected_device_is_refused_and_runs_on(
    desk: Desk, chip: str, at_the_pointer: bool, dialect: Dialect
) -> None:
    """AN3156 says that the address pointer still works then; betaflight-configurator saw it refused."""
    desk.speaks(dialect)
    desk.rom_does(protected_refuses_pointer=at_the_pointer)
    desk.sells(chip, supply_mv=3300)
    desk.plug_in_gizmo(chip, OLD)
    desk.lock(reading=True)
    before = desk.flash()
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert "read-out protection is on" in said.last["message"]
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("at_the_pointer", [True, False])
def test_a_read_protected_device_found_in_its_rom_stays_there(
    desk: Desk, at_the_pointer: bool, dialect: Dialect
) -> None:
    desk.speaks(dialect)
    desk.rom_does(protected_refuses_pointer=at_the_pointer)
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", OLD, in_rom=True)
    desk.lock(reading=True)
    said = desk.install(desk.bundle(NEW), "--as", "gizmo")
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "in-bootloader")
    assert desk.holds(OLD)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_write_protected_first_sector_is_found_before_anything_else_is_touched(
    desk: Desk, chip: str
) -> None:
    desk.sells(chip)
    desk.plug_in_gizmo(chip, OLD)
    desk.lock(FLASH)
    before = desk.flash()
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert "0x08000000" in said.last["message"]
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


@pytest.mark.parametrize("chip", CHIPS)
def test_a_write_protected_later_sector_stops_the_update_there(desk: Desk, chip: str) -> None:
    later = CHIPS[chip]
    desk.sells(chip)
    desk.plug_in_gizmo(chip, OLD)
    desk.lock(later)
    before = desk.flash()
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (9, "NotFinished", "in-bootloader")
    assert f"0x{later:08X} is write-protected" in said.last["message"]
    assert "ask the vendor" in said.last["advice"]
    assert desk.flash()[later - FLASH :] == before[later - FLASH :]


@pytest.fixture
def two_banks(desk: Desk) -> Desk:
    """An F76x in dual bank mode, whose update erases the whole flash at once."""
    places = (FLASH, 20_000), (BANK_2, 5_000)
    desk.sells("stm32f767", flash_kib=2048, bank_mode="dual")
    desk.plug_in_gizmo("stm32f767", program("1.0.0", *places), bank_mode="dual")
    return desk


NEW_IN_BOTH = program("1.1.0", (FLASH, 20_000), (BANK_2, 5_000))


def test_a_write_protected_first_sector_is_found_before_the_mass_erase(two_banks: Desk) -> None:
    two_banks.lock(FLASH)
    before = two_banks.flash()
    said = two_banks.install(two_banks.bundle(NEW_IN_BOTH))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (11, "Protected", "runs-old")
    assert two_banks.flash() == before


def test_a_write_protected_later_sector_is_found_by_the_mass_erase(two_banks: Desk) -> None:
    two_banks.lock(BANK_2)
    said = two_banks.install(two_banks.bundle(NEW_IN_BOTH))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (9, "NotFinished", "in-bootloader")
    assert f"0x{BANK_2:08X} is write-protected" in said.last["message"]
    assert "ask the vendor" in said.last["advice"]
