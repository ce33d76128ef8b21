"""Into the bootloader and back: the two moments at which a device leaves the bus on purpose.

The port path carries the identity over the one disconnect that we caused ourselves, on the same path and
within the row's time; and what arrives there must not contradict what the application had said.
"""

from __future__ import annotations

from dataclasses import replace

from updater.devices import Connected, application_facts
from updater.dfu.scripts import detach
from updater.dfu.words import WireError
from updater.errors import CannotOpen, DeviceIs, UsbFailed, WrongDevice
from updater.facts import DeviceFacts, Mode, RomFacts
from updater.plan import Plan
from updater.recognise import same_device
from updater.silicon import Silicon
from updater.usbio import ROM_USB, Attached, Bus, read_rom_facts
from updater.vendor import Product, Vendor

DETACH_TIMEOUT_MS = 1_000
_ASK_AGAIN_MS = 200
_OPENS_WITHIN_MS = 5_000


def still_there(bus: Bus, connected: Connected, vendor: Vendor, silicon: Silicon) -> Attached:
    """The device as it was before the question, asked once more: a port's next device may get its address.

    Raises `UsbFailed` or `CannotOpen` when it is not there or does not answer, `WrongDevice` when another
    one is there.
    """
    before, known = connected.attached, connected.facts
    now = next((one for one in bus.attached({before.usb}) if one.port == before.port), None)
    if now is None or now.address != before.address:
        raise UsbFailed("the device was unplugged before the update began")
    if known.mode is Mode.ROM:
        rom = read_rom_facts(now)
        if rom is None or (rom.serial is None and rom != known.rom):
            raise UsbFailed("the device does not answer any more")
        same = rom == known.rom
    else:
        try:
            again = application_facts(now, vendor, silicon)
        except WireError as error:
            raise UsbFailed(f"the device does not answer any more: {error}") from error
        same = (again.uid, again.product, again.hardware) == (known.uid, known.product, known.hardware)
    if not same:
        raise WrongDevice("another device was plugged in while the question was open")
    return now


def enter(bus: Bus, attached: Attached, plan: Plan) -> Attached:
    """Send a running application into its ROM, by the first of the product's ways that works.

    Raises `UsbFailed` when no bootloader appears on the same port in time, `CannotOpen` when the
    application cannot be opened.
    """
    if not plan.ways:
        raise UsbFailed(
            f"{plan.title} cannot be sent into its bootloader over USB",
            advice=f"{plan.recovery.steps} Then run the same command."
            if plan.recovery.steps
            else "Ask the vendor how to start its bootloader.",
            device_is=DeviceIs.RUNS_OLD,
        )
    with bus.open_dfu(attached, runtime=True) as wire:
        wire.run(detach(DETACH_TIMEOUT_MS))
        if wire.functional is None or not wire.functional.will_detach:
            wire.reset()
    arrived = bus.wait_for(attached.port, {ROM_USB}, plan.reenumerate_within_ms)
    if arrived is None:
        stayed = bus.attached({attached.usb})
        raise UsbFailed(
            f"the device did not enter its bootloader within {plan.reenumerate_within_ms / 1000:g} s",
            device_is=DeviceIs.RUNS_OLD if stayed else DeviceIs.UNKNOWN,
        )
    return arrived


def check_arrival(bus: Bus, attached: Attached, facts: DeviceFacts, silicon: Silicon) -> DeviceFacts:
    """The facts with what the bootloader shows, which must be the one of the device that we sent there.

    Raises `WrongDevice` when something speaks against it, `CannotOpen` when it stays closed to us,
    `UsbFailed` when it went away.
    """
    rom = _rom_facts_when_open(bus, attached)
    chip = silicon.by_id(facts.chip or "")
    against = same_device(facts, rom, chip) if rom and chip else "it is not an STM32 bootloader"
    if rom is None or against:
        raise WrongDevice(
            f"another device answered on port {attached.port}: {against}",
            advice="Connect only the device that is to be updated, and run the same command.",
            device_is=DeviceIs.IN_BOOTLOADER,
        )
    return replace(facts, rom=rom)


def _rom_facts_when_open(bus: Bus, attached: Attached) -> RomFacts | None:
    """udev and Windows take a moment before they hand over a device that has just arrived."""
    deadline = bus.clock.now_ms() + _OPENS_WITHIN_MS
    while True:
        try:
            return read_rom_facts(attached)
        except CannotOpen:
            if bus.clock.now_ms() >= deadline:
                raise
            bus.clock.sleep_ms(_ASK_AGAIN_MS)


def await_application(
    bus: Bus, port: str, product: Product, plan: Plan, vendor: Vendor, silicon: Silicon
) -> DeviceFacts | None:
    """The application that came back on this port in time and answers; None when none did."""
    deadline = bus.clock.now_ms() + plan.back_within_ms
    answer: DeviceFacts | None = None
    while (left := deadline - bus.clock.now_ms()) > 0:
        try:
            attached = bus.wait_for(port, product.usb, left)
            answer = application_facts(attached, vendor, silicon) if attached else None
        except (WireError, UsbFailed, CannotOpen):
            answer = None  # it is still starting
        if answer is not None and answer.product == product.id:
            break
        bus.clock.sleep_ms(_ASK_AGAIN_MS)
    return answer


def seen_without_answer(bus: Bus, facts: DeviceFacts) -> DeviceFacts:
    """The facts of a device whose application did not come back: is its bootloader still on the port?"""
    try:
        stayed = any(one.port == facts.port for one in bus.attached({ROM_USB}))
    except UsbFailed:
        stayed = False
    return replace(facts, mode=Mode.ROM, usb=ROM_USB) if stayed else replace(facts, mode=Mode.OTHER)
