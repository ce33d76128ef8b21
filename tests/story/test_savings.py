"""What an update leaves out because it is needless, counted at the device."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.desk import FLASH, Desk, Program, program
from updater.heads.dfu.words import Command, Request
from updater.lab.backend import LabBackend
from updater.words.facts import Segment

KIB = 1024
F405 = {"flash_kib": 1024}
SECTORS = [FLASH + at * KIB for at in (0, 16, 32, 48, 64)]
"""The first five of an F405: four of 16 KiB, one of 64 KiB."""
PLACES = ((FLASH, 100 * KIB),)


class Counted:
    """What was asked of the device: the sectors to erase in their order, and the bytes read."""

    def __init__(self) -> None:
        self.erased: list[int] = []
        self.read_bytes = 0

    def hear(self, kind: int, request: int, block: int, data: bytes) -> None:
        if (kind, request) == (0xA1, Request.UPLOAD):
            self.read_bytes += len(data)
        if (kind, request, block, data[:1]) == (0x21, Request.DNLOAD, 0, bytes([Command.ERASE])):
            self.erased.append(int.from_bytes(data[1:], "little"))


@contextmanager
def counted() -> Iterator[Counted]:
    heard, real = Counted(), LabBackend.ctrl_transfer

    def transfer(self: LabBackend, handle: Any, *setup: Any) -> int:
        heard.hear(setup[0], setup[1], setup[2], setup[4].tobytes())
        return real(self, handle, *setup)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabBackend, "ctrl_transfer", transfer)
        yield heard


def test_a_blank_part_is_erased_in_its_first_sector_only(desk: Desk) -> None:
    desk.sells("stm32f405", **F405)
    desk.plug_in_gizmo("stm32f405", None, in_rom=True)
    new = program("1.0.0", *PLACES)
    with counted() as asked:
        said = desk.install(desk.bundle(new), "--as", "gizmo:A")
    assert (said.exit, said.last["erased_sectors"]) == (0, 1), said.last
    assert asked.erased == [FLASH]
    assert desk.flash()[: 100 * KIB] == new.segments[0].data


def test_a_blank_part_whose_flash_has_ecc_is_erased(desk: Desk) -> None:
    """What reads blank there may have been programmed so, and takes no second write."""
    desk.sells("stm32h743", flash_kib=2048)
    desk.plug_in_gizmo("stm32h743", None, in_rom=True)
    with counted() as asked:
        assert desk.install(desk.bundle(program("1.0.0", (FLASH, 200 * KIB))), "--as", "gizmo:A").exit == 0
    assert asked.erased == [FLASH, FLASH + 128 * KIB]


@pytest.mark.parametrize("is_remembered", [True, False])
def test_what_an_unfinished_update_left_blank_is_erased_again(desk: Desk, is_remembered: bool) -> None:
    """The erase may have been cut: such a sector can read blank and not hold what is written. So may one of a
    device that nobody remembers, because the next one on its port was finished, or on another computer.
    """
    desk.sells("stm32f405", **F405)
    desk.plug_in_gizmo("stm32f405", program("1.0.0", *PLACES))
    bundle = desk.bundle(program("1.1.0", *PLACES))
    wipe_third = bytes([Command.ERASE]) + SECTORS[2].to_bytes(4, "little")
    with desk.cut(lambda block, data: block == 0 and data == wipe_third):
        assert desk.install(bundle).exit == 9
    desk.scribble(32 * KIB, b"\xff" * 16 * KIB)
    if not is_remembered:
        shutil.rmtree(desk.state)
    with counted() as asked:
        assert desk.install(bundle, "--as", "gizmo:A").exit == 0
    assert SECTORS[2] in asked.erased


def test_of_a_sector_that_differs_only_its_beginning_is_compared(desk: Desk) -> None:
    desk.sells("stm32f405", **F405)
    desk.plug_in_gizmo("stm32f405", program("1.0.0", *PLACES))
    new = program("1.1.0", *PLACES)
    with counted() as asked:
        assert desk.install(desk.bundle(new)).exit == 0
    look, proof, back = 5 * 4 * KIB, 16 * KIB + 4 * 2 * KIB, 100 * KIB
    rest = 128 * KIB - 100 * KIB  # of the last sector: it is not written, so it is proved blank
    assert asked.read_bytes == pytest.approx(look + proof + rest + back, abs=100)
    assert desk.flash()[: 100 * KIB] == new.segments[0].data
    assert desk.flash()[100 * KIB : 128 * KIB] == b"\xff" * 28 * KIB


def test_the_same_program_again_is_read_once_and_no_further_than_it_goes(desk: Desk) -> None:
    desk.sells("stm32f405", **F405)
    new = program("1.0.0", *PLACES)
    desk.plug_in_gizmo("stm32f405", new)
    with counted() as asked:
        said = desk.install(desk.bundle(new), "--again")
    assert (said.exit, said.last["erased_sectors"]) == (0, 0)
    assert asked.erased == []
    assert asked.read_bytes == pytest.approx(100 * KIB, abs=2 * KIB + 100)


def test_a_byte_that_differs_at_the_end_of_a_sector_is_found(desk: Desk) -> None:
    desk.sells("stm32f405", **F405)
    new = program("1.1.0", *PLACES)
    held = bytearray(new.segments[0].data)
    held[64 * KIB - 1] ^= 0x10
    desk.plug_in_gizmo(
        "stm32f405", Program(version="1.1.0", segments=(Segment(address=FLASH, data=bytes(held)),))
    )
    with counted() as asked:
        assert desk.install(desk.bundle(new), "--again").exit == 0
    assert asked.erased == [FLASH, SECTORS[3]]
    assert desk.flash()[: 100 * KIB] == new.segments[0].data


def test_another_products_header_is_seen_wherever_it_lies(desk: Desk) -> None:
    """Comparing stops early, but not before the place at which a product says who it is."""
    desk.sells("stm32f405", **F405, header={"address": SECTORS[4] + 20 * KIB})
    other = bytearray(program("1.0.0", *PLACES).segments[0].data)
    header = bytes(other[0x400 : 0x400 + 44]).replace(b"gizmo\0", b"other\0")
    other[84 * KIB : 84 * KIB + 44] = header
    desk.plug_in_gizmo("stm32f405", None, in_rom=True)
    desk.scribble(0, bytes(other))
    said = desk.install(desk.bundle(program("1.1.0", *PLACES)), "--as", "gizmo:A")
    assert said.exit == 4, said.last
    assert desk.flash()[: 100 * KIB] == bytes(other)
