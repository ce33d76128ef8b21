"""A station: boards come and go, each gets a lane of its own after its own checks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.desk import Desk, program
from updater.heads.policy import OpenedFrom
from updater.lab.backend import LabBackend
from updater.lab.board import Board
from updater.story.job import Hands, Request
from updater.story.lanes import Outcome
from updater.story.station import LOOK_EVERY_MS, Station
from updater.words.events import Event

OLD, NEW = program("1.0.0"), program("1.1.0")
LONG_MS = 20_000
"""Longer than any of these updates takes."""


class Bench:
    """A station at work, and the person who plugs boards in and takes them out."""

    def __init__(self, hands: Hands, bundle: str, **said: Any) -> None:
        self.hands = hands
        request = Request(opened_from=OpenedFrom.FILE, data=Path(bundle).read_bytes(), **said)
        self.outcomes: list[Outcome] = []
        self.station = Station(hands, request, self._hear)
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
            self.outcomes += self.station.look(takes=None)

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
