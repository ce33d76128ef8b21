"""One row, many parts: flash sizes, two banks, OTP; what the memories of a virtual part are like."""

from __future__ import annotations

import pytest

from tests.lab.bench import (
    ABORT,
    CLRSTATUS,
    DNLOAD_IDLE,
    ERROR,
    F405,
    FLASH,
    H743,
    UID,
    UPLOAD,
    Host,
    board_of,
    chip_row,
    fresh_memory,
    rom_of,
)
from updater.heads.dfu.words import Stalled
from updater.heads.silicon import BankMode, the_table
from updater.lab.flash import blank_options
from updater.lab.record import BoardState
from updater.lab.rom import Dialect
from updater.lab.symptoms import behaves

F767, F746, H7A3, L476, G474, F722 = (
    "stm32f767", "stm32f746", "stm32h7a3", "stm32l476", "stm32g474", "stm32f722",
)  # fmt: skip
KIB = 1024


# ------------------------------------------------------------------------------------------------ flash size


def test_a_part_may_be_smaller_than_what_its_rom_says() -> None:
    """An H750 of 128 KB says 16*128Kg like all of its kind."""
    board = board_of(H743, state=BoardState.ROM, flash_kib=128)
    board.clock.sleep_ms(1_000)
    assert board.face is not None
    assert board.face.alternates[0] == "@Internal Flash   /0x08000000/16*128Kg"
    host = Host(rom_of(H743, flash_kib=128))
    assert host.erase(FLASH) == (0, DNLOAD_IDLE)
    assert host.erase(FLASH + 128 * KIB)[1] == ERROR
    host.out(CLRSTATUS)
    assert host.point(FLASH + 128 * KIB)[1] == ERROR


def test_between_the_banks_of_a_small_part_there_is_nothing() -> None:
    """H743 of 1 MB: 0x08000000 to 0x08080000, and 0x08100000 to 0x08180000."""
    host = Host(rom_of(H743, flash_kib=1024))
    assert host.upload(0x0807_FFE0, 32) == b"\xff" * 32
    for address in (0x0808_0000, 0x080F_FFE0):
        assert host.point(address)[1] == ERROR
        host.out(CLRSTATUS)
        assert host.erase(address)[1] == ERROR
        host.out(CLRSTATUS)
    assert host.erase(0x0810_0000) == (0, DNLOAD_IDLE)
    assert host.point(0x0817_FFE0) == (0, DNLOAD_IDLE)
    assert host.download(2, b"\x11" * 32) == (0, DNLOAD_IDLE)
    assert host.point(0x0818_0000)[1] == ERROR


def test_a_block_that_runs_out_of_the_first_bank_is_refused_whole() -> None:
    host = Host(rom_of(H743, flash_kib=1024))
    host.point(0x0807_FFE0)
    assert host.download(2, b"\x11" * 64)[1] == ERROR
    assert host.rom.memory.flash.read(0x0807_FFE0, 32) == b"\xff" * 32


@pytest.mark.parametrize(
    ("chip", "at", "kib", "word"),
    [
        (H743, 0x1FF1_E880, 1024, b"\x00\x04\xff\xff"),
        (F405, 0x1FFF_7A20, 512, b"\xff\xff\x00\x02"),
        (F767, 0x1FF0_F440, 2048, b"\xff\xff\x00\x08"),
        (L476, 0x1FFF_75E0, 256, b"\x00\x01\xff\xff"),
    ],
)
def test_the_size_register_is_read_where_the_board_lets_it_be_read(
    chip: str, at: int, kib: int, word: bytes
) -> None:
    """The 16 bits that the reference manual names, within a word; no source says that a ROM gives them."""
    host = Host(rom_of(chip, flash_kib=kib, reads_size=True))
    assert host.upload(at, 4) == word
    assert Host(rom_of(chip, flash_kib=kib)).point(at)[1] == ERROR


def test_the_size_of_the_largest_part_is_the_rows() -> None:
    assert Host(rom_of(H743, reads_size=True)).upload(0x1FF1_E880, 2) == b"\x00\x08"


# ------------------------------------------------------------------------------------------------ bank mode


@pytest.mark.parametrize(
    ("chip", "mode", "word"),
    [
        (F767, "single", b"\xff\xff\xff\xff"),
        (F767, "dual", b"\xff\xdf\xff\xff"),
        (G474, "single", b"\xff\xff\xbf\xff"),
        (G474, "dual", b"\xff\xff\xff\xff"),
    ],
)
def test_the_option_bytes_say_in_how_many_banks_the_flash_is(chip: str, mode: BankMode, word: bytes) -> None:
    """nDBANK is bit 13 at 0x1FFF0008 and 0 for two banks; DBANK is bit 22 at 0x1FFF7800 and 1 for two."""
    base, offset = {F767: (0x1FFF_0000, 8), G474: (0x1FFF_7800, 0)}[chip]
    host = Host(rom_of(chip, bank_mode=mode))
    assert host.upload(base, offset + 4)[offset:] == word
    assert host.rom.memory.bank_mode == mode


