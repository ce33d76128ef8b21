"""The ways into the bootloader: each leads there, in their order; what comes of a failure is told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.desk import FLASH, HEADER_AT, Desk, Said, program
from updater.doors.terminal import JsonFace
from updater.hands.usbio import Attached
from updater.heads import silicon
from updater.heads.dfu.words import TimedOut
from updater.lab.serialport import LabSerialPorts
from updater.lab.shelf import Lab
from updater.words.errors import CannotOpen
from updater.words.events import Event, Noticed

CHIP = "stm32f405"
OLD, NEW = program("1.0.0"), program("1.1.0")
STEPS = "Unplug the gizmo, hold BOOT, plug it in."
DETACH = {"kind": "dfu-detach"}
REQUEST = {"kind": "vendor-request", "bRequest": 0x42, "wValue": 0x1234, "wIndex": 7, "data": "de ad be ef"}
TOUCH = {"kind": "touch-1200"}
MSP = {
    "kind": "serial-send",
    "steps": [{"send_hex": "24 4D 3C 01 44 01 44", "expect_hex": "24 4D 3E 01 44 01 44"}],
}
COMMANDS = {
    "kind": "serial-send",
    "baud": 9600,
    "steps": [{"send": "#\r\n", "expect": "> "}, {"send": "boot\r\n", "expect": "ok", "pause_ms": 100}],
}
BY_HAND = {"kind": "by-hand", "steps": STEPS}


class Bench:
    """A desk with one gizmo that runs 1.0.0, and the bundle of 1.1.0."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def gizmo(self, *ways: dict[str, Any], heeds: str | None = None, name: str = "board1") -> None:
        """The updater's vendor describes these ways; the firmware heeds all of them, or only some kinds."""
        self.describe(*ways)
        old = self.desk.bundle(OLD)
        self.new = self.desk.bundle(NEW)
        wish = ["--ways", heeds] if heeds is not None else []
        said = self.desk.updater(
            *("lab", "add", CHIP, "--name", name, "--product", "gizmo", "--firmware", old, *wish)
        )
        assert said.exit == 0, said.err

    def describe(self, *ways: dict[str, Any], header_at: int = HEADER_AT) -> None:
        self.desk.sells(CHIP, ways=list(ways), header={"address": header_at})

    def install(self, *arguments: str) -> Said:
        return self.desk.install(self.new, "--device", "1-1", *arguments)

    def runs_old(self) -> bool:
        return self.desk.holds(OLD) and self.desk.board()["state"] == "application"


@pytest.fixture
def bench(desk: Desk) -> Bench:
    return Bench(desk)


@pytest.fixture
def on_notice(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Callable[[], None]]]:
    """What happens when a sentence with these words is said; each once."""
    waiting: list[tuple[str, Callable[[], None]]] = []
    real = JsonFace.emit

    def heard(face: JsonFace, event: Event) -> None:
        real(face, event)
        for one in [one for one in waiting if isinstance(event, Noticed) and one[0] in event.text]:
            waiting.remove(one)
            one[1]()

    monkeypatch.setattr(JsonFace, "emit", heard)
    return waiting


Listeners = list[tuple[str, Callable[[], None]]]


def updated(said: Said) -> bool:
    return (said.exit, said.last.get("result")) == (0, "confirmed")


# ------------------------------------------------------------------------------------------ each leads there


@pytest.mark.parametrize(
    ("way", "heeds"),
    [
        (DETACH, None),
        (DETACH, "dfu-detach-and-reset"),
        (REQUEST, None),
        (TOUCH, None),
        (MSP, None),
        (COMMANDS, None),
    ],
    ids=["dfu-detach", "dfu-detach-and-reset", "vendor-request", "touch-1200", "msp", "commands"],
)
def test_each_way_leads_into_the_bootloader_and_the_update_follows(
    bench: Bench, way: dict[str, Any], heeds: str | None
) -> None:
    bench.gizmo(way, heeds=heeds)
    said = bench.install()
    assert updated(said), said.out
    assert said.last["identity"] == "application"
    assert bench.desk.holds(NEW)
    assert "Note" not in said.err


def test_the_ways_are_tried_in_their_order_until_one_is_heeded(bench: Bench) -> None:
    bench.gizmo(DETACH, REQUEST, MSP, TOUCH, heeds="touch-1200")
    said = bench.install()
    assert updated(said), said.out
    assert said.last["identity"] == "application"
    notes = [line for line in said.err.splitlines() if line.startswith("Note: ")]
    assert [note.split(":")[1] for note in notes] == [
        " Tried its DFU interface",
        " Tried a USB request of its own",
        " Tried a command to its serial port",
    ]
    assert all(note.endswith("The next way is tried.") for note in notes)


