"""The conversations of `updater otp`: show what is burnt, and burn more after one question."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from updater.doors.console import IN_PLACE, awake, keep_and_tell, stopped_at_work
from updater.doors.terminal import Face
from updater.heads.otp.layout import Layout, decode
from updater.heads.otp.plan import OtpPlan, Patch, otp_area
from updater.heads.otp.report import OtpReceipt, otp_line, otp_plan_line, otp_receipt_line
from updater.heads.otp.words import count_bytes, describe, dump, field_words, receipt_words
from updater.heads.policy import OpenedFrom
from updater.story.job import Hands, Request
from updater.story.provision import find, in_bootloader, perform, prepare, receipt
from updater.story.visit import Subject
from updater.words.errors import NotConfirmed


def request_for(device: str | None, as_product: str | None) -> Request:
    """Which device is meant; no release has a part in this."""
    return Request(opened_from=OpenedFrom.CHANNEL, device=device, as_product=as_product)


def show(
    hands: Hands,
    face: Face,
    request: Request,
    *,
    layout: Layout | None = None,
    subject: Subject | None = None,
) -> int:
    """`updater otp show`: the values of a layout, and the raw bytes, block by block, with their locks."""
    subject = subject or find(hands, request)
    with in_bootloader(hands, subject, face.emit) as visit:
        contents = visit.worker.read()
    chip = visit.behaviour.chip
    area = otp_area(chip)
    alternate = visit.worker.alternate
    title = (
        f"{visit.product.title}: OTP memory of its {chip.title}, {count_bytes(area.bytes)} "
        f"at 0x{area.at:08X} in blocks of {area.block_bytes}"
    )
    decoded = None if layout is None else decode(layout, contents.data)
    lines = [*field_words(decoded or ()), *dump(area, contents)]
    text = "\n".join([title, *(f"  {line}" for line in lines)])
    face.line(otp_line(visit.seen(), area, contents, alternate, decoded), text)
    return 0


def write(
    hands: Hands, face: Face, request: Request, patches: Sequence[Patch], *, yes: bool, dry: bool
) -> int:
    """`updater otp write`: prepare, ask once, perform, and keep the receipt."""
    subject = find(hands, request, patches)
    with stopped_at_work(), awake(hands), in_bootloader(hands, subject, face.emit) as visit:
        plan = prepare(visit, patches)
        if plan.runs:
            face.announce(otp_plan_line(plan, visit.worker.alternate), describe(plan))
        if plan.runs and not dry:
            ask_once(face, plan, yes=yes)
            perform(hands, visit, plan)
    done = receipt(hands, visit, plan, dry=dry)
    with suppress(KeyboardInterrupt, OSError, ValueError):  # the device is done, whoever listens
        tell(hands, face, done)
    return done.exit_status


def ask_once(face: Face, plan: OtpPlan, *, yes: bool) -> None:
    """The one question. Raises `Cancelled` for a no."""
    question = f"Burn {count_bytes(plan.changed_bytes)} into this {plan.title} for ever?"
    face.confirm(question, yes=yes)


def tell(hands: Hands, face: Face, done: OtpReceipt) -> None:
    """Keep the receipt, and say what was done."""
    work = f"{done.plan.product}-otp" if done.verified == "read-back" else None
    keep_and_tell(hands, face, otp_receipt_line(done), receipt_words(done), work=work)
    if done.exit_status == NotConfirmed.exit_status:
        face.say(IN_PLACE)
