"""What ROMs do wrong, met by a foreign host's raw bytes: each symptom, and the same ROM without it."""

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
    F405,
    FLASH,
    GETSTATUS,
    H743,
    IDLE,
    UPLOAD,
    Host,
    board_of,
    rom_of,
)
from updater.heads.dfu.words import Stalled, TimedOut
from updater.lab.record import BoardState
from updater.lab.rom import Dialect, Rom

pytestmark = pytest.mark.parametrize("dialect", list(Dialect))
F767, G0B1, L476, C562 = "stm32f767", "stm32g0b1", "stm32l476", "stm32c562"
BANK_2 = 0x0810_0000
ERR_STALLEDPKT, ERR_VENDOR, ERR_TARGET = 0x0F, 0x0B, 0x01


def marked(rom: Rom) -> Host:
    """A host of this ROM, each of whose sectors begins with zeros."""
    for sector in rom.memory.flash.region.sectors:
        at = sector.address - rom.memory.flash.base
        rom.memory.flash.contents[at : at + 32] = bytes(32)
    return Host(rom)


def blank_sectors(host: Host) -> list[int]:
    """The addresses of the sectors that have been erased."""
    flash = host.rom.memory.flash
    return [
        sector.address
        for sector in flash.region.sectors
        if flash.read(sector.address, sector.size).count(0xFF) == sector.size
    ]


def mass_erase(host: Host) -> tuple[int, int]:
    return host.download(0, bytes([ERASE]))


# ------------------------------------------------------------------------------------- the F76x in two banks

BANK_OF_F76X = [0x0000, 0x4000, 0x8000, 0xC000, 0x1_0000, *(n * 0x2_0000 for n in range(1, 8))]
"""RM0410, dual bank of 2 MB: 4 x 16 KB, 64 KB, 7 x 128 KB."""


@pytest.mark.parametrize(
    ("asked", "hit"),
    [(0, 4), (1, 5), (7, 11)],
    ids=["sector 12 hits 16", "sector 13 hits 17", "sector 19 hits 23"],
)
def test_an_erase_in_bank_2_hits_the_fourth_sector_behind(dialect: Dialect, asked: int, hit: int) -> None:
    """AN2606, V9.3 of the F76x/77x; the answer is OK."""
    host = marked(rom_of(F767, dialect, bank_mode="dual"))
    assert host.erase(BANK_2 + BANK_OF_F76X[asked]) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [BANK_2 + BANK_OF_F76X[hit]]


@pytest.mark.parametrize("asked", [8, 11])
def test_behind_the_last_sector_nothing_is_erased(dialect: Dialect, asked: int) -> None:
    """No source says what happens there; the lab takes the reading that a host must notice."""
    host = marked(rom_of(F767, dialect, bank_mode="dual"))
    assert host.erase(BANK_2 + BANK_OF_F76X[asked]) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == []


@pytest.mark.parametrize("number", [0, 4, 11])
def test_an_erase_in_bank_1_hits_what_it_should(dialect: Dialect, number: int) -> None:
    host = marked(rom_of(F767, dialect, bank_mode="dual"))
    assert host.erase(FLASH + BANK_OF_F76X[number]) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [FLASH + BANK_OF_F76X[number]]


def test_in_one_bank_every_erase_hits_what_it_should(dialect: Dialect) -> None:
    host = marked(rom_of(F767, dialect, bank_mode="single"))
    assert host.erase(BANK_2) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [BANK_2]


def test_on_a_part_of_1_mb_bank_2_begins_at_0x08080000(dialect: Dialect) -> None:
    host = marked(rom_of(F767, dialect, bank_mode="dual", flash_kib=1024))
    assert host.erase(0x0808_0000) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [0x0809_0000]


def test_its_mass_erase_erases_all_of_both_banks(dialect: Dialect) -> None:
    host = marked(rom_of(F767, dialect, bank_mode="dual"))
    assert mass_erase(host) == (0, DNLOAD_IDLE)
    assert len(blank_sectors(host)) == 24


# ------------------------------------------------------------------------------------------------- mass erase


