"""The ways into the bootloader, tried in the product's order until one of them leads there.

Each try ends in one of a few outcomes, which are told apart: the bootloader has arrived; the application
refuses, goes on with its work, does not answer, or started again by itself; it cannot be asked; it is gone.
As long as the application runs the next way is tried, and a person can be asked even when it does not.

What arrives in time on the same port, after a disconnect that we caused, is the device that we sent there.
Whatever was slower or passed through a person's hands is a stranger (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from updater.hands.serialio import SerialLine
from updater.hands.usbio import ROM_USB, Attached, Bus, read_identity, read_serial, send_vendor_request
from updater.heads.dfu.scripts import detach
from updater.heads.dfu.words import Stalled, WireError
from updater.heads.plan import Plan
from updater.heads.vendor import AskedWay, ByHand, DfuDetach, SerialSend, Touch1200, VendorRequest, Way
from updater.words.errors import CannotOpen, DeviceIs, UpdaterError, UsbFailed, WrongDevice
from updater.words.events import Asks
from updater.words.facts import ApplicationIdentity

DETACH_TIMEOUT_MS = 1_000
TOUCH_BAUD = 1_200
_LOOK_AGAIN_MS = 50
_ANSWERS_WITHIN_MS = 5_000
"""How long udev and Windows may take before an application that has just come back can be asked."""
_SERIAL_WITHIN_MS = 2_000
"""How long the serial port of a device that is on USB may take to be there."""
_QUIET_MS = 500
"""An answer is over when nothing more has come for so long."""

NEVER_CAME = "left USB and did not come back"
"""In a message: no bootloader appeared. The doctor looks for it in the log of the last failures."""


class Notice(Protocol):
    """Who hears a sentence, and what a person has to do now."""

    def __call__(self, text: str, asks: Asks | None = None, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A bootloader on the port. `stranger`: why it has to prove again who it is; None when it has not."""

    attached: Attached
    stranger: str | None = None


class Outcome(StrEnum):
    """What came of a way that did not lead into the bootloader."""

    REFUSED = "refused"
    BUSY = "busy"
    SILENT = "silent"
    RESTARTED = "restarted"
    CANNOT_BE_ASKED = "cannot-be-asked"
    GONE = "gone"
    NOBODY_CAME = "nobody-came"


@dataclass(frozen=True, slots=True)
class Tried:
    """One way that did not lead there, and why, in words."""

    way: Way
    outcome: Outcome
    why: str
    error: UpdaterError | None = None

    def __str__(self) -> str:
        return f"Tried {_in_words(self.way)}: {self.why}."


class _WrongAnswer(Exception):
    """The serial port did not say what was expected."""


def enter(bus: Bus, attached: Attached, plan: Plan, notice: Notice) -> Arrival:
    """Bring a running application into its bootloader by the first of the plan's ways that works.

    `notice` hears each try that failed, and what a person has to do. Raises `UsbFailed` or `CannotOpen`
    when no way leads there; the message says of each what came of it. Raises `WrongDevice` when another
    device took its place.
    """
    if not plan.ways:
        raise _no_way(plan)
    who = _who(attached) if len(plan.ways) > 1 else None
    here: Attached | None = attached
    tried: list[Tried] = []
    ways = list(plan.ways)
    while ways:
        way = ways.pop(0)
        if isinstance(way, ByHand):
            came: Arrival | Tried = _by_hand(bus, attached, way, notice)
        else:
            assert here is not None
            came = _ask_and_watch(bus, here, way, plan)
        if isinstance(came, Tried):
            came = _late(bus, attached) or came
        if isinstance(came, Arrival):
            return came
        tried.append(came)
        here = _on_port(bus, attached)
        if here is None:  # there is nobody left to ask but a person
            ways = [one for one in ways if isinstance(one, ByHand)]
        if ways:
            notice(f"{came} The next way is tried.")
            if here is not None and here.address != attached.address:
                here = _same_again(bus, attached, who)
    raise _nothing_worked(plan, tried, runs=here is not None)


# ----------------------------------------------------------------------------------- asking the application


def _ask_and_watch(bus: Bus, attached: Attached, way: AskedWay, plan: Plan) -> Arrival | Tried:
    deadline = bus.clock.now_ms() + way.within_ms
    seen_ms = bus.clock.now_ms()
    try:
        seen_ms = _ask(bus, attached, way, deadline)
    except Stalled:
        return Tried(way, Outcome.REFUSED, "the device refuses the request")
    except _WrongAnswer as error:
        return Tried(way, Outcome.REFUSED, str(error))
    except (CannotOpen, UsbFailed) as error:
        return Tried(way, Outcome.CANNOT_BE_ASKED, error.message, error)
    except WireError:
        pass  # it went away before it acknowledged, or it does not answer: what follows shows which
    return _watch(bus, attached, way, plan, seen_ms, deadline)


