"""Into the bootloader and back: the two moments at which a device leaves the bus on purpose.

The port path carries the identity over the one disconnect that we caused ourselves, on the same path and
within the row's time; and what arrives there must not contradict what the application had said.
"""

from __future__ import annotations

from dataclasses import replace

from updater.devices import Connected, application_facts, same_device
from updater.dfu.scripts import detach
from updater.dfu.words import WireError
from updater.errors import CannotOpen, DeviceIs, UsbFailed, WrongDevice
from updater.facts import DeviceFacts, Mode
from updater.plan import Plan
from updater.silicon import Silicon
from updater.usbio import ROM_USB, Attached, Bus, read_rom_facts
from updater.vendor import Product, Vendor

DETACH_TIMEOUT_MS = 1_000
_ASK_AGAIN_MS = 200


def still_there(bus: Bus, connected: Connected) -> Attached:
    """The device as it was before the question: same port, same address. Raises `UsbFailed`."""
    before = connected.attached
    for now in bus.attached({before.usb}):
        if now.port == before.port and now.address == before.address:
            return now
    raise UsbFailed("the device was unplugged or exchanged before the update began")


def enter(bus: Bus, connected: Connected, plan: Plan) -> Attached:
    """Send a running application into its ROM, by the first of the product's ways that works.

    Raises `UsbFailed` when nothing appears on the same port in time.
    """
    attached = still_there(bus, connected)
    if connected.facts.mode is Mode.ROM:
        return attached
    if not plan.ways:
        raise UsbFailed(
            f"{plan.title} cannot be sent into its bootloader over USB",
            advice=plan.recovery.steps or "Ask the vendor how to start its bootloader.",
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


def check_arrival(attached: Attached, facts: DeviceFacts, silicon: Silicon) -> DeviceFacts:
    """The facts with what the bootloader shows, which must be the one of the device that we sent there.

    Raises `WrongDevice` when something speaks against it.
    """
    rom = read_rom_facts(attached)
    chip = silicon.by_id(facts.chip or "")
    against = same_device(facts, rom, chip) if rom and chip else "it is not an STM32 bootloader"
    if rom is None or against:
        raise WrongDevice(
            f"the device that appeared on port {attached.port} is not the one that was there: {against}",
            device_is=DeviceIs.IN_BOOTLOADER,
        )
    return replace(facts, rom=rom)


def await_application(
    bus: Bus, port: str, product: Product, plan: Plan, vendor: Vendor, silicon: Silicon
) -> DeviceFacts | None:
    """The application that came back on this port in time and answers; None when none did."""
    deadline = bus.clock.now_ms() + plan.back_within_ms
    answer: DeviceFacts | None = None
    while (left := deadline - bus.clock.now_ms()) > 0:
        attached = bus.wait_for(port, product.usb, left)
        if attached is None:
            break
        try:
            answer = application_facts(attached, vendor, silicon)
        except (WireError, UsbFailed, CannotOpen):
            answer = None  # it is still starting
        if answer is not None and answer.product == product.id:
            break
        bus.clock.sleep_ms(_ASK_AGAIN_MS)
    return answer