@pytest.mark.parametrize(
    ("mode", "sizes"), [("single", [32] * 4 + [128] + [256] * 7), ("dual", 2 * ([16] * 4 + [64] + [128] * 7))]
)
def test_the_bank_mode_divides_the_flash(mode: BankMode, sizes: list[int]) -> None:
    flash = rom_of(F767, bank_mode=mode).memory.flash
    assert [sector.size // KIB for sector in flash.region.sectors] == sizes


def test_a_chip_without_such_an_option_has_blank_option_bytes_and_no_mode() -> None:
    assert set(blank_options(chip_row(F405))) == {0xFF}
    assert rom_of(F405).memory.bank_mode is None


def test_option_bytes_are_read_from_their_start_only() -> None:
    """AN3156: as a whole block from the block's start."""
    host = Host(rom_of(F767))
    host.point(0x1FFF_0008)
    host.out(ABORT)
    with pytest.raises(Stalled):
        host.read(UPLOAD, 2, 4)


# ------------------------------------------------------------------------------------------------------ OTP


@pytest.mark.parametrize("dialect", list(Dialect))
def test_otp_bits_only_ever_become_0(dialect: Dialect) -> None:
    """F746: blocks of 64 bytes at 0x1FF0F000, no ECC. A rewrite is an AND, without an error."""
    host = Host(rom_of(F746, dialect))
    host.point(0x1FF0_F000)
    assert host.download(2, bytes.fromhex("F0F0F0F0FFFFFFFF")) == (0, DNLOAD_IDLE)
    assert host.download(2, bytes.fromhex("0FFF00FFFFFFFFFF")) == (0, DNLOAD_IDLE)
    assert host.upload(0x1FF0_F000, 8) == bytes.fromhex("00F000F0FFFFFFFF")


@pytest.mark.parametrize(
    ("chip", "block_0", "block_1", "block_2", "locks"),
    [
        (F746, 0x1FF0_F000, 0x1FF0_F040, 0x1FF0_F080, 0x1FF0_F400),
        (F405, 0x1FFF_7800, 0x1FFF_7820, 0x1FFF_7840, 0x1FFF_7A00),
        (F722, 0x1FF0_7800, 0x1FF0_7820, 0x1FF0_7840, 0x1FF0_7A00),
    ],
)
def test_a_lock_byte_ends_writing_to_its_block_only(
    chip: str, block_0: int, block_1: int, block_2: int, locks: int
) -> None:
    host = Host(rom_of(chip))
    host.point(locks)
    assert host.download(2, b"\xff\x00\xff\xff\xff\xff\xff\xff") == (0, DNLOAD_IDLE)
    for block in (block_0, block_1, block_2):
        host.point(block)
        assert host.download(2, bytes(8)) == (0, DNLOAD_IDLE), "nobody is told of the lock"
    assert host.upload(block_0, 8) == bytes(8)
    assert host.upload(block_1, 8) == b"\xff" * 8
    assert host.upload(block_2, 8) == bytes(8)
    assert host.upload(locks, 8) == b"\xff\x00\xff\xff\xff\xff\xff\xff"


def test_any_lock_byte_that_is_not_blank_locks_and_a_lock_is_for_ever() -> None:
    host = Host(rom_of(F405))
    host.point(0x1FFF_7A00)
    host.download(2, b"\xfe\xff\xff\xff")
    host.download(2, b"\xff\xff\xff\xff")
    host.point(0x1FFF_7800)
    host.download(2, bytes(4))
    assert host.upload(0x1FFF_7800, 4) == b"\xff" * 4


@pytest.mark.parametrize(("chip", "at", "unit"), [(H7A3, 0x08FF_F000, 16), (L476, 0x1FFF_7000, 8)])
def test_otp_with_ecc_has_no_lock_bytes_and_takes_each_unit_once(chip: str, at: int, unit: int) -> None:
    host = Host(rom_of(chip, stalled_polls=0))
    host.point(at)
    assert host.download(2, b"\xf0" * unit) == (0, DNLOAD_IDLE)
    assert host.download(2, b"\x00" * unit)[1] == ERROR
    host.out(CLRSTATUS)
    assert host.upload(at, 2 * unit) == b"\xf0" * unit + b"\xff" * unit
    host.point(at + unit)
    assert host.download(2, b"\x00" * unit) == (0, DNLOAD_IDLE)


def test_a_chip_without_otp_knows_no_such_memory() -> None:
    assert Host(rom_of(H743)).point(0x08FF_F000)[1] == ERROR
    assert fresh_memory(chip_row(H743), 0x92).otp is None


def test_a_write_that_runs_out_of_the_otp_is_refused_whole() -> None:
    host = Host(rom_of(F746))
    host.point(0x1FF0_F400)
    assert host.download(2, bytes(24))[1] == ERROR
    assert host.rom.memory.otp is not None
    assert set(host.rom.memory.otp.contents) == {0xFF}


def test_otp_of_a_read_protected_chip_is_neither_read_nor_written() -> None:
    host = Host(rom_of(F746))
    host.rom.memory.read_protected = True
    host.point(0x1FF0_F000)
    assert host.download(2, bytes(8))[1] == ERROR
    assert host.rom.memory.otp is not None
    assert set(host.rom.memory.otp.contents) == {0xFF}


# -------------------------------------------------------------------------------------------------- its face


def face_after_replug(chip: str, times: int, **board: object) -> list[str]:
    """The serials that a board shows in its bootloader, one for each power cycle."""
    made = board_of(chip, state=BoardState.ROM, **board)  # type: ignore[arg-type] # passed on
    serials = []
    for _ in range(times):
        made.replug(boot=True)
        made.clock.sleep_ms(20_000)  # an F105 looks for its crystal for up to 13.7 s
        assert made.face is not None
        serials.append(made.face.serial)
    return serials


def test_an_l496_shows_another_serial_at_every_power_cycle() -> None:
    """ST:32869."""
    assert len(set(face_after_replug("stm32l496", 4))) == 4


@pytest.mark.parametrize("chip", [H743, F405, "stm32f446", "stm32f411", "stm32g0b1"])
def test_every_other_chip_shows_the_same_serial_again(chip: str) -> None:
    assert len(set(face_after_replug(chip, 3))) == 1


@pytest.mark.parametrize(
    ("chip", "serial"),
    [(H743, "200364500000"), ("stm32f446", "STM32FxSTM32"), ("stm32f105", "STM32")],
)
def test_some_chips_show_the_same_serial_on_every_board(chip: str, serial: str) -> None:
    assert face_after_replug(chip, 1) == [serial]
    assert UID.hex().upper()[:8] not in serial


def test_a_look_alike_shows_its_own_face() -> None:
    board = board_of(F405, state=BoardState.ROM, looks_like="daisy-bootloader")
    face = board.face
    assert face is not None
    assert (face.vendor_id, face.product_id, face.bcd_device) == (0x0483, 0xDF11, 0x0200)
    assert (face.product, face.serial) == ("Daisy Bootloader", "395B377C3330")
    assert face.alternates == ("@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg/0x90400000/60*64Kg",)


def test_a_look_alike_with_another_makers_number_shows_that() -> None:
    face = board_of(F405, state=BoardState.ROM, looks_like="gd32").face
    assert face is not None
    assert (face.vendor_id, face.product_id, face.serial) == (0x28E9, 0x0189, "3CBJ")


def test_a_look_alike_stays_in_its_bootloader_whatever_is_in_flash() -> None:
    board = board_of(F405, state=BoardState.ROM, looks_like="mboot-h750")
    board.replug()
    board.clock.sleep_ms(1_000)
    assert board.state is BoardState.ROM


# ---------------------------------------------------------------------------------- every row of the table


@pytest.mark.parametrize("chip", [row.id for row in the_table().chip])
def test_every_row_can_be_played(chip: str) -> None:
    """Its smallest part is erased, written and read back, in as many milliseconds as the row says."""
    row = chip_row(chip)
    host = Host(rom_of(chip, flash_kib=min(row.sizes_kib.value) if row.geometry else None, stalled_polls=0))
    sector, unit = host.rom.memory.flash.region.sectors[0], row.program_unit_bytes.value
    data = bytes(range(1, 65))
    assert host.erase(sector.address) == (0, DNLOAD_IDLE)
    assert host.clock.now_ms() == row.lab.erase_ms.value[str(sector.size)]
    host.point(sector.address)
    before = host.clock.now_ms()
    assert host.download(2, data) == (0, DNLOAD_IDLE)
    assert host.clock.now_ms() - before == pytest.approx(64 // unit * row.lab.program_us.value / 1000)
    assert host.upload(sector.address, 66) == data + b"\xff\xff"
    assert host.rom.violations == []


def test_a_rom_that_no_row_knows_has_the_faults_that_are_assumed() -> None:
    """What the lab plays and what the host fears come from the same match."""
    own = behaves(the_table(), chip_row(H743), rom_version=0x99, revision="V")
    assert own.erase_sticks_from == 0x0810_0000
