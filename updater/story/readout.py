"""The story of reading: into the bootloader, read, and out again. Nothing on the device is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from updater.heads.memory import (
    Difference,
    Kind,
    Memory,
    Place,
    Wanted,
    check_wanted,
    compare,
    places_of,
    start_of,
)
from updater.heads.silicon import Chip, Option, decode_options
from updater.heads.vendor import Product
from updater.story.devices import behaviour_of, product_of
from updater.story.job import Hands, Request
from updater.story.reading import Reader
from updater.story.update import find_device
from updater.story.visit import Subject, in_bootloader
from updater.words.events import Emit
from updater.words.facts import DeviceFacts, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """What was read of which device; it is as it was found."""

    device: DeviceFacts
    product: Product
    chip: Chip
    memory: Memory
    compared: bool
    difference: Difference | None


def read_out(
    hands: Hands,
    request: Request,
    wanted: Wanted,
    emit: Emit,
    *,
    file: Callable[[int], Sequence[Segment]] | None = None,
) -> Readout:
    """Read what is wanted; with a `file` that is compared, only what is in it.

    The file's bytes are asked for with the address at which the region begins. Raises any error of
    `find_device` and of `visit.in_bootloader`, `Usage`, `Refused`, `WrongDevice` and `Protected`.
    """
    connected = find_device(hands, request)
    product = product_of(connected.facts, hands.home.vendor)
    chip = behaviour_of(hands.silicon, connected.facts).chip
    check_wanted(wanted, chip)
    only = file(start_of(wanted.kind, chip)) if file else ()
    with in_bootloader(hands, Subject(connected, product), emit, Reader) as visit:
        chip = visit.behaviour.chip
        places = _places(wanted, only, chip, visit.facts, product)
        parts = visit.worker.read(places)
    memory = Memory(
        kind=wanted.kind,
        parts=parts,
        alternate=visit.worker.alternate,
        options=_options(hands, wanted, chip, parts),
    )
    return Readout(
        device=visit.seen(),
        product=product,
        chip=chip,
        memory=memory,
        compared=bool(only),
        difference=compare(parts, only) if only else None,
    )


def _places(
    wanted: Wanted, only: Sequence[Segment], chip: Chip, facts: DeviceFacts, product: Product
) -> tuple[Place, ...]:
    """What to read: what is wanted, or where the segments are, each of which lies in the region."""
    if not only or wanted.kind is Kind.OPTIONS:
        return places_of(wanted, chip, facts, product)
    return tuple(
        place
        for part in only
        for place in places_of(
            Wanted(kind=wanted.kind, address=part.address, length=len(part.data)), chip, facts, product
        )
    )


def _options(hands: Hands, wanted: Wanted, chip: Chip, parts: Sequence[Segment]) -> tuple[Option, ...]:
    if wanted.kind is not Kind.OPTIONS:
        return ()
    return tuple(decode_options(hands.silicon.options, chip.id, parts[0].address, parts[0].data))
