"""When the ROM answers and which poll times it names."""

from __future__ import annotations

import struct

import pytest

from tests.lab.bench import BUSY, DNLOAD, DNLOAD_IDLE, F405, FLASH, H743, Host, rom_of


def test_an_h743_holds_the_answer_back_until_the_sector_is_erased() -> None:
    """ST:234209: the GETSTATUS takes 0.90 s, says dfuDNBUSY and 1000 ms; the next one says it is done."""
    host = Host(rom_of(H743))
    host.out(DNLOAD, 0, struct.pack("<BI", 0x41, FLASH))
    assert host.clock.now_ms() == 0
    assert host.status() == (0, 1000, BUSY)
    assert host.clock.now_ms() == 900
    assert host.status() == (0, 0, DNLOAD_IDLE)
    assert host.clock.now_ms() == 900


@pytest.mark.parametrize(("sector", "ms"), [(0, 400), (0x10000, 1200), (0x20000, 2000)])
def test_an_f405_answers_at_once_and_is_deaf_until_the_sector_is_erased(sector: int, ms: int) -> None:
    host = Host(rom_of(F405))
    host.out(DNLOAD, 0, struct.pack("<BI", 0x41, FLASH + sector))
    assert host.status() == (0, 500, BUSY)
    assert host.clock.now_ms() == 0
    assert host.status() == (0, 0, DNLOAD_IDLE)
    assert host.clock.now_ms() == ms


def test_an_f405_asks_for_more_patience_than_its_work_takes() -> None:
    """The quirk poll-time-too-long: 100 ms for a pointer, 104 ms for a block of 33 ms."""
    host = Host(rom_of(F405))
    host.out(DNLOAD, 0, struct.pack("<BI", 0x21, FLASH))
    assert host.status() == (0, 100, BUSY)
    assert host.status() == (0, 0, DNLOAD_IDLE)
    assert host.clock.now_ms() == 0
    host.out(DNLOAD, 2, b"\0" * 2048)
    assert host.status() == (0, 104, BUSY)
    assert host.status() == (0, 0, DNLOAD_IDLE)
    assert host.clock.now_ms() == pytest.approx(512 * 0.064)


def test_a_block_takes_100_us_per_flash_word_on_an_h743() -> None:
    host = Host(rom_of(H743))
    host.point(FLASH)
    host.download(2, b"\0" * 1024)
    assert host.clock.now_ms() == pytest.approx(3.2)
