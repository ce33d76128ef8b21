"""What happens on the USB hub in the middle: a reset of it, and a second board plugged in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from tests.desk import FLASH, Desk, Said, at_the_question, program
from tests.story.test_another_board_in_its_place import exchange
from updater.hands.usbio import ROM_USB, Bus
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.lab.record import BoardState, Power
from updater.lab.shelf import Lab

CHIP = "stm32f446"
"""Its ROM shows one constant instead of a serial number (see `test_serials`): no help from there."""
PLACES = (FLASH, 3_000), (FLASH + 4096, 3_000)
OLD, NEW = program("1.0.0", *PLACES), program("1.1.0", *PLACES)


@pytest.fixture
def gizmos(desk: Desk) -> Desk:
    desk.has_small_chips(4)
    desk.sells(CHIP)
    return desk


def reset(board: Board) -> None:
    """The hub is reset: the board is off the bus and back with a new address; its program runs on.

    A USB reset makes a bootloader begin anew (DFU 1.1, appendix A.2); a bus-powered board has lost its power.
    """
    if board._record.power is Power.BUS:
        board.replug()
    else:
        board._start(board.state)


def at_transfer(number: int, act: Callable[[Board], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """`act` on the board, right behind the n-th control transfer to it in its bootloader."""
    numbers, real = count(1), LabBackend.ctrl_transfer

    def transfer(backend: LabBackend, handle: Any, *setup: Any) -> int:
        moved = real(backend, handle, *setup)
        if handle.board.state is BoardState.ROM and setup[0] & 0x60 == 0x20 and next(numbers) == number:
            act(handle.board)
        return moved

    monkeypatch.setattr(LabBackend, "ctrl_transfer", transfer)


@pytest.mark.parametrize("power", Power)
def test_a_hub_that_is_reset_at_any_moment_leaves_work_for_the_same_command(
    gizmos: Desk, monkeypatch: pytest.MonkeyPatch, power: Power
) -> None:
    gizmos.plug_in_gizmo(CHIP, OLD, power=power)
    update = gizmos.bundle(NEW)
    total = gizmos.install(update).last["control_transfers"]
    seen = set()
    for number in range(2, total + 1, total // 6):
        gizmos.updater("lab", "remove", "board1")
        gizmos.plug_in_gizmo(CHIP, OLD, power=power)
        with monkeypatch.context() as patch:
            at_transfer(number, reset, patch)
            said = gizmos.install(update)
        seen.add(said.exit)
        assert said.exit in (0, 8, 9, 10), (number, said.out)
        if said.exit == 10:  # it was just leaving: all of it is written, and it did not start
            assert gizmos.holds(NEW), number
        elif said.exit:
            assert "same command" in said.last["advice"], number
        if gizmos.board()["state"] == "locked-up":
            assert (power, said.exit) == (Power.BUS, 9), number
            gizmos.replug(boot=True)
        again = gizmos.install(update)
        assert again.exit == 0, (number, said.out, again.out)
        assert gizmos.holds(NEW), number
    assert {8, 9} <= seen


def test_a_hub_that_is_reset_during_the_question(gizmos: Desk, labs: list[Lab]) -> None:
    """Nobody can tell a reset from another board put there: it is asked again by the next command."""
    gizmos.plug_in_gizmo(CHIP, OLD)
    said = asked(gizmos, lambda: reset(labs[-1].board("board1")))
    assert (said.exit, said.last["error"], said.last["device_is"]) == (8, "UsbFailed", "untouched")
    assert "run the same command" in said.last["advice"]
    assert gizmos.install(gizmos.bundle(NEW)).exit == 0


def test_a_hub_that_is_reset_while_the_application_starts(
    gizmos: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gizmos.plug_in_gizmo(CHIP, OLD)
    done: list[BoardState] = []
    real = Board._enumerate

    def enumerate_(board: Board, state: BoardState, **how: Any) -> None:
        real(board, state, **how)
        if state is BoardState.APPLICATION and not done:
            done.append(state)
            reset(board)

    monkeypatch.setattr(Board, "_enumerate", enumerate_)
    said = gizmos.install(gizmos.bundle(NEW))
    assert done
    assert (said.exit, said.last["result"]) == (0, "confirmed")


# ------------------------------------------------------------------------------------------- a second board


def asked(desk: Desk, act: Callable[[], object], *arguments: str) -> Said:
    """`install`, and what happens on the desk while its question is open; then yes."""
    with pytest.MonkeyPatch.context() as patch:
        at_the_question(patch, act)
        return desk.updater("install", desk.bundle(NEW), "--json", *arguments)


@pytest.fixture
def second(gizmos: Desk) -> Desk:
    """A gizmo that runs, and a second one, in its bootloader once it is plugged in; it is not yet."""
    gizmos.plug_in_gizmo(CHIP, OLD)
    gizmos.plug_in_gizmo(CHIP, OLD, name="board2", in_rom=True)
    assert gizmos.updater("lab", "unplug", "board2").exit == 0
    return gizmos


def test_a_second_board_on_another_port_is_left_alone(second: Desk, labs: list[Lab]) -> None:
    """It is in its bootloader before ours is; only the port of ours counts."""
    before = second.flash("board2")
    said = asked(second, lambda: labs[-1].board("board2").replug(boot=True))
    assert (said.exit, said.last["result"], said.last["device"]["port"]) == (0, "confirmed", "1-1")
    assert second.holds(NEW)
    assert second.flash("board2") == before
    assert second.board("board2")["state"] == "rom"


def test_a_second_board_is_not_taken_when_ours_does_not_arrive(second: Desk, labs: list[Lab]) -> None:
    before = second.flash("board2")

    def act() -> None:
        labs[-1].board("board2").replug(boot=True)
        labs[-1].board("board1").unplug()

    said = asked(second, act)
    assert (said.exit, said.last["error"]) == (8, "UsbFailed")
    assert second.flash("board2") == before


@pytest.mark.parametrize("same_address", [True, False])
def test_a_second_board_in_place_of_ours_is_not_written(
    second: Desk, labs: list[Lab], same_address: bool
) -> None:
    """Plugged in while the question is open: an application was asked about, a bootloader is there."""
    before = second.flash("board2")

    def act() -> None:
        labs[-1].board("board2").replug(boot=True)
        exchange(labs[-1], same_address=same_address)

    said = asked(second, act)
    assert said.exit in (4, 8)
    assert said.last["device_is"] == "untouched"
    assert (second.flash("board2"), second.board("board2")["state"]) == (before, "rom")


@pytest.mark.parametrize(("holds", "status"), [(None, 3), ("another", 4)])
def test_a_second_board_that_takes_the_port_while_ours_is_on_its_way(
    second: Desk, labs: list[Lab], monkeypatch: pytest.MonkeyPatch, holds: str | None, status: int
) -> None:
    """Ours comes too late; what is there then has to say what it is. Its ROM and serial are the same."""
    other = program("1.0.0", *PLACES, product="other-thing") if holds else None
    second.updater("lab", "remove", "board2")
    second.plug_in_gizmo(CHIP, other, name="board2", in_rom=True)
    before, real = second.flash("board2"), Bus.wait_for

    def wait_for(bus: Bus, port: str, wanted: Any, within_ms: float, **how: Any) -> Any:
        if wanted == {ROM_USB}:
            bus.clock.sleep_ms(60_000)
            exchange(labs[-1], same_address=False)
        return real(bus, port, wanted, within_ms, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Bus, "wait_for", wait_for)
        said = second.install(second.bundle(NEW), "--device", "1-1")
    assert said.exit == status, said.out
    assert second.flash("board2") == before
