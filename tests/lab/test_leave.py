"""How ROMs go to the application, and what they cannot start."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from tests.lab.bench import F405, FLASH, H743, board_of, image
from tests.lab.test_board import Cable
from updater.heads.dfu.words import Stalled, Vanished
from updater.lab.board import Board
from updater.lab.record import BoardState
from updater.lab.rom import Dialect
from updater.lab.symptoms import Leaves

pytestmark = pytest.mark.parametrize("dialect", list(Dialect))
DNLOAD, GETSTATUS = 1, 3
GONE = (Vanished, Stalled)


def in_rom(chip: str, dialect: Dialect, leaves: Leaves | None = None, **board: object) -> tuple[Board, Cable]:
    made = board_of(chip, state=BoardState.ROM, dialect=dialect, **board)  # type: ignore[arg-type] # passed on
    assert made.rom is not None
    if leaves is not None:
        made.rom.behaves = replace(made.rom.behaves, leaves=leaves)
    return made, Cable(made)


def answer_to_leave(cable: Cable) -> tuple[int, int] | str:
    """DNLOAD of nothing, and (bStatus, bState) of the GETSTATUS behind it, or how that failed."""
    cable.out(DNLOAD)
    try:
        return cable.result()
    except GONE as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("leaves", "answer"),
    [
        (Leaves.ANSWERS, (0, 7)),
        (Leaves.DROPS, "Vanished"),
        (Leaves.STALLS, "Stalled"),
        (Leaves.STATUS_ERROR, (14, 10)),
        (Leaves.ON_ZERO_DOWNLOAD, "Vanished"),
        (Leaves.ONE_MORE_RESET, (0, 7)),
    ],
)
def test_each_of_six_ways_ends_in_the_application(
    dialect: Dialect, leaves: Leaves, answer: tuple[int, int] | str
) -> None:
    """Whatever the host hears of it: whether it runs is seen on the bus."""
    board, cable = in_rom(F405, dialect, leaves)
    old = board.address
    assert answer_to_leave(cable) == answer
    assert board.face is None
    board.clock.sleep_ms(1_000)
    assert board.face is not None
    assert (board.state, board.address > old) == (BoardState.APPLICATION, True)


def test_a_gd32_is_gone_with_the_zero_length_download_itself(dialect: Dialect) -> None:
    """dfu-util's QUIRK_DFUSE_LEAVE: no GETSTATUS is needed."""
    board, cable = in_rom(F405, dialect, looks_like="gd32")
    cable.out(DNLOAD)
    assert board.state is BoardState.APPLICATION


def test_all_others_stay_until_the_getstatus(dialect: Dialect) -> None:
    board, cable = in_rom(H743, dialect)
    cable.out(DNLOAD)
    board.clock.sleep_ms(60_000)
    assert board.state is BoardState.ROM


def test_one_that_needs_one_more_reset_is_seen_gone_and_seen_again(dialect: Dialect) -> None:
    """Betaflight resets itself once more after the ROM has started it."""
    board, cable = in_rom(F405, dialect, Leaves.ONE_MORE_RESET)
    answer_to_leave(cable)
    board.clock.sleep_ms(110)  # ready after 100 ms, and gone again 20 ms later
    assert board.face is not None
    first = board.address
    board.clock.sleep_ms(15)
    assert board.face is None
    with pytest.raises(Vanished):
        board.control(first, 0x80, 6, 0x0100, 0, 18, 1000)
    board.clock.sleep_ms(100)
    assert board.face is not None
    assert board.address != first
    board.clock.sleep_ms(60_000)
    assert board.face is not None


@pytest.mark.parametrize(("chip", "answer"), [(H743, "Vanished"), (F405, (0, 7))])
def test_a_row_says_what_the_host_hears(dialect: Dialect, chip: str, answer: tuple[int, int] | str) -> None:
    """An H7 is gone before it answers (Klipper PR 5596), an F405 answers dfuMANIFEST (ODrive)."""
    _, cable = in_rom(chip, dialect)
    assert answer_to_leave(cable) == answer


# ------------------------------------------------------------------------------- what a ROM cannot start


def with_stack(sp: int) -> bytes:
    return struct.pack("<I", sp) + image()[4:]


@pytest.mark.parametrize(
    ("rom_version", "sp", "starts"),
    [
        (0xD2, 0x2000_1000, False),
        (0xD3, 0x2408_0000, True),
        *((rom, 0x2408_0000, False) for rom in (0x90, 0x91, 0x92)),
        *((rom, 0x2408_0000 - 16, False) for rom in (0x90, 0x91, 0x92)),
        *((rom, 0x2408_0000 - 20, True) for rom in (0x90, 0x91, 0x92)),
        (0x92, 0x2002_0000, False),
        (0x92, 0x3004_8000 - 4, False),
        (0x92, 0x3801_0000, False),
        (0x92, 0x2001_0000, True),
    ],
)
def test_some_h743_roms_start_nothing_or_no_stack_at_the_end_of_a_ram(
    dialect: Dialect, rom_version: int, sp: int, starts: bool
) -> None:
    """AN2606 table 136: V13.2, Go broken; since V9.0 the stack must begin below the RAM's end - 16."""
    board, cable = in_rom(H743, dialect, rom_version=rom_version, flash=with_stack(sp))
    answer_to_leave(cable)
    board.clock.sleep_ms(1_000)
    assert (board.state, board.face is not None) == (
        (BoardState.APPLICATION, True) if starts else (BoardState.LOCKED_UP, False)
    )


@pytest.mark.parametrize("rom_version", [0xD2, 0x91])
def test_what_the_rom_could_not_start_a_power_cycle_starts(dialect: Dialect, rom_version: int) -> None:
    board, cable = in_rom(H743, dialect, rom_version=rom_version, flash=with_stack(0x2408_0000))
    answer_to_leave(cable)
    assert board.state is BoardState.LOCKED_UP
    board.replug()
    board.clock.sleep_ms(1_000)
    assert (board.state, board.face is not None) == (BoardState.APPLICATION, True)


def test_a_stack_at_the_end_of_a_ram_is_nothing_to_another_chip(dialect: Dialect) -> None:
    board, cable = in_rom(F405, dialect, flash=with_stack(0x2002_0000))
    cable.point(FLASH)
    answer_to_leave(cable)
    assert board.state is BoardState.APPLICATION
