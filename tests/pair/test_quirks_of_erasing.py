"""Quirks that show when flash is erased, each with and without its remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.pair.job import flasher_on, install, plan_for
from tests.pair.kit import (
    BANK_2,
    F767,
    G0B1,
    H743,
    SECTOR,
    TABLE,
    TOO_EARLY,
    WEDGE,
    Known,
    TableWire,
    on_usb,
    row,
    table_wire,
)
from tests.pair.quirk_cases import (
    CASES,
    Case,
    also_on,
    carried_out,
    each_dialect,
    erase_commands,
    first_and_last,
    holds,
    part_in,
    proves,
)
from updater.heads.dfu.scripts import (
    erase,
    erase_with_stuck_busy,
    get_status,
    go_to_idle,
    mass_erase,
    read,
    settle,
    write,
)
from updater.heads.dfu.words import In, Out, Request, Script, Sleep, State, TimedOut, WireError
from updater.heads.plan import MassErase, Plan
from updater.heads.silicon import Silicon
from updater.heads.vendor import Keep
from updater.lab.rom import Dialect
from updater.words.errors import DeviceIs, NotFinished, Protected, Refused


def starts(plan: Plan) -> list[int]:
    """The sectors that a plan erases one by one, by their address; empty where it erases all at once."""
    return [] if plan.mass_erase else [sector.address for sector in plan.erased_sectors]


# ---------------------------------------------------------------------------------------- the wedge of bank 2


@proves("erase_sticks_from", "first_answer_ms")
def test_an_erase_that_sticks_times_out_without_the_cure_and_is_done_with_it(
    case: Case, dialect: Dialect
) -> None:
    segments = first_and_last(case)
    wire = case.wire(dialect)
    with pytest.raises(TimedOut, match=r"still busy after 4 s"):
        carried_out(wire, case.plan(segments, case.bare))
    wire.clock.sleep_ms(300_000)
    assert wire.run(get_status()).state == State.dfuDNBUSY
    with pytest.raises(WireError):
        wire.run(write(BANK_2, bytes(1024), case.behaviour().pace))
    with pytest.raises(TimedOut, match="did not become idle"):
        wire.run(go_to_idle())
    cured = case.wire(dialect)
    carried_out(cured, case.plan(segments))
    assert holds(cured, *segments)


@proves("command_before_done_hangs")
def test_a_cure_that_does_not_wait_for_the_hardware_hangs_the_rom_and_ours_does_not(
    case: Case, dialect: Dialect
) -> None:
    """The CLRSTATUS pair after 500 ms, and the next sector at once."""
    hasty = case.wire(dialect)
    hasty.run(erase_with_stuck_busy(BANK_2, 500))
    with pytest.raises(TimedOut):
        hasty.run(erase(BANK_2 + SECTOR, 4_000))
    assert hasty.rom.hung
    assert hasty.rom.violations == [TOO_EARLY]

    segments = [part_in(at, SECTOR) for at in (0x0800_0000, BANK_2, BANK_2 + SECTOR)]
    ours = case.wire(dialect)
    carried_out(ours, case.plan(segments))
    assert not ours.rom.hung
    assert holds(ours, *segments)


@pytest.mark.parametrize("case", [case for case in CASES if case.quirk.id == WEDGE], ids=str)
def test_without_the_cure_it_sticks_over_pyusb_too(case: Case, tmp_path: Path) -> None:
    with on_usb(tmp_path / "lab", case.silicon) as usb, usb.opened() as wire:
        started = usb.clock.now_ms()
        with pytest.raises(TimedOut, match=r"still busy after 4 s"):
            install(flasher_on(wire, usb.clock), case.plan(first_and_last(case), case.bare))
        assert 4_000 < usb.clock.now_ms() - started < 10_000


def without_quirk(quirk_id: str) -> Silicon:
    """The table before anybody had heard of this."""
    return msgspec.structs.replace(TABLE, quirk=tuple(one for one in TABLE.quirk if one.id != quirk_id))


def flashed(silicon: Known, table: Silicon, dialect: Dialect, *, is_rom_known: bool) -> TableWire:
    """Two sectors of bank 1 and two of bank 2, with what this table says; the ROM is the real one."""
    wire = table_wire(silicon, dialect)
    known = silicon.rom_version if is_rom_known else None
    behaviour = table.behaviour(row(silicon.chip), rom_version=known, revision=silicon.revision)
    places = (0x0800_0000, 0x0802_0000, BANK_2, BANK_2 + SECTOR)
    carried_out(wire, plan_for(behaviour, [part_in(at, SECTOR) for at in places]))
    return wire


@pytest.mark.parametrize(
    ("silicon", "is_rom_known"),
    [
        (Known(H743, 0x92, "V"), True),
        (Known(H743, 0xD3, "Y"), True),
        (Known(H743, 0xD2, "Y"), False),
        (Known(H743, 0xD3, "Y"), False),
    ],
    ids=str,
)
@each_dialect
def test_a_fixed_rom_and_rev_y_are_treated_as_if_the_wedge_had_never_been(
    silicon: Known, is_rom_known: bool, dialect: Dialect
) -> None:
    """Not a millisecond and not a request more: by the clock and by what was sent."""
    wire = flashed(silicon, TABLE, dialect, is_rom_known=is_rom_known)
    plain = flashed(silicon, without_quirk(WEDGE), dialect, is_rom_known=is_rom_known)
    assert wire.clock.now_ms() == plain.clock.now_ms()
    assert wire.sent == plain.sent


@each_dialect
def test_with_its_remedy_the_wedge_costs_three_seconds_a_sector_of_bank_2(dialect: Dialect) -> None:
    """4000 ms waited and 16 ms until the first answer, instead of 900 ms."""
    faulty = flashed(Known(H743, 0x91, "V"), TABLE, dialect, is_rom_known=True)
    fixed = flashed(Known(H743, 0x92, "V"), TABLE, dialect, is_rom_known=True)
    assert faulty.clock.now_ms() - fixed.clock.now_ms() == pytest.approx(2 * (4016 - 900), abs=10)


# -------------------------------------------------------------------------------------- the wrong sector, i+4


@proves("bank2_erase_hits_sectors_later")
def test_a_rom_that_erases_another_sector_destroys_it_unless_all_is_erased_at_once(
    case: Case, dialect: Dialect
) -> None:
    """Sector 12 is the first of bank 2; this ROM erases sector 16 for it."""
    sectors = case.chip.sectors(kib=2048, bank_mode="dual")
    segments = [part_in(sectors[0].address, sectors[0].size), part_in(sectors[12].address, sectors[12].size)]
    wire = case.wire(dialect)
    flash = wire.rom.memory.flash
    with pytest.raises(NotFinished, match="0x08100000") as failed:
        carried_out(wire, case.plan(segments, case.bare))
    assert failed.value.device_is is DeviceIs.IN_BOOTLOADER
    assert flash.read(BANK_2, sectors[12].size) == bytes(sectors[12].size)  # neither erased nor written
    assert flash.read(sectors[16].address, sectors[16].size) == b"\xff" * sectors[16].size  # a stranger's
    assert flash.read(sectors[0].address, 8) == b"\xff" * 8  # and nothing that could start

    safe = case.wire(dialect)
    plan = carried_out(safe, case.plan(segments))
    assert plan.mass_erase is not None
    assert erase_commands(safe) == [b"\x41\x00\x00\x00\x08", b"\x41"]  # the vector table's sector first
    assert holds(safe, *segments)
    written = sum(len(part.data) for part in segments)
    assert safe.rom.memory.flash.contents.count(0xFF) == 2048 * 1024 - written


I_PLUS_4 = next(case for case in CASES if case.silicon.chip == F767)


@each_dialect
def test_on_that_rom_an_update_of_bank_1_alone_touches_no_sector_outside_its_plan(dialect: Dialect) -> None:
    sectors = I_PLUS_4.chip.sectors(kib=2048, bank_mode="dual")
    segments = [part_in(sectors[n].address, sectors[n].size) for n in (0, 5, 11)]
    wire = I_PLUS_4.wire(dialect)
    plan = carried_out(wire, I_PLUS_4.plan(segments))
    assert starts(plan) == [part.address for part in segments]
    for number, sector in enumerate(sectors):
        if number not in (0, 5, 11):
            assert wire.rom.memory.flash.read(sector.address, sector.size) == bytes(sector.size)
    assert holds(wire, *segments)


def test_on_that_rom_a_product_that_keeps_data_is_refused_before_the_first_erase() -> None:
    sectors = I_PLUS_4.chip.sectors(kib=2048, bank_mode="dual")
    segments = [part_in(sectors[0].address, 4096), part_in(sectors[12].address, 4096)]
    keep = (Keep(address=sectors[3].address, length=sectors[3].size),)
    with pytest.raises(Refused, match="wrong sectors"):
        I_PLUS_4.plan(segments, keep=keep)


@each_dialect
def test_the_same_chip_in_one_bank_is_erased_by_sector(dialect: Dialect) -> None:
    wire = table_wire(I_PLUS_4.silicon, dialect, bank_mode="single")
    behaviour = TABLE.behaviour(row(F767), rom_version=0x93, revision="Z", bank_mode="single")
    sectors = row(F767).flash.sectors
    segments = [part_in(sectors[0].address, 4096), part_in(sectors[-1].address, 4096)]
    plan = carried_out(wire, plan_for(behaviour, segments, bank_mode="single"))
    assert starts(plan) == [part.address for part in segments]
    assert holds(wire, *segments)


# -------------------------------------------------------------------------------------- mass erase, and lists


@proves("mass_erase_does_nothing")
def test_a_mass_erase_that_does_nothing_is_found_by_reading_and_not_asked_for_with_the_remedy(
    case: Case, dialect: Dialect
) -> None:
    segments = first_and_last(case)
    plan = case.plan(segments)
    assert plan.mass_erase is None
    everything = MassErase(sectors=case.chip.flash.sectors, bank2_at=BANK_2, max_ms=64_000, because="a test")
    wire = case.wire(dialect)
    with pytest.raises(NotFinished, match="0x08020000"):
        carried_out(wire, replace(plan, mass_erase=everything))
    assert_only_the_first_sector_is_blank(wire)

    by_sector = case.wire(dialect)
    carried_out(by_sector, plan)
    assert holds(by_sector, *segments)
    assert b"\x41" not in erase_commands(by_sector)


@each_dialect
def test_where_sectors_cannot_be_erased_and_all_at_once_neither_it_is_refused(dialect: Dialect) -> None:
    """No chip is known with both faults; without the remedy the read-back finds it."""
    both = also_on("mass-erase-does-nothing", F767)
    sectors = I_PLUS_4.chip.sectors(kib=2048, bank_mode="dual")
    segments = [part_in(sectors[0].address, 4096), part_in(sectors[12].address, 4096)]
    with pytest.raises(Refused, match="wrong sectors"):
        I_PLUS_4.plan(segments, both)
    wire = I_PLUS_4.wire(dialect, both)
    with pytest.raises(NotFinished, match="0x08004000"):
        carried_out(wire, I_PLUS_4.plan(segments, both.without_remedy("mass-erase-does-nothing")))
    assert_only_the_first_sector_is_blank(wire)


def assert_only_the_first_sector_is_blank(wire: TableWire) -> None:
    """Nothing wrong was written, nothing else is lost, and nothing can start."""
    flash = wire.rom.memory.flash
    size = flash.region.sectors[0].size
    assert flash.contents[:size] == b"\xff" * size
    assert flash.contents[size:] == bytes(len(flash.contents) - size)


@each_dialect
def test_a_protection_of_the_vector_table_stops_a_mass_erase_before_anything_is_lost(
    dialect: Dialect,
) -> None:
    """Else the old vectors would stay over a blank rest, and start it."""
    sectors = I_PLUS_4.chip.sectors(kib=2048, bank_mode="dual")
    segments = [part_in(sectors[0].address, 4096), part_in(sectors[12].address, 4096)]
    wire = I_PLUS_4.wire(dialect)
    wire.rom.memory.flash.write_protected = frozenset({0x0800_0000})
    with pytest.raises(Protected, match="0x08000000 was not erased"):
        carried_out(wire, I_PLUS_4.plan(segments))
    assert wire.rom.memory.flash.contents.count(0) == 2048 * 1024


@proves("bank2_erases_first_of_several")
def test_a_list_of_sectors_is_erased_to_its_first_and_one_at_a_time_altogether(
    case: Case, dialect: Dialect
) -> None:
    assert case.silicon.chip == G0B1
    sectors = case.chip.flash.sectors[-3:]
    foreign = case.wire(dialect)
    foreign.run(erase_list([sector.address for sector in sectors]))
    foreign.run(go_to_idle())
    seen = [foreign.run(read(sector.address, 2048, case.behaviour().pace)) for sector in sectors]
    assert seen == [b"\xff" * 2048, bytes(2048), bytes(2048)]

    segments = [part_in(case.chip.flash.address, 2048), *(part_in(one.address, one.size) for one in sectors)]
    ours = case.wire(dialect)
    carried_out(ours, case.plan(segments))
    assert holds(ours, *segments)
    assert [len(command) for command in erase_commands(ours)] == [5, 5, 5, 5]


def erase_list(addresses: list[int]) -> Script[None]:
    """A host that has several sectors erased with one command."""
    command = b"\x41" + b"".join(address.to_bytes(4, "little") for address in addresses)
    sent = yield Out(Request.DNLOAD, 0, command)
    yield from settle(sent.at_ms, 5_000)


@proves("mass_erase_poll_ms", "mass_erase_ms")
def test_a_mass_erase_outlasts_a_host_that_believes_its_poll_time_and_not_ours(
    case: Case, dialect: Dialect
) -> None:
    believer = case.wire(dialect)
    with pytest.raises(TimedOut):
        believer.run(mass_erase_as_told())
    assert believer.clock.now_ms() < 10_000

    ours, chip = case.wire(dialect), case.chip
    took_ms = ours.timed(mass_erase(chip.mass_erase_max_ms.value, case.behaviour().polling))
    assert took_ms == pytest.approx(32_000, abs=10)
    assert ours.rom.memory.flash.contents.count(0xFF) == 1024 * 1024


def mass_erase_as_told() -> Script[None]:
    """A host that sleeps what it is told and gives every transfer 5 s, as dfu-util does by default."""
    yield Out(Request.DNLOAD, 0, b"\x41", timeout_ms=5_000)
    while True:
        answer = yield In(Request.GETSTATUS, 0, 6, timeout_ms=5_000)
        if answer.data[4] == State.dfuDNLOAD_IDLE:
            return
        yield Sleep(int.from_bytes(answer.data[1:4], "little"))