def test_what_comes_behind_the_way_that_works_is_not_tried(bench: Bench) -> None:
    bench.gizmo(REQUEST, BY_HAND)
    said = bench.install()
    assert updated(said)
    assert "hands" not in said.err


# --------------------------------------------------------------------------------------- failures, told apart


@pytest.mark.parametrize(
    ("way", "fault", "why"),
    [
        (DETACH, "refuse-enter", "the device refuses the request"),
        (REQUEST, "refuse-enter", "the device refuses the request"),
        (MSP, "refuse-enter", 'its serial port answers "refused" and not 24 4d 3e 01 44 01 44'),
        (COMMANDS, "refuse-enter", 'its serial port answers "refused" and not ">"'),
        (DETACH, "busy-enter", "the device goes on with its work (5 s were allowed)"),
        (TOUCH, "busy-enter", "the device goes on with its work (5 s were allowed)"),
        (TOUCH, "refuse-enter", "the device goes on with its work (5 s were allowed)"),
        (MSP, "busy-enter", "the device goes on with its work (5 s were allowed)"),
        (DETACH, "reboot-into-itself", "the device started again, but its own program"),
        (TOUCH, "reboot-into-itself", "the device started again, but its own program"),
        (MSP, "reboot-into-itself", "the device started again, but its own program"),
    ],
)
def test_an_application_that_stays_is_told_apart_and_nothing_is_written(
    bench: Bench, way: dict[str, Any], fault: str, why: str
) -> None:
    bench.gizmo(way)
    bench.desk.fault(fault)
    said = bench.install()
    assert (said.exit, said.last["error"], said.last["device_is"]) == (8, "UsbFailed", "runs-old"), said.out
    assert why in said.last["message"]
    assert bench.runs_old()
    assert not list(bench.desk.state.rglob("journal/*.json"))
    assert updated(bench.install())


def test_an_application_that_does_not_answer_any_more_is_not_called_busy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_attached: Attached) -> None:
        raise TimedOut("no answer")

    bench.gizmo(DETACH)
    bench.desk.fault("busy-enter")
    monkeypatch.setattr("updater.story.ways.read_identity", silent)
    said = bench.install()
    assert said.exit == 8
    assert "it does not answer any more" in said.last["message"]


def test_an_application_that_went_away_for_good_is_told_apart(bench: Bench) -> None:
    bench.gizmo(DETACH, TOUCH)
    bench.desk.fault("late-arrival", 60_000)
    said = bench.install()
    assert (said.exit, said.last["device_is"]) == (8, "unknown")
    assert "left USB and did not come back within 10 s" in said.last["message"]
    assert "1200" not in said.last["message"], "there was nobody left to ask"
    assert "The next way" not in said.err


def test_an_answer_that_comes_in_time_is_not_late(bench: Bench) -> None:
    bench.gizmo(DETACH)
    bench.desk.fault("late-enter", 4_000)
    said = bench.install()
    assert updated(said)
    assert said.last["identity"] == "application"


def test_an_application_that_enters_while_the_next_way_is_tried_is_updated(bench: Bench) -> None:
    bench.gizmo(DETACH, MSP, heeds="dfu-detach,touch-1200")
    bench.desk.fault("late-enter", 7_000)
    said = bench.install()
    assert updated(said), said.out


@pytest.mark.parametrize("problem", ["no-permission", "busy"])
def test_a_serial_port_that_cannot_be_opened_is_said_with_its_own_advice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    def closed(_ports: LabSerialPorts, name: str, _baud: int) -> AbstractContextManager[Any]:
        raise CannotOpen(problem, f"no way into {name}", advice="Open it.")

    bench.gizmo(TOUCH, MSP)
    monkeypatch.setattr(LabSerialPorts, "open", closed)
    said = bench.install()
    assert (said.exit, said.last["error"], said.last["device_is"]) == (8, "CannotOpen", "runs-old")
    assert said.last["message"].count("no way into lab:1-1") == 2
    assert said.last["advice"] == "Open it."


