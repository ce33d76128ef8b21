"""Power, BOOT, leave, faults and the meter."""

from __future__ import annotations

import struct

import pytest

from tests.lab.bench import (
    ABORT,
    BUSY,
    CHIPS,
    DNLOAD,
    DNLOAD_IDLE,
    ERROR,
    F405,
    FLASH,
    GETSTATUS,
    H743,
    IDLE,
    MANIFEST,
    UPLOAD,
    board_of,
    image,
)
from updater.heads.dfu.words import Stalled, TimedOut, Vanished
from updater.lab.board import Board
from updater.lab.record import BoardState, FaultKind, Power
from updater.lab.rom import Dialect
from updater.words.errors import Usage


class Cable:
    """Class requests to whatever is on the board's port now."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def out(self, request: int, value: int = 0, data: bytes = b"") -> None:
        self.board.control(self.board.address, 0x21, request, value, 0, data, 35_000)

    def read(self, request: int, value: int = 0, length: int = 6) -> bytes:
        return self.board.control(self.board.address, 0xA1, request, value, 0, length, 35_000)

    def result(self) -> tuple[int, int]:
        status = self.read(GETSTATUS)
        return status[0], status[4]

    def download(self, block: int, data: bytes) -> tuple[int, int]:
        self.out(DNLOAD, block, data)
        assert self.result() == (0, BUSY)
        return self.result()

    def erase(self, address: int) -> tuple[int, int]:
        return self.download(0, struct.pack("<BI", 0x41, address))

    def point(self, address: int) -> tuple[int, int]:
        return self.download(0, struct.pack("<BI", 0x21, address))


def in_rom(
    chip: str = F405, *, power: Power = Power.SELF, dialect: Dialect = Dialect.STANDARD
) -> tuple[Board, Cable]:
    board = board_of(chip, state=BoardState.ROM, power=power, dialect=dialect)
    return board, Cable(board)


def leave(cable: Cable) -> int:
    cable.out(DNLOAD)
    return cable.read(GETSTATUS)[4]


def test_leave_with_the_pointer_elsewhere_locks_the_board_up() -> None:
    board, cable = in_rom()
    cable.point(FLASH + 0x4000)
    assert leave(cable) == MANIFEST
    board.clock.sleep_ms(60_000)
    assert (board.state, board.face, board.ready_at_ms) == (BoardState.LOCKED_UP, None, None)


def test_leave_into_blank_flash_locks_the_board_up() -> None:
    board, cable = in_rom()
    cable.erase(FLASH)
    leave(cable)
    assert board.state is BoardState.LOCKED_UP


def test_only_boot_brings_a_locked_up_board_back() -> None:
    board, cable = in_rom()
    cable.erase(FLASH)
    board.replug()
    assert board.record().state is BoardState.LOCKED_UP
    board.replug(boot=True)
    board.clock.sleep_ms(270)
    assert board.record().state is BoardState.ROM
    assert cable.result() == (0, IDLE)


def test_a_board_without_a_boot_button_cannot_be_held_in_boot() -> None:
    with pytest.raises(Usage, match="no BOOT button"):
        board_of(boot_button=False).replug(boot=True)


def test_an_unplugged_board_is_off_the_bus_until_it_is_plugged_in() -> None:
    board = board_of()
    board.unplug()
    assert (board.state, board.face) == (BoardState.UNPLUGGED, None)
    board.replug()
    board.clock.sleep_ms(1000)
    assert board.state is BoardState.APPLICATION
    assert board.face is not None


def test_every_identity_has_a_new_address_and_the_old_one_is_gone() -> None:
    board, cable = in_rom()
    old = board.address
    leave(cable)
    board.clock.sleep_ms(1000)
    assert board.address != old
    with pytest.raises(Vanished):
        board.control(old, 0xA1, GETSTATUS, 0, 0, 6, 1000)


def test_usb_time_is_one_ms_per_transfer_and_one_per_kib_unless_the_row_knows_better() -> None:
    for chip, block, upload_ms in ((F405, 2048, 3.0), (H743, 1024, 4.5)):
        board, cable = in_rom(chip)
        cable.read(UPLOAD, 2, block)
        assert board.meter.usb_ms == pytest.approx(upload_ms)
        cable.out(ABORT)
        assert board.meter.usb_ms == pytest.approx(upload_ms + 1.0)
        assert board.meter.control_transfers == 2
        assert board.meter.device_ms == 0


def test_device_time_is_what_the_silicon_kept_the_host_waiting() -> None:
    board, cable = in_rom(H743)
    cable.erase(FLASH)
    assert board.meter.device_ms == 900
    assert board.clock.now_ms() == pytest.approx(900 + board.meter.usb_ms)


# --------------------------------------------------------------------------------------------------- faults


def test_a_self_powered_board_that_is_cut_off_finishes_the_erase_and_stays_away() -> None:
    board, cable = in_rom(power=Power.SELF)
    board.set_fault(FaultKind.CUT_AFTER, 2)
    cable.out(DNLOAD, 0, struct.pack("<BI", 0x41, FLASH))
    with pytest.raises(Vanished):
        cable.result()
    with pytest.raises(Vanished):
        cable.result()
    board.clock.sleep_ms(60_000)
    assert board.face is None
    assert board.memory.flash.read(FLASH, 16384) == b"\xff" * 16384
    after = board.record()
    assert (after.state, after.fault, after.rom.state) == (BoardState.ROM, None, IDLE)


def test_a_rom_that_hangs_still_hangs_after_the_cable_was_pulled() -> None:
    board, cable = in_rom(power=Power.SELF)
    assert board.rom is not None
    board.rom.hung = True
    board.set_fault(FaultKind.CUT_AFTER, 1)
    with pytest.raises(Vanished):
        cable.result()
    assert board.record().rom.hung


@pytest.mark.parametrize("chip", CHIPS)
def test_a_bus_powered_board_that_is_cut_off_keeps_mixed_bytes(chip: str) -> None:
    board, cable = in_rom(chip, power=Power.BUS)
    board.set_fault(FaultKind.CUT_AFTER, 2)
    cable.out(DNLOAD, 0, struct.pack("<BI", 0x41, FLASH))
    with pytest.raises(Vanished):
        cable.result()
    sector = board.memory.flash.read(FLASH, 4096)
    assert sector != image()
    assert sector != b"\xff" * 4096
    assert board.record().state is BoardState.LOCKED_UP


def test_a_bus_powered_board_cut_between_operations_comes_up_with_what_it_has() -> None:
    board, cable = in_rom(power=Power.BUS)
    board.set_fault(FaultKind.CUT_AFTER, 1)
    with pytest.raises(Vanished):
        cable.result()
    assert board.record().state is BoardState.APPLICATION


@pytest.mark.parametrize("chip", CHIPS)
def test_a_block_that_is_cut_is_half_written(chip: str) -> None:
    board, cable = in_rom(chip, power=Power.BUS)
    cable.erase(FLASH)
    board.set_fault(FaultKind.CUT_AFTER, 2)
    cable.out(DNLOAD, 2, b"\x11" * 1024)
    with pytest.raises(Vanished):
        cable.result()
    assert board.memory.flash.read(FLASH, 1024) == b"\x11" * 512 + b"\xff" * 512


@pytest.mark.parametrize(
    ("dialect", "after"), [(Dialect.STANDARD, (0x0F, ERROR)), (Dialect.ST_LIBRARY, (0, IDLE))]
)
def test_stall_at_stalls_that_request_once(dialect: Dialect, after: tuple[int, int]) -> None:
    board, cable = in_rom(dialect=dialect)
    board.set_fault(FaultKind.STALL_AT, 2)
    cable.out(ABORT)
    with pytest.raises(Stalled):
        cable.out(ABORT)
    assert cable.result() == after
    assert board.fault is None


def test_flip_write_changes_one_bit_and_says_nothing() -> None:
    board, cable = in_rom()
    cable.erase(FLASH)
    board.set_fault(FaultKind.FLIP_WRITE, 1)
    assert cable.download(2, b"\x11" * 64) == (0, DNLOAD_IDLE)
    assert board.memory.flash.read(FLASH, 64) == b"\x10" + b"\x11" * 63
    assert cable.download(3, b"\x11" * 64) == (0, DNLOAD_IDLE)
    assert board.memory.flash.read(FLASH + 2048, 64) == b"\x11" * 64


def test_status_at_reports_an_error_at_the_first_getstatus_from_there() -> None:
    board, cable = in_rom()
    board.set_fault(FaultKind.STATUS_AT, 2)
    assert cable.result() == (0, IDLE)
    cable.out(ABORT)
    assert cable.result() == (0x0E, ERROR)
    assert board.fault is None
    cable.out(4)
    assert cable.result() == (0, IDLE)


@pytest.mark.parametrize("chip", CHIPS)
def test_stick_busy_at_never_ends_by_itself_but_the_sector_is_erased(chip: str) -> None:
    board, cable = in_rom(chip)
    board.set_fault(FaultKind.STICK_BUSY_AT, FLASH + 0x100)
    cable.out(DNLOAD, 0, struct.pack("<BI", 0x41, FLASH))
    for _ in range(3):
        assert cable.result() == (0, BUSY)
        board.clock.sleep_ms(60_000)
    assert board.memory.flash.read(FLASH, 64) == b"\xff" * 64
    assert board.fault is None


def test_no_leave_answers_manifest_and_stays() -> None:
    board, cable = in_rom()
    address = board.address
    board.set_fault(FaultKind.NO_LEAVE)
    assert leave(cable) == MANIFEST
    board.clock.sleep_ms(60_000)
    assert (board.state, board.address) == (BoardState.ROM, address)
    assert cable.result() == (0, IDLE)
    assert leave(cable) == MANIFEST
    assert board.state is BoardState.APPLICATION


@pytest.mark.parametrize("chip", CHIPS)
def test_wrong_identity_shows_another_chip_in_the_rom_once(chip: str) -> None:
    board = board_of(chip)
    idcode = {H743: 0x20036450, F405: 0x20016413}[chip]
    right = board.chip.predicted_serials(uid=board.uid, idcode=idcode)[0]
    board.set_fault(FaultKind.WRONG_IDENTITY)
    for same in (False, True):
        board.replug(boot=True)
        board.clock.sleep_ms(1000)
        assert board.face is not None
        assert (board.face.serial == right) is same


def test_wrong_identity_shows_another_product_in_the_application() -> None:
    board, cable = in_rom()
    board.set_fault(FaultKind.WRONG_IDENTITY)
    leave(cable)
    board.clock.sleep_ms(1000)
    answer = board.control(board.address, 0xC0, 0x55, 1, 0, 64, 1000)
    assert answer[8:24] == b"another-product\0"


def test_late_arrival_delays_the_next_identity_once() -> None:
    board, cable = in_rom()
    board.set_fault(FaultKind.LATE_ARRIVAL, 8000)
    leave(cable)
    board.clock.sleep_ms(8000)
    assert board.face is None
    board.clock.sleep_ms(100)
    assert board.face is not None
    assert board.fault is None


# ------------------------------------------------------------------------------------- descriptors of the ROM


def test_the_functional_descriptor_asked_for_by_itself_hangs_the_rom() -> None:
    board, cable = in_rom()
    with pytest.raises(TimedOut):
        board.control(board.address, 0x81, 6, 0x2100, 0, 9, 1000)
    with pytest.raises(TimedOut):
        cable.result()
    assert board.violations == ("descriptor 0x21 asked for by itself",)
    board.replug(boot=True)
    board.clock.sleep_ms(1000)
    assert cable.result() == (0, IDLE)


def test_the_librarys_rom_answers_it_and_is_silent_about_any_other() -> None:
    board, cable = in_rom(F405, dialect=Dialect.ST_LIBRARY)
    answer = board.control(board.address, 0x81, 6, 0x2100, 0, 9, 1000)
    assert answer == bytes([9, 0x21, 0x0B, 0xFF, 0x00, 0x00, 0x08, 0x1A, 0x01])
    with pytest.raises(TimedOut):
        board.control(board.address, 0x81, 6, 0x2200, 0, 9, 1000)
    assert cable.result() == (0, IDLE)


def test_what_the_rom_remembers_survives_a_command_but_not_a_power_cycle() -> None:
    board, cable = in_rom()
    cable.point(FLASH + 0x4000)
    kept = board.record().rom
    assert (kept.state, kept.pointer) == (DNLOAD_IDLE, FLASH + 0x4000)
    board.replug(boot=True)
    fresh = board.record().rom
    assert (fresh.state, fresh.pointer) == (IDLE, FLASH)
