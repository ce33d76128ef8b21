"""A whole job on one virtual ROM: a bundle through the real gate, the real plan, the real flasher."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from msgspec.structs import replace

from tests.heads.bundle_kit import make_bundle, make_image, make_manifest, open_bundle
from updater.hands.usbio import ROM_USB, Wire
from updater.heads.dfu.scripts import COMMAND_MAX_MS, READ_BLOCK_MS
from updater.heads.dfu.words import Script, T
from updater.heads.manifest import Bundle, ManifestSegment
from updater.heads.plan import Plan, make_plan
from updater.heads.silicon import BankMode, Behaviour, Chip
from updater.heads.vendor import Product, Recovery, RecoveryKind
from updater.lab.clock import VirtualClock
from updater.story.flashing import Flasher, Possible
from updater.story.steps import Steps
from updater.words.facts import DeviceFacts, Mode, Segment

STACK_TOP = 0x2000_1000
LONGEST_NAP_MS, STALL_NAP_MS = 1_000, 10
"""How long the scripts sleep at most between two polls, and after one that was stalled."""


def program(length: int, *, at: int = 0x0800_0000, stack: int = STACK_TOP, salt: int = 0) -> bytes:
    """A vector table with its program behind it; the bytes tell their place, none of them is 0xFF."""
    reset = at + min(8, length - 2) & ~1 | 1
    body = bytes((n * 7 + n // 251 + salt) % 255 for n in range(8, length))
    return (stack.to_bytes(4, "little") + reset.to_bytes(4, "little") + body)[:length]


def bundle_of(chip: Chip, segments: Sequence[Segment]) -> Bundle:
    """Signed, packed, and let in by the gate."""
    files = {f"images/part{number}.bin": part.data for number, part in enumerate(segments)}
    parts = tuple(
        ManifestSegment(
            address=part.address,
            length=len(part.data),
            sha256=hashlib.sha256(part.data).hexdigest(),
            file=file,
        )
        for part, file in zip(segments, files, strict=True)
    )
    image = replace(make_image(dev_ids=(chip.dev_id.value,)), segments=parts)
    return open_bundle(make_bundle(make_manifest(images=(image,)), files=files))


def product_of(chip: Chip, **changes: Any) -> Product:
    """A product with this chip, whose part and bank mode the vendor states."""
    values: dict[str, Any] = {
        "id": "demo-widget",
        "number": 1,
        "title": "Demo Widget",
        "usb": (),
        "chips": (chip.id,),
        "hardware": ("A",),
        "recovery": Recovery(kind=RecoveryKind.BOOT_BUTTON, steps="Hold the button while you plug it in."),
        "flash_kib": max(chip.sizes_kib.value),
    }
    return Product(**values | changes)


def facts_of(bank_mode: BankMode | None = None) -> DeviceFacts:
    return DeviceFacts(
        name="Demo Widget", port="1-1", usb=ROM_USB, mode=Mode.ROM, hardware="A", bank_mode=bank_mode
    )


def plan_for(
    behaviour: Behaviour,
    segments: Sequence[Segment],
    *,
    bank_mode: BankMode | None = None,
    **product: Any,
) -> Plan:
    """The plan for these bytes. Raises what `make_plan` raises."""
    chip = behaviour.chip
    return make_plan(facts_of(bank_mode), bundle_of(chip, segments), product_of(chip, **product), behaviour)


class Runs(Protocol):
    """As much of a wire as a flasher needs."""

    @property
    def on_bytes(self) -> Callable[[int], None]: ...

    def run(self, script: Script[T]) -> T: ...


def flasher_on(wire: Runs, clock: VirtualClock) -> Flasher:
    """A flasher over either way to a ROM; its journal is not what is tested here."""
    return Flasher(cast(Wire, wire), Steps(lambda _event: None, clock), _forget)


def _forget(contents: Possible, *, touched: bool) -> None:
    """Nothing is kept."""


def install(flasher: Flasher, plan: Plan) -> Plan:
    """As the story does it: look, leave out what is there already, flash. Returns what was carried out."""
    final = plan.narrowed(flasher.look(plan))
    if final.sectors:
        flasher.flash(final)
    return final


def ceiling_ms(plan: Plan) -> float:
    """The longest that looking, flashing and leaving may take: the sum of the plan's own ceilings.

    Each stored download may last as long as its ceiling, and be polled once more behind it.
    """
    pace = plan.pace

    def stored(most_ms: float) -> float:
        return most_ms + 2 * LONGEST_NAP_MS + STALL_NAP_MS * pace.polling.stalls

    def moved(length: int) -> float:
        blocks = -(-length // pace.transfer_size)
        write = stored(COMMAND_MAX_MS) + blocks * stored(pace.write_max_ms)
        return write + looked(length)

    def looked(length: int) -> float:
        return stored(COMMAND_MAX_MS) + READ_BLOCK_MS * (10 + length // pace.transfer_size)

    look = sum(2 * looked(sector.size) for sector in plan.erased_sectors)
    erase = sum(stored(step.erase_max_ms) + (step.stuck_wait_ms or 0) for step in plan.sectors)
    if plan.mass_erase:
        erase = stored(plan.mass_erase.max_ms)
    feature_and_leave = moved(4) + stored(COMMAND_MAX_MS)
    return look + erase + sum(moved(len(part.data)) for part in plan.parts) + feature_and_leave