def _ask(bus: Bus, attached: Attached, way: AskedWay, deadline: float) -> float:
    """Utter the wish, and say when the application was certainly there: right before it, or at its answer.

    Raises `_WrongAnswer`, `WireError`, `CannotOpen` or `UsbFailed`.
    """
    match way:
        case DfuDetach():
            return _detach(bus, attached)
        case VendorRequest():
            setup = way.bmRequestType, way.bRequest, way.wValue, way.wIndex
            seen_ms = bus.clock.now_ms()
            send_vendor_request(attached, setup, way.payload)
        case Touch1200():
            with _serial_line(bus, attached, TOUCH_BAUD) as line:
                seen_ms = bus.clock.now_ms()
                line.drop()
        case SerialSend():
            with _serial_line(bus, attached, way.baud) as line:
                seen_ms = _converse(bus, line, way, deadline)
    return seen_ms


def _detach(bus: Bus, attached: Attached) -> float:
    with bus.open_dfu(attached, runtime=True) as wire:
        seen_ms = bus.clock.now_ms()
        wire.run(detach(DETACH_TIMEOUT_MS))
        if wire.functional is None or not wire.functional.will_detach:
            wire.reset()
    return seen_ms


@contextmanager
def _serial_line(bus: Bus, attached: Attached, baud: int) -> Iterator[SerialLine]:
    """The device's serial port; an application that has just come back gets a moment to have one."""
    number = read_serial(attached)
    deadline = bus.clock.now_ms() + _SERIAL_WITHIN_MS
    while (name := bus.serial.find(attached.port, attached.usb, number)) is None:
        if bus.clock.now_ms() >= deadline:
            raise UsbFailed(f"the device on port {attached.port} has no serial port")
        bus.clock.sleep_ms(_LOOK_AGAIN_MS)
    with bus.serial.open(name, baud) as line:
        yield line


def _converse(bus: Bus, line: SerialLine, way: SerialSend, deadline: float) -> float:
    seen_ms = bus.clock.now_ms()
    for step in way.steps:
        bus.clock.sleep_ms(step.pause_ms)
        seen_ms = bus.clock.now_ms()
        line.send(step.sent)
        if step.expected:
            _hear(bus, line, step.expected, deadline)
            seen_ms = bus.clock.now_ms()
    return seen_ms


def _hear(bus: Bus, line: SerialLine, expected: bytes, deadline: float) -> None:
    """Read until the expected bytes have come. Raises `_WrongAnswer` when others came, or none."""
    heard = b""
    while expected not in heard:
        left = deadline - bus.clock.now_ms()
        more = line.receive(min(left, _QUIET_MS)) if left > 0 else b""
        heard += more
        if not more and heard:
            raise _WrongAnswer(f"its serial port answers {_shown(heard)} and not {_shown(expected)}")
        if left <= 0:
            raise _WrongAnswer("its serial port does not answer")


def _shown(data: bytes) -> str:
    """A few bytes for a message: as text where they are, else in hex."""
    text = data.decode("ascii", "replace").strip()
    if text and text.isascii() and text.isprintable():
        return f'"{text[:40]}"'
    return data[:20].hex(" ") + (" ..." if len(data) > 20 else "")


# --------------------------------------------------------------------------------------- what becomes of it


def _watch(
    bus: Bus, asked: Attached, way: Way, plan: Plan, seen_ms: float, deadline: float
) -> Arrival | Tried:
    """Look at the port until it is clear what the device made of the wish.

    `seen_ms`: when the application was there for certain. Raises `UsbFailed` when the bus cannot be asked.
    """
    waits_ms = max(plan.reenumerate_within_ms, plan.back_within_ms)
    was_away = False
    while True:
        rom = bus.wait_for(asked.port, {ROM_USB}, _LOOK_AGAIN_MS)
        now = bus.clock.now_ms()
        if rom is not None:
            is_late = now - seen_ms > plan.reenumerate_within_ms
            return Arrival(rom, "its bootloader came later than this chip's should" if is_late else None)
        here = _on_port(bus, asked)
        if here is None:
            was_away = True
            if now - seen_ms >= waits_ms:
                why = f"the device {NEVER_CAME} within {_seconds(waits_ms)}"
                return Tried(way, Outcome.GONE, why)
            continue
        seen_ms = now
        if was_away or here.address != asked.address:
            why = "the device started again, but its own program and not its bootloader"
            return Tried(way, Outcome.RESTARTED, why)
        if now >= deadline:
            return _stayed(here, way)


