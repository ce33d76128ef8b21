"""The story of an update: prepare, ask once, perform.

`prepare` finds the device, gets the bundle, passes it through the gate and the policy, and makes the plan;
nothing is touched. Between the two a door asks the only question. `perform` enters the bootloader,
flashes, leaves, and waits for the application to say its new version.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import ParamSpec

from updater.heads.plan import Plan, make_plan
from updater.heads.report import Receipt, Result
from updater.heads.vendor import Kind
from updater.story.catalogue import newest, newest_if_any
from updater.story.deed import Done, carry_out
from updater.story.devices import (
    Connected,
    behaviour_of,
    choose,
    look_around,
    no_device,
    parse_as,
    product_of,
    told,
)
from updater.story.job import Errand, Hands, Prepared, Request
from updater.story.passage import await_application, require_bootloader_driver, seen_without_answer
from updater.story.recognise import read_silicon
from updater.story.steps import Steps
from updater.story.supply import Supply, judged
from updater.story.transcript import kept_if_it_fails
from updater.words.errors import (
    NoDevice,
    NotConfirmed,
    Refused,
    UnknownDevice,
    Usage,
    WrongDevice,
)
from updater.words.events import Asks, Emit, Event, Noticed, Step, StepDone
from updater.words.facts import DeviceFacts

_Said = ParamSpec("_Said")
REPLUG_NOW = "Unplug the device and plug it in again now."
"""What a person is told where the ROM cannot start the new program."""


def prepare(hands: Hands, request: Request, emit: Emit) -> Prepared:
    """Find out what would be done. Nothing on the device is changed.

    Raises any `UpdaterError` of exit statuses 2 to 8 and 13.
    """
    hands, connected = find_with_newest(hands, request, emit)
    return prepare_one(hands, request, connected, Supply(hands, request), emit)


def prepare_one(hands: Hands, request: Request, connected: Connected, supply: Supply, emit: Emit) -> Prepared:
    """What would be done with this device. Raises what `prepare` does."""
    steps: list[tuple[Step, int]] = []

    def heard(event: Event) -> None:
        if isinstance(event, StepDone):
            steps.append((event.step, event.ms))
        emit(event)

    product = product_of(connected.facts, hands.home.vendor)
    if request.product not in (None, product.id):
        raise WrongDevice(f"the link is for {request.product}, but the device is a {product.title}")
    bundle = supply.bundle(product.id, connected.facts, heard)
    verdict = judged(hands, request, connected.facts, product, bundle)
    for warning in verdict.warnings:
        emit(Noticed(warning))
    plan = None
    if not verdict.nothing_to_do:
        plan = make_plan(connected.facts, bundle, product, behaviour_of(hands.silicon, connected.facts))
        require_bootloader_driver(hands.drivers, connected.facts)
    return Prepared(
        home=hands.home,
        connected=connected,
        product=product,
        bundle=bundle,
        verdict=verdict,
        plan=plan,
        steps=tuple(steps),
        as_told=parse_as(request.as_product, hands.home.vendor) if request.as_product else None,
    )


def find_with_newest(hands: Hands, request: Request, emit: Emit) -> tuple[Hands, Connected]:
    """The one device to work on, and the hands with the newest products, to be worked with from here on.

    For a file the site is not asked. Where no device is known, it is asked for products that are new, and if
    it has none, or no answer, the error is as it was. Raises what `find_device` and `product_of` do, and
    where a device was found what `newest` does.
    """
    if hands.home.doubt:
        emit(Noticed(hands.home.doubt))
    try:
        found = find_device(hands, request)
        product_of(found.facts, hands.home.vendor)
    except (NoDevice, UnknownDevice, WrongDevice, Usage):
        newer = hands if request.data is not None else newest_if_any(hands, emit)
        if newer is hands:
            raise
        return newer, find_device(newer, request)
    newer = hands if request.data is not None else newest(hands, emit)
    return newer, found if newer is hands else find_device(newer, request)


def find_device(hands: Hands, request: Request) -> Connected:
    """The one device to work on, with what a person said of it.

    Raises `NoDevice`, `SeveralDevices`, `UsbFailed`, `WrongDevice` or `Usage`.
    """
    vendor = hands.home.vendor
    journals = hands.store.journals()
    found = look_around(hands.bus, vendor, hands.silicon, journals)
    return as_told(hands, request, choose(found, request.device, no_device(vendor, journals)))


def as_told(hands: Hands, request: Request, one: Connected) -> Connected:
    """The device with what a person said of it. Raises `WrongDevice`, `UsbFailed` or `Usage`."""
    if request.as_product is None:
        return one
    facts = told(one.facts, *parse_as(request.as_product, hands.home.vendor), hands.silicon)
    if facts.chip != one.facts.chip:  # only with the product's name it is clear what to read
        facts = read_silicon(hands.bus, one.attached, facts, hands.silicon)
    return Connected(one.attached, facts)


def perform(hands: Hands, prepared: Prepared, emit: Emit) -> Receipt:
    """Carry the plan out. The question has been answered with yes.

    Raises `Refused` (a demo updater on a real device), `UsbFailed`, `CannotOpen`, `WrongDevice`,
    `UnknownDevice`, `Protected`, `StorageFailed`, `Cancelled`, `Bug` (nothing was erased) or `NotFinished`
    (the same command finishes it).
    """
    hands = replace(hands, home=prepared.home)
    plan = prepared.plan
    if plan is None:
        return _receipt(hands, prepared, prepared.connected.facts, "nothing-to-do")
    check_may_write(hands)
    manifest = prepared.bundle.manifest
    hands.store.keep_evidence(manifest.product, manifest.security_counter, prepared.bundle.envelope)
    steps = Steps(unfailing(emit), hands.bus.clock)
    with kept_if_it_fails(hands, prepared) as transcript:
        written = carry_out(hands, prepared, plan, steps)
    before = prepared.connected.facts
    back = seen_again(hands, prepared, written.plan, steps)
    confirmed = (
        back is not None
        and (back.product, back.version) == (plan.product, plan.to_version)
        and before.uid in (None, back.uid)
    )
    result: Result = "confirmed" if confirmed else "written-not-confirmed"
    if not confirmed:
        transcript.keep(hands, prepared, "the application did not come back with the expected version")
    facts = back or replace(seen_without_answer(hands.bus, before), version=None, security_counter=None)
    return _receipt(hands, prepared, facts, result, written=written, times=steps.times)


def seen_again(hands: Hands, prepared: Errand, plan: Plan, steps: Steps) -> DeviceFacts | None:
    """The application, once it is back: by itself, or because a person was told to replug the device.

    Ctrl-C here does not undo anything: the device is written and verified, only not seen yet. A listener
    may block (a pager), so it may also come while something is said or the step is opened or closed.
    """
    port, vendor = prepared.connected.facts.port, hands.home.vendor
    back = None
    with suppress(KeyboardInterrupt):
        if plan.replug_because:
            steps.forecast = None  # a person takes as long as he takes
            steps.notice(REPLUG_NOW, Asks("replug"))
        with steps.whole(Step.CONFIRM), suppress(KeyboardInterrupt):
            back = await_application(hands.bus, port, prepared.product, plan, vendor, hands.silicon)
    return back


def unfailing(emit: Callable[_Said, None]) -> Callable[_Said, None]:
    """A listener that cannot stop the work: one that fails (a closed pipe, a full disk) is not told more."""
    listening = True

    def told(*said: _Said.args, **more: _Said.kwargs) -> None:
        nonlocal listening
        if listening:
            try:
                emit(*said, **more)
            except (OSError, ValueError):
                listening = False

    return told


def check_may_write(hands: Hands) -> None:
    """A demo updater never writes to a real device. Raises `Refused`."""
    if hands.home.vendor.kind is Kind.DEMO and not hands.virtual:
        raise Refused(
            "this is the demo updater: it never writes to a real device",
            advice="Run `updater demo`, or use the updater of your device's vendor.",
        )


def dry_run(hands: Hands, prepared: Prepared) -> Receipt:
    """The receipt of an update that was only planned."""
    return _receipt(hands, prepared, prepared.connected.facts, "dry-run")


def _receipt(
    hands: Hands,
    prepared: Prepared,
    facts: DeviceFacts,
    result: Result,
    *,
    written: Done | None = None,
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
        identity=written.plan.identity if written else before.identity,
        verified="read-back" if written else "none",
        wrote_bytes=written.plan.write_bytes if written else 0,
        erased_sectors=len(written.plan.erased_sectors) if written else 0,
        control_transfers=written.control_transfers if written else 0,
        steps=(*prepared.steps, *times),
        clock=hands.clock,
    )