def test_a_device_without_what_a_way_needs_is_told_so(bench: Bench) -> None:
    bench.gizmo(DETACH, TOUCH, MSP, REQUEST, heeds="")
    message = bench.install().last["message"]
    assert "Tried its DFU interface: the device on port 1-1 has no DFU interface." in message
    assert (
        "Tried opening its serial port with 1200 baud: the device on port 1-1 has no serial port." in message
    )
    assert "Tried a USB request of its own: the device refuses the request." in message
    assert message.count("Tried ") == 4


def test_a_serial_port_that_says_nothing_is_not_a_refusal_with_an_answer(bench: Bench) -> None:
    bench.gizmo(MSP, heeds="touch-1200")
    assert "its serial port does not answer" in bench.install().last["message"]


def test_the_advice_names_the_button_and_that_the_device_may_be_busy(bench: Bench) -> None:
    bench.gizmo(DETACH)
    bench.desk.fault("busy-enter")
    advice = bench.install().last["advice"]
    assert advice.startswith("Wait until the device has nothing to do, and run the same command.")
    assert "Hold BOOT while you plug it in. Then run the same command." in advice


@pytest.mark.parametrize("within_ms", [500, 3_000])
def test_a_way_has_its_own_deadline(bench: Bench, labs: list[Lab], within_ms: int) -> None:
    bench.gizmo(DETACH | {"within_ms": within_ms})
    bench.desk.fault("busy-enter")
    said = bench.install()
    assert said.exit == 8
    assert within_ms <= labs[-1].clock.now_ms() < within_ms + 300


def test_after_a_restart_the_next_way_is_tried_on_the_same_device(bench: Bench) -> None:
    bench.gizmo(MSP, TOUCH)
    bench.desk.fault("reboot-into-itself")
    said = bench.install()
    assert updated(said)
    assert said.last["identity"] == "application"