@pytest.mark.parametrize(("rom_version", "erased"), [(0xD3, 0), (0xD2, 16), (0x91, 16), (0x92, 16)])
def test_a_mass_erase_answers_ok_and_does_nothing_on_0xd3(
    dialect: Dialect, rom_version: int, erased: int
) -> None:
    """AN2606 table 136, V13.3."""
    host = marked(rom_of(H743, dialect, rom_version=rom_version, revision="Y"))
    assert mass_erase(host) == (0, DNLOAD_IDLE)
    assert len(blank_sectors(host)) == erased


def test_0xd3_erases_single_sectors_all_the_same(dialect: Dialect) -> None:
    host = marked(rom_of(H743, dialect, rom_version=0xD3, revision="Y"))
    assert host.erase(BANK_2) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [BANK_2]


def test_an_f405_names_100_ms_for_a_mass_erase_of_32_s(dialect: Dialect) -> None:
    """dfu-util dfuse.c; the next GETSTATUS is not heard before."""
    host = marked(rom_of(F405, dialect))
    host.out(DNLOAD, 0, bytes([ERASE]))
    assert host.status() == (0, 100, BUSY)
    assert host.clock.now_ms() == 0
    with pytest.raises(TimedOut):
        host.rom.control(0xA1, GETSTATUS, 0, 0, 6, timeout_ms=5_000)
    assert host.status() == (0, 0, DNLOAD_IDLE)
    assert host.clock.now_ms() == 32_000
    assert len(blank_sectors(host)) == 12


# ------------------------------------------------------------------------------------------- lists of sectors


def listed(*addresses: int) -> bytes:
    return bytes([ERASE]) + b"".join(struct.pack("<I", address) for address in addresses)


G0B1_BANK_2 = 0x0804_0000


def test_of_a_list_a_g0b1_erases_only_the_first_sector_of_bank_2(dialect: Dialect) -> None:
    """AN2606, V9.2 of the G0B1: several bank-2 sectors at once fail; that it says OK is our reading."""
    host = marked(rom_of(G0B1, dialect, rom_version=0x92))
    wanted = (G0B1_BANK_2, G0B1_BANK_2 + 0x800, G0B1_BANK_2 + 0x1000)
    assert host.download(0, listed(*wanted)) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [G0B1_BANK_2]


def test_of_a_list_a_g0b1_erases_all_sectors_of_bank_1(dialect: Dialect) -> None:
    host = marked(rom_of(G0B1, dialect, rom_version=0x92))
    assert host.download(0, listed(FLASH, FLASH + 0x800, G0B1_BANK_2)) == (0, DNLOAD_IDLE)
    assert blank_sectors(host) == [FLASH, FLASH + 0x800, G0B1_BANK_2]


def test_a_list_with_an_address_outside_the_flash_erases_nothing(dialect: Dialect) -> None:
    host = marked(rom_of(G0B1, dialect, rom_version=0x92))
    assert host.download(0, listed(FLASH, 0x2000_0000))[1] == ERROR
    assert blank_sectors(host) == []


def test_other_roms_know_no_lists(dialect: Dialect) -> None:
    """AN3156: one erase command names one sector."""
    host = marked(rom_of(F405, dialect))
    assert host.download(0, listed(FLASH, FLASH + 0x4000))[1] == ERROR
    assert blank_sectors(host) == []


# ------------------------------------------------------------------------------------------------ odd buffers


@pytest.mark.parametrize("length", [260, 300, 2044])
def test_an_l47x_spoils_long_buffers_whose_length_is_not_a_multiple_of_8(
    dialect: Dialect, length: int
) -> None:
    """AN2606, V9.0 and V9.2 of the L47x: over 256 bytes; nobody is told."""
    host = Host(rom_of(L476, dialect, stalled_polls=0))
    host.point(FLASH)
    assert host.download(2, b"\x11" * length) == (0, DNLOAD_IDLE)
    assert host.rom.memory.flash.read(FLASH, length) != b"\x11" * length


