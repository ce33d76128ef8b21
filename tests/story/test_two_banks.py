"""A ROM that erases another sector of bank 2 than it is told to (F76x/77x): never by sector there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.desk import FLASH, Desk, program
from updater.lab.record import Power

CHIP = "stm32f767"
BANK_2 = 0x0810_0000
HALVES = (FLASH, 20_000), (BANK_2, 5_000)
OLD, NEW = program("1.0.0", *HALVES), program("1.1.0", *HALVES)
LAST_SECTOR = {"address": 0x081F_F000, "length": 0x1000}


def is_first_erase(block: int, data: bytes) -> bool:
    """The sector with the vector table is erased by itself before all the others."""
    return (block, data) == (0, b"\x41" + FLASH.to_bytes(4, "little"))


def is_mass_erase(block: int, data: bytes) -> bool:
    return (block, data) == (0, b"\x41")


def is_block(block: int, _data: bytes) -> bool:
    return block >= 2


def is_block_of_bank_2(_block: int, data: bytes) -> bool:
    return data[:16] == NEW.segments[1].data[:16]


def test_the_plan_names_the_whole_flash_and_the_update_succeeds(desk: Desk) -> None:
    desk.sells(CHIP, flash_kib=2048, bank_mode="dual")
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual")
    said = desk.install(desk.bundle(NEW))
    assert said.exit == 0, said.out
    assert said.last["result"] == "confirmed"
    assert desk.holds(NEW)
    (plan,) = [line for line in said.lines if line["type"] == "plan"]
    assert sum(sector["size"] for sector in plan["erase"]) == 2048 * 1024
    assert len(plan["erase"]) == 24


def test_a_person_reads_that_the_whole_flash_is_erased_and_why(desk: Desk) -> None:
    desk.sells(CHIP, flash_kib=2048, bank_mode="dual")
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual")
    said = desk.updater("install", desk.bundle(NEW), "--dry-run")
    words = " ".join(said.err.split())
    assert "the WHOLE flash, 2,048 KiB" in words
    assert "erases the wrong sector in the second one" in words


def test_a_product_that_keeps_data_is_refused_before_it_is_sent_into_its_bootloader(desk: Desk) -> None:
    desk.sells(CHIP, flash_kib=2048, bank_mode="dual", keep=[LAST_SECTOR])
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual")
    before = desk.flash()
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "untouched")
    assert "erases the wrong sectors" in said.last["message"]
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


def test_a_bank_mode_that_nobody_states_is_not_guessed(desk: Desk) -> None:
    desk.sells(CHIP, flash_kib=2048)
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual")
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (6, "Refused", "untouched")
    assert "one bank or two (nDBANK)" in said.last["message"]
    assert "Start the device's bootloader by hand" in said.last["advice"]
    assert desk.board()["state"] == "application"


@pytest.mark.parametrize("mode", ["single", "dual"])
def test_a_device_whose_boot_button_was_held_tells_its_bank_mode_itself(desk: Desk, mode: str) -> None:
    desk.sells(CHIP, flash_kib=2048)
    desk.plug_in_gizmo(CHIP, OLD, bank_mode=mode)
    desk.replug(boot=True)
    assert desk.updater("devices", "--json").last["bank_mode"] == mode
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.out
    assert desk.holds(NEW)


def test_a_bank_mode_that_is_not_as_stated_stops_before_the_first_erase(desk: Desk) -> None:
    desk.sells(CHIP, flash_kib=2048, bank_mode="single")
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual")
    before = desk.flash()
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "runs-old")
    assert "dual bank mode" in said.last["message"]
    assert desk.flash() == before
    assert desk.board()["state"] == "application"


def test_an_image_in_the_first_bank_leaves_the_second_as_it_is(desk: Desk) -> None:
    new = program("1.1.0", (FLASH, 20_000))
    desk.sells(CHIP, flash_kib=2048, bank_mode="dual", keep=[LAST_SECTOR])
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual")
    before = desk.flash()
    said = desk.install(desk.bundle(new))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.out
    assert desk.holds(new)
    assert desk.flash()[BANK_2 - FLASH :] == before[BANK_2 - FLASH :]
    assert said.last["erased_sectors"] == 2  # 16 KiB each


@pytest.mark.parametrize(
    ("moment", "power", "known_by"),
    [
        (is_first_erase, Power.BUS, "journal"),
        (is_mass_erase, Power.SELF, "person"),
        (is_mass_erase, Power.BUS, "person"),
        (is_block, Power.SELF, "header"),
        (is_block, Power.BUS, "person"),
        (is_block_of_bank_2, Power.SELF, "header"),
    ],
)
def test_a_cut_is_finished_by_the_same_command(
    desk: Desk, moment: Callable[[int, bytes], bool], power: Power, known_by: str
) -> None:
    """After the whole flash was erased only what has been written since can tell which device it is.

    Without its supply a block that was on its way is half written, and the header was in that half.
    """
    desk.sells(CHIP, flash_kib=2048, bank_mode="dual")
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual", power=power)
    bundle = desk.bundle(NEW)
    with desk.cut(moment):
        said = desk.install(bundle)
    assert (said.exit, said.last["error"]) == (9, "NotFinished"), said.last
    assert "Hold BOOT while you plug it in." in said.last["advice"]
    if power is Power.BUS:
        assert desk.board()["state"] == "locked-up"
        desk.replug(boot=True)
    again = desk.install(bundle)
    if known_by == "person":
        assert (again.exit, again.last["error"]) == (3, "UnknownDevice"), again.last
        assert "--as" in again.last["advice"]
        again = desk.install(bundle, "--as", "gizmo")
    assert (again.exit, again.last["result"]) == (0, "confirmed"), again.last
    assert again.last["identity"] == known_by
    assert desk.holds(NEW)


def test_after_the_mass_erase_a_device_is_known_again_by_what_was_written_since(desk: Desk) -> None:
    """Where no header helps: the journal knows that the sectors behind the one in work are blank now."""
    desk.sells(CHIP, flash_kib=2048, bank_mode="dual", header={"address": FLASH + 0x2000})
    desk.plug_in_gizmo(CHIP, OLD, bank_mode="dual", in_rom=True)
    bundle, second_sector = desk.bundle(NEW), NEW.segments[0].data[0x4000:0x4010]
    with desk.cut(lambda _block, data: data.startswith(second_sector)):
        assert desk.install(bundle, "--as", "gizmo").exit == 9
    said = desk.install(bundle)
    assert (said.exit, said.last["identity"]) == (0, "person"), said.last
    assert desk.holds(NEW)
