"""Where DFU 1.1 and AN3156 allow nothing: STALL and dfuERROR, or as ST's usbd_dfu.c does it."""

from __future__ import annotations

import pytest

from tests.lab.bench import (
    ABORT,
    BUSY,
    CHIPS,
    CLRSTATUS,
    DNLOAD,
    DNLOAD_IDLE,
    ERROR,
    F405,
    FLASH,
    GETSTATE,
    H743,
    IDLE,
    UPLOAD,
    UPLOAD_IDLE,
    Host,
    rom_of,
)
from updater.heads.dfu.words import Stalled
from updater.lab.rom import Dialect

pytestmark = pytest.mark.parametrize("chip", CHIPS)
SIZE = {H743: 1024, F405: 2048}
ERR_STALLEDPKT, ERR_UNKNOWN, ERR_VENDOR, ERR_TARGET, ERR_PROG = 0x0F, 0x0E, 0x0B, 0x01, 0x06


@pytest.fixture
def standard(chip: str) -> Host:
    return Host(rom_of(chip, Dialect.STANDARD))


@pytest.fixture
def library(chip: str) -> Host:
    return Host(rom_of(chip, Dialect.ST_LIBRARY))


def test_clrstatus_in_idle_stalls_by_the_standard(standard: Host) -> None:
    with pytest.raises(Stalled):
        standard.out(CLRSTATUS)
    assert standard.result() == (ERR_STALLEDPKT, ERROR)
    standard.out(CLRSTATUS)
    assert standard.result() == (0, IDLE)


def test_clrstatus_in_idle_makes_err_unknown_in_the_library(library: Host) -> None:
    library.out(CLRSTATUS)
    assert library.result() == (ERR_UNKNOWN, ERROR)
    library.out(CLRSTATUS)
    assert library.result() == (0, IDLE)


def test_an_upload_out_of_place_is_an_error_by_the_standard(standard: Host) -> None:
    standard.point(FLASH)
    with pytest.raises(Stalled):
        standard.read(UPLOAD, 2, 64)
    assert standard.result() == (ERR_STALLEDPKT, ERROR)


def test_an_upload_out_of_place_changes_nothing_in_the_library(library: Host) -> None:
    library.point(FLASH)
    with pytest.raises(Stalled):
        library.read(UPLOAD, 2, 64)
    assert library.result() == (0, DNLOAD_IDLE)


def test_a_download_while_uploading_is_an_error_by_the_standard_only(standard: Host, library: Host) -> None:
    for host, after in ((standard, (ERR_STALLEDPKT, ERROR)), (library, (0, UPLOAD_IDLE))):
        host.read(UPLOAD, 2, 64)
        with pytest.raises(Stalled):
            host.out(DNLOAD, 2, b"\0" * 64)
        assert host.result() == after


def test_a_second_download_before_getstatus_is_refused(standard: Host, library: Host) -> None:
    for host, after in ((standard, (ERR_STALLEDPKT, ERROR)), (library, (0, BUSY))):
        host.out(DNLOAD, 2, b"\0" * 64)
        with pytest.raises(Stalled):
            host.out(DNLOAD, 3, b"\0" * 64)
        assert host.result() == after


def test_abort_is_ignored_in_error_by_the_library_and_an_error_by_the_standard(
    standard: Host, library: Host
) -> None:
    for host in (standard, library):
        host.point(0xE0042000)
    with pytest.raises(Stalled):
        standard.out(ABORT)
    library.out(ABORT)
    assert library.result() == (ERR_TARGET, ERROR)


def test_an_unreadable_upload_is_err_target_by_the_standard(standard: Host) -> None:
    standard.rom.pointer = 0xE0042000
    with pytest.raises(Stalled):
        standard.read(UPLOAD, 2, 4)
    assert standard.result() == (ERR_TARGET, ERROR)


def test_an_unreadable_upload_leaves_state_15_in_the_library(library: Host) -> None:
    library.rom.pointer = 0xE0042000
    with pytest.raises(Stalled):
        library.read(UPLOAD, 2, 4)
    assert library.result() == (0, 15)
    assert library.read(GETSTATE, length=1) == bytes([15])
    library.out(CLRSTATUS)
    assert library.result() == (ERR_UNKNOWN, ERROR)
    library.out(CLRSTATUS)
    assert library.result() == (0, IDLE)


@pytest.mark.parametrize(("dialect", "state"), [(Dialect.STANDARD, ERROR), (Dialect.ST_LIBRARY, 15)])
def test_an_upload_of_the_reserved_block_stalls(chip: str, dialect: Dialect, state: int) -> None:
    host = Host(rom_of(chip, dialect))
    with pytest.raises(Stalled):
        host.read(UPLOAD, 1, 64)
    assert host.result()[1] == state


def test_a_download_to_the_reserved_block_stalls_or_does_nothing(standard: Host, library: Host) -> None:
    with pytest.raises(Stalled):
        standard.out(DNLOAD, 1, b"\0" * 64)
    assert library.download(1, b"\0" * 64) == (0, DNLOAD_IDLE)
    for host in (standard, library):
        assert host.rom.memory.flash.contents.count(0xFF) == len(host.rom.memory.flash.contents)
        assert host.rom.violations == ["a download to the reserved block 1"]


def test_a_download_that_is_too_long_stalls_or_is_cut(standard: Host, library: Host, chip: str) -> None:
    size = SIZE[chip]
    with pytest.raises(Stalled):
        standard.out(DNLOAD, 2, b"\0" * (size + 64))
    assert library.download(2, b"\0" * (size + 64)) == (0, DNLOAD_IDLE)
    assert library.rom.memory.flash.read(FLASH, size + 64) == b"\0" * size + b"\xff" * 64


def test_get_with_three_bytes_leaves_the_library_uploading(library: Host) -> None:
    assert library.read(UPLOAD, 0, 3) == bytes([0x00, 0x21, 0x41])
    assert library.result() == (0, UPLOAD_IDLE)


def test_get_with_exactly_four_bytes_is_no_short_frame_by_the_standard(standard: Host, library: Host) -> None:
    for host, state in ((standard, UPLOAD_IDLE), (library, IDLE)):
        assert host.read(UPLOAD, 0, 4) == bytes([0x00, 0x21, 0x41, 0x92])
        assert host.result() == (0, state)


def test_a_failed_write_is_err_prog_or_err_vendor(standard: Host, library: Host) -> None:
    for host, code in ((standard, ERR_PROG), (library, ERR_VENDOR)):
        host.rom.memory.flash.program(FLASH, b"\0" * 32)
        assert host.download(2, b"\xaa" * 32) == (code, ERROR)


def test_after_its_work_the_library_shows_sync_where_the_standard_shows_busy(
    standard: Host, library: Host
) -> None:
    for host, state in ((standard, BUSY), (library, 3)):
        host.out(DNLOAD, 0, bytes([0x21, 0, 0, 0, 8]))
        assert host.result() == (0, BUSY)
        assert host.read(GETSTATE, length=1) == bytes([state])
