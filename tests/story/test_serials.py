"""The serial number that a ROM shows on USB: foretold, constant, random or shared, and what it may prove."""

from __future__ import annotations

import json

import pytest

from tests.desk import Desk, program

OLD, NEW = program("1.0.0", (0x0800_0000, 40_000)), program("1.1.0", (0x0800_0000, 40_000))


def is_erase(block: int, data: bytes) -> bool:
    return block == 0 and data[:1] == b"\x41"


def rom_serial(desk: Desk) -> str:
    return str(desk.updater("devices", "--json").last["serial"])


def test_a_chip_with_a_random_serial_is_known_again_by_what_its_flash_holds(desk: Desk) -> None:
    """L496: another serial after each power cycle (ST:32869); the first sector, with the header, is gone."""
    desk.sells("stm32l496")
    desk.plug_in_gizmo("stm32l496", OLD)
    bundle = desk.bundle(NEW)
    with desk.cut(is_erase):
        assert desk.install(bundle).exit == 9
    (journal,) = desk.state.rglob("journal/*.json")
    assert json.loads(journal.read_bytes())["serial"] is None
    again = desk.install(bundle)
    assert (again.exit, again.last["identity"]) == (0, "journal"), again.last
    assert desk.holds(NEW)


@pytest.mark.parametrize("chip", ["stm32f446", "stm32f722"])
def test_a_chip_whose_kind_shares_one_serial_is_updated_and_known_again(desk: Desk, chip: str) -> None:
    desk.sells(chip)
    desk.plug_in_gizmo(chip, OLD)
    bundle = desk.bundle(NEW)
    with desk.cut(is_erase):
        assert desk.install(bundle).exit == 9
    assert rom_serial(desk) == "STM32FxSTM32"
    again = desk.install(bundle)
    assert (again.exit, again.last["identity"]) == (0, "journal"), again.last
    assert desk.holds(NEW)


@pytest.mark.parametrize("chip", ["stm32f446", "stm32f722"])
def test_a_shared_serial_does_not_prove_another_board_in_its_place(desk: Desk, chip: str) -> None:
    desk.sells(chip)
    desk.plug_in_gizmo(chip, OLD)
    bundle = desk.bundle(NEW)
    with desk.cut(is_erase):
        assert desk.install(bundle).exit == 9
    desk.updater("lab", "remove", "board1")
    desk.plug_in_gizmo(chip, None, name="board9", port="1-1", in_rom=True)
    said = desk.install(bundle)
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
    assert set(desk.flash("board9")) == {0xFF}


def test_the_serial_of_an_f412_is_foretold_from_its_unique_number(desk: Desk) -> None:
    """Words 00350034 56345344 20383433 (little-endian) make 0x20383433 + 0x00350034 + 0x0A = 0x206D3471."""
    uid = bytes.fromhex("34003500 44533456 33343820")
    desk.sells("stm32f412")
    desk.plug_in_gizmo("stm32f412", OLD, uid=uid)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    desk.replug(boot=True)
    assert rom_serial(desk) == "206D34715634"


@pytest.mark.parametrize("chip", ["stm32f412", "stm32f405", "stm32f767", "stm32h743"])
def test_a_rom_with_another_serial_than_was_foretold_is_not_written(desk: Desk, chip: str) -> None:
    desk.sells(chip, flash_kib=1024, bank_mode="single")
    desk.plug_in_gizmo(chip, OLD, flash_kib=1024)
    desk.fault("wrong-identity")
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "in-bootloader")
    assert "serial" in said.last["message"]
    assert desk.holds(OLD)


def test_two_rev_v_boards_share_a_serial_and_are_told_apart_by_their_port(desk: Desk) -> None:
    desk.sells("stm32h743")
    desk.plug_in_gizmo("stm32h743", OLD, revision="V", in_rom=True)
    desk.plug_in_gizmo("stm32h743", OLD, revision="V", in_rom=True, name="board2")
    lines = desk.updater("devices", "--json").lines
    assert {line["serial"] for line in lines} == {"200364500000"}
    assert [line["port"] for line in lines] == ["1-1", "1-2"]
    bundle = desk.bundle(NEW)
    several = desk.install(bundle, "--device", "200364500000")
    assert (several.exit, several.last["error"]) == (3, "SeveralDevices")
    said = desk.install(bundle, "--device", "1-2")
    assert (said.exit, said.last["device"]["port"]) == (0, "1-2"), said.last
    assert desk.holds(NEW, "board2")
    assert desk.holds(OLD, "board1")
    assert desk.board("board1")["state"] == "rom"