def test_another_device_that_answers_after_a_restart_is_not_asked(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(MSP, TOUCH)
    bench.gizmo(MSP, TOUCH, name="board2")
    bench.desk.fault("reboot-into-itself")
    on_notice.append(("started again", lambda: put_in_place(labs[-1], boot=False)))
    said = bench.install()
    assert (said.exit, said.last["error"]) == (4, "WrongDevice")
    assert bench.desk.holds(OLD, "board2")
    assert bench.desk.board("board2")["state"] == "application"


def put_in_place(lab: Lab, *, boot: bool) -> None:
    """board1 is pulled out, and board2 is plugged in there."""
    first, second = lab.board("board1"), lab.board("board2")
    first.unplug()
    ours, theirs = first.port, second.port
    first._record, second._record = replace(first._record, port=theirs), replace(second._record, port=ours)
    second.replug(boot=boot)


# ---------------------------------------------------------------------------------------------------- by hand


def test_a_person_is_shown_the_steps_and_the_header_proves_the_device_again(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(DETACH, BY_HAND, heeds="touch-1200")
    on_notice.append((STEPS, lambda: labs[-1].board("board1").replug(boot=True)))
    said = bench.install()
    assert updated(said), said.out
    assert said.last["identity"] == "header"
    assert bench.desk.holds(NEW)


def test_a_person_can_bring_back_a_device_that_is_gone(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(DETACH, TOUCH, BY_HAND)
    bench.desk.fault("late-arrival", 60_000)
    on_notice.append((STEPS, lambda: labs[-1].board("board1").replug(boot=True)))
    said = bench.install()
    assert updated(said), said.out
    assert said.last["identity"] == "header"


def test_nobody_comes(bench: Bench, labs: list[Lab]) -> None:
    bench.gizmo(BY_HAND)
    said = bench.install()
    assert (said.exit, said.last["device_is"]) == (8, "runs-old")
    assert "Tried your hands: no bootloader appeared on port 1-1 within 180 s." in said.last["message"]
    assert 180_000 <= labs[-1].clock.now_ms() < 181_000


def test_a_button_that_was_not_held_only_starts_the_device_again(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(BY_HAND)
    on_notice.append((STEPS, lambda: labs[-1].board("board1").replug()))
    said = bench.install()
    assert (said.exit, said.last["device_is"]) == (8, "runs-old")
    assert bench.runs_old()


def test_a_bootloader_on_another_port_does_not_count(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(BY_HAND)
    bench.gizmo(BY_HAND, name="board2")
    on_notice.append((STEPS, lambda: labs[-1].board("board2").replug(boot=True)))
    said = bench.install()
    assert said.exit == 8
    assert bench.desk.holds(OLD, "board2")


def without_header(bench: Bench) -> None:
    """The updater's vendor says that the product header is where nothing is."""
    bench.describe(BY_HAND, header_at=FLASH + 0x80000)


def test_what_went_through_hands_and_cannot_be_proved_is_refused_before_the_first_erase(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(BY_HAND)
    without_header(bench)
    on_notice.append((STEPS, lambda: labs[-1].board("board1").replug(boot=True)))
    said = bench.install()
    assert (said.exit, said.last["error"], said.last["device_is"]) == (3, "UnknownDevice", "in-bootloader")
    assert "it passed through your hands" in said.last["message"]
    assert "--as gizmo:A" in said.last["advice"]
    assert bench.desk.holds(OLD)
    again = bench.install("--as", "gizmo:A")
    assert updated(again)
    assert again.last["identity"] == "person"


def test_what_a_person_had_said_lets_it_in_and_does_not_become_a_proof(
    bench: Bench, labs: list[Lab], on_notice: Listeners
) -> None:
    bench.gizmo(BY_HAND)
    without_header(bench)
    on_notice.append((STEPS, lambda: labs[-1].board("board1").replug(boot=True)))
    with bench.desk.cut(lambda block, data: block == 0 and data[:1] == b"\x41"):
        assert bench.install("--as", "gizmo:A").exit == 9
    (kept,) = bench.desk.state.rglob("journal/*.json")
    assert json.loads(kept.read_bytes())["identity"] == "person"
    said = bench.install("--as", "gizmo:A")
    assert updated(said), said.out
    assert said.last["identity"] == "person"


@pytest.mark.parametrize(
    ("product", "version"), [("other-thing", "1.0.0"), ("gizmo", "1.0.5")], ids=["product", "version"]
)
def test_a_stranger_that_contradicts_what_the_application_said_is_refused(
    bench: Bench, labs: list[Lab], on_notice: Listeners, product: str, version: str
) -> None:
    bench.gizmo(BY_HAND)
    bench.gizmo(BY_HAND, name="board2")
    flash_file = bench.desk.lab / "board2" / "flash.bin"
    flash = bytearray(flash_file.read_bytes())
    flash[0x408 : 0x408 + 16] = product.encode().ljust(16, b"\0")
    flash[0x400 + 32 : 0x400 + 38] = b"".join(int(n).to_bytes(2, "little") for n in version.split("."))
    flash_file.write_bytes(flash)
    on_notice.append((STEPS, lambda: put_in_place(labs[-1], boot=True)))
    said = bench.install()
    assert (said.exit, said.last["error"]) == (4, "WrongDevice"), said.out
    assert bench.desk.flash("board2") == bytes(flash)


def test_a_unique_serial_that_was_foretold_proves_a_stranger(
    bench: Bench, labs: list[Lab], on_notice: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row says so of its serial today; one that will is believed."""
    table = silicon.the_table()
    row = table.by_id(CHIP)
    assert row is not None
    unique = msgspec.structs.replace(
        row, serial_is_unique=msgspec.structs.replace(row.serial_is_unique, value=True)
    )
    chips = tuple(unique if one.id == CHIP else one for one in table.chip)
    changed = msgspec.structs.replace(table, chip=chips)
    monkeypatch.setattr(silicon, "the_table", lambda: changed)
    bench.gizmo(BY_HAND)
    without_header(bench)
    on_notice.append((STEPS, lambda: labs[-1].board("board1").replug(boot=True)))
    said = bench.install()
    assert updated(said), said.out
    assert said.last["identity"] == "serial"


# ------------------------------------------------------------------------------------------------- too late


def test_a_bootloader_later_than_its_chip_needs_must_prove_who_it_is(bench: Bench) -> None:
    """The row allows 5 s; the product may be away for 10 s, and so long we look."""
    bench.gizmo(DETACH)
    bench.desk.fault("late-arrival", 8_000)
    said = bench.install()
    assert updated(said), said.out
    assert said.last["identity"] == "header"


def test_a_late_bootloader_that_cannot_prove_it_is_refused(bench: Bench) -> None:
    bench.gizmo(DETACH)
    bench.describe(DETACH, header_at=FLASH + 0x80000)
    bench.desk.fault("late-arrival", 8_000)
    said = bench.install()
    assert (said.exit, said.last["error"]) == (3, "UnknownDevice")
    assert "later than this chip's should" in said.last["message"]
    assert bench.desk.holds(OLD)
