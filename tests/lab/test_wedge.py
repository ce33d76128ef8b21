"""The first field story: an H743 whose ROM says dfuDNBUSY for ever after an erase in bank 2 (ST:234209)."""

from __future__ import annotations

import struct

import pytest

from tests.lab.bench import (
    ABORT,
    BUSY,
    CLRSTATUS,
    DNLOAD,
    DNLOAD_IDLE,
    ERASE,
    ERROR,
    FLASH,
    GETSTATE,
    H743,
    IDLE,
    UPLOAD,
    Host,
    rom_of,
)
from updater.heads.dfu.words import Stalled, TimedOut
from updater.lab.rom import Dialect

BANK_2 = 0x08100000
WHEN_TOO_EARLY = "a flash operation before the last one had ended"

pytestmark = pytest.mark.parametrize("dialect", list(Dialect))


@pytest.fixture
def host(dialect: Dialect) -> Host:
    return Host(rom_of(H743, dialect, rom_version=0x91, revision="V"))


def stick(host: Host, address: int = BANK_2) -> None:
    host.out(DNLOAD, 0, struct.pack("<BI", ERASE, address))
    assert host.status() == (0, 1000, BUSY)


def clear_twice(host: Host) -> None:
    host.out(CLRSTATUS)
    assert host.result() == (0x0E, ERROR)
    host.out(CLRSTATUS)
    assert host.result() == (0, IDLE)


def test_bank_1_is_erased_as_on_every_other_chip(host: Host) -> None:
    assert host.erase(BANK_2 - 0x20000) == (0, DNLOAD_IDLE)
    assert host.clock.now_ms() == 900


@pytest.mark.parametrize("address", [BANK_2, 0x081E0000])
def test_bank_2_answers_after_16_ms_and_is_busy_for_ever(host: Host, address: int) -> None:
    stick(host, address)
    assert host.clock.now_ms() == 16
    host.clock.sleep_ms(300_000)
    assert host.status() == (0, 1000, BUSY)
    assert host.read(GETSTATE, length=1) == bytes([BUSY])


def test_nothing_but_clrstatus_gets_it_out(host: Host) -> None:
    stick(host)
    for request in (ABORT, DNLOAD):
        with pytest.raises(Stalled):
            host.out(request)
    with pytest.raises(Stalled):
        host.read(UPLOAD, 2, 64)
    assert host.status() == (0, 1000, BUSY)


def test_after_the_wait_the_pair_leads_to_idle_and_the_sector_is_blank(host: Host) -> None:
    host.rom.memory.flash.program(BANK_2, b"\0" * 32)
    host.point(BANK_2)
    stick(host)
    host.clock.sleep_ms(2000)
    clear_twice(host)
    assert host.rom.pointer == FLASH, "nobody says that the pointer survives, so it does not"
    assert host.point(BANK_2) == (0, DNLOAD_IDLE)
    assert host.download(2, b"\x55" * 32) == (0, DNLOAD_IDLE)
    assert host.rom.memory.flash.read(BANK_2, 64) == b"\x55" * 32 + b"\xff" * 32
    assert host.rom.violations == []


@pytest.mark.parametrize("command", [struct.pack("<BI", ERASE, BANK_2 + 0x20000), bytes([ERASE])])
def test_an_erase_before_the_hardware_has_ended_hangs_the_rom(host: Host, command: bytes) -> None:
    stick(host)
    clear_twice(host)
    host.out(DNLOAD, 0, command)
    with pytest.raises(TimedOut):
        host.status()
    assert host.rom.hung
    assert host.rom.violations == [WHEN_TOO_EARLY]
    host.clock.sleep_ms(60_000)
    before = host.clock.now_ms()
    with pytest.raises(TimedOut):
        host.rom.control(0xA1, 3, 0, 0, 6, timeout_ms=5000)
    assert host.clock.now_ms() - before == 5000


def test_a_write_before_the_hardware_has_ended_hangs_the_rom(host: Host) -> None:
    stick(host)
    clear_twice(host)
    host.point(FLASH)
    host.out(DNLOAD, 2, b"\0" * 32)
    with pytest.raises(TimedOut):
        host.status()
    assert host.rom.violations == [WHEN_TOO_EARLY]


def test_a_pointer_is_no_flash_operation_and_a_read_waits_for_the_flash(host: Host) -> None:
    stick(host)
    clear_twice(host)
    assert host.point(BANK_2) == (0, DNLOAD_IDLE)
    host.out(ABORT)
    assert host.read(UPLOAD, 2, 64) == b"\xff" * 64
    assert host.clock.now_ms() == 900


@pytest.mark.parametrize(("rom_version", "revision"), [(0x92, "V"), (0xD3, "Y")])
def test_a_rom_without_the_limitation_erases_bank_2_like_bank_1(
    dialect: Dialect, rom_version: int, revision: str
) -> None:
    host = Host(rom_of(H743, dialect, rom_version=rom_version, revision=revision))
    assert host.erase(BANK_2) == (0, DNLOAD_IDLE)
    assert host.clock.now_ms() == 900


def test_0x90_is_affected_too(dialect: Dialect) -> None:
    """ST:244731."""
    host = Host(rom_of(H743, dialect, rom_version=0x90, revision="V"))
    stick(host)
    assert host.clock.now_ms() == 16
    assert host.status() == (0, 1000, BUSY)


def test_a_mass_erase_does_not_stick(host: Host) -> None:
    """ST:244731: dfu-util's mass erase works on the same chip."""
    assert host.download(0, bytes([ERASE])) == (0, DNLOAD_IDLE)
