"""The last step: however a ROM lets go, the application's coming back is what counts; some need a person."""

from __future__ import annotations

import pytest

from tests.desk import FLASH, Desk, Said, program
from tests.story.test_event_law import check_law
from updater.doors.console import request_for
from updater.doors.terminal import JsonFace
from updater.heads.dfu.words import Request
from updater.lab.backend import LabBackend
from updater.lab.shelf import Lab
from updater.lab.symptoms import Leaves
from updater.story.update import REPLUG_NOW, perform, prepare
from updater.words.events import Asks, Event, Noticed, Step, StepDone

CHIP = "stm32h743"
OLD, NEW = program("1.0.0"), program("1.1.0")
RAM_END = 0x2002_0000
HIGH = program("1.1.0", stack=RAM_END)


ASKED = Noticed(REPLUG_NOW, Asks("replug"))


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, labs: list[Lab]) -> None:
    """Somebody who does as the screen says."""
    say = JsonFace.say

    def heard(face: JsonFace, text: str) -> None:
        say(face, text)
        if REPLUG_NOW in text:
            labs[-1].boards[0].replug()

    monkeypatch.setattr(JsonFace, "say", heard)


def is_a_start(setup: tuple[int, ...]) -> bool:
    """A zero-length DNLOAD: the request to leave."""
    kind, request, _, _, data = setup[:5]
    return (kind, request) == (0x21, Request.DNLOAD) and not data


@pytest.mark.parametrize("chip", ["stm32f405", "stm32h743", "stm32g0b1", "stm32l476"])
@pytest.mark.parametrize("leaves", Leaves)
def test_however_the_rom_lets_go_the_update_is_confirmed(desk: Desk, chip: str, leaves: Leaves) -> None:
    desk.rom_does(leaves=leaves)
    desk.sells(chip)
    desk.plug_in_gizmo(chip, OLD)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert desk.holds(NEW)
    assert desk.board()["state"] == "application"


def check_that_nobody_replugged(said: Said) -> None:
    assert (said.exit, said.last["result"]) == (10, "written-not-confirmed"), said.last
    assert REPLUG_NOW in said.err
    assert "Unplug the device, plug it in again" in said.err.rpartition(REPLUG_NOW)[2]
    assert said.last["device"]["mode"] == "rom"


@pytest.mark.usefixtures("person")
def test_a_rom_that_cannot_start_anything_is_confirmed_when_the_person_replugs(desk: Desk) -> None:
    """H743 with ROM 0xD2: Go is broken (AN2606 table 136)."""
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, revision="Y", rom_version=0xD2)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert said.last["device"]["version"] == "1.1.0"
    assert f"Note: {REPLUG_NOW}" in said.err
    assert desk.board()["state"] == "application"


def test_a_rom_that_cannot_start_anything_is_waited_for_a_minute(desk: Desk) -> None:
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, revision="Y", rom_version=0xD2)
    bundle = desk.bundle(NEW)
    said = desk.install(bundle)
    check_that_nobody_replugged(said)
    (waited,) = [one["ms"] for one in said.last["steps"] if one["step"] == "confirm"]
    assert 60_000 <= waited < 61_000
    assert desk.holds(NEW)
    desk.replug()
    assert desk.board()["version"] == "1.1.0"
    assert desk.install(bundle).last["result"] == "nothing-to-do"


def test_the_plan_says_at_once_that_somebody_must_replug(desk: Desk) -> None:
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, revision="Y", rom_version=0xD2)
    said = desk.updater("install", desk.bundle(NEW), "--dry-run")
    assert "at end:   unplug the device and plug it in again" in said.err


@pytest.mark.usefixtures("person")
def test_a_program_whose_stack_begins_at_the_end_of_a_ram_is_started_by_replugging(desk: Desk) -> None:
    """H743 with ROM 0x91 (AN2606 table 136); a stack below that end needs no person."""
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, rom_version=0x91)
    said = desk.install(desk.bundle(HIGH))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert REPLUG_NOW in said.err
    lower = program("1.2.0", stack=RAM_END - 32)
    said = desk.install(desk.bundle(lower))
    assert (said.exit, said.last["result"]) == (0, "confirmed"), said.last
    assert REPLUG_NOW not in said.err


def test_a_program_whose_stack_begins_at_the_end_of_a_ram_is_not_confirmed_before(desk: Desk) -> None:
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, rom_version=0x91)
    check_that_nobody_replugged(desk.install(desk.bundle(HIGH)))
    desk.replug()
    assert desk.board()["version"] == "1.1.0"


def test_the_law_of_events_holds_while_a_person_replugs(desk: Desk, labs: list[Lab]) -> None:
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, revision="Y", rom_version=0xD2)
    events: list[Event] = []

    def person(event: Event) -> None:
        events.append(event)
        if event == ASKED:
            labs[-1].boards[0].replug()

    with desk.hands() as hands:
        prepared = prepare(hands, request_for(desk.bundle(NEW), hands.home.vendor), person)
        receipt = perform(hands, prepared, person)
    assert receipt.result == "confirmed"
    check_law(events, but={Step.DOWNLOAD})  # a bundle file is not downloaded
    told = events.index(ASKED)
    done = [event.step for event in events[:told] if isinstance(event, StepDone)]
    assert done[-1] is Step.LEAVE


def test_an_old_program_is_not_sent_through_a_rom_that_cannot_start_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the first erase: a person replugs the device, and it runs what it ran."""
    desk.sells(CHIP)
    desk.plug_in_gizmo(CHIP, OLD, revision="Y", rom_version=0xD2)
    desk.lock(FLASH)
    starts, real = [], LabBackend.ctrl_transfer

    def transfer(backend: LabBackend, handle: object, *setup: int) -> int:
        starts.extend([setup] if is_a_start(setup) else [])
        return real(backend, handle, *setup)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(LabBackend, "ctrl_transfer", transfer)
    said = desk.install(desk.bundle(NEW))
    assert (said.exit, said.last["device_is"]) == (11, "in-bootloader"), said.last
    assert "Unplug the device and plug it in again: it is as it was." in said.last["advice"]
    assert starts == []
    desk.replug()
    assert desk.board()["state"] == "application"
    assert desk.holds(OLD)
