"""Bootloaders that only look like an STM32's, and STM32s that look like each other."""

from __future__ import annotations

import pytest
from semver import Version

from tests.desk import FLASH, HEADER_AT, Desk, program
from updater.heads.silicon import the_table
from updater.words.facts import ProductHeader

OLD, NEW = program("1.0.0"), program("1.1.0")
LOOKALIKES = {row.id: row for row in the_table().lookalike}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_only_looks_like_our_chip_is_named_and_left_alone(desk: Desk, name: str) -> None:
    desk.sells("stm32f405")
    added = desk.updater("lab", "add", "stm32f405", "--name", "board1", "--looks-like", name, "--in-rom")
    assert added.exit == 0, added.err
    (line,) = desk.updater("devices", "--json").lines
    assert (line["mode"], line["chip"], line["product"]) == ("other", None, None)
    assert line["name"] == LOOKALIKES[name].title
    assert line["refused"] == LOOKALIKES[name].refused
    for claim in ([], ["--as", "gizmo"], ["--device", "1-1"]):
        said = desk.install(desk.bundle(NEW), *claim)
        assert (said.exit, said.last["error"], said.last["device_is"]) == (4, "WrongDevice", "untouched")
        assert LOOKALIKES[name].refused in said.last["message"]
    assert set(desk.flash()) == {0xFF}
    assert desk.board()["state"] == "rom"


def test_a_gd32_is_said_to_be_one_in_plain_words(desk: Desk) -> None:
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", None, looks_like="gd32", in_rom=True)
    said = " ".join(desk.updater("devices").out.split())
    assert "GigaDevice GD32 port 1-1 (28e9:0189) runs a bootloader that is not an STM32's own" in said
    assert "not updated This chip is a GigaDevice GD32, not an STM32" in said


def test_a_lookalike_beside_a_device_of_ours_is_not_in_its_way(desk: Desk) -> None:
    desk.sells("stm32f405")
    desk.plug_in_gizmo("stm32f405", None, looks_like="gd32", in_rom=True)
    desk.plug_in_gizmo("stm32f405", OLD, name="board2")
    assert desk.install(desk.bundle(NEW)).exit == 0
    assert desk.holds(NEW, "board2")
    assert set(desk.flash("board1")) == {0xFF}


@pytest.fixture
def stranger(desk: Desk) -> Desk:
    """A board with an F411 that was never programmed, and whose ROM ID cannot be read."""
    desk.chip_is("stm32f411", rom_id_at=None)
    desk.sells("stm32f411")
    desk.plug_in_gizmo("stm32f411", None, in_rom=True)
    return desk


def test_a_stranger_for_which_several_chips_fit_is_shown_with_all_of_them(stranger: Desk) -> None:
    line = stranger.updater("devices", "--json").last
    assert (line["chip"], line["chips"]) == (None, ["stm32f401xe", "stm32f411"])
    said = stranger.updater("devices")
    assert "one of STM32F401xD/xE, STM32F411: these look alike over USB" in " ".join(said.out.split())


def test_a_stranger_for_which_several_chips_fit_is_installed_when_the_product_leaves_one(
    stranger: Desk,
) -> None:
    asked = stranger.install(stranger.bundle(NEW))
    assert (asked.exit, asked.last["error"]) == (3, "UnknownDevice")
    assert "--as PRODUCT, where PRODUCT is one of: gizmo" in asked.last["advice"]
    said = stranger.install(stranger.bundle(NEW), "--as", "gizmo")
    assert (said.exit, said.last["identity"]) == (0, "person"), said.last
    assert stranger.holds(NEW)


def test_a_stranger_for_which_the_product_allows_two_chips_is_refused(stranger: Desk) -> None:
    stranger.sells("stm32f401xe", "stm32f411")
    said = stranger.install(stranger.bundle(NEW), "--as", "gizmo")
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
    assert "several chips, which look alike over USB: STM32F401xD/xE, STM32F411" in said.last["message"]
    assert set(stranger.flash()) == {0xFF}


def test_a_stranger_is_not_taken_for_a_chip_that_the_product_does_not_have(stranger: Desk) -> None:
    stranger.sells("stm32f446")
    said = stranger.install(stranger.bundle(NEW), "--as", "gizmo")
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")


def test_an_application_says_which_of_two_alike_chips_it_runs_on(desk: Desk) -> None:
    """Its IDCODE does; so a product that is made with either can be updated."""
    desk.chip_is("stm32f411", rom_id_at=None)
    desk.sells("stm32f401xe", "stm32f411")
    desk.plug_in_gizmo("stm32f411", OLD)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["device"]["chip"]) == (0, "stm32f411"), said.last
    assert desk.holds(NEW)


def test_two_alike_chips_are_told_apart_by_their_rom_id_where_it_can_be_read(desk: Desk) -> None:
    desk.sells("stm32f401xe", "stm32f411")
    desk.plug_in_gizmo("stm32f411", None, in_rom=True)
    assert desk.updater("devices", "--json").last["chip"] == "stm32f411"
    assert desk.install(desk.bundle(NEW), "--as", "gizmo").exit == 0
    assert desk.holds(NEW)


def test_a_header_that_does_not_name_its_hardware_leaves_that_to_the_label(desk: Desk) -> None:
    desk.sells("stm32f405", flash_kib=1024)
    desk.plug_in_gizmo("stm32f405", OLD, in_rom=True)
    header = ProductHeader(product="gizmo", hardware="", version=Version(1, 0, 0), security_counter=1)
    desk.scribble(HEADER_AT - FLASH, header.pack())
    (line,) = desk.updater("devices", "--json").lines
    assert (line["product"], line["hardware"], line["identity"]) == ("gizmo", None, "header")
    said = desk.install(desk.bundle(NEW), "--as", "gizmo:A")
    assert said.exit == 0, said.last
    assert desk.holds(NEW)
