"""The deed: from the running application into the ROM, through the plan, and out again.

Whatever stops it becomes an error that says how the device is now: as long as nothing was erased the old
program is started again; after that the same command finishes the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import msgspec

from updater.hands.store import Journal
from updater.hands.usbio import Attached
from updater.heads.dfu.words import DeviceRefused, StatusCode, Vanished, WireError
from updater.heads.eta import Forecast
from updater.heads.plan import Plan, is_blank
from updater.heads.planwords import if_not_known
from updater.heads.vendor import RecoveryKind, Vendor
from updater.story.devices import Connected, behaviour_of
from updater.story.flashing import Flasher, Possible
from updater.story.job import Errand, Hands
from updater.story.passage import check_arrival, prove_again, still_there, when_it_has_a_driver
from updater.story.recognise import contradicting_header, contradicting_record, lasting_serial, rom_silicon
from updater.story.steps import Steps
from updater.story.ways import Arrival, enter
from updater.words.errors import (
    Bug,
    Cancelled,
    DeviceIs,
    NotFinished,
    Protected,
    StorageFailed,
    UpdaterError,
    UsbFailed,
    WrongDevice,
)
from updater.words.events import Step
from updater.words.facts import HEADER_BYTES, DeviceFacts, Mode


@dataclass(frozen=True, slots=True)
class Done:
    """What was really done, as the receipt says it."""

    plan: Plan
    control_transfers: int


def carry_out(hands: Hands, prepared: Errand, plan: Plan, steps: Steps) -> Done:
    """Enter the ROM, flash, leave. The journal is on the disk before the device is touched at all."""
    connected = prepared.connected
    vendor, journals = hands.home.vendor, hands.store.journals()
    attached = still_there(hands.bus, connected, vendor, hands.silicon, journals, prepared.as_told)
    with hands.store.at_work(connected.facts.port):
        diary = _Diary(hands, prepared, steps.notice)
        try:
            done = _enter_and_flash(hands, prepared, plan, steps, attached, diary)
        except UpdaterError as error:
            if error.device_is is DeviceIs.RUNS_OLD:  # it was seen to run: nothing is unfinished
                hands.store.drop_journal(connected.facts.port)
            raise
        hands.store.drop_journal(connected.facts.port)
        return done


def _enter_and_flash(
    hands: Hands, prepared: Errand, plan: Plan, steps: Steps, attached: Attached, diary: _Diary
) -> Done:
    is_running = prepared.connected.facts.mode is Mode.APPLICATION
    forecast = steps.forecast = Forecast(plan.typical, plan.loads, enters=is_running)
    hands.bus.on_wait = steps.beat
    with _stopped_on_the_way(steps, plan, sent=is_running), steps.whole(Step.ENTER):
        prepared = _in_bootloader(hands, prepared, plan, steps, attached)
        facts, attached = prepared.connected.facts, prepared.connected.attached
        diary.arrived(facts)
    forecast.entered()
    with _stopped_on_the_way(steps, plan, sent=is_running), hands.bus.open_dfu(attached) as wire:
        flasher = Flasher(wire, steps, diary)
        with _said_plainly(hands, prepared, flasher, plan):
            facts = rom_silicon(facts, wire, hands.silicon)
            _refuse_another(
                contradicting_record(facts, prepared.product, hands.home.vendor, wire, hands.silicon)
            )
            final = _confirmed_plan(hands, prepared, plan, facts)
            contents = flasher.look(final, through=_ends_of_headers(hands.home.vendor))
            _refuse_another(contradicting_header(facts, prepared.product, hands.home.vendor, contents))
            never_cut = is_running or all(is_blank(content) for content in contents.values())
            final = final.narrowed(contents, trust_blank=never_cut and not diary.continues)
            forecast.decided(final.loads)
            if final.sectors:
                if prepared.before_erase is not None:
                    prepared.before_erase(wire, behaviour_of(hands.silicon, facts), facts)
                flasher.flash(final)
            flasher.leave(final)
        return Done(final, wire.control_transfers)


def _in_bootloader(hands: Hands, prepared: Errand, plan: Plan, steps: Steps, attached: Attached) -> Errand:
    """The device in its ROM. One that has become a stranger on the way there is known by what proved it."""
    vendor, facts = hands.home.vendor, prepared.connected.facts
    arrival = Arrival(attached)
    if facts.mode is Mode.APPLICATION:
        arrival = enter(hands.bus, attached, plan, steps.notice)

    def who(came: Arrival) -> DeviceFacts:
        if came.stranger is None:
            return check_arrival(hands.bus, came.attached, facts, hands.silicon)
        journals = hands.store.journals()
        return prove_again(hands.bus, came, facts, vendor, hands.silicon, journals, prepared.as_told)

    arrival, known = when_it_has_a_driver(hands.bus, arrival, steps.notice, who)
    return replace(prepared, connected=Connected(arrival.attached, known))


def _ends_of_headers(vendor: Vendor) -> tuple[int, ...]:
    """How far the flash must be read for the product header of any of the vendor's products to be seen."""
    return tuple(one.header.address + HEADER_BYTES for one in vendor.products if one.header)


