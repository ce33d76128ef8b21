"""The scripts against the virtual ROM: every chip, every ROM version, every revision, both dialects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pair.kit import (
    BANK_1,
    F405,
    H743,
    TABLE,
    WEDGE,
    Known,
    TableWire,
    erased,
    every_silicon,
    filled,
    h743,
    newest,
    on_usb,
    row,
    table_wire,
)
from updater.hands.usbio import Wire, read_rom_facts
from updater.heads.dfu.scripts import (
    get_status,
    go_to_idle,
    leave,
    read,
    read_if_allowed,
    set_address,
    write,
)
from updater.heads.dfu.words import (
    DeviceRefused,
    In,
    Out,
    Request,
    Stalled,
    State,
    StatusCode,
    WireError,
)
from updater.heads.silicon import Behaviour, Chip
from updater.lab.record import BoardState
from updater.lab.rom import Dialect
from updater.lab.shelf import UNKNOWN
from updater.words.facts import Sector

each_dialect = pytest.mark.parametrize("dialect", list(Dialect))
C562 = "stm32c562"
"""Its ROM's ID has 16 bits, and no source names its revisions."""

each_chip = pytest.mark.parametrize("chip_id", [H743, F405])
each_silicon = pytest.mark.parametrize("silicon", every_silicon(), ids=str)

PROGRAM = (0x2000_1000).to_bytes(4, "little") + (0x0800_0401).to_bytes(4, "little") + bytes(range(256)) * 20
"""A vector table and something behind it, a multiple of 4 but of no block."""


def program_in(chip: Chip, sector: Sector) -> bytes:
    """As much of the program as goes into this sector, filled up to whole units."""
    unit = chip.program_unit_bytes.value
    data = PROGRAM[: sector.size - unit]
    return data + b"\xff" * (-len(data) % unit)


def last_of(chip_id: str) -> Known:
    """The row's last ROM with its newest revision."""
    return Known(chip_id, row(chip_id).roms[-1].id, newest(chip_id))


def rom_id_of(wire: TableWire | Wire, behaviour: Behaviour) -> int | None:
    """The ROM's ID out of the word that holds it: one byte, or two on the newest chips."""
    chip = behaviour.chip
    assert chip.rom_id_at is not None
    at = chip.rom_id_at.value
    word = wire.run(read_if_allowed(at & ~3, 4, behaviour.pace))
    return None if word is None else int.from_bytes(word[at & 3 :][: chip.rom_id_bytes], "little")


# -------------------------------------------------------------------------------------------- the whole way


@each_silicon
@each_dialect
def test_the_whole_way_on_the_table(silicon: Known, dialect: Dialect) -> None:
    """Identify, erase the first and the last sector, write, read back, leave: with what is really known.

    A row without geometry is identified, read and left; nobody knows what an erase would hit.
    """
    wire = table_wire(silicon, dialect)
    chip = row(silicon.chip)
    unknown = TABLE.behaviour(chip, rom_version=None, revision=silicon.revision)
    found = rom_id_of(wire, unknown) if chip.rom_id_at else None
    assert found == (silicon.rom_version if chip.rom_id_at else None)
    behaviour = TABLE.behaviour(chip, rom_version=found, revision=silicon.revision)
    if chip.geometry is None:
        assert wire.run(read(chip.flash.address, 64, behaviour.pace)) == bytes(64)
    else:
        erase_and_write(wire, behaviour)
    wire.run(go_to_idle())
    wire.run(leave(chip.flash.address, behaviour.polling))
    assert wire.rom.left_to == 0x0800_0000
    assert wire.rom.violations == []


