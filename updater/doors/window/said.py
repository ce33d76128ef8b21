"""From the story's nouns to the window's: devices, offers, and the lines of the details. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from updater.doors.terminal import receipt_words, sentence, step_words
from updater.doors.window.state import Candidate, Confirmation, Doubt, Offer, Seen
from updater.heads.plan import Plan
from updater.heads.planwords import describe
from updater.heads.policy import TypedConfirmation
from updater.heads.report import Receipt
from updater.heads.vendor import Vendor
from updater.story.job import Prepared
from updater.words.errors import UpdaterError
from updater.words.events import Event, Noticed, Step, StepDone, StepStarted
from updater.words.facts import DeviceFacts, IdentityFrom, Mode


def seen_of(facts: DeviceFacts, vendor: Vendor) -> Seen:
    """A device as a customer knows it."""
    product = vendor.product(facts.product) if facts.product else None
    in_update_mode = facts.mode is Mode.ROM
    return Seen(
        port=facts.port,
        title=product.title if product else None,
        version=str(facts.version) if facts.version else None,
        serial=facts.serial,
        in_update_mode=in_update_mode,
        is_stranger=facts.mode is Mode.OTHER,
        problem=facts.problem,
        candidates=candidates(facts, vendor),
    )


def candidates(facts: DeviceFacts, vendor: Vendor) -> tuple[Candidate, ...]:
    """What a device in its bootloader may be: the vendor's products whose silicon fits, by hardware.

    Empty where the device says itself what it is, or where no word of a person would help.
    """
    if facts.mode is not Mode.ROM or facts.product or facts.problem or facts.unread or not facts.chips:
        return ()
    return tuple(
        Candidate(key=f"{product.id}:{hardware}", title=product.title, hardware=hardware)
        for product in vendor.products
        if set(facts.chips) & set(product.chips)
        for hardware in product.hardware
    )


def offer_of(prepared: Prepared, plan: Plan, size: int | None) -> Offer:
    """What a person is asked. `size` is that of the download or the file in bytes."""
    facts, manifest = prepared.connected.facts, prepared.bundle.manifest
    new = str(manifest.version)
    return Offer(
        key=(facts.port, prepared.product.id, plan.hardware or "", new, prepared.bundle.manifest_sha256),
        title=prepared.product.title,
        new=new,
        old=str(facts.version) if facts.version else None,
        notes=manifest.notes,
        size=size,
        estimate_ms=plan.estimate_ms,
        recovery=plan.recovery.kind,
        recovery_steps=plan.recovery.steps,
        confirmations=tuple(_confirmation(one, new) for one in prepared.verdict.confirmations),
        is_proven=plan.identity not in (IdentityFrom.PERSON, IdentityFrom.NONE),
        is_older=facts.version is not None and manifest.version < facts.version,
        in_update_mode=facts.mode is Mode.ROM,
        erases_all=plan.mass_erase is not None,
        asks_to_replug=plan.replug_because is not None,
    )


def _confirmation(wanted: TypedConfirmation, version: str) -> Confirmation:
    """The policy asks for the version where it is older, and for the product where trust has expired."""
    return Confirmation(text=wanted.text, doubt=Doubt.OLDER if wanted.text == version else Doubt.EXPIRED)


class Lines:
    """The details: the lines that the command line would print."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._totals: dict[Step, int | None] = {}

    def event(self, event: Event) -> None:
        """A step that is done, or a notice, is a line."""
        if isinstance(event, StepStarted):
            self._totals[event.step] = event.total
        elif isinstance(event, StepDone):
            self._say(step_words(event.step, self._totals.get(event.step), event.ms).strip())
        elif isinstance(event, Noticed):
            self._say(f"Note: {event.text}")

    def plan(self, plan: Plan) -> None:
        """The plan, as before the one question."""
        for line in ("The plan:", *(f"  {line}" for line in describe(plan))):
            self._say(line)

    def receipt(self, receipt: Receipt) -> None:
        """What was really done."""
        for line in receipt_words(receipt):
            self._say(line)

    @staticmethod
    def of_error(error: UpdaterError) -> Iterator[str]:
        """What went wrong, exactly."""
        yield f"Error: {sentence(error.message)}"
        yield f"What to do: {sentence(error.advice)}"
