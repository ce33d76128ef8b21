"""The story of OTP: into the bootloader, read, plan, ask once, burn, read back, and out again.

Unlike an update it has to read before it can ask: what may be burnt depends on what the device holds. So
the device stays open in its bootloader while the question is asked; whatever comes of it, a device that ran
its application is started again. Reading changes nothing, and neither way touches the flash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import cast

from updater.hands.usbio import ROM_USB, Attached, Wire
from updater.heads.otp import OtpPlan, Patch, check_patches, make_otp_plan, otp_area, writable_area
from updater.heads.plan import Plan
from updater.heads.report import OtpReceipt, OtpResult
from updater.heads.silicon import Behaviour
from updater.heads.vendor import Product, Recovery, Way
from updater.story.burning import Burner, as_our_error
from updater.story.devices import Connected, behaviour_of, product_of
from updater.story.job import Hands, Request
from updater.story.passage import (
    await_application,
    check_arrival,
    enter,
    require_bootloader_driver,
    seen_without_answer,
)
from updater.story.recognise import rom_silicon
from updater.story.steps import Steps
from updater.story.update import check_may_write, find_device, unfailing
from updater.words.errors import Cancelled, DeviceIs, NotConfirmed, UpdaterError, UsbFailed, WrongDevice
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


def find(hands: Hands, request: Request, patches: Sequence[Patch] = ()) -> Subject:
    """The device to look at, and to write to when there are patches.

    What the table alone can refuse is refused here, before the device is sent anywhere. Raises any error
    of `find_device` and `product_of`, `WrongDevice`, and `Refused`.
    """
    connected = find_device(hands, request)
    product = product_of(connected.facts, hands.home.vendor)
    chip = behaviour_of(hands.silicon, connected.facts).chip
    area = writable_area(product, chip) if patches else otp_area(chip)
    check_patches(area, patches)
    return Subject(connected, product)


class Visit:
    """A device that is open in its bootloader, with its OTP memory at hand. Made by `in_bootloader`.

    `back` is set at the end: the application that was started again, where one had been running.
    """

    def __init__(self, hands: Hands, subject: Subject, facts: DeviceFacts, wire: Wire, steps: Steps) -> None:
        self._hands, self._steps, self.wire = hands, steps, wire
        self.product, self.facts = subject.product, facts
        self.was_running = subject.connected.facts.mode is Mode.APPLICATION
        self.behaviour = behaviour_of(hands.silicon, facts)
        self.burner = Burner(wire, steps, self.behaviour, facts)
        self.back: DeviceFacts | None = None

    def arrive(self) -> None:
        """Learn from the bootloader what only it can tell, and turn to the OTP memory."""
        self.facts = rom_silicon(self.facts, self.wire, self._hands.silicon)
        self.behaviour = behaviour_of(self._hands.silicon, self.facts)
        self.burner = Burner(self.wire, self._steps, self.behaviour, self.facts)
        self.burner.select()

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
                self.burner.leave()
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
            self.burner.leave()
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
def in_bootloader(hands: Hands, subject: Subject, emit: Emit) -> Iterator[Visit]:
    """The device in its bootloader, for as long as this lasts; then it is started again if it was running.

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
            attached, facts = _enter(hands, subject)
        with hands.bus.open_dfu(attached) as wire:
            visit = Visit(hands, subject, facts, wire, steps)
            try:
                visit.arrive()
                yield visit
            except (Exception, KeyboardInterrupt) as error:
                said = as_our_error(error, visit.product.recovery, touched=visit.burner.touched)
                visit.leave_after(said)
                raise said from error
            visit.leave()


def _enter(hands: Hands, subject: Subject) -> tuple[Attached, DeviceFacts]:
    """The device in its bootloader, and its facts there."""
    attached, facts = subject.connected.attached, subject.connected.facts
    if facts.mode is Mode.APPLICATION:
        require_bootloader_driver(hands.drivers, facts)
        trip = _trip(subject.product, behaviour_of(hands.silicon, facts))
        attached = enter(hands.bus, attached, trip)
    facts = check_arrival(hands.bus, attached, facts, hands.silicon)
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


def prepare(visit: Visit, patches: Sequence[Patch]) -> OtpPlan:
    """Read what the device holds, and decide. Nothing on the device is changed.

    Raises `Protected`, `Refused`, or `WrongDevice`.
    """
    before = visit.burner.read()
    return make_otp_plan(visit.facts, visit.product, visit.behaviour, patches, before)


def perform(hands: Hands, visit: Visit, plan: OtpPlan) -> None:
    """Burn the plan. The question has been answered with yes.

    Raises `Refused` (a demo updater on a real device), `WrongDevice` (the memory is not what it was),
    `Protected` (nothing was stored), and `NotFinished`; lets wire errors through to `in_bootloader`.
    """
    check_may_write(hands)
    visit.burner.burn(plan)


def receipt(hands: Hands, visit: Visit, plan: OtpPlan, *, dry: bool = False) -> OtpReceipt:
    """What was done, once the visit is over."""
    result: OtpResult = "written" if visit.came_back else "written-not-confirmed"
    if not plan.runs:
        result = "nothing-to-do"
    elif dry:
        result = "dry-run"
    was_written = bool(plan.runs) and not dry
    return OtpReceipt(
        exit_status=NotConfirmed.exit_status if result == "written-not-confirmed" else 0,
        result=result,
        device=visit.seen(),
        plan=plan,
        verified="read-back" if was_written else "none",
        wrote_bytes=plan.changed_bytes if was_written else 0,
        control_transfers=visit.wire.control_transfers,
        steps=visit.times,
        clock=hands.clock,
    )
