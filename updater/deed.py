"""The deed: from the running application into the ROM, through the plan, and out again.

Whatever stops it becomes an error that says how the device is now: as long as nothing was erased the old
program is started again; after that the same command finishes the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from updater.devices import behaviour_of, foretold_serial, rom_silicon
from updater.dfu.words import DeviceRefused, StatusCode, WireError
from updater.errors import (
    Cancelled,
    DeviceIs,
    NotFinished,
    Protected,
    StorageFailed,
    UpdaterError,
    UsbFailed,
    WrongDevice,
)
from updater.events import Step
from updater.facts import DeviceFacts
from updater.flashing import Contents, Flasher, Remember, Steps
from updater.job import Hands, Prepared
from updater.passage import check_arrival, enter, still_there
from updater.plan import Plan, make_plan
from updater.store import Journal
from updater.vendor import RecoveryKind


@dataclass(frozen=True, slots=True)
class Done:
    """What was really done, as the receipt says it."""

    plan: Plan
    control_transfers: int


def carry_out(hands: Hands, prepared: Prepared, plan: Plan, steps: Steps) -> Done:
    """Enter the ROM, flash, leave. The journal is on the disk before the device is touched at all."""
    still_there(hands.bus, prepared.connected)
    remember = _journal(hands, prepared, steps.notice)
    with steps.whole(Step.ENTER):
        attached = enter(hands.bus, prepared.connected, plan)
        facts = check_arrival(attached, prepared.connected.facts, hands.silicon)
    with hands.bus.open_dfu(attached) as wire:
        flasher = Flasher(wire, steps, remember)
        with _said_plainly(flasher, plan):
            facts = rom_silicon(facts, wire, hands.silicon)
            final = flasher.compare(_confirmed_plan(hands, prepared, plan, facts))
            if final.sectors:
                flasher.flash(final)
            flasher.leave(final)
        done = Done(final, wire.control_transfers)
    hands.store.drop_journal(prepared.connected.facts.port)
    return done


def _confirmed_plan(hands: Hands, prepared: Prepared, plan: Plan, facts: DeviceFacts) -> Plan:
    """The plan made again with what the ROM has shown; what the person agreed to must not change."""
    final = make_plan(facts, prepared.bundle, prepared.product, behaviour_of(hands.silicon, facts))
    if (final.image, final.parts) != (plan.image, plan.parts):
        raise WrongDevice("in its bootloader the device turned out to need another image than was planned")
    return final


def _journal(hands: Hands, prepared: Prepared, notice: Callable[[str], None]) -> Remember:
    """Open the journal, and return the way to add to it.

    Until the first erase a disk that is full stops the update; afterwards it must not.
    """
    facts, plan = prepared.connected.facts, prepared.plan
    chip = hands.silicon.by_id(facts.chip or "")
    journal = Journal(
        port=facts.port,
        product=prepared.product.id,
        hardware=facts.hardware,
        chip=facts.chip or "",
        serial=foretold_serial(facts, chip) if chip else None,
        manifest_sha256=prepared.bundle.manifest_sha256,
        from_version=str(plan.from_version) if plan and plan.from_version else None,
    )
    for earlier in hands.store.journals():
        if earlier.is_about_the_same(journal):
            journal = earlier.continued(journal)
    hands.store.keep_journal(journal)

    def remember(contents: Contents, *, touched: bool) -> None:
        nonlocal journal
        journal = journal.with_witnesses(contents)
        try:
            hands.store.keep_journal(journal)
        except StorageFailed as error:
            if not touched:
                raise
            notice(f"The journal could not be kept ({error.message}). The update goes on.")

    return remember


@contextmanager
def _said_plainly(flasher: Flasher, plan: Plan) -> Iterator[None]:
    """Turn what stops the work into an error that says how the device is now.

    As long as nothing was erased the device still has its old program: it is started again.
    """
    try:
        yield
    except (WireError, KeyboardInterrupt, UpdaterError) as error:
        said = _as_our_error(error, flasher, plan)
        if not flasher.touched and flasher.started_again(plan):
            said.device_is = DeviceIs.RUNS_OLD
        raise said from error


def _as_our_error(error: BaseException, flasher: Flasher, plan: Plan) -> UpdaterError:
    if isinstance(error, UpdaterError):
        if isinstance(error, NotFinished):
            error.advice = _way_back(plan)
        return error
    if flasher.touched:
        what = "you stopped it" if isinstance(error, KeyboardInterrupt) else str(error)
        return NotFinished(
            f"the update was cut off: {what}", advice=_way_back(plan), device_is=DeviceIs.UNKNOWN
        )
    if isinstance(error, KeyboardInterrupt):
        return Cancelled(
            "you stopped the update before anything was erased", device_is=DeviceIs.IN_BOOTLOADER
        )
    if isinstance(error, DeviceRefused) and error.code == StatusCode.errVENDOR:
        return Protected("read-out protection is on", device_is=DeviceIs.IN_BOOTLOADER)
    return UsbFailed(f"the bootloader failed: {error}", device_is=DeviceIs.IN_BOOTLOADER)


def _way_back(plan: Plan) -> str:
    """What to do after a cut, as the plan had said."""
    again = "and run the same command: it finishes the update."
    if plan.recovery.kind is RecoveryKind.BOOT_BUTTON:
        return (
            f"Plug the device in again {again} If it is not found, start its bootloader by hand: "
            f"{plan.recovery.steps} Then run the same command."
        )
    return f"Unplug the device, plug it in again {again}"
