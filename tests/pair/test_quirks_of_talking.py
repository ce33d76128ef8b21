"""Quirks that show while bytes move and when the ROM is left, each with and without its remedy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import usb.core
from msgspec.structs import replace

from tests.pair.job import flasher_on, install, plan_for, program
from tests.pair.kit import H743, TABLE, Known, OnUsb, TableWire, on_usb, row, table_wire, wire_to
from tests.pair.quirk_cases import (
    CASES,
    Case,
    carried_out,
    each_dialect,
    first_and_last,
    holds,
    part_in,
    proves,
)
from updater.hands.usbio import ROM_USB
from updater.heads.dfu.scripts import erase, get_status, write
from updater.heads.dfu.words import Out, Request, Script, Stalled, State, TimedOut
from updater.heads.plan import Plan
from updater.heads.silicon import Behaviour, Silicon
from updater.lab.record import BoardState
from updater.lab.rom import Dialect
from updater.words.errors import NotFinished
from updater.words.facts import Segment

BLOCKS = 8


# ------------------------------------------------------------------------------------------------ programming


@proves("corrupts_odd_buffers_over")
def test_an_odd_buffer_is_stored_wrongly_and_found_by_reading_and_never_sent_with_the_remedy(
    case: Case, dialect: Dialect
) -> None:
    """The host believes the general rule of AN3156, multiples of 4; only the remedy makes that 8."""
    four = replace(case.chip, program_unit_bytes=replace(case.chip.program_unit_bytes, value=4))
    table = replace(TABLE, chip=tuple(four if one.id == four.id else one for one in TABLE.chip))
    segments = [
        part_in(0x0800_0000, 2048),
        Segment(address=0x0800_0800, data=program(300, at=0x0800_0800)),
    ]
    wire = case.wire(dialect)
    with pytest.raises(NotFinished, match="did not store the update correctly"):
        carried_out(wire, case.plan(segments, table.without_remedy(case.quirk.id)))
    assert not holds(wire, *segments)
    assert wire.rom.memory.flash.read(0x0800_0000, 8) == b"\xff" * 8

    padded = case.wire(dialect)
    carried_out(padded, case.plan(segments, table))
    assert holds(padded, *segments)
    sizes = [len(wish.data) for wish in padded.sent if isinstance(wish, Out) and wish.value >= 2]
    assert [size % 8 for size in sizes] == [0] * len(sizes)


# ---------------------------------------------------------------------------------------------------- polling


def erased_and_written(behaviour: Behaviour) -> Script[None]:
    """Some blocks in a sector without any other fault."""
    address = behaviour.chip.flash.sectors[4].address
    yield from erase(address, behaviour.chip.erase_max_ms.value, behaviour.polling)
    size = behaviour.chip.transfer_size.value
    yield from write(address, bytes(range(256)) * (BLOCKS * size // 256), behaviour.pace)


@proves("erase_poll_ms", "write_poll_ms", "command_poll_ms")
def test_a_poll_time_is_slept_for_nothing_without_the_remedy(case: Case, dialect: Dialect) -> None:
    ours, bare = case.wire(dialect), case.wire(dialect)
    took_ms = ours.timed(erased_and_written(case.behaviour()))
    bare_ms = bare.timed(erased_and_written(case.behaviour(case.bare)))
    assert bare.asked_for_sleep_ms >= 3 * max(ours.asked_for_sleep_ms, 100)
    assert bare_ms - took_ms >= 3 * max(ours.asked_for_sleep_ms, 100)
    assert ours.rom.memory.flash.contents == bare.rom.memory.flash.contents


def behaviour_of(quirk_id: str, rom_version: int, table: Silicon) -> Behaviour:
    case = next(
        case for case in CASES if case.quirk.id == quirk_id and case.silicon.rom_version == rom_version
    )
    return case.behaviour(table)


@each_dialect
def test_a_write_on_an_f405_is_three_times_as_fast_with_its_remedy(dialect: Dialect) -> None:
    """EdgeTX Buddy PR 88 measured 5 to 5.7 on a radio; here a block is programmed in 33 ms."""

    def write_ms(table: Silicon) -> float:
        wire = table_wire(Known("stm32f405", 0x91, "3"), dialect)
        how = behaviour_of("poll-time-too-long", 0x91, table)
        wire.run(erase(0x0802_0000, 4_000, how.polling))
        return wire.timed(write(0x0802_0000, bytes(8 * 2048), how.pace))

    with_remedy, bare = write_ms(TABLE), write_ms(TABLE.without_remedy("poll-time-too-long"))
    assert 8 * 32.7 < with_remedy < 8 * 34
    assert bare >= 3 * with_remedy


@each_dialect
def test_an_erase_on_an_h743_takes_900_ms_with_its_remedy_and_1900_without(dialect: Dialect) -> None:
    def erase_ms(table: Silicon) -> float:
        how = behaviour_of("poll-time-after-the-fact", 0x92, table)
        return table_wire(Known(H743, 0x92, "V"), dialect).timed(erase(0x0800_0000, 4_000, how.polling))

    assert erase_ms(TABLE) == 900
    assert erase_ms(TABLE.without_remedy("poll-time-after-the-fact")) == 1900


@proves("stalled_polls")
def test_a_stalled_poll_ends_the_job_unless_it_is_asked_again(case: Case, dialect: Dialect) -> None:
    """A poll time that is too short makes it happen (dfu-util says so of the L4); 5 ms is our choice."""
    segments = first_and_last(case)
    wire = polled_early(case, dialect)
    with pytest.raises(Stalled):
        carried_out(wire, case.plan(segments, case.bare))
    patient = polled_early(case, dialect)
    carried_out(patient, case.plan(segments))
    assert holds(patient, *segments)


def polled_early(case: Case, dialect: Dialect) -> TableWire:
    """This ROM, saying that an erase takes 5 ms and a block 5 ms."""
    rom = case.wire(dialect).rom
    how = dataclasses.replace(rom.behaves, erase_poll_ms=5, write_poll_ms=5)
    return wire_to(case.chip, rom.memory, how, dialect)


# ------------------------------------------------------------------------------------------- what is not sent


@proves("clrstatus_outside_error_stalls")
def test_clrstatus_on_suspicion_is_stalled_and_we_send_none(case: Case, dialect: Dialect) -> None:
    foreign = case.wire(dialect)
    with pytest.raises(Stalled):
        foreign.run(clear_first())
    ours, segments = case.wire(dialect), first_and_last(case)
    carried_out(ours, case.plan(segments))
    assert holds(ours, *segments)
    assert Request.CLRSTATUS not in [wish.request for wish in ours.sent if isinstance(wish, Out)]


def clear_first() -> Script[None]:
    """A host that begins with CLRSTATUS, whatever state the ROM is in."""
    assert (yield from get_status()).state == State.dfuIDLE
    yield Out(Request.CLRSTATUS)


@proves("functional_descriptor_alone_hangs")
def test_the_functional_descriptor_asked_for_by_itself_hangs_the_rom_and_we_do_not_ask(
    case: Case, dialect: Dialect, tmp_path: Path
) -> None:
    with on_usb(tmp_path / "foreign", case.silicon, dialect) as board:
        with pytest.raises(usb.core.USBTimeoutError):
            board.attached.device.ctrl_transfer(0x81, 6, 0x2100, 0, 9, 1_000)
        with board.opened() as wire, pytest.raises(TimedOut):
            wire.run(get_status())
    segments = first_and_last(case)
    with on_usb(tmp_path / "ours", case.silicon, dialect) as board, board.opened() as wire:
        assert wire.functional is not None
        install(flasher_on(wire, board.clock), case.plan(segments))
        assert board.board.violations == ()


# ---------------------------------------------------------------------------------------------------- leaving


def installed_and_left(board: OnUsb, plan: Plan) -> None:
    with board.opened() as wire:
        flasher = flasher_on(wire, board.clock)
        install(flasher, plan)
        flasher.leave(plan)


def shows_itself(board: OnUsb) -> bool:
    board.clock.sleep_ms(10_000)
    return board.board.is_present


@proves("go_is_broken", "go_needs_stack_below_ram_end_by")
def test_a_rom_that_cannot_start_the_program_falls_silent_or_stays_until_it_is_replugged(
    case: Case, dialect: Dialect, tmp_path: Path
) -> None:
    """The stack begins 8 bytes below the end of the DTCM: allowed, and a fault for the ROMs 0x90 to 0x92."""
    segments = [Segment(address=0x0800_0000, data=program(5_000, stack=0x2001_FFF8))]
    with on_usb(tmp_path / "bare", case.silicon, dialect) as board:
        plan = case.plan(segments, case.bare)
        assert plan.replug_because is None
        installed_and_left(board, plan)
        assert board.board.state is BoardState.LOCKED_UP
        assert not shows_itself(board)
    with on_usb(tmp_path / "ours", case.silicon, dialect) as board:
        plan = case.plan(segments)
        assert plan.replug_because is not None
        installed_and_left(board, plan)
        assert shows_itself(board)
        assert board.bus.attached({ROM_USB})
        board.board.replug()
        assert board.board.state is BoardState.APPLICATION


@pytest.mark.parametrize("rom_version", [0x90, 0x91, 0x92])
@each_dialect
def test_a_stack_that_begins_lower_is_started_by_those_roms(
    rom_version: int, dialect: Dialect, tmp_path: Path
) -> None:
    """Sixteen bytes below the end is still too high, twenty is not."""
    how = TABLE.behaviour(row(H743), rom_version=rom_version, revision="V")
    too_high = [Segment(address=0x0800_0000, data=program(5_000, stack=0x2001_FFF0))]
    assert plan_for(how, too_high).replug_because is not None
    plan = plan_for(how, [Segment(address=0x0800_0000, data=program(5_000, stack=0x2001_FFEC))])
    assert plan.replug_because is None
    with on_usb(tmp_path / "lab", Known(H743, rom_version, "V"), dialect) as board:
        installed_and_left(board, plan)
        assert board.board.state is BoardState.APPLICATION