@pytest.mark.parametrize("length", [4, 100, 252, 256, 264, 304, 2048])
def test_short_or_whole_buffers_arrive_as_they_were_sent(dialect: Dialect, length: int) -> None:
    host = Host(rom_of(L476, dialect, stalled_polls=0))
    host.point(FLASH)
    assert host.download(2, b"\x11" * length) == (0, DNLOAD_IDLE)
    assert host.rom.memory.flash.read(FLASH, length) == b"\x11" * length


def test_its_sister_refuses_such_a_buffer(dialect: Dialect) -> None:
    host = Host(rom_of("stm32l452", dialect))
    host.point(FLASH)
    assert host.download(2, b"\x11" * 300)[1] == ERROR


# -------------------------------------------------------------------------------------------- stalled polls


@pytest.mark.parametrize("chip", [L476, "stm32l432", "stm32l4r5"])
def test_an_l4_stalls_two_polls_while_it_works(dialect: Dialect, chip: str) -> None:
    """dfu-util survives three for its sake. A STALL here does not change the state."""
    host = Host(rom_of(chip, dialect))
    host.out(DNLOAD, 0, struct.pack("<BI", ERASE, FLASH))
    assert host.result() == (0, BUSY)
    for _ in range(2):
        with pytest.raises(Stalled):
            host.status()
    assert host.result() == (0, DNLOAD_IDLE)


def test_a_host_that_waits_long_enough_meets_no_stall(dialect: Dialect) -> None:
    host = Host(rom_of(L476, dialect))
    host.out(DNLOAD, 0, struct.pack("<BI", ERASE, FLASH))
    host.status()
    host.clock.sleep_ms(1_000)
    assert host.result() == (0, DNLOAD_IDLE)


def test_an_address_takes_no_time_and_is_not_stalled(dialect: Dialect) -> None:
    assert Host(rom_of(L476, dialect)).point(FLASH) == (0, DNLOAD_IDLE)


# ----------------------------------------------------------------------------------------------------- the C5


def test_a_c5_stalls_clrstatus_outside_dfu_error(dialect: Dialect) -> None:
    """betaflight-configurator PR 5300. ST's library takes it; this ROM does not, whatever else it is like."""
    host = Host(rom_of(C562, dialect))
    with pytest.raises(Stalled):
        host.out(CLRSTATUS)
    expected = (ERR_STALLEDPKT, ERROR) if dialect is Dialect.STANDARD else (0, IDLE)
    assert host.result() == expected


def test_a_c5_takes_clrstatus_in_dfu_error(dialect: Dialect) -> None:
    host = Host(rom_of(C562, dialect))
    assert host.point(0xE004_2000) == (ERR_TARGET, ERROR)
    host.out(CLRSTATUS)
    assert host.result() == (0, IDLE)


def test_a_c5_hangs_when_its_functional_descriptor_is_asked_for_by_itself(dialect: Dialect) -> None:
    board = board_of(C562, state=BoardState.ROM, dialect=dialect)
    with pytest.raises(TimedOut):
        board.control(board.address, 0x81, 6, 0x2100, 0, 9, 1000)
    with pytest.raises(TimedOut):
        board.control(board.address, 0xA1, GETSTATUS, 0, 0, 6, 1000)
    assert board.violations == ("descriptor 0x21 asked for by itself",)


def test_a_c5_has_one_alternate_and_a_rom_id_of_two_bytes(dialect: Dialect) -> None:
    board = board_of(C562, state=BoardState.ROM, dialect=dialect)
    assert board.face is not None
    assert len(board.face.alternates) == 1
    host = Host(rom_of(C562, dialect))
    assert host.upload(0x0BF8_85FC, 4) == b"\xff\xff\x01\x01"


# --------------------------------------------------------------------------------------------- device feature


def told(host: Host, word: bytes) -> tuple[int, int]:
    host.point(0xFFFF_0000)
    return host.download(2, word)


def ms_for_2048_bytes(host: Host) -> float:
    host.point(FLASH)
    before = host.clock.now_ms()
    assert host.download(2, b"\x11" * 2048) == (0, DNLOAD_IDLE)
    return host.clock.now_ms() - before


