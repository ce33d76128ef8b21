"""The ROM's rules that hold in both dialects and on every chip. Bytes typed from AN3156 and DFU 1.1."""

from __future__ import annotations

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
    GETSTATE,
    GETSTATUS,
    H743,
    IDLE,
    MANIFEST,
    SYNC,
    UPLOAD,
    UPLOAD_IDLE,
    Host,
    chip_row,
    rom_of,
)
from updater.heads.dfu.words import Stalled, TimedOut, Vanished
from updater.lab.rom import Dialect

pytestmark = [
    pytest.mark.parametrize("chip", CHIPS),
    pytest.mark.parametrize("dialect", list(Dialect)),
]
SIZE = {H743: 1024, F405: 2048}


@pytest.fixture
def host(chip: str, dialect: Dialect) -> Host:
    return Host(rom_of(chip, dialect))


def test_it_starts_in_dfu_idle(host: Host) -> None:
    assert host.read(GETSTATUS) == bytes([0, 0, 0, 0, 2, 0])
    assert host.read(GETSTATE, length=1) == bytes([2])


def test_a_stored_download_is_sync_until_getstatus_runs_it(host: Host) -> None:
    host.out(DNLOAD, 0, bytes([0x21, 0x00, 0x40, 0x00, 0x08]))
    assert host.read(GETSTATE, length=1) == bytes([SYNC])
    assert host.rom.pointer == FLASH
    assert host.result() == (0, BUSY)
    assert host.rom.pointer == 0x08004000
    assert host.status() == (0, 0, DNLOAD_IDLE)


def test_get_lists_the_four_commands(host: Host) -> None:
    assert host.read(UPLOAD, 0, 64) == bytes([0x00, 0x21, 0x41, 0x92])
    assert host.result() == (0, IDLE)


