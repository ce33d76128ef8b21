"""The story of an update: prepare, ask once, perform.

`prepare` finds the device, gets the bundle, passes it through the gate and the policy, and makes the plan;
nothing is touched. Between the two a door asks the only question. `perform` enters the bootloader,
flashes, leaves, and waits for the application to say its new version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from semver import Version

from updater.channel import UpdateSite, require_as_offered
from updater.devices import (
    Connected,
    choose,
    foretold_serial,
    look_around,
    parse_as,
    product_of,
    rom_silicon,
    told,
)
from updater.dfu.words import DeviceRefused, StatusCode, WireError
from updater.errors import (
    Cancelled,
    DeviceIs,
    NotConfirmed,
    NotFinished,
    Protected,
    Refused,
    StorageFailed,
    UnknownDevice,
    UpdaterError,
    UsbFailed,
    WrongDevice,
)
from updater.events import Emit, Event, Noticed, Step, StepDone
from updater.facts import Channel, DeviceFacts
from updater.flashing import Contents, Flasher, Remember, Steps
from updater.gate import verify_bundle, verify_evidence, walk_roots
from updater.host import Home
from updater.manifest import Bundle
from updater.passage import await_application, check_arrival, enter, still_there
from updater.plan import Plan, make_plan
from updater.policy import OpenedFrom, Verdict, check_clock, floor_of, judge
from updater.report import Receipt, Result
from updater.silicon import Behaviour, Silicon
from updater.store import Journal, Store
from updater.usbio import Bus
from updater.vendor import Kind, Product, RecoveryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Everything that touches the world, and today's date. Made by a door."""

    bus: Bus
    site: UpdateSite
    store: Store
    home: Home
    silicon: Silicon
    now: datetime
    virtual: bool = False
    clock: Literal["virtual", "real"] = "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person, a link or a file asks for. `data` is a bundle file's content."""

    opened_from: OpenedFrom
    channel: Channel = Channel.STABLE
    version: Version | None = None
    product: str | None = None
    data: bytes | None = None
    device: str | None = None
    as_product: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is known before the one question. `plan` is None when there is nothing to do."""

    connected: Connected
    product: Product
    bundle: Bundle
    verdict: Verdict
    plan: Plan | None
    steps: tuple[tuple[Step, int], ...]


def prepare(hands: Hands, request: Request, emit: Emit) -> Prepared:
    """Find out what would be done. Nothing on the device is changed.

    Raises any `UpdaterError` of exit statuses 2 to 8 and 13.
    """
    steps: list[tuple[Step, int]] = []

    def heard(event: Event) -> None:
        if isinstance(event, StepDone):
            steps.append((event.step, event.ms))
        emit(event)

    connected = find_device(hands, request)
    product = product_of(connected.facts, hands.home.vendor)
    if request.product not in (None, product.id):
        raise WrongDevice(f"the link is for {request.product}, but the device is a {product.title}")
    bundle, verdict = _genuine(hands, request, connected.facts, product, heard)
    plan = None
    if not verdict.nothing_to_do:
        plan = make_plan(connected.facts, bundle, product, _behaviour(hands.silicon, connected.facts))
    return Prepared(
        connected=connected,
        product=product,
        bundle=bundle,
        verdict=verdict,
        plan=plan,
        steps=tuple(steps),
    )


def find_device(hands: Hands, request: Request) -> Connected:
    """The one device to work on, with what a person said of it."""
    vendor = hands.home.vendor
    one = choose(look_around(hands.bus, vendor, hands.silicon, hands.store.journals()), request.device)
    if request.as_product is None:
        return one
    return Connected(one.attached, told(one.facts, *parse_as(request.as_product, vendor)))


def _genuine(
    hands: Hands, request: Request, facts: DeviceFacts, product: Product, emit: Emit
) -> tuple[Bundle, Verdict]:
    """The bundle, through the gate and the policy."""
    offer, data = None, request.data
    if data is None:
        offer = hands.site.offer(product.id, request.channel, request.version)
        data = hands.site.download(offer, emit)
    steps = Steps(emit, hands.bus.clock)
    with steps.whole(Step.CHECK):
        known, root = hands.site.known_roots(), hands.home.embedded_root
        bundle = verify_bundle(data, embedded_root=root, known_roots=known, now=hands.now)
        if offer is not None:
            require_as_offered(offer, bundle.manifest)
        if (doubt := check_clock(hands.now, bundle.manifest.created)) is not None:
            emit(Noticed(doubt))
        newest_root = walk_roots(root, bundle.root_chain).root
        seen = (verify_evidence(kept, newest_root) for kept in hands.store.evidence(product.id))
        floor = floor_of(
            product.id,
            evidence=[manifest for manifest in seen if manifest is not None],
            reported=facts.security_counter,
        )
        verdict = judge(
            bundle,
            product=product,
            facts=facts,
            floor=floor,
            opened_from=request.opened_from,
            channel=request.channel if request.data is None else None,
            again=request.again,
        )
    return bundle, verdict


def _behaviour(silicon: Silicon, facts: DeviceFacts) -> Behaviour:
    chip = silicon.by_id(facts.chip) if facts.chip else None
    if chip is None:
        raise UnknownDevice(
            "this device's chip is not one that this updater knows",
            advice="Ask the vendor for a newer updater.",
        )
    return silicon.behaviour(chip, rom_version=facts.rom_version, revision=facts.revision)


def perform(hands: Hands, prepared: Prepared, emit: Emit) -> Receipt:
    """Carry the plan out. The question has been answered with yes.

    Raises `Refused` (a demo updater on a real device), `UsbFailed`, `WrongDevice`, `Protected`,
    `StorageFailed` (nothing was erased) or `NotFinished` (the same command finishes it).
    """
    plan = prepared.plan
    if plan is None:
        return _receipt(hands, prepared, prepared.connected.facts, "nothing-to-do")
    if hands.home.vendor.kind is Kind.DEMO and not hands.virtual:
        raise Refused(
            "this is the demo updater: it never writes to a real device",
            advice="Run `updater demo`, or use the updater of your device's vendor.",
        )
    manifest = prepared.bundle.manifest
    hands.store.keep_evidence(manifest.product, manifest.security_counter, prepared.bundle.envelope)
    steps = Steps(emit, hands.bus.clock)
    written = _written(hands, prepared, plan, steps)
    with steps.whole(Step.CONFIRM):
        port, vendor = prepared.connected.facts.port, hands.home.vendor
        back = await_application(hands.bus, port, prepared.product, plan, vendor, hands.silicon)
    confirmed = back is not None and (back.product, back.version) == (plan.product, plan.to_version)
    result: Result = "confirmed" if confirmed else "written-not-confirmed"
    facts = back or prepared.connected.facts
    return _receipt(hands, prepared, facts, result, written=written, times=steps.times)


def dry_run(hands: Hands, prepared: Prepared) -> Receipt:
    """The receipt of an update that was only planned."""
    return _receipt(hands, prepared, prepared.connected.facts, "dry-run")


@dataclass(frozen=True, slots=True)
class _Written:
    """What was really done, as the receipt says it."""

    plan: Plan
    control_transfers: int


def _written(hands: Hands, prepared: Prepared, plan: Plan, steps: Steps) -> _Written:
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
        done = _Written(final, wire.control_transfers)
    hands.store.drop_journal(prepared.connected.facts.port)
    return done


def _confirmed_plan(hands: Hands, prepared: Prepared, plan: Plan, facts: DeviceFacts) -> Plan:
    """The plan made again with what the ROM has shown; what the person agreed to must not change."""
    final = make_plan(facts, prepared.bundle, prepared.product, _behaviour(hands.silicon, facts))
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
            error.advice = way_back(plan)
        return error
    if flasher.touched:
        what = "you stopped it" if isinstance(error, KeyboardInterrupt) else str(error)
        return NotFinished(
            f"the update was cut off: {what}", advice=way_back(plan), device_is=DeviceIs.UNKNOWN
        )
    if isinstance(error, KeyboardInterrupt):
        return Cancelled(
            "you stopped the update before anything was erased", device_is=DeviceIs.IN_BOOTLOADER
        )
    if isinstance(error, DeviceRefused) and error.code == StatusCode.errVENDOR:
        return Protected("read-out protection is on", device_is=DeviceIs.IN_BOOTLOADER)
    return UsbFailed(f"the bootloader failed: {error}", device_is=DeviceIs.IN_BOOTLOADER)


def way_back(plan: Plan) -> str:
    """What to do after a cut, as the plan had said."""
    again = "and run the same command: it finishes the update."
    if plan.recovery.kind is RecoveryKind.BOOT_BUTTON:
        return (
            f"Plug the device in again {again} If it is not found, start its bootloader by hand: "
            f"{plan.recovery.steps} Then run the same command."
        )
    return f"Unplug the device, plug it in again {again}"


def _receipt(
    hands: Hands,
    prepared: Prepared,
    facts: DeviceFacts,
    result: Result,
    *,
    written: _Written | None = None,
    times: tuple[tuple[Step, int], ...] = (),
) -> Receipt:
    before, bundle = prepared.connected.facts, prepared.bundle
    return Receipt(
        exit_status=NotConfirmed.exit_status if result == "written-not-confirmed" else 0,
        result=result,
        device=facts,
        product=prepared.product.id,
        from_version=before.version,
        to_version=bundle.manifest.version,
        manifest_sha256=bundle.manifest_sha256,
        signed_by=bundle.signed_by,
        root_version=bundle.root_version,
        identity=before.identity,
        verified="read-back" if written else "none",
        wrote_bytes=written.plan.write_bytes if written else 0,
        erased_sectors=len(written.plan.sectors) if written else 0,
        control_transfers=written.control_transfers if written else 0,
        steps=(*prepared.steps, *times),
        clock=hands.clock,
    )
