"""Bank 2 of an H743: the scripts on ROMs with the wedge, without it, and of an unknown version."""

from __future__ import annotations

import pytest

from tests.pair.kit import (
    BANK_1,
    BANK_2,
    H743,
    SECTOR,
    TABLE,
    TOO_EARLY,
    erased,
    h743,
    row,
)
from updater.heads.dfu.scripts import (
    erase,
    erase_with_stuck_busy,
    get_status,
    go_to_idle,
    read,
    set_address,
    write,
)
from updater.heads.dfu.words import (
    Out,
    Request,
    State,
    TimedOut,
)
from updater.lab.rom import Dialect

each_dialect = pytest.mark.parametrize("dialect", list(Dialect))


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
    wire.run(write(BANK_2 + SECTOR, bytes(range(32)), behaviour.pace))
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
        wire.run(write(BANK_2, bytes(32), behaviour.pace))
    assert wire.rom.hung


@each_dialect
def test_a_read_too_early_only_waits(dialect: Dialect) -> None:
    wire, behaviour = h743(0x91, dialect), TABLE.behaviour(row(H743), rom_version=0x91, revision="V")
    wire.run(erase_with_stuck_busy(BANK_2, 500))
    assert wire.run(read(BANK_2, 32, behaviour.pace)) == b"\xff" * 32
    assert not wire.rom.hung