def _refuse_another(against: str | None) -> None:
    """The last look before the first erase: the memory itself must not say that this is another product."""
    if against is not None:
        raise WrongDevice(
            f"this is not the device that it was taken for: {against}", device_is=DeviceIs.IN_BOOTLOADER
        )


def _confirmed_plan(hands: Hands, prepared: Errand, plan: Plan, facts: DeviceFacts) -> Plan:
    """The plan made again with what the ROM has shown; what the person agreed to must not change."""
    final = prepared.plan_for(facts, behaviour_of(hands.silicon, facts))
    if (final.image, final.parts) != (plan.image, plan.parts):
        raise WrongDevice("in its bootloader the device turned out to need another image than was planned")
    if (final.erased_sectors, final.lost_bytes) != (plan.erased_sectors, plan.lost_bytes):
        raise WrongDevice("in its bootloader the device turned out to need other sectors than were planned")
    return final


class _Diary:
    """The journal of one update, kept up to date. It is on the disk before the device is touched at all.

    `continues`: an earlier update, which may have been this device's, was not finished.
    """

    def __init__(self, hands: Hands, prepared: Errand, notice: Callable[[str], None]) -> None:
        facts, plan = prepared.connected.facts, prepared.plan
        self._store, self._notice = hands.store, notice
        self.continues = any(
            (earlier.port == facts.port or earlier.product == prepared.product.id)
            for earlier in hands.store.left_behind(facts.port)
        )
        self._chip = hands.silicon.by_id(facts.chip or "")
        self._journal = Journal(
            port=facts.port,
            product=prepared.product.id,
            hardware=facts.hardware,
            chip=facts.chip or "",
            serial=lasting_serial(facts, self._chip) if self._chip else None,
            identity=facts.identity,
            revision=facts.revision,
            manifest_sha256=prepared.digest,
            from_version=str(plan.from_version) if plan and plan.from_version else None,
        )
        self._keep()

    def arrived(self, facts: DeviceFacts) -> None:
        """It is in its ROM: that shows the serial by which it can be known again."""
        serial = lasting_serial(facts, self._chip) if self._chip else None
        self._journal = msgspec.structs.replace(
            self._journal, serial=serial, identity=facts.identity, revision=facts.revision
        )
        self._keep()

    def _keep(self) -> None:
        for earlier in self._store.journals():
            if earlier.is_about_the_same(self._journal):
                self._journal = earlier.continued(self._journal)
        self._store.keep_journal(self._journal)

    def __call__(self, contents: Possible, *, touched: bool) -> None:
        """Until the first erase a disk that is full stops the update; afterwards it must not."""
        self._journal = self._journal.with_witnesses(contents)
        try:
            self._store.keep_journal(self._journal)
        except StorageFailed as error:
            if not touched:
                raise
            self._notice(f"The journal could not be kept ({error.message}). The update goes on.")


