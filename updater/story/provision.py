"""The story of OTP: into the bootloader, read, plan, ask once, burn, read back, and out again.

Unlike an update it has to read before it can ask: what may be burnt depends on what the device holds. So
the device stays open in its bootloader while the question is asked; whatever comes of it, a device that ran
its application is started again. Reading changes nothing, and neither way touches the flash.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from updater.heads.otp.lock import LockPlan
from updater.heads.otp.plan import (
    OtpContents,
    OtpPlan,
    Patch,
    check_patches,
    make_otp_plan,
    otp_area,
    writable_area,
)
from updater.heads.otp.report import OtpLockReceipt, OtpReceipt, OtpResult
from updater.story.burning import Burner
from updater.story.devices import behaviour_of, product_of
from updater.story.job import Hands, Request
from updater.story.update import check_may_write, find_device
from updater.story.visit import Subject, Visit
from updater.story.visit import in_bootloader as visit_bootloader
from updater.words.errors import NotConfirmed
from updater.words.events import Emit

OtpVisit = Visit[Burner]


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


def in_bootloader(hands: Hands, subject: Subject, emit: Emit) -> AbstractContextManager[OtpVisit]:
    """The device in its bootloader with its OTP memory at hand. Raises what `visit.in_bootloader` does."""
    return visit_bootloader(hands, subject, emit, Burner)


def prepare(visit: OtpVisit, patches: Sequence[Patch], before: OtpContents | None = None) -> OtpPlan:
    """Read what the device holds, unless it was read, and decide. Nothing on the device is changed.

    Raises `Protected`, `Refused`, or `WrongDevice`.
    """
    before = before or visit.worker.read()
    return make_otp_plan(visit.facts, visit.product, visit.behaviour, patches, before)


def perform(hands: Hands, visit: OtpVisit, plan: OtpPlan) -> None:
    """Burn the plan. The question has been answered with yes.

    Raises `Refused` (a demo updater on a real device), `WrongDevice` (the memory is not what it was),
    `Protected` (nothing was stored), and `NotFinished`; lets wire errors through to `in_bootloader`.
    """
    check_may_write(hands)
    visit.worker.burn(plan)


def receipt(hands: Hands, visit: OtpVisit, plan: OtpPlan, *, dry: bool = False) -> OtpReceipt:
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


def perform_lock(hands: Hands, visit: OtpVisit, plan: LockPlan) -> None:
    """Lock the block. The confirmation was typed. Raises what `perform` does."""
    check_may_write(hands)
    visit.worker.lock(plan)


def lock_receipt(visit: OtpVisit, plan: LockPlan, *, dry: bool) -> OtpLockReceipt:
    """What was locked, once the visit is over."""
    was_locked = plan.run is not None and not dry
    result: OtpResult = "written" if visit.came_back else "written-not-confirmed"
    if not was_locked:
        result = "dry-run" if plan.run else "nothing-to-do"
    return OtpLockReceipt(
        exit_status=NotConfirmed.exit_status if result == "written-not-confirmed" else 0,
        result=result,
        device=visit.seen(),
        plan=plan,
        verified="read-back" if was_locked else "none",
        control_transfers=visit.wire.control_transfers,
    )