def test_an_f405_that_is_told_its_supply_programs_words_instead_of_bytes(dialect: Dialect) -> None:
    """DS8626 table 40: 16 us each, whether it is a byte or a word. AN2606 table 4: 3 is 2.7 V to 3.6 V."""
    host = Host(rom_of(F405, dialect))
    assert ms_for_2048_bytes(host) == pytest.approx(2048 * 0.016)
    host.erase(FLASH)
    assert told(host, b"\x03\xff\xff\xff") == (0, DNLOAD_IDLE)
    assert ms_for_2048_bytes(host) == pytest.approx(512 * 0.016)
    assert host.rom.violations == []


@pytest.mark.parametrize("volts", [0, 1, 2, 4, 0xFF])
def test_any_other_supply_is_as_slow_as_before(dialect: Dialect, volts: int) -> None:
    host = Host(rom_of(F405, dialect))
    assert told(host, bytes([volts]) + b"\xff\xff\xff") == (0, DNLOAD_IDLE)
    assert ms_for_2048_bytes(host) == pytest.approx(2048 * 0.016)


@pytest.mark.parametrize("word", [b"\x03\x00\xff\xff", b"\x03\xff\xff\x00", b"\x03\xff\xff\xff" * 2])
def test_whoever_changes_more_than_byte_0_is_refused_and_written_down(dialect: Dialect, word: bytes) -> None:
    host = Host(rom_of(F405, dialect))
    assert told(host, word) == (ERR_VENDOR, ERROR)
    assert host.rom.violations == ["a download to the Device Feature that changes more than byte 0"]
    host.out(CLRSTATUS)
    assert ms_for_2048_bytes(host) == pytest.approx(2048 * 0.016)


def test_what_was_told_can_be_read_back(dialect: Dialect) -> None:
    host = Host(rom_of(F405, dialect))
    assert host.upload(0xFFFF_0000, 4) == b"\x00\xff\xff\xff"
    told(host, b"\x03\xff\xff\xff")
    assert host.upload(0xFFFF_0000, 4) == b"\x03\xff\xff\xff"


def test_a_chip_without_a_device_feature_does_not_know_the_address(dialect: Dialect) -> None:
    assert Host(rom_of(H743, dialect)).point(0xFFFF_0000) == (ERR_TARGET, ERROR)


# ------------------------------------------------------------------------------------------------- protection


@pytest.mark.parametrize("at_pointer", [False, True], ids=["AN3156", "betaflight-configurator"])
def test_a_read_protected_chip_refuses_at_the_pointer_or_at_what_follows(
    dialect: Dialect, at_pointer: bool
) -> None:
    """The sources disagree where errVENDOR comes; nothing is read, erased or written in either case."""
    host = marked(rom_of(F405, dialect, protected_refuses_pointer=at_pointer))
    host.rom.memory.read_protected = True
    before = bytes(host.rom.memory.flash.contents)
    if at_pointer:
        assert host.point(FLASH) == (ERR_VENDOR, ERROR)
    else:
        assert host.point(FLASH) == (0, DNLOAD_IDLE)
        assert host.download(2, bytes(64)) == (ERR_VENDOR, ERROR)
    host.out(CLRSTATUS)
    assert host.erase(FLASH) == (ERR_VENDOR, ERROR)
    host.out(CLRSTATUS)
    assert mass_erase(host)[1] == ERROR
    host.out(CLRSTATUS)
    with pytest.raises(Stalled):
        host.read(UPLOAD, 2, 64)
    assert bytes(host.rom.memory.flash.contents) == before


def test_a_write_protected_sector_says_ok_and_stays(dialect: Dialect) -> None:
    """AN3156: no error is reported; only reading back finds it."""
    host = marked(rom_of(F405, dialect))
    host.rom.memory.flash.write_protected = frozenset({FLASH + 0x4000})
    assert host.erase(FLASH + 0x4000) == (0, DNLOAD_IDLE)
    assert mass_erase(host) == (0, DNLOAD_IDLE)
    host.point(FLASH + 0x4000)
    assert host.download(2, b"\x11" * 64) == (0, DNLOAD_IDLE)
    host.out(ABORT)
    assert host.read(UPLOAD, 2, 64) == bytes(32) + b"\xff" * 32
    assert FLASH in blank_sectors(host)
