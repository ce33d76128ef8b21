"""How long it will take, said truly; and somebody who watches never wonders whether it still works.

The lab plays the datasheets' typical times, which the rows know, or another silicon that is slower and
faster than they say. Time is the virtual clock's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.desk import FLASH, GIZMO, Desk, Program, program
from updater.heads.policy import OpenedFrom
from updater.heads.silicon import Chip, the_table
from updater.story.job import Request
from updater.story.update import perform, prepare
from updater.words.events import Event, Progressed, Step
from updater.words.facts import Segment

KIB = 1024
HONEST = 0.15
STILL_MS = 2_000


@dataclass(frozen=True)
class Heard:
    """One event, and when it was heard."""

    at_ms: float
    event: Event


@dataclass(frozen=True)
class Watched:
    """A whole update as somebody hears it, from the moment at which the device is asked to do something."""

    heard: tuple[Heard, ...]
    began_ms: float
    ended_ms: float

    def predictions(self) -> list[tuple[float, Step, float]]:
        """When after the beginning, in which step, and the predicted whole against the real one."""
        took = self.ended_ms - self.began_ms
        return [
            (one.at_ms - self.began_ms, one.event.step, (one.at_ms - self.began_ms + left) / took)
            for one in self.heard
            if isinstance(one.event, Progressed) and (left := one.event.remaining_ms) is not None
        ]

    def worst(self, *, since_ms: float = 1_000, but: tuple[Step, ...] = ()) -> float:
        """How far the worst prediction after the first second was off."""
        off = [
            abs(ratio - 1)
            for at_ms, step, ratio in self.predictions()
            if at_ms >= since_ms and step not in but
        ]
        return max(off, default=0.0)


def watched(desk: Desk, bundle: str) -> Watched:
    heard: list[Heard] = []
    data = Path(bundle).read_bytes()
    with desk.hands() as hands:
        request = Request(opened_from=OpenedFrom.FILE, data=data, again=True, as_product=f"{GIZMO}:A")
        prepared = prepare(hands, request, lambda _event: None)
        clock = hands.bus.clock
        began = clock.now_ms()
        receipt = perform(hands, prepared, lambda event: heard.append(Heard(clock.now_ms(), event)))
        assert receipt.exit_status == 0
        return Watched(tuple(heard), began, clock.now_ms())


@dataclass(frozen=True)
class Case:
    """A product with this chip, and an update of all that lies in these places."""

    chip: str
    places: tuple[tuple[int, int], ...]
    flash_kib: int
    supply_mv: int | None = None
    revision: str | None = None
    rom_version: int | None = None

    def on(self, desk: Desk, *, holds: Program) -> None:
        """The product on the desk."""
        supply = {"supply_mv": self.supply_mv} if self.supply_mv else {}
        desk.sells(self.chip, flash_kib=self.flash_kib, **supply)
        desk.plug_in_gizmo(self.chip, holds, revision=self.revision, rom_version=self.rom_version)

    def program(self, version: str) -> Program:
        return program(version, *self.places)


CASES = {
    "four sizes of sectors": Case("stm32f405", ((FLASH, 300 * KIB),), 1024),
    "a whole F405": Case("stm32f405", ((FLASH, 900_000),), 1024),
    "told of its supply": Case("stm32f405", ((FLASH, 300 * KIB),), 1024, supply_mv=3300),
    "polls that come late": Case("stm32f722", ((FLASH, 300 * KIB),), 512),
    "across the banks": Case("stm32h743", ((FLASH, 1200 * KIB),), 2048, revision="Y", rom_version=0xD3),
    "erases that stick": Case("stm32h743", ((FLASH, 1200 * KIB),), 2048, revision="V", rom_version=0x91),
    "pages of 2 KiB": Case("stm32g0b1", ((FLASH, 100 * KIB),), 512),
    "many pages": Case("stm32l476", ((FLASH, 200 * KIB),), 1024),
    "pages of an F0": Case("stm32f072", ((FLASH, 60 * KIB),), 128),
}
EVERY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@EVERY_CASE
def test_the_remaining_time_is_true_from_the_first_second_on(desk: Desk, case: Case) -> None:
    """To 15 %, on silicon that is as fast as its datasheet says."""
    case.on(desk, holds=case.program("1.0.0"))
    seen = watched(desk, desk.bundle(case.program("1.1.0")))
    assert seen.worst() <= HONEST


@pytest.mark.parametrize(("erases", "writes"), [(1.5, 0.7), (0.6, 1.6)])
@EVERY_CASE
def test_the_remaining_time_of_other_silicon_is_learnt_in_its_first_half(
    desk: Desk, case: Case, erases: float, writes: float
) -> None:
    """Silicon that the datasheet does not describe: to 15 % when half of the time is over, to 25 % before."""
    lab = chip_of(case).lab
    fast, erases_fast = lab.program_us_fast or lab.program_us, lab.erase_ms_fast or lab.erase_ms
    desk.rom_does(
        erase_ms={int(size): round(ms * erases) for size, ms in lab.erase_ms.value.items()},
        erase_ms_fast={int(size): round(ms * erases) for size, ms in erases_fast.value.items()},
        program_us=round(lab.program_us.value * writes),
        program_us_fast=round(fast.value * writes),
    )
    case.on(desk, holds=case.program("1.0.0"))
    seen = watched(desk, desk.bundle(case.program("1.1.0")))
    assert seen.worst() <= 0.25
    assert seen.worst(since_ms=(seen.ended_ms - seen.began_ms) / 2) <= HONEST


def test_a_rom_that_erases_no_faster_when_told_of_its_supply_is_learnt_in_the_first_half(desk: Desk) -> None:
    """That it does is an inference (f2-f4.toml), so the remaining time must live without it."""
    case = CASES["told of its supply"]
    slow = {int(size): ms for size, ms in chip_of(case).lab.erase_ms.value.items()}
    desk.rom_does(erase_ms_fast=slow)
    case.on(desk, holds=case.program("1.0.0"))
    seen = watched(desk, desk.bundle(case.program("1.1.0")))
    assert seen.worst(since_ms=(seen.ended_ms - seen.began_ms) / 2) <= HONEST


def test_how_much_differs_is_known_when_it_was_compared_and_true_from_then_on(desk: Desk) -> None:
    """One sector of many has changed: as long as the flash is being looked at nobody can know."""
    case = CASES["a whole F405"]
    old, new = case.program("1.0.0"), case.program("1.1.0")
    held = bytearray(new.segments[0].data)
    held[0x4_0000:0x6_0000] = old.segments[0].data[0x4_0000:0x6_0000]
    case.on(desk, holds=Program(version="1.1.0", segments=(Segment(address=FLASH, data=bytes(held)),)))
    seen = watched(desk, desk.bundle(new))
    assert seen.worst(but=(Step.ENTER, Step.READ)) <= HONEST


@EVERY_CASE
def test_nothing_is_still_for_longer_than_was_said(desk: Desk, case: Case) -> None:
    """At most 2 s from one event to the next, or about as long as the earlier one had announced."""
    case.on(desk, holds=case.program("1.0.0"))
    seen = watched(desk, desk.bundle(case.program("1.1.0")))
    for one, after in itertools.pairwise(seen.heard):
        quiet_ms = one.event.quiet_ms if isinstance(one.event, Progressed) else 0
        assert after.at_ms - one.at_ms <= max(STILL_MS, 1.1 * quiet_ms), one


def test_an_application_that_comes_back_late_is_waited_for_aloud(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("updater.lab.board.APPLICATION_READY_MS", 7_000)
    case = CASES["pages of an F0"]
    case.on(desk, holds=case.program("1.0.0"))
    seen = watched(desk, desk.bundle(case.program("1.1.0")))
    waits = [
        one for one in seen.heard if isinstance(one.event, Progressed) and one.event.step is Step.CONFIRM
    ]
    assert len(waits) >= 4
    for one, after in itertools.pairwise(seen.heard):
        quiet_ms = one.event.quiet_ms if isinstance(one.event, Progressed) else 0
        assert after.at_ms - one.at_ms <= max(STILL_MS, 1.1 * quiet_ms), one


def chip_of(case: Case) -> Chip:
    chip = the_table().by_id(case.chip)
    assert chip is not None
    return chip
