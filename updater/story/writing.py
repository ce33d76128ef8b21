"""The story of `updater write`: a file that nobody signed, into the flash of a device on an engineer's bench.

It has the plan, the safe order, the read-back and the recovery of an update, and none of its trust: no bundle
is made of the file, and no gate is asked. So it exists only where vendor.toml says so, and the product's
name has to be typed (docs/decisions/0017).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from updater.heads.memoryreport import WriteReceipt
from updater.heads.plan import Cargo, Plan, plan_cargo
from updater.heads.report import Result
from updater.heads.silicon import Behaviour
from updater.heads.vendor import Product, RecoveryKind, Vendor
from updater.story.deed import Done, carry_out
from updater.story.devices import behaviour_of, parse_as, product_of
from updater.story.job import Errand, Hands, Request
from updater.story.passage import require_bootloader_driver, seen_without_answer
from updater.story.steps import Steps
from updater.story.transcript import kept_if_it_fails
from updater.story.update import check_may_write, find_device, seen_again, unfailing
from updater.words.errors import NotConfirmed, Refused, WrongDevice
from updater.words.events import Emit, Step
from updater.words.facts import HEADER_BYTES, DeviceFacts, ProductHeader, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a file holds by address, and whether it may go where the product keeps its own data."""

    file: str
    parts: tuple[Segment, ...]
    over_kept: bool = False

    def header(self, product: Product) -> ProductHeader | None:
        """The product header, where the file has one at the product's place for it."""
        at = product.header.address if product.header else None
        for part in self.parts:
            if at is not None and part.address <= at and at + HEADER_BYTES <= part.end:
                return ProductHeader.parse(part.data[at - part.address :])
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench(Errand):
    """A piece and the device that it goes to: all that is known before the questions."""

    piece: Piece

    def plan_for(self, facts: DeviceFacts, behaviour: Behaviour) -> Plan:
        header = self.piece.header(self.product)
        cargo = Cargo(
            segments=self.piece.parts,
            name=self.piece.file,
            because="signed by nobody",
            to_version=header.version if header else None,
            is_piece=True,
        )
        return plan_cargo(facts, cargo, self.product, behaviour, over_kept=self.piece.over_kept)

    @property
    def digest(self) -> str:
        """Over addresses and bytes."""
        digest = hashlib.sha256()
        for part in self.piece.parts:
            digest.update(part.address.to_bytes(4, "little") + len(part.data).to_bytes(4, "little"))
            digest.update(part.data)
        return digest.hexdigest()

    @property
    def goal(self) -> str:
        return self.piece.file


def check_engineering(vendor: Vendor) -> None:
    """Raises `Refused` unless vendor.toml lets unsigned files be written."""
    if vendor.engineering is None or not vendor.engineering.write:
        raise Refused(
            f"the updater of {vendor.name} writes only what is signed",
            advice="Use `updater install` with a bundle. For a bench, the vendor can make an updater whose "
            "vendor.toml has [engineering] with write = true.",
        )


def prepare_write(hands: Hands, request: Request, piece: Piece) -> Bench:
    """Find the device and make the plan. Nothing on the device is changed.

    Raises any error of `find_device` and `product_of`, `Refused` and `WrongDevice`.
    """
    check_engineering(hands.home.vendor)
    connected = find_device(hands, request)
    product = product_of(connected.facts, hands.home.vendor)
    require_bootloader_driver(hands.drivers, connected.facts)
    behaviour = behaviour_of(hands.silicon, connected.facts)
    if behaviour.chip.id not in product.chips:
        raise WrongDevice(
            f"this device's chip is a {behaviour.chip.title}, but {product.title} is not made with one"
        )
    header = piece.header(product)
    if header is not None and header.product != product.id:
        raise WrongDevice(f"the file is firmware of a {header.product}, but the device is a {product.title}")
    if product.recovery.kind is RecoveryKind.NONE:
        raise Refused(
            f"{product.title} has no way back when the writing is cut off",
            advice="State the product's recovery in vendor.toml.",
        )
    bench = Bench(
        connected=connected,
        product=product,
        plan=None,
        piece=piece,
        as_told=parse_as(request.as_product, hands.home.vendor) if request.as_product else None,
    )
    return replace(bench, plan=bench.plan_for(connected.facts, behaviour))


def perform_write(hands: Hands, bench: Bench, plan: Plan, emit: Emit) -> WriteReceipt:
    """Carry the plan out. The questions have been answered. Raises what `update.perform` does."""
    check_may_write(hands)
    steps = Steps(unfailing(emit), hands.bus.clock)
    with kept_if_it_fails(hands, bench) as transcript:
        written = carry_out(hands, bench, plan, steps)
    before = bench.connected.facts
    back = seen_again(hands, bench, written.plan, steps)
    confirmed = (
        back is not None
        and back.product == plan.product
        and plan.to_version in (None, back.version)
        and before.uid in (None, back.uid)
    )
    if not confirmed:
        transcript.keep(hands, bench, "the application did not come back")
    facts = back or replace(seen_without_answer(hands.bus, before), version=None, security_counter=None)
    result: Result = "confirmed" if confirmed else "written-not-confirmed"
    return _receipt(hands, bench, facts, result, written=written, times=steps.times)


def dry_write(hands: Hands, bench: Bench) -> WriteReceipt:
    """The receipt of a writing that was only planned."""
    return _receipt(hands, bench, bench.connected.facts, "dry-run")


def _receipt(
    hands: Hands,
    bench: Bench,
    facts: DeviceFacts,
    result: Result,
    *,
    written: Done | None = None,
    times: Sequence[tuple[Step, int]] = (),
) -> WriteReceipt:
    return WriteReceipt(
        exit_status=NotConfirmed.exit_status if result == "written-not-confirmed" else 0,
        result=result,
        device=facts,
        product=bench.product.id,
        identity=written.plan.identity if written else bench.connected.facts.identity,
        file=bench.piece.file,
        parts=bench.piece.parts,
        verified="read-back" if written else "none",
        wrote_bytes=written.plan.write_bytes if written else 0,
        erased_sectors=len(written.plan.erased_sectors) if written else 0,
        control_transfers=written.control_transfers if written else 0,
        steps=tuple(times),
        clock=hands.clock,
    )