def test_erase_write_and_read_back(host: Host, chip: str) -> None:
    size = SIZE[chip]
    block = bytes(range(256)) * (size // 256)
    assert host.erase(FLASH) == (0, DNLOAD_IDLE)
    assert host.point(FLASH) == (0, DNLOAD_IDLE)
    assert host.download(2, block) == (0, DNLOAD_IDLE)
    assert host.download(3, block[:64]) == (0, DNLOAD_IDLE)
    host.out(ABORT)
    assert host.read(UPLOAD, 2, size) == block
    assert host.read(UPLOAD, 3, 66) == block[:64] + b"\xff\xff"
    assert host.result() == (0, UPLOAD_IDLE)
    host.out(ABORT)
    assert host.result() == (0, IDLE)


def test_the_block_number_counts_whole_transfer_sizes_even_for_a_short_block(host: Host, chip: str) -> None:
    host.point(FLASH)
    assert host.download(5, b"\x55" * 32) == (0, DNLOAD_IDLE)
    assert host.rom.memory.flash.read(FLASH + 3 * SIZE[chip], 32) == b"\x55" * 32


def test_after_set_address_an_upload_needs_an_abort_first(host: Host) -> None:
    host.point(FLASH)
    with pytest.raises(Stalled):
        host.read(UPLOAD, 2, 64)


def test_the_rom_id_byte_is_read_by_upload(host: Host, chip: str) -> None:
    at = {H743: 0x1FF1E7FE, F405: 0x1FFF77DE}[chip]
    host.point(at & ~3)
    host.out(ABORT)
    word = host.read(UPLOAD, 2, 4)
    assert word[at % 4] == {H743: 0x92, F405: 0x91}[chip]


def test_a_pointer_outside_known_memory_is_err_target(host: Host) -> None:
    assert host.point(0xE0042000) == (0x01, ERROR)
    assert host.rom.pointer == FLASH


@pytest.mark.parametrize("address", [0x08200000, 0x1FFF0000, 0x07FFFFFF])
def test_an_erase_outside_the_flash_is_an_error(host: Host, address: int) -> None:
    assert host.erase(address)[1] == ERROR


def test_a_write_behind_the_flash_is_an_error(host: Host, chip: str) -> None:
    end = chip_row(chip).flash.sectors[-1].end
    host.point(end - 32)
    assert host.download(2, b"\0" * 64)[1] == ERROR


def test_flash_that_was_not_erased_cannot_be_programmed(host: Host) -> None:
    host.rom.memory.flash.program(FLASH, b"\0" * 32)
    host.point(FLASH)
    assert host.download(2, b"\xaa" * 32)[1] == ERROR
    assert host.rom.memory.flash.read(FLASH, 32) == b"\0" * 32


def test_an_unaligned_length_fails_and_so_does_every_write_after_it(host: Host) -> None:
    host.point(FLASH)
    assert host.download(2, b"\0" * 31)[1] == ERROR
    host.out(4)
    assert host.result() == (0, IDLE)
    assert host.download(2, b"\0" * 32)[1] == ERROR


def test_mass_erase_blanks_everything(host: Host, chip: str) -> None:
    end = chip_row(chip).flash.sectors[-1].end
    host.rom.memory.flash.program(end - 32, b"\0" * 32)
    assert host.download(0, bytes([0x41])) == (0, DNLOAD_IDLE)
    assert host.rom.memory.flash.read(end - 32, 32) == b"\xff" * 32


def test_leave_works_at_the_getstatus_and_names_the_pointer(host: Host, chip: str) -> None:
    """An F405 answers dfuMANIFEST before it goes (ODrive), an H7 is gone before it answers (Klipper)."""
    host.point(FLASH + 0x20000)
    host.out(DNLOAD)
    assert host.rom.left_to is None
    if chip == F405:
        assert host.read(GETSTATUS) == bytes([0, 1, 0, 0, MANIFEST, 0])
    else:
        with pytest.raises(Vanished):
            host.read(GETSTATUS)
    assert host.rom.left_to == FLASH + 0x20000


def test_read_unprotect_does_nothing_and_is_recorded(host: Host) -> None:
    host.rom.memory.flash.program(FLASH, b"\0" * 32)
    assert host.download(0, bytes([0x92]))[1] == ERROR
    assert host.rom.memory.flash.read(FLASH, 32) == b"\0" * 32
    assert host.rom.violations == ["read unprotect (0x92)"]


def test_a_download_to_the_option_bytes_does_nothing_and_is_recorded(host: Host, chip: str) -> None:
    host.point({H743: 0x5200201C, F405: 0x1FFFC000}[chip])
    assert host.download(2, b"\0" * 16)[1] == ERROR
    assert set(host.rom.memory.options) == {0xFF}
    assert host.rom.violations == ["a download to the option bytes"]


def test_the_option_bytes_can_be_read(host: Host, chip: str) -> None:
    host.point({H743: 0x5200201C, F405: 0x1FFFC000}[chip])
    host.out(ABORT)
    assert host.read(UPLOAD, 2, 16) == b"\xff" * 16


def test_read_protection_refuses_everything_but_the_pointer(host: Host) -> None:
    host.rom.memory.read_protected = True
    assert host.point(FLASH) == (0, DNLOAD_IDLE)
    assert host.erase(FLASH) == (0x0B, ERROR)  # errVENDOR
    host.out(4)
    with pytest.raises(Stalled):
        host.read(UPLOAD, 2, 64)


def test_a_second_interface_does_not_exist(host: Host) -> None:
    with pytest.raises(Stalled):
        host.rom.control(0xA1, GETSTATUS, 0, 1, 6)


def test_detach_is_not_for_a_rom(host: Host) -> None:
    with pytest.raises(Stalled):
        host.out(0, 1000)


def test_a_host_with_too_little_patience_times_out_and_finds_the_result_later(host: Host, chip: str) -> None:
    host.out(DNLOAD, 0, bytes([0x41, 0, 0, 0, 8]))
    if chip == F405:
        assert host.result() == (0, BUSY)  # says so before the work, and is deaf during it
    before = host.clock.now_ms()
    with pytest.raises(TimedOut):
        host.rom.control(0xA1, GETSTATUS, 0, 0, 6, timeout_ms=100)
    assert host.clock.now_ms() - before == 100
    assert host.result() == (0, DNLOAD_IDLE)
    assert host.clock.now_ms() - before == {H743: 900, F405: 400}[chip]