def erase_and_write(wire: TableWire, behaviour: Behaviour) -> None:
    """The first sector and the last, and none between."""
    chip, pace = behaviour.chip, behaviour.pace
    for sector in (chip.flash.sectors[0], chip.flash.sectors[-1]):
        image = program_in(chip, sector)
        wire.run(erased(behaviour, sector.address))
        wire.run(go_to_idle())
        assert wire.run(read(sector.address, sector.size, pace)) == b"\xff" * sector.size
        wire.run(write(sector.address, image, pace))
        wire.run(go_to_idle())
        assert wire.run(read(sector.address, len(image), pace)) == image
    between = wire.rom.memory.flash.read(chip.flash.sectors[1].address, chip.flash.sectors[-2].size)
    assert between == bytes(chip.flash.sectors[-2].size)


@pytest.mark.parametrize("chip_id", [H743, F405, C562])
@each_dialect
def test_the_whole_way_over_pyusb(chip_id: str, dialect: Dialect, tmp_path: Path) -> None:
    rom_version, revision = {H743: (0x91, "V"), F405: (0x91, "3"), C562: (0x101, UNKNOWN)}[chip_id]
    with on_usb(tmp_path / "lab", Known(chip_id, rom_version, revision), dialect) as usb:
        rom = read_rom_facts(usb.attached)
        assert rom is not None
        chip = row(chip_id)
        assert chip in TABLE.like(rom)
        behaviour = TABLE.behaviour(chip, rom_version=None, revision=None)
        pace = behaviour.pace
        with usb.opened() as wire:
            assert rom_id_of(wire, behaviour) == rom_version
            for sector in (chip.flash.sectors[0], chip.flash.sectors[-1]):
                image = program_in(chip, sector)
                wire.run(erased(behaviour, sector.address))
                wire.run(go_to_idle())
                wire.run(write(sector.address, image, pace))
                wire.run(go_to_idle())
                assert wire.run(read(sector.address, len(image), pace)) == image
            wire.run(leave(chip.flash.address, pace.polling))
        assert usb.board.state is BoardState.APPLICATION
        assert usb.board.violations == ()


@each_chip
@each_dialect
def test_a_rom_says_on_usb_what_the_row_says(chip_id: str, dialect: Dialect, tmp_path: Path) -> None:
    rom_version, revision = {H743: (0x92, "V"), F405: (0x90, "Y")}[chip_id]
    with on_usb(tmp_path / "lab", Known(chip_id, rom_version, revision), dialect) as usb:
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
    wire = table_wire(last_of(chip_id), dialect)
    behaviour = TABLE.behaviour(chip, rom_version=chip.roms[-1].id, revision=None)
    image = program_in(chip, chip.flash.sectors[0])
    wire.run(erased(behaviour, chip.flash.address))
    wire.sent.clear()
    wire.run(write(chip.flash.address, image, behaviour.pace))
    sizes = [len(wish.data) for wish in wire.sent if isinstance(wish, Out) and wish.value >= 2]
    full, rest = divmod(len(image), chip.transfer_size.value)
    assert sizes == [chip.transfer_size.value] * full + [rest]
    assert rest
    assert len([wish for wish in wire.sent if isinstance(wish, Out | In)]) == 3 * (len(sizes) + 1)


# --------------------------------------------------------------------------------------- reading the ROM ID


@each_chip
@each_dialect
def test_a_refused_rom_id_is_left_by_clrstatus_and_the_worse_is_assumed(
    chip_id: str, dialect: Dialect
) -> None:
    chip = row(chip_id)
    wire = table_wire(last_of(chip_id), dialect)
    wire.rom.memory.read_protected = True
    unknown = TABLE.behaviour(chip, rom_version=None, revision=None)
    assert rom_id_of(wire, unknown) is None
    requests = [wish.request for wish in wire.sent if isinstance(wish, Out | In)]
    refused_at = requests.index(Request.UPLOAD)
    pairs = 1 if dialect is Dialect.STANDARD else 2
    expected = [Request.GETSTATUS, Request.CLRSTATUS] * pairs + [Request.GETSTATUS]
    assert requests[refused_at + 1 :] == expected
    assert wire.run(get_status()).state == State.dfuIDLE
    worse = [WEDGE, "mass-erase-does-nothing", "go-is-broken"] if chip_id == H743 else []
    assert [one.id for one in unknown.limitations if one.handled] == worse


