"""The comparison with dfu-util by the lab's virtual clock alone: no kernel, no emulation, no busy machine.

The updater is the updater; of dfu-util it is the order of its requests that is played. The figures are
always the same, so a test holds the committed ones against fresh ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.compare import (
    AS_DOCUMENTED,
    CASES,
    FAST,
    ONE,
    READ_S,
    REV_V,
    SAME,
    TWO_SECTORS_S,
    ZERO,
    Goal,
    prepared,
)
from tests.bench.flash import jobs, like_dfu_util
from tests.bench.inside import LAB, Run, by_updater, poll_at_zero
from updater.hands.usbio import ROM_USB, Bus
from updater.lab.board import Board
from updater.lab.clock import VirtualClock
from updater.lab.shelf import open_lab

SLOW_ERASES = f"{FAST}, erases no faster"
"""That a ROM which was told its supply erases faster is an inference. This is the time without it."""


@dataclass(frozen=True)
class Modelled:
    """One host in one case: seconds of virtual time."""

    case: str
    host: str
    seconds: float


def model(cases: Sequence[str] = CASES) -> list[Modelled]:
    """What the model says of these cases."""
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder = Path(name)
        runs = prepared(folder, [case for case in cases if case != REV_V], 1)
        runs = [run for run in runs if run.download or run.host == "updater"]
        found = [Modelled(run.case, run.host, _modelled(run, folder)) for run in runs]
        if FAST in cases:
            (fast,) = [run for run in runs if run.case == FAST]
            found.append(Modelled(SLOW_ERASES, fast.host, _modelled(fast, folder, erases_fast=False)))
    return found


def _modelled(run: Run, folder: Path, *, erases_fast: bool = True) -> float:
    """One run on the lab's own backend. Only this board is on the bus."""
    alone = folder / "alone" / f"{run.board}-{erases_fast}"
    alone.mkdir(parents=True)
    board_folder = folder / LAB / run.board
    _copied(board_folder, alone / run.board)
    with open_lab(alone, VirtualClock()) as lab:
        (board,) = lab.boards
        if run.polls_at_zero:
            poll_at_zero(board)
        if not erases_fast:
            _erase_no_faster(board)
        bus = Bus(lab.backend, lab.clock)
        if run.host == "updater":
            return by_updater(run, folder, bus).seconds
        job = next(job for job in jobs() if job.chip == board.chip)
        job = replace(job, image=(folder / run.image).read_bytes())
        (attached,) = bus.attached({ROM_USB})
        began_ms = lab.clock.now_ms()
        with bus.open_dfu(attached) as wire:
            wire.run(like_dfu_util(job))
        return (lab.clock.now_ms() - began_ms) / 1000


def _copied(board: Path, to: Path) -> None:
    to.mkdir()
    for file in board.iterdir():
        (to / file.name).write_bytes(file.read_bytes())


def _erase_no_faster(board: Board) -> None:
    rom = board.rom
    assert rom is not None
    rom.behaves = rom.bench.behaves = replace(rom.behaves, erase_ms_fast=rom.behaves.erase_ms)


def model_goals(found: Sequence[Modelled]) -> list[Goal]:
    """Each goal as far as the model can tell."""
    seconds = {(one.case, one.host): one.seconds for one in found}
    theirs = {case: s for (case, host), s in seconds.items() if host == "dfu-util"}
    goals = []

    def beside(text: str, case: str, other: str, at_most: float | None) -> None:
        if (case, "updater") in seconds and other in theirs:
            goals.append(Goal(text, seconds[case, "updater"] / theirs[other], at_most))

    beside("full with read-back / dfu-util -D without", ZERO, ZERO, 1.0)
    beside("the same with the row's poll times", AS_DOCUMENTED, AS_DOCUMENTED, None)
    beside("supply range set / dfu-util -D without", FAST, ZERO, 0.6)
    beside("supply range set, if the ROM erases no faster then", SLOW_ERASES, ZERO, 0.6)
    goals += _against_the_clock(seconds)
    return goals


def _against_the_clock(seconds: Mapping[tuple[str, str], float]) -> list[Goal]:
    same_s, one_s = seconds.get((SAME, "updater")), seconds.get((ONE, "updater"))
    if same_s is None:
        return []
    goals = [Goal("unchanged / one bare read-back", same_s / READ_S, 1.1)]
    if one_s is not None:
        bound_s = same_s + TWO_SECTORS_S
        goals.append(Goal("one sector / (read-back + erase and write of two)", one_s / bound_s, 1.1))
    return goals


def model_words(found: Sequence[Modelled]) -> list[str]:
    """What the model says, and the ratios that follow from it."""
    lines = ["By the model alone (the lab's virtual clock: no kernel, no emulation), seconds:"]
    lines += [f"{one.case:<40}{one.host:<10}{one.seconds:8.2f}" for one in found]
    return lines + [goal.words() for goal in model_goals(found)]
