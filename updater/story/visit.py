"""A visit: into the bootloader, somebody works there, and out again; the device is as it was found.

Unlike an update, such work has to read before it can say or ask anything. So the device stays open in its
bootloader meanwhile; whatever comes of it, a device that ran its application is started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, cast

from updater.hands.usbio import ROM_USB, Attached, Wire
from updater.heads.plan import Plan
from updater.heads.silicon import Behaviour
from updater.heads.vendor import Product, Recovery, Way
from updater.story.burning import as_our_error
from updater.story.devices import Connected, behaviour_of
from updater.story.job import Hands
from updater.story.passage import (
    arrived,
    await_application,
    enter,
    require_bootloader_driver,
    seen_without_answer,
)
from updater.story.recognise import rom_silicon
from updater.story.steps import Steps
from updater.story.update import check_may_write, unfailing
from updater.words.errors import Cancelled, DeviceIs, UpdaterError, UsbFailed, WrongDevice
from updater.words.events import Emit, Step
from updater.words.facts import DeviceFacts, Mode

UNPLUG = "The application did not come back. Unplug the device and plug it in again: its flash is as it was."


@dataclass(frozen=True, slots=True)
class Subject:
    """The one device that is meant. Nothing was sent to it yet."""

    connected: Connected
    product: Product


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trip:
    """All that `passage` needs to know of a plan: the way into the bootloader, and how long the way back."""

    title: str
    ways: tuple[Way, ...]
    recovery: Recovery
    reenumerate_within_ms: int
    back_within_ms: int
    replug_because: str | None


class Worker(Protocol):
    """Who works on the open device. `touched`: whether something on it may have been changed."""

    touched: bool

    def select(self) -> None:
        """Turn to the memory that is meant, when it is known which chip it is."""

    def leave(self) -> None:
        """Start the application."""


W = TypeVar("W", bound=Worker)
Hire = Callable[[Wire, Steps, Behaviour, DeviceFacts], W]


class Visit(Generic[W]):
    """A device that is open in its bootloader, with somebody who works on it. Made by `in_bootloader`.

    `back` is set at the end: the application that was started again, where one had been running.
    """

    def __init__(
        self, hands: Hands, subject: Subject, facts: DeviceFacts, wire: Wire, steps: Steps, hire: Hire[W]
    ) -> None:
        self._hands, self._steps, self.wire, self._hire = hands, steps, wire, hire
        self.product, self.facts = subject.product, facts
        self.was_running = subject.connected.facts.mode is Mode.APPLICATION
        self.behaviour = behaviour_of(hands.silicon, facts)
        self.worker = hire(wire, steps, self.behaviour, facts)
        self.back: DeviceFacts | None = None

    def arrive(self) -> None:
        """Learn from the bootloader what only it can tell, and begin."""
        self.facts = rom_silicon(self.facts, self.wire, self._hands.silicon)
        self.behaviour = behaviour_of(self._hands.silicon, self.facts)
        self.worker = self._hire(self.wire, self._steps, self.behaviour, self.facts)
        self.worker.select()

    @property
    def came_back(self) -> bool:
        """Whether the device runs its application again, where it did before."""
        return not self.was_running or (self.back is not None and self.back.product == self.product.id)

    def leave(self) -> None:
        """Start the application again, where one ran, and wait for it; Ctrl-C ends the waiting only."""
        if not self.was_running:
            return
        with suppress(KeyboardInterrupt):
            with self._steps.whole(Step.LEAVE):
                self.worker.leave()
            with self._steps.whole(Step.CONFIRM), suppress(KeyboardInterrupt, UsbFailed):
                self._await_application()
            if not self.came_back:
                self._steps.notice(UNPLUG)

    def leave_after(self, error: BaseException) -> None:
        """The same when something went wrong; the error then says how the device is.

        A device that turned out to be another one is not ours to start.
        """
        is_another = isinstance(error, WrongDevice) and error.device_is is DeviceIs.IN_BOOTLOADER
        if not self.was_running or is_another:
            return
        with suppress(KeyboardInterrupt, UsbFailed):
            self.worker.leave()
            self._await_application()
        if isinstance(error, UpdaterError):
            error.device_is = DeviceIs.RUNS_OLD if self.back else DeviceIs.UNKNOWN

    def _await_application(self) -> None:
        hands, trip = self._hands, _trip(self.product, self.behaviour)
        vendor, port = hands.home.vendor, self.facts.port
        self.back = await_application(hands.bus, port, self.product, trip, vendor, hands.silicon)

    def seen(self) -> DeviceFacts:
        """The device as it was seen last."""
        if not self.was_running:
            return self.facts
        return self.back or seen_without_answer(self._hands.bus, self.facts)

    @property
    def times(self) -> tuple[tuple[Step, int], ...]:
        """Milliseconds by step, in order."""
        return self._steps.times


@contextmanager
def in_bootloader(hands: Hands, subject: Subject, emit: Emit, hire: Hire[W]) -> Iterator[Visit[W]]:
    """The device in its bootloader, for as long as this lasts; then it is started again if it was running.

    `hire` makes the one who works on the open device.

    Raises `Refused` (a demo updater and a real device that runs), `UsbFailed`, `CannotOpen`, `WrongDevice`,
    `Protected`, `NotFinished` and `Cancelled`, and says with each how the device is.
    """
    steps = Steps(unfailing(emit), hands.bus.clock)
    facts = subject.connected.facts
    was_running = facts.mode is Mode.APPLICATION
    if was_running:  # being sent away and started again is more than being looked at
        check_may_write(hands)
    with _on_the_way(sent=was_running):
        with steps.whole(Step.ENTER):
            attached, facts = _enter(hands, subject, steps)
        with hands.bus.open_dfu(attached) as wire:
            visit = Visit(hands, subject, facts, wire, steps, hire)
            try:
                visit.arrive()
                yield visit
            except (Exception, KeyboardInterrupt) as error:
                said = as_our_error(error, visit.product.recovery, touched=visit.worker.touched)
                visit.leave_after(said)
                raise said from error
            visit.leave()


def _enter(hands: Hands, subject: Subject, steps: Steps) -> tuple[Attached, DeviceFacts]:
    """The device in its bootloader, and its facts there."""
    attached, facts = subject.connected.attached, subject.connected.facts
    if facts.mode is Mode.APPLICATION:
        require_bootloader_driver(hands.drivers, facts)
        trip = _trip(subject.product, behaviour_of(hands.silicon, facts))
        attached = enter(hands.bus, attached, trip)
    attached, facts = arrived(hands.bus, attached, facts, hands.silicon, steps.notice)
    return attached, replace(facts, mode=Mode.ROM, usb=ROM_USB)


def _trip(product: Product, behaviour: Behaviour) -> Plan:
    """A way there and back without an update; `passage` reads no more of a plan than this."""
    trip = _Trip(
        title=product.title,
        ways=product.ways,
        recovery=product.recovery,
        reenumerate_within_ms=behaviour.chip.reenumerate_within_ms.value,
        back_within_ms=product.back_within_ms,
        replug_because=None,
    )
    return cast(Plan, trip)


@contextmanager
def _on_the_way(*, sent: bool) -> Iterator[None]:
    """What stops us around the open bootloader: of a device that was sent there, say where it may be."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Cancelled(
            "it was stopped before anything was written",
            advice="Unplug the device, plug it in again, and it is as it was.",
            device_is=DeviceIs.UNKNOWN,
        ) from error
    except UpdaterError as error:
        if sent and error.device_is is DeviceIs.UNTOUCHED:
            error.device_is = DeviceIs.UNKNOWN
        raise