def _stayed(here: Attached, way: Way) -> Tried:
    if _who(here) is not None:
        why = f"the device goes on with its work ({_seconds(way.within_ms)} were allowed)"
        return Tried(way, Outcome.BUSY, why)
    return Tried(way, Outcome.SILENT, "the device stays on USB, but it does not answer any more")


def _late(bus: Bus, asked: Attached) -> Arrival | None:
    """A bootloader that is there although its way was given up: slower than allowed is a stranger."""
    rom = bus.wait_for(asked.port, {ROM_USB}, 0)
    return Arrival(rom, "its bootloader came later than was waited for") if rom else None


def _on_port(bus: Bus, asked: Attached) -> Attached | None:
    """The application that is on the port now."""
    return next((one for one in bus.attached({asked.usb}) if one.port == asked.port), None)


def _who(attached: Attached) -> ApplicationIdentity | None:
    """What the application says of itself; None when it does not answer."""
    with suppress(WireError, CannotOpen, UsbFailed):
        return read_identity(attached)
    return None


def _same_again(bus: Bus, asked: Attached, who: ApplicationIdentity | None) -> Attached:
    """An application that came back says itself who it is. Raises `UsbFailed` or `WrongDevice`."""
    deadline = bus.clock.now_ms() + _ANSWERS_WITHIN_MS
    here, now = None, None
    while now is None and bus.clock.now_ms() < deadline:
        here = _on_port(bus, asked)
        now = _who(here) if here else None
        if now is None:
            bus.clock.sleep_ms(_LOOK_AGAIN_MS)
    if who is None or now is None or here is None:
        raise UsbFailed(
            "the device started again and does not say any more which one it is", device_is=DeviceIs.UNKNOWN
        )
    if now != who:
        raise WrongDevice(
            f"another device answers on port {here.port} than the one that was asked to enter its bootloader",
            device_is=DeviceIs.UNKNOWN,
        )
    return here


# ------------------------------------------------------------------------------------------------ a person


def _by_hand(bus: Bus, asked: Attached, way: ByHand, notice: Notice) -> Arrival | Tried:
    within = _seconds(way.within_ms)
    notice(
        f"Now your hands are needed. {way.steps} Use the same USB port; the updater waits {within} for it.",
        Asks("update-mode", way.steps),
    )
    rom = bus.wait_for(asked.port, {ROM_USB}, way.within_ms)
    if rom is not None:
        return Arrival(rom, "it passed through your hands")
    return Tried(way, Outcome.NOBODY_CAME, f"no bootloader appeared on port {asked.port} within {within}")


# --------------------------------------------------------------------------------------- in words for people


def _in_words(way: Way) -> str:
    match way:
        case DfuDetach():
            return "its DFU interface"
        case VendorRequest():
            return "a USB request of its own"
        case Touch1200():
            return "opening its serial port with 1200 baud"
        case SerialSend():
            return "a command to its serial port"
        case ByHand():
            return "your hands"


def _seconds(ms: float) -> str:
    return f"{ms / 1000:g} s"


def _by_its_button(plan: Plan) -> str:
    return f"{plan.recovery.steps} Then run the same command." if plan.recovery.steps else ""


def _no_way(plan: Plan) -> UsbFailed:
    return UsbFailed(
        f"{plan.title} cannot be sent into its bootloader over USB",
        advice=_by_its_button(plan) or "Ask the vendor how to start its bootloader.",
        device_is=DeviceIs.RUNS_OLD,
    )


def _nothing_worked(plan: Plan, tried: list[Tried], *, runs: bool) -> UpdaterError:
    """One sentence for each try; the advice of a port that a person can free comes first."""
    message = " ".join(["the device did not enter its bootloader.", *map(str, tried)])
    device_is = DeviceIs.RUNS_OLD if runs else DeviceIs.UNKNOWN
    closed = next((one.error for one in tried if isinstance(one.error, CannotOpen)), None)
    if closed is not None:
        error: UpdaterError = CannotOpen(closed.problem, message, advice=closed.advice)
        error.device_is = device_is
        return error
    advice = (
        "Wait until the device has nothing to do, and run the same command."
        if runs
        else "Unplug the device, plug it in again, and run the same command."
    )
    if any(one.outcome is Outcome.GONE for one in tried):
        advice += " Unplug what else is connected to it, too: its bootloader may listen there instead."
    if by_button := _by_its_button(plan):
        advice += f" If that does not help: {by_button}"
    return UsbFailed(message, advice=advice, device_is=device_is)
