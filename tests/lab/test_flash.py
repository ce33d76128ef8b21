"""NOR, ECC and OTP rules, and what a cut leaves behind."""

from __future__ import annotations

import pytest

from tests.lab.bench import F405, FLASH, H743, chip_row, fresh_memory
from updater.heads.dfu.words import StatusCode


def test_programming_turns_ones_into_zeros_and_never_back() -> None:
    flash = fresh_memory(chip_row(F405), 0x91).flash
    assert flash.program(FLASH, b"\xf0\xf0\xf0\xf0") == StatusCode.OK
    assert flash.program(FLASH, b"\x70\x00\xf0\xf0") == StatusCode.OK
    assert flash.program(FLASH, b"\x71\x00\xf0\xf0") == StatusCode.errPROG
    assert flash.read(FLASH, 4) == b"\x70\x00\xf0\xf0"


def test_a_flash_word_with_ecc_is_programmed_once_per_erase_even_with_all_ones() -> None:
    flash = fresh_memory(chip_row(H743), 0x92).flash
    assert flash.program(FLASH, b"\xff" * 32) == StatusCode.OK
    assert flash.program(FLASH, b"\x00" * 32) == StatusCode.errPROG
    assert flash.program(FLASH + 32, b"\x00" * 32) == StatusCode.OK
    sector = flash.sector_at(FLASH)
    assert sector is not None
    flash.erase(sector)
    assert flash.program(FLASH, b"\x00" * 32) == StatusCode.OK


def test_an_erase_blanks_the_sector_that_holds_the_address_and_no_other() -> None:
    flash = fresh_memory(chip_row(F405), 0x91).flash
    for address in (FLASH + 0xBFFC, FLASH + 0xC000, FLASH + 0xFFFC, FLASH + 0x10000):
        flash.program(address, b"\0\0\0\0")
    sector = flash.sector_at(FLASH + 0xD123)  # the fourth of four sectors of 16 KB
    assert sector is not None
    assert (sector.address, sector.size) == (FLASH + 0xC000, 16 * 1024)
    flash.erase(sector)
    kept = [flash.read(at, 4) for at in (FLASH + 0xBFFC, FLASH + 0xC000, FLASH + 0xFFFC, FLASH + 0x10000)]
    assert kept == [b"\0" * 4, b"\xff" * 4, b"\xff" * 4, b"\0" * 4]


def test_there_is_no_sector_outside_the_flash() -> None:
    flash = fresh_memory(chip_row(F405), 0x91).flash
    assert flash.sector_at(FLASH - 1) is None
    assert flash.sector_at(FLASH + 1024 * 1024) is None


def test_an_erase_that_is_cut_leaves_mixed_bytes() -> None:
    flash = fresh_memory(chip_row(H743), 0x92).flash
    flash.program(FLASH, b"\x11" * 64)
    sector = flash.sector_at(FLASH)
    assert sector is not None
    flash.spoil_erase(sector, flash.erase(sector))
    assert flash.read(FLASH, 4) == b"\xff\x11\xff\x11"
    assert flash.program(FLASH, b"\0" * 32) == StatusCode.errPROG


def test_a_write_protected_sector_keeps_its_bytes_and_reports_no_error() -> None:
    flash = fresh_memory(chip_row(F405), 0x91).flash
    flash.program(FLASH, b"\x11" * 4)
    flash.write_protected = frozenset({FLASH})
    sector = flash.sector_at(FLASH)
    assert sector is not None
    flash.erase(sector)
    assert flash.program(FLASH, b"\0" * 4) == StatusCode.OK
    assert flash.read(FLASH, 4) == b"\x11" * 4


def test_otp_ands_and_a_lock_byte_ends_writing_to_its_block_only() -> None:
    otp = fresh_memory(chip_row(F405), 0x91).otp
    assert otp is not None
    otp.program(0x1FFF7820, b"\xf0\xff\xff\xff")
    otp.program(0x1FFF7820, b"\x0f\xff\xff\xff")
    otp.program(0x1FFF7A00, b"\xff\x00\xff\xff")  # locks block 1: 0x1FFF7820 to 0x1FFF783F
    otp.program(0x1FFF7824, b"\0\0\0\0")
    otp.program(0x1FFF7840, b"\0\0\0\0")
    assert bytes(otp.contents[0x20:0x28]) == b"\x00\xff\xff\xff\xff\xff\xff\xff"
    assert bytes(otp.contents[0x40:0x44]) == b"\0\0\0\0"


@pytest.mark.parametrize(("chip", "rom_id_at"), [(H743, 0x1FF1E7FE), (F405, 0x1FFF77DE)])
def test_the_rom_id_byte_can_be_read_among_blank_neighbours(chip: str, rom_id_at: int) -> None:
    memory = fresh_memory(chip_row(chip), 0x91)
    assert memory.read(rom_id_at & ~3, 4) == b"\xff\xff\x91\xff"


def test_memory_that_the_rom_does_not_know_cannot_be_read() -> None:
    memory = fresh_memory(chip_row(F405), 0x91)
    assert memory.read(0xE0042000, 4) is None  # DBGMCU_IDCODE, ST:16931
    assert memory.read(FLASH + 1024 * 1024 - 2, 4) is None