@contextmanager
def _stopped_on_the_way(steps: Steps, plan: Plan, *, sent: bool) -> Iterator[None]:
    """What stops us around the open ROM: say where the device is by then.

    `sent`: it ran its application and we asked it to leave that. Ctrl-C may come a second time, while the
    device is being closed.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if steps.has_begun(Step.ERASE):
            raise _cut_off("it was stopped", plan) from error
        raise Cancelled(
            "the update was stopped before anything was erased",
            advice="Unplug the device, plug it in again, and it is as it was.",
            device_is=DeviceIs.UNKNOWN,
        ) from error
    except UpdaterError as error:
        if sent and error.device_is is DeviceIs.UNTOUCHED:
            error.device_is = DeviceIs.UNKNOWN
        if not sent and isinstance(error, UsbFailed) and error.advice == UsbFailed.advice:
            error.advice = _way_back(plan)  # it may hold no program: plugging it in alone may not be enough
        raise


@contextmanager
def _said_plainly(hands: Hands, prepared: Errand, flasher: Flasher, plan: Plan) -> Iterator[None]:
    """Turn what stops the work into an error that says how the device is now.

    A device that ran its application, and of which nothing was erased, is started again. One that was
    found in its ROM stays there: whether it holds a program that can run is not known. Nor is one that
    turned out to be another device: it is not ours to start, and its error says where it stays.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        said = _as_our_error(error, flasher, plan)
        was_running = prepared.connected.facts.mode is Mode.APPLICATION
        is_another = isinstance(said, WrongDevice) and said.device_is is DeviceIs.IN_BOOTLOADER
        if was_running and not flasher.touched and not is_another:
            _start_again(hands, prepared, flasher, plan, said)
        raise said from error


def _start_again(hands: Hands, prepared: Errand, flasher: Flasher, plan: Plan, said: UpdaterError) -> None:
    """Back to the old program, and say of the device what is seen of it."""
    if plan.replug_because is not None:
        if said.device_is is DeviceIs.UNTOUCHED:
            said.device_is = DeviceIs.IN_BOOTLOADER
        said.advice = f"Unplug the device and plug it in again: it is as it was. {said.advice}"
        return
    said.device_is = DeviceIs.UNKNOWN
    flasher.start_again(plan)
    port, usb = prepared.connected.facts.port, prepared.product.usb
    with suppress(UsbFailed):  # of the two, why it was stopped is what the person must know
        if hands.bus.wait_for(port, usb, plan.back_within_ms):
            said.device_is = DeviceIs.RUNS_OLD


def _as_our_error(error: BaseException, flasher: Flasher, plan: Plan) -> UpdaterError:
    if isinstance(error, UpdaterError) and not (flasher.touched and isinstance(error, UsbFailed)):
        if isinstance(error, NotFinished) and error.advice == NotFinished.advice:
            error.advice = _way_back(plan)
        return error
    if flasher.touched:
        return _cut_off("it was stopped" if isinstance(error, KeyboardInterrupt) else str(error), plan)
    if isinstance(error, KeyboardInterrupt):
        return Cancelled(
            "the update was stopped before anything was erased", device_is=DeviceIs.IN_BOOTLOADER
        )
    if isinstance(error, DeviceRefused) and error.code == StatusCode.errVENDOR:
        return Protected("read-out protection is on", device_is=DeviceIs.IN_BOOTLOADER)
    if isinstance(error, WireError):
        return UsbFailed(
            f"the connection to the device failed before anything was erased: {error}",
            device_is=DeviceIs.UNKNOWN if isinstance(error, Vanished) else DeviceIs.IN_BOOTLOADER,
        )
    return Bug(f"{type(error).__name__}: {error}", device_is=DeviceIs.IN_BOOTLOADER)


def _cut_off(what: str, plan: Plan) -> NotFinished:
    return NotFinished(f"the update was cut off: {what}", advice=_way_back(plan), device_is=DeviceIs.UNKNOWN)


def _way_back(plan: Plan) -> str:
    """What to do after a cut, as the plan had said."""
    finish = "run the same command: it finishes the update."
    by_hand = f"If the device is not found, start its bootloader by hand: {plan.recovery.steps}"
    if_not_empty = f" {by_hand} Then run it once more." if plan.recovery.steps else ""
    told = if_not_known(plan)
    way = {
        RecoveryKind.BOOT_BUTTON: f"Plug the device in again and {finish} {by_hand} Then run it once more.",
        RecoveryKind.EMPTY_CHECK: f"Unplug the device, plug it in again, and {finish}{if_not_empty}",
        RecoveryKind.RESIDENT_LOADER: f"Leave the device plugged in, wait a few seconds, and {finish}",
        RecoveryKind.NONE: f"Do not unplug the device. Leave it as it is and {finish}",
    }[plan.recovery.kind]
    return f"{way} {told}" if told else way
