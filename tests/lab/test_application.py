"""The running firmware: what it answers comes from the flash, and DETACH leads into the ROM."""

from __future__ import annotations

import struct

import pytest

from tests.lab.bench import CHIPS, F405, FLASH, H743, UID, board_of, image
from updater.heads.dfu.words import Stalled, Vanished
from updater.lab.application import vectors_are_valid
from updater.lab.board import Board
from updater.lab.record import BoardState


def identity(board: Board) -> bytes:
    return board.control(board.address, 0xC0, 0x55, 1, 0, 64, 1000)


@pytest.mark.parametrize(("chip", "idcode", "rom_id"), [(H743, 0x20036450, 0x92), (F405, 0x20016413, 0x91)])
def test_the_identity_is_the_header_in_flash_with_the_silicons_own_numbers(
    chip: str, idcode: int, rom_id: int
) -> None:
    answer = identity(board_of(chip))
    assert answer == (
        b"FWID" + bytes([1, 0, 44, 0])
        + b"demo-widget".ljust(16, b"\0") + b"A".ljust(8, b"\0")
        + bytes([1, 0, 0, 0, 0, 0, 0, 0]) + bytes([1, 0, 0, 0])
        + UID + struct.pack("<I", idcode) + bytes([rom_id, 0, 0, 0])
    )  # fmt: skip


def test_an_image_without_its_header_answers_nothing_and_shows_foreign_ids() -> None:
    whole = image()
    board = board_of(flash=whole[:0x400] + b"\xff" * 64 + whole[0x440:])
    with pytest.raises(Stalled):
        identity(board)
    assert board.face is not None
    assert (board.face.vendor_id, board.face.product_id) == (0x0483, 0x5740)


def test_its_serial_number_is_the_uid_in_hex() -> None:
    face = board_of().face
    assert face is not None
    assert face.serial == UID.hex().upper()
    assert face.product == "Demo Widget"
    assert (face.vendor_id, face.product_id) == (0x1209, 0x0001)


def test_its_interface_is_dfu_run_time_and_will_detach() -> None:
    """DFU 1.1 sections 4.1.2 and 4.1.3: class FE/01/01; bmAttributes bit 3 is bitWillDetach."""
    face = board_of(F405).face
    assert face is not None
    assert face.configuration_descriptor() == bytes.fromhex(
        "09021b000101 00c032 090400000 0fe010100 092109e80300081001".replace(" ", "")
    )


@pytest.mark.parametrize(("chip", "ready_ms"), [(H743, 54), (F405, 270)])
def test_detach_leads_into_the_rom_after_the_time_of_the_row(chip: str, ready_ms: int) -> None:
    board = board_of(chip)
    old = board.address
    board.control(old, 0x21, 0, 1000, 0, b"", 1000)
    assert board.state is BoardState.ROM
    assert board.face is None
    with pytest.raises(Vanished):
        identity(board)
    board.clock.sleep_ms(ready_ms - 2)  # the transfer itself took one
    assert board.face is None
    board.clock.sleep_ms(2)
    assert board.face is not None
    assert (board.face.vendor_id, board.face.product_id) == (0x0483, 0xDF11)
    assert board.address != old


def test_in_run_time_mode_it_is_app_idle() -> None:
    board = board_of()
    assert board.control(board.address, 0xA1, 5, 0, 0, 1, 1000) == bytes([0])
    assert board.control(board.address, 0xA1, 3, 0, 0, 6, 1000) == bytes(6)


@pytest.mark.parametrize("request_number", [1, 2, 4, 6])
def test_no_other_dfu_request_is_answered_in_run_time_mode(request_number: int) -> None:
    board = board_of()
    with pytest.raises(Stalled):
        board.control(board.address, 0xA1 if request_number == 2 else 0x21, request_number, 2, 0, 0, 1000)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(
    ("stack", "reset", "valid"),
    [
        (0x20020000, 0x08000801, True),
        (0x20020000, 0x08000800, False),  # not Thumb
        (0xFFFFFFFF, 0xFFFFFFFF, False),
        (0x08000000, 0x08000801, False),  # the stack in flash
        (0x20020000, 0x08030001, False),  # into blank flash
        (0x20020000, 0x1FFF0001, False),
    ],
)
def test_only_a_vector_table_that_can_run_is_started(chip: str, stack: int, reset: int, valid: bool) -> None:
    flash = board_of(chip, flash=struct.pack("<II", stack, reset) + image()[8:]).memory.flash
    assert vectors_are_valid(flash, FLASH) is valid