@each_dialect
def test_a_rom_that_does_not_know_its_system_memory_refuses_the_pointer(dialect: Dialect) -> None:
    wire = h743(0x91, dialect)
    unknown = TABLE.behaviour(row(H743), rom_version=None, revision=None)
    assert wire.run(read_if_allowed(0x1FFF_0000, 4, unknown.pace)) is None
    assert wire.run(get_status()).state == State.dfuIDLE
    assert not any(isinstance(wish, In) and wish.request == Request.UPLOAD for wish in wire.sent)


@pytest.mark.parametrize("silicon", [one for one in every_silicon() if row(one.chip).rom_id_at], ids=str)
def test_the_rom_id_is_read_from_every_state_that_a_cut_can_leave(silicon: Known) -> None:
    behaviour = TABLE.behaviour(row(silicon.chip), rom_version=None, revision=None)
    last = behaviour.chip.flash.sectors[-1].address
    for prepare in (set_address(BANK_1), write(last, bytes(32), behaviour.pace)):
        wire = table_wire(silicon)
        try:
            wire.run(prepare)
        except DeviceRefused:  # that flash is not blank: now it is in dfuERROR
            assert wire.rom.state == State.dfuERROR
        assert rom_id_of(wire, behaviour) == silicon.rom_version


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
    wire = table_wire(last_of(chip_id), dialect)
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
    wire = table_wire(last_of(chip_id), dialect)
    wire.rom.memory.read_protected = True
    behaviour = TABLE.behaviour(chip, rom_version=chip.roms[-1].id, revision=None)
    with pytest.raises(DeviceRefused) as refused:
        wire.run(erased(behaviour, BANK_1))
    assert refused.value.code == StatusCode.errVENDOR
    wire.run(go_to_idle())
    with pytest.raises(Stalled):
        wire.run(read(BANK_1, 32, behaviour.pace))
    wire.run(go_to_idle())


@each_chip
@each_dialect
def test_a_write_protected_sector_answers_ok_and_only_reading_shows_it(
    chip_id: str, dialect: Dialect
) -> None:
    chip = row(chip_id)
    memory = filled(chip, chip.roms[-1].id)
    memory.flash.write_protected = frozenset({BANK_1})
    wire = table_wire(last_of(chip_id), dialect, memory=memory)
    behaviour = TABLE.behaviour(chip, rom_version=chip.roms[-1].id, revision=None)
    wire.run(erased(behaviour, BANK_1))
    wire.run(go_to_idle())
    assert wire.run(read(BANK_1, 64, behaviour.pace)) == bytes(64)


@each_dialect
def test_a_second_write_without_an_erase_is_refused_on_a_chip_with_ecc(dialect: Dialect) -> None:
    wire, behaviour = h743(0x92, dialect), TABLE.behaviour(row(H743), rom_version=0x92, revision="V")
    wire.run(erased(behaviour, BANK_1))
    wire.run(write(BANK_1, bytes(range(32)), behaviour.pace))
    with pytest.raises(DeviceRefused):
        wire.run(write(BANK_1, bytes(range(32)), behaviour.pace))
    wire.run(go_to_idle())


@each_chip
@each_dialect
def test_after_leaving_nothing_that_was_asked_too_much_is_an_error(
    chip_id: str, dialect: Dialect, tmp_path: Path
) -> None:
    """The flash is blank: the ROM jumps and the chip locks up. Only its coming back would show success."""
    chip = row(chip_id)
    with (
        on_usb(tmp_path / "lab", last_of(chip_id), dialect) as usb,
        usb.opened() as wire,
    ):
        wire.run(leave(chip.flash.address))
        assert usb.board.state is BoardState.LOCKED_UP
        with pytest.raises(WireError):
            wire.run(get_status())
