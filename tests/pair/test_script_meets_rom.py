"""The scripts against the virtual ROM: every chip, every ROM version, every revision, both dialects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pair.kit import (
    BANK_1,
    BANK_2,
    F405,
    H743,
    SECTOR,
    TABLE,
    TOO_EARLY,
    WEDGE,
    TableWire,
    every_silicon,
    filled,
    on_usb,
    pace_of,
    row,
    table_wire,
)
from updater.dfu.scripts import (
    erase,
    erase_with_stuck_busy,
    get_status,
    go_to_idle,
    leave,
    read,
    read_if_allowed,
    set_address,
    write,
)
from updater.dfu.words import (
    DeviceRefused,
    In,
    Out,
    Request,
    Script,
    Stalled,
    State,
    StatusCode,
    TimedOut,
    WireError,
)
from updater.lab.record import BoardState
from updater.lab.rom import Dialect
from updater.silicon import Behaviour, Chip
from updater.usbio import read_rom_facts

each_dialect = pytest.mark.parametrize("dialect", list(Dialect))
each_chip = pytest.mark.parametrize("chip_id", [H743, F405])
each_silicon = pytest.mark.parametrize(
    ("chip_id", "rom_version", "revision"),
    every_silicon(),
    ids=[f"{chip}-{rom:02X}-{letter}" for chip, rom, letter in every_silicon()],
)

PROGRAM = (0x2000_1000).to_bytes(4, "little") + (0x0800_0401).to_bytes(4, "little") + bytes(range(256)) * 20
"""A vector table and something behind it, a multiple of 4 but of no block."""


def padded(chip: Chip) -> bytes:
    unit = chip.program_unit_bytes.value
    return PROGRAM + b"\xff" * (-len(PROGRAM) % unit)


def erased(behaviour: Behaviour, address: int) -> Script[None]:
    stuck = behaviour.stuck_erase
    if stuck is not None and address >= stuck.from_address:
        return erase_with_stuck_busy(address, stuck.wait_ms)
    return erase(address, behaviour.chip.erase_max_ms.value, behaviour.polling)


def h743(rom_version: int, dialect: Dialect = Dialect.STANDARD, revision: str = "V") -> TableWire:
    return table_wire(H743, rom_version, revision, dialect)


def rom_id_of(wire: TableWire, behaviour: Behaviour) -> int | None:
    """The ROM ID byte, out of the word that holds it."""
    at = behaviour.chip.rom_id_at.value
    word = wire.run(read_if_allowed(at & ~3, 4, pace_of(behaviour)))
    return None if word is None else int(word[at & 3])


# -------------------------------------------------------------------------------------------- the whole way


@each_silicon
@each_dialect
def test_the_whole_way_on_the_table(chip_id: str, rom_version: int, revision: str, dialect: Dialect) -> None:
    """Identify, erase the first and the last sector, write, read back, leave: with what is really known."""
    wire = table_wire(chip_id, rom_version, revision, dialect)
    unknown = TABLE.behaviour(row(chip_id), rom_version=None, revision=revision)
    found = rom_id_of(wire, unknown)
    assert found == rom_version
    behaviour = TABLE.behaviour(row(chip_id), rom_version=found, revision=revision)
    chip, pace, image = behaviour.chip, pace_of(behaviour), padded(behaviour.chip)
    for sector in (chip.flash.sectors[0], chip.flash.sectors[-1]):
        wire.run(erased(behaviour, sector.address))
        wire.run(go_to_idle())
        assert wire.run(read(sector.address, sector.size, pace)) == b"\xff" * sector.size
        wire.run(write(sector.address, image, pace))
        wire.run(go_to_idle())
        assert wire.run(read(sector.address, len(image), pace)) == image
    assert wire.rom.memory.flash.read(chip.flash.sectors[1].address, 16) == bytes(16)
    wire.run(leave(chip.flash.address, pace.polling))
    assert wire.rom.left_to == 0x0800_0000
    assert wire.rom.violations == []


@each_chip
@each_dialect
def test_the_whole_way_over_pyusb(chip_id: str, dialect: Dialect, tmp_path: Path) -> None:
    rom_version, revision = {H743: (0x91, "V"), F405: (0x91, "3")}[chip_id]
    with on_usb(tmp_path / "lab", chip_id, rom_version, revision, dialect) as usb:
        rom = read_rom_facts(usb.attached)
        assert rom is not None
        (chip,) = TABLE.like(rom)
        assert chip.id == chip_id
        behaviour = TABLE.behaviour(chip, rom_version=None, revision=None)
        pace, image, last = pace_of(behaviour), padded(chip), chip.flash.sectors[-1]
        with usb.opened() as wire:
            at = chip.rom_id_at.value
            word = wire.run(read_if_allowed(at & ~3, 4, pace))
            assert word is not None
            assert word[at & 3] == rom_version
            for address in (chip.flash.address, last.address):
                wire.run(erased(behaviour, address))
                wire.run(go_to_idle())
                wire.run(write(address, image, pace))
                wire.run(go_to_idle())
                assert wire.run(read(address, len(image), pace)) == image
            wire.run(leave(chip.flash.address, pace.polling))
        assert usb.board.state is BoardState.APPLICATION
        assert usb.board.violations == ()


@each_chip
@each_dialect
def test_a_rom_says_on_usb_what_the_row_says(chip_id: str, dialect: Dialect, tmp_path: Path) -> None:
    rom_version, revision = {H743: (0x92, "V"), F405: (0x90, "Y")}[chip_id]
    with on_usb(tmp_path / "lab", chip_id, rom_version, revision, dialect) as usb:
        rom = read_rom_facts(usb.attached)
        assert rom is not None
        if chip_id == H743:
            assert (rom.serial, rom.bcd_device, rom.transfer_size) == ("200364500000", 0x0200, 1024)
            assert [region.name for region in rom.regions] == ["Internal Flash", "Option Bytes"]
        else:
            assert (rom.bcd_device, rom.transfer_size) == (0x2200, 2048)
            assert rom.product_string == "STM32  BOOTLOADER"
            assert len(rom.regions) == 4


@each_chip
@each_dialect
def test_only_the_last_block_of_a_write_is_short_and_three_transfers_move_a_block(
    chip_id: str, dialect: Dialect
) -> None:
    chip = row(chip_id)
    wire = table_wire(chip_id, chip.roms[-1].id, chip.revisions[-1].letter, dialect)
    behaviour = TABLE.behaviour(chip, rom_version=chip.roms[-1].id, revision=None)
    image = padded(chip)
    wire.run(erased(behaviour, chip.flash.address))
    wire.sent.clear()
    wire.run(write(chip.flash.address, image, pace_of(behaviour)))
    sizes = [len(wish.data) for wish in wire.sent if isinstance(wish, Out) and wish.value >= 2]
    full, rest = divmod(len(image), chip.transfer_size.value)
    assert sizes == [chip.transfer_size.value] * full + [rest]
    assert rest
    assert len([wish for wish in wire.sent if isinstance(wish, Out | In)]) == 3 * (len(sizes) + 1)


# ------------------------------------------------------------------------------------------------ the wedge


@each_dialect
def test_the_fixed_rom_costs_no_extra_wait(dialect: Dialect) -> None:
    wire, behaviour = h743(0x92, dialect), TABLE.behaviour(row(H743), rom_version=0x92, revision="V")
    assert wire.timed(erased(behaviour, BANK_1)) == 900
    assert wire.timed(erased(behaviour, BANK_2)) == 900
    assert not any(isinstance(wish, Out) and wish.request == Request.CLRSTATUS for wish in wire.sent)


@each_dialect
@pytest.mark.parametrize("rom_version", [0xD2, 0xD3])
def test_rev_y_is_erased_like_any_chip_even_when_its_rom_is_not_known(
    dialect: Dialect, rom_version: int
) -> None:
    wire = h743(rom_version, dialect, "Y")
    behaviour = TABLE.behaviour(row(H743), rom_version=None, revision="Y")
    for sector in behaviour.chip.flash.sectors:
        assert wire.timed(erased(behaviour, sector.address)) == 900
    assert wire.rom.memory.flash.contents.count(0xFF) == 2 * 1024 * 1024


@each_dialect
def test_a_fixed_rom_that_is_not_known_loses_time_and_nothing_else(dialect: Dialect) -> None:
    wire, behaviour = h743(0x92, dialect), TABLE.behaviour(row(H743), rom_version=None, revision="V")
    assert wire.timed(erased(behaviour, BANK_2)) == 4900
    assert wire.run(get_status()).state == State.dfuDNLOAD_IDLE
    assert not any(isinstance(wish, Out) and wish.request == Request.CLRSTATUS for wish in wire.sent)


@each_dialect
@pytest.mark.parametrize("rom_version", [0x90, 0x91])
def test_all_sixteen_sectors_of_a_faulty_rom_are_erased(dialect: Dialect, rom_version: int) -> None:
    wire = h743(rom_version, dialect)
    behaviour = TABLE.behaviour(row(H743), rom_version=rom_version, revision="V")
    started = wire.clock.now_ms()
    for sector in behaviour.chip.flash.sectors:
        wire.run(erased(behaviour, sector.address))
    assert wire.rom.memory.flash.contents.count(0xFF) == 2 * 1024 * 1024
    assert wire.rom.violations == []
    assert wire.clock.now_ms() - started == 8 * 900 + 8 * 4016


@each_dialect
def test_after_the_stuck_erase_the_pointer_is_lost_and_the_scripts_set_it_again(dialect: Dialect) -> None:
    wire, behaviour = h743(0x91, dialect), TABLE.behaviour(row(H743), rom_version=0x91, revision="V")
    wire.run(set_address(BANK_2 + SECTOR))
    wire.run(go_to_idle())
    wire.run(erased(behaviour, BANK_2 + SECTOR))
    assert wire.rom.pointer == 0x0800_0000
    assert wire.run(get_status()).state == State.dfuIDLE
    wire.run(write(BANK_2 + SECTOR, bytes(range(32)), pace_of(behaviour)))
    assert wire.rom.memory.flash.read(BANK_2 + SECTOR, 32) == bytes(range(32))


@each_dialect
@pytest.mark.parametrize("next_address", [BANK_2 + SECTOR, BANK_1])
def test_the_next_erase_too_early_hangs_the_rom(dialect: Dialect, next_address: int) -> None:
    wire = h743(0x91, dialect)
    wire.run(erase_with_stuck_busy(BANK_2, 500))
    with pytest.raises(TimedOut):
        wire.run(erase(next_address, 4000))
    assert wire.rom.hung
    assert wire.rom.violations == [TOO_EARLY]
    with pytest.raises(TimedOut):
        wire.run(get_status())


@each_dialect
def test_the_next_write_too_early_hangs_the_rom(dialect: Dialect) -> None:
    wire, behaviour = h743(0x91, dialect), TABLE.behaviour(row(H743), rom_version=0x91, revision="V")
    wire.run(erase_with_stuck_busy(BANK_2, 500))
    with pytest.raises(TimedOut):
        wire.run(write(BANK_2, bytes(32), pace_of(behaviour)))
    assert wire.rom.hung


@each_dialect
def test_a_read_too_early_only_waits(dialect: Dialect) -> None:
    wire, behaviour = h743(0x91, dialect), TABLE.behaviour(row(H743), rom_version=0x91, revision="V")
    wire.run(erase_with_stuck_busy(BANK_2, 500))
    assert wire.run(read(BANK_2, 32, pace_of(behaviour))) == b"\xff" * 32
    assert not wire.rom.hung


# --------------------------------------------------------------------------------------- reading the ROM ID


@each_chip
@each_dialect
def test_a_refused_rom_id_is_left_by_clrstatus_and_the_worse_is_assumed(
    chip_id: str, dialect: Dialect
) -> None:
    chip = row(chip_id)
    wire = table_wire(chip_id, chip.roms[-1].id, chip.revisions[-1].letter, dialect)
    wire.rom.memory.read_protected = True
    unknown = TABLE.behaviour(chip, rom_version=None, revision=None)
    assert rom_id_of(wire, unknown) is None
    requests = [wish.request for wish in wire.sent if isinstance(wish, Out | In)]
    refused_at = requests.index(Request.UPLOAD)
    pairs = 1 if dialect is Dialect.STANDARD else 2
    expected = [Request.GETSTATUS, Request.CLRSTATUS] * pairs + [Request.GETSTATUS]
    assert requests[refused_at + 1 :] == expected
    assert wire.run(get_status()).state == State.dfuIDLE
    assert [limitation.id for limitation in unknown.limitations] == ([WEDGE] if chip_id == H743 else [])


@each_dialect
def test_a_rom_that_does_not_know_its_system_memory_refuses_the_pointer(dialect: Dialect) -> None:
    wire = h743(0x91, dialect)
    unknown = TABLE.behaviour(row(H743), rom_version=None, revision=None)
    assert wire.run(read_if_allowed(0x1FFF_0000, 4, pace_of(unknown))) is None
    assert wire.run(get_status()).state == State.dfuIDLE
    assert not any(isinstance(wish, In) and wish.request == Request.UPLOAD for wish in wire.sent)


@each_silicon
def test_the_rom_id_is_read_from_every_state_that_a_cut_can_leave(
    chip_id: str, rom_version: int, revision: str
) -> None:
    behaviour = TABLE.behaviour(row(chip_id), rom_version=None, revision=None)
    for prepare in (set_address(BANK_1), write(BANK_2 - 64, bytes(32), pace_of(behaviour))):
        wire = table_wire(chip_id, rom_version, revision)
        try:
            wire.run(prepare)
        except DeviceRefused:  # that flash is not blank: now it is in dfuERROR
            assert wire.rom.state == State.dfuERROR
        assert rom_id_of(wire, behaviour) == rom_version


@each_dialect
def test_a_download_that_was_stored_and_never_run_is_finished_first(dialect: Dialect) -> None:
    wire = h743(0x92, dialect)
    wire.rom.control(0x21, 1, 0, 0, bytes([0x41]) + BANK_1.to_bytes(4, "little"))
    behaviour = TABLE.behaviour(row(H743), rom_version=None, revision="V")
    assert rom_id_of(wire, behaviour) == 0x92


# ------------------------------------------------------------------------------------------------- refusals


@each_chip
@each_dialect
def test_memory_that_is_not_there_is_refused_as_err_target(chip_id: str, dialect: Dialect) -> None:
    chip = row(chip_id)
    wire = table_wire(chip_id, chip.roms[-1].id, chip.revisions[-1].letter, dialect)
    with pytest.raises(DeviceRefused, match="dfuERROR") as refused:
        wire.run(set_address(0x6000_0000))
    assert refused.value.code == StatusCode.errTARGET
    wire.run(go_to_idle())


@each_chip
@each_dialect
def test_a_protected_chip_refuses_erase_with_err_vendor_and_stalls_a_read(
    chip_id: str, dialect: Dialect
) -> None:
    chip = row(chip_id)
    wire = table_wire(chip_id, chip.roms[-1].id, chip.revisions[-1].letter, dialect)
    wire.rom.memory.read_protected = True
    behaviour = TABLE.behaviour(chip, rom_version=chip.roms[-1].id, revision=None)
    with pytest.raises(DeviceRefused) as refused:
        wire.run(erased(behaviour, BANK_1))
    assert refused.value.code == StatusCode.errVENDOR
    wire.run(go_to_idle())
    with pytest.raises(Stalled):
        wire.run(read(BANK_1, 32, pace_of(behaviour)))
    wire.run(go_to_idle())


@each_chip
@each_dialect
def test_a_write_protected_sector_answers_ok_and_only_reading_shows_it(
    chip_id: str, dialect: Dialect
) -> None:
    chip = row(chip_id)
    memory = filled(chip, chip.roms[-1].id)
    memory.flash.write_protected = frozenset({BANK_1})
    wire = table_wire(chip_id, chip.roms[-1].id, chip.revisions[-1].letter, dialect, memory=memory)
    behaviour = TABLE.behaviour(chip, rom_version=chip.roms[-1].id, revision=None)
    wire.run(erased(behaviour, BANK_1))
    wire.run(go_to_idle())
    assert wire.run(read(BANK_1, 64, pace_of(behaviour))) == bytes(64)


@each_dialect
def test_a_second_write_without_an_erase_is_refused_on_a_chip_with_ecc(dialect: Dialect) -> None:
    wire, behaviour = h743(0x92, dialect), TABLE.behaviour(row(H743), rom_version=0x92, revision="V")
    wire.run(erased(behaviour, BANK_1))
    wire.run(write(BANK_1, bytes(range(32)), pace_of(behaviour)))
    with pytest.raises(DeviceRefused):
        wire.run(write(BANK_1, bytes(range(32)), pace_of(behaviour)))
    wire.run(go_to_idle())


@each_chip
@each_dialect
def test_after_leaving_nothing_that_was_asked_too_much_is_an_error(
    chip_id: str, dialect: Dialect, tmp_path: Path
) -> None:
    """The flash is blank: the ROM jumps and the chip locks up. Only its coming back would show success."""
    chip = row(chip_id)
    with (
        on_usb(tmp_path / "lab", chip_id, chip.roms[-1].id, chip.revisions[-1].letter, dialect) as usb,
        usb.opened() as wire,
    ):
        wire.run(leave(chip.flash.address))
        assert usb.board.state is BoardState.LOCKED_UP
        with pytest.raises(WireError):
            wire.run(get_status())
