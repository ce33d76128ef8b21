"""A station: boards come and go, each gets a lane of its own after its own checks."""

from __future__ import annotations

import csv
import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import usb.core

from tests.desk import Desk, program
from updater.doors.bench.face import TerminalLanes
from updater.heads.policy import OpenedFrom
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.story.job import Hands, Request
from updater.story.lanes import Outcome
from updater.story.station import LOOK_EVERY_MS, Station
from updater.words.events import Event, Step, StepDone

OLD, NEW = program("1.0.0"), program("1.1.0")
LONG_MS = 20_000
"""Longer than any of these updates takes."""


class Bench:
    """A station at work, and the person who plugs boards in and takes them out."""

    def __init__(self, hands: Hands, bundle: str, **said: Any) -> None:
        self.hands = hands
        request = Request(opened_from=OpenedFrom.FILE, data=Path(bundle).read_bytes(), **said)
        self.outcomes: list[Outcome] = []
        self.station = Station(hands, request, self._hear, self.outcomes.append)
        backend = hands.bus._backend
        assert isinstance(backend, LabBackend)
        self.boards = {board.name: board for board in backend.boards}

    def _hear(self, port: str, event: Event) -> None:
        """Nobody looks at the bars."""

    def goes_on(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """The station looks at its ports for a while, or until something has come about."""
        clock = self.hands.bus.clock
        end_ms = clock.now_ms() + LONG_MS
        while clock.now_ms() < end_ms and not until():
            clock.sleep_ms(LOOK_EVERY_MS)
            self.station.look(takes=None)

    def done(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.outcomes) >= count

    def board(self, number: int) -> Board:
        return self.boards[f"board{number}"]


@contextmanager
def working(desk: Desk, bundle: str, **said: Any) -> Iterator[Bench]:
    with desk.hands() as hands, hands.bus.clock.together():
        yield Bench(hands, bundle, **said)


@pytest.fixture
def shop(desk: Desk) -> Desk:
    desk.sells("stm32f405", flash_kib=1024)
    for number in range(1, 4):
        desk.plug_in_gizmo("stm32f405", OLD, name=f"board{number}", port=f"1-{number}")
    return desk


def test_a_board_that_was_served_is_left_alone_until_it_is_taken_out(shop: Desk) -> None:
    with working(shop, shop.bundle(NEW)) as bench:
        bench.goes_on(until=bench.done(3))
        assert [one.exit_status for one in bench.outcomes] == [0, 0, 0]
        bench.goes_on()
        assert len(bench.outcomes) == 3, "nobody touched a board"
    assert all(shop.holds(NEW, f"board{number}") for number in range(1, 4))


def test_the_next_board_on_a_port_starts_by_itself(shop: Desk) -> None:
    with working(shop, shop.bundle(NEW)) as bench:
        bench.board(2).unplug()
        bench.goes_on(until=bench.done(2))
        assert {one.port for one in bench.outcomes} == {"1-1", "1-3"}
        bench.board(2).replug()
        bench.goes_on(until=bench.done(3))
        assert bench.outcomes[2].port == "1-2"
        assert bench.outcomes[2].exit_status == 0
    assert shop.holds(NEW, "board2")


def test_a_board_that_comes_back_is_looked_at_again_and_has_nothing_to_do(shop: Desk) -> None:
    with working(shop, shop.bundle(NEW)) as bench:
        bench.goes_on(until=bench.done(3))
        bench.board(1).unplug()
        bench.goes_on()
        bench.board(1).replug()
        bench.goes_on(until=bench.done(4))
        receipt = bench.outcomes[3].receipt
        assert receipt is not None
        assert receipt.result == "nothing-to-do"


def test_a_board_that_was_pulled_out_is_finished_when_it_comes_back(shop: Desk) -> None:
    with working(shop, shop.bundle(NEW), as_product="gizmo:A") as bench:
        writing = shop.cut(lambda block, _data: block >= 2)
        with writing:
            bench.goes_on(until=bench.done(3))
        failed = [one for one in bench.outcomes if one.exit_status]
        assert [one.exit_status for one in failed] == [9]
        pulled = next(one for one in bench.boards.values() if one.port == failed[0].port)
        pulled.replug(boot=True)
        bench.goes_on(until=bench.done(4))
        assert bench.outcomes[3].exit_status == 0
    assert all(shop.holds(NEW, f"board{number}") for number in range(1, 4))


def test_another_product_on_the_bench_is_refused_and_the_others_go_on(shop: Desk, tmp_path: Path) -> None:
    shop.plug_in_gizmo("stm32f405", None, name="board4", port="1-4", in_rom=True)
    with working(shop, shop.bundle(NEW)) as bench:
        bench.goes_on(until=bench.done(4))
        exits = {one.port: one.exit_status for one in bench.outcomes}
        bench.goes_on()
        assert len(bench.outcomes) == 4, "what could not be served is not tried again by itself"
    assert exits == {"1-1": 0, "1-2": 0, "1-3": 0, "1-4": 3}
    assert set(shop.flash("board4")) == {0xFF}


def test_it_takes_no_more_boards_than_it_may(shop: Desk) -> None:
    assert shop.updater("station", shop.bundle(NEW), "--boards", "1", "--yes").exit == 0
    assert sum(shop.holds(NEW, f"board{number}") for number in range(1, 4)) == 1


def test_the_command_asks_once_and_ends_after_so_many_boards(shop: Desk) -> None:
    said = shop.updater("station", shop.bundle(NEW), "--boards", "3", stdin="y\n")
    assert said.exit == 0, said.err
    assert said.err.count("Update every device that is plugged in from now on?") == 1
    assert said.out.count("Gizmo runs version 1.1.0, was 1.0.0") == 3
    assert said.out.count("| hardware A, version 1.1.0") == 3, "each board has its label"
    (table,) = shop.state.rglob("boards.csv")
    with table.open(newline="") as file:
        assert [row["result"] for row in csv.DictReader(file)] == ["confirmed"] * 3


def test_without_a_yes_nothing_is_served(shop: Desk) -> None:
    said = shop.updater("station", shop.bundle(NEW), "--boards", "3", stdin="\n")
    assert said.exit == 12
    assert all(shop.holds(OLD, f"board{number}") for number in range(1, 4))


def test_an_older_version_is_not_installed_by_a_station(desk: Desk) -> None:
    desk.plug_in("demo-gadget", runs="1.1.0")
    said = desk.updater("station", "1.0.0", "--boards", "1", "--yes", "--json")
    board = next(line for line in said.lines if line["type"] == "board")
    assert (said.exit, board["result"]) == (6, "failed")
    assert desk.holds("demo-gadget-1.1.0")


class Listing:
    """What this computer's USB answers to the station's own look at it, once the first block is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failures: Exception | None) -> None:
        """`failures`: what each look then meets; the last one is what all further ones do."""
        self.failures, self.writes = list(failures), False
        self._transfer, self._list = LabBackend.ctrl_transfer, LabBackend.enumerate_devices
        monkeypatch.setattr(LabBackend, "ctrl_transfer", lambda *all_of_it: self.transfer(*all_of_it))
        monkeypatch.setattr(LabBackend, "enumerate_devices", lambda backend: self.list(backend))

    def transfer(self, backend: LabBackend, handle: Any, *setup: Any) -> int:
        self.writes = self.writes or (setup[:2] == (0x21, 1) and setup[2] >= 2)  # DFU 1.1: DNLOAD
        return self._transfer(backend, handle, *setup)

    def list(self, backend: LabBackend) -> Iterator[Any]:
        if self.writes and threading.current_thread() is threading.main_thread():
            failure = self.failures.pop(0) if len(self.failures) > 1 else self.failures[0]
            if failure is not None:
                raise failure
        return self._list(backend)


def usb_fails() -> usb.core.USBError:
    return usb.core.USBError("Input/output error", -1, errno.EIO)


def test_one_look_at_usb_that_fails_disturbs_nobody(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    Listing(monkeypatch, usb_fails(), None)
    said = shop.updater("station", shop.bundle(NEW), "--yes", "--boards", "3")
    assert said.exit == 0, said.err
    assert all(shop.holds(NEW, f"board{number}") for number in range(1, 4))


def test_a_board_that_ended_while_usb_did_not_answer_is_not_served_twice(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = Listing(monkeypatch, usb_fails())
    with working(shop, shop.bundle(NEW)) as bench:
        bench.goes_on(until=bench.done(3))
        listing.failures = [None]
        bench.goes_on()
        assert [one.exit_status for one in bench.outcomes] == [0, 0, 0]


def test_usb_that_stays_away_ends_the_station_when_those_at_work_are_done(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Listing(monkeypatch, usb_fails())
    said = shop.updater("station", shop.bundle(NEW), "--yes", "--boards", "4")
    assert said.exit == 8
    assert "No more boards are taken." in said.err
    assert "3 devices: 3 done, 0 failed." in said.err
    assert all(shop.holds(NEW, f"board{number}") for number in range(1, 4))


def test_a_fault_of_the_station_itself_waits_for_the_boards_and_tells_the_tally(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Listing(monkeypatch, RuntimeError("a fault"))
    said = shop.updater("station", shop.bundle(NEW), "--yes", "--boards", "4")
    assert said.exit == 70
    assert "3 devices: 3 done, 0 failed." in said.err
    assert all(shop.holds(NEW, f"board{number}") for number in range(1, 4))


def test_ctrl_c_while_a_station_tells_loses_no_board(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    hear = TerminalLanes.hear
    pressed: list[str] = []

    def pressing(face: TerminalLanes, port: str, event: Event) -> None:
        hear(face, port, event)
        if isinstance(event, StepDone) and event.step is Step.CONFIRM and not pressed:
            pressed.append(port)
            raise KeyboardInterrupt

    monkeypatch.setattr(TerminalLanes, "hear", pressing)
    said = shop.updater("station", shop.bundle(NEW), "--yes", "--boards", "9")
    assert pressed
    assert said.exit == 0
    assert "3 devices: 3 done, 0 failed." in said.err
