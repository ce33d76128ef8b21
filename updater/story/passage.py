"""Into the bootloader and back: the two moments at which a device leaves the bus on purpose.

The port path carries the identity over the one disconnect that we caused ourselves, on the same path and
within the row's time; and what arrives there must not contradict what the application had said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from updater.hands.store import Journal
from updater.hands.usbio import ROM_USB, Attached, Bus, read_rom_facts, read_shown
from updater.heads.dfu.words import WireError
from updater.heads.drivers import Driver, Drivers
from updater.heads.plan import Plan
from updater.heads.silicon import Silicon
from updater.heads.vendor import ByHand, Product, Vendor
from updater.story import ways
from updater.story.devices import Connected, application_facts, told
from updater.story.recognise import is_proved_by_serial, rom_facts, same_device
from updater.story.ways import Arrival, Notice
from updater.words.errors import CannotOpen, DeviceIs, UnknownDevice, UsbFailed, WrongDevice
from updater.words.events import Asks
from updater.words.facts import DeviceFacts, IdentityFrom, Mode, RomFacts

_ASK_AGAIN_MS = 200
_OPENS_WITHIN_MS = 5_000
DRIVER_WITHIN_MS = 300_000
"""How long a bootloader without a driver is waited for: a person reads, finds the driver and installs it."""
REPLUGGED_WITHIN_MS = 60_000
"""How long to wait for a person to unplug the device and to plug it in again."""


def still_there(
    bus: Bus,
    connected: Connected,
    vendor: Vendor,
    silicon: Silicon,
    journals: Sequence[Journal],
    as_told: tuple[Product, str | None] | None,
) -> Attached:
    """The device as it was before the question, asked once more: a port's next device may get its address.

    In its ROM whatever proved the product has to prove it again: all boards of a lot may show one serial.

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
        if same and known.identity is not IdentityFrom.PERSON:
            again = rom_facts(bus, now, vendor, silicon, journals)
            if again.unread is not None:
                raise UsbFailed(f"the device does not answer any more: {again.unread}")
            same = _proof(told(again, *as_told, silicon) if as_told else again) == _proof(known)
    else:
        try:
            again = application_facts(now, vendor, silicon)
        except WireError as error:
            raise UsbFailed(f"the device does not answer any more: {error}") from error
        same = (again.uid, again.product, again.hardware) == (known.uid, known.product, known.hardware)
    if not same:
        raise WrongDevice("another device was plugged in while the question was open")
    return now


def _proof(facts: DeviceFacts) -> tuple[object, ...]:
    return facts.product, facts.hardware, facts.identity, facts.version


def enter(bus: Bus, attached: Attached, plan: Plan) -> Attached:
    """Send a running application into its ROM; a person is not asked, and a stranger is not let in.

    Raises what `ways.enter` does, and `UnknownDevice` for a bootloader that came too late.
    """
    asked = tuple(way for way in plan.ways if not isinstance(way, ByHand))
    arrival = ways.enter(bus, attached, replace(plan, ways=asked), _unheard)
    if arrival.stranger is not None:
        raise _unproven(attached.port, arrival.stranger, None)
    return arrival.attached


def require_bootloader_driver(drivers: Drivers, facts: DeviceFacts) -> None:
    """Before an application is sent away: once it is in its ROM it is late to look for that one's driver.

    Raises `CannotOpen`; nothing was changed. Where no driver is needed, nothing happens.
    """
    if facts.mode is not Mode.APPLICATION:
        return
    found = drivers.of(ROM_USB)
    if found in (Driver.READY, Driver.NOT_NEEDED):
        return
    old = found in (Driver.OLD_ST, Driver.OTHER)
    raise CannotOpen(
        "no-driver",
        "Windows has another driver for the STM32 bootloader than the updater needs"
        if old
        else "Windows has no driver yet for the STM32 bootloader, into which the device goes for the update",
        advice="Nothing was changed. `updater doctor` says how to install the driver; then run the same "
        "command.",
    )


_DRIVER_NOW = (
    "Windows has no driver for the bootloader, so the device cannot be reached. Nothing was changed. Leave "
    "it plugged in and install the driver now (`updater doctor` in a second window says how); then this goes "
    f"on by itself. It waits {DRIVER_WITHIN_MS // 60_000} minutes."
)


def when_it_has_a_driver(
    bus: Bus, arrival: Arrival, notice: Notice, ask: Callable[[Arrival], DeviceFacts]
) -> tuple[Arrival, DeviceFacts]:
    """What `ask` finds out about the bootloader; where Windows has no driver for it, once it has one.

    A device that has just arrived is quietly given a moment, for Windows is at work on it; then a person is
    told. Whoever was off the bus meanwhile is a stranger. Raises what `ask` does, and `CannotOpen` when no
    driver comes in time.
    """
    try:
        return arrival, ask(arrival)
    except CannotOpen as error:
        if error.problem != "no-driver":
            raise
    arrival = _once_it_opens(bus, arrival, notice)
    return arrival, ask(arrival)


def _once_it_opens(bus: Bus, arrival: Arrival, notice: Notice) -> Arrival:
    """Each time out of a new list: libusb learns which driver a device has only when it lists it."""
    began_ms, is_told = bus.clock.now_ms(), False
    was = arrival.attached
    while (waited_ms := bus.clock.now_ms() - began_ms) < _OPENS_WITHIN_MS + DRIVER_WITHIN_MS:
        if waited_ms >= _OPENS_WITHIN_MS and not is_told:
            is_told = True
            notice(_DRIVER_NOW, Asks("driver"))
        bus.on_wait()
        bus.clock.sleep_ms(_ASK_AGAIN_MS)
        here = bus.wait_for(was.port, {ROM_USB}, 0)
        if here is None or here.address != was.address:
            arrival = replace(arrival, stranger="it left USB while its driver was waited for")
        if here is not None:
            with suppress(CannotOpen, UsbFailed):  # Windows may still be at work on it
                read_shown(here)
                return replace(arrival, attached=here)
    raise _no_driver_came()


def _no_driver_came() -> CannotOpen:
    error = CannotOpen(
        "no-driver",
        "Windows has no suitable driver for the bootloader; nothing was changed",
        advice="Unplug the device and plug it in again to get the old program back. `updater doctor` says "
        "how to install the driver; then run the same command.",
    )
    error.device_is = DeviceIs.IN_BOOTLOADER
    return error


def _unheard(_text: str, _asks: Asks | None = None) -> None:
    """Where no person is asked, nobody is told either."""


def prove_again(
    bus: Bus,
    arrival: Arrival,
    before: DeviceFacts,
    vendor: Vendor,
    silicon: Silicon,
    journals: Sequence[Journal],
    as_told: tuple[Product, str | None] | None,
) -> DeviceFacts:
    """The facts of a stranger on the port where `before` was an application, once they are proved or told.

    What the application had said is worth nothing now, but as a contradiction. Raises `UnknownDevice` when
    nothing proves that it is the same product, `WrongDevice` when something speaks against it, `UsbFailed`
    or `CannotOpen` when it cannot be asked.
    """
    proved = check_arrival(bus, arrival.attached, before, silicon)
    facts = rom_facts(bus, arrival.attached, vendor, silicon, journals)
    if facts.unread is not None:
        raise UsbFailed(
            f"the bootloader on port {facts.port} did not answer: {facts.unread}",
            device_is=DeviceIs.IN_BOOTLOADER,
        )
    if facts.refused is not None:
        raise WrongDevice(
            f"the device that arrived on port {facts.port} contradicts itself. {facts.refused}",
            advice="Connect only the device that is to be updated, and run the same command.",
            device_is=DeviceIs.IN_BOOTLOADER,
        )
    if facts.product is None and is_proved_by_serial(proved, silicon):
        facts = replace(proved, mode=Mode.ROM, usb=ROM_USB, identity=IdentityFrom.SERIAL)
    if as_told is not None:
        facts = told(facts, *as_told, silicon)
    if facts.product is None or facts.hardware is None:
        raise _unproven(facts.port, arrival.stranger or "", before)
    says = (facts.product, facts.hardware, facts.version or before.version)
    if says != (before.product, before.hardware, before.version):
        raise WrongDevice(
            f"another device arrived on port {facts.port}: a {facts.product}, hardware {facts.hardware}, "
            f"version {facts.version or 'unknown'}",
            advice="Connect only the device that is to be updated, and run the same command.",
            device_is=DeviceIs.IN_BOOTLOADER,
        )
    return facts


def _unproven(port: str, why: str, before: DeviceFacts | None) -> UnknownDevice:
    name = "PRODUCT:HARDWARE" if before is None else f"{before.product}:{before.hardware}"
    return UnknownDevice(
        f"the bootloader on port {port} cannot say which product it is, and {why}",
        advice=f"Look at the label: if this is the right device, run the same command with --as {name}.",
        device_is=DeviceIs.IN_BOOTLOADER,
    )


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


def arrived(
    bus: Bus, attached: Attached, facts: DeviceFacts, silicon: Silicon, notice: Notice
) -> tuple[Attached, DeviceFacts]:
    """`check_arrival` once the device can be opened; a stranger is not let in. Raises `UnknownDevice` too."""

    def who(came: Arrival) -> DeviceFacts:
        if came.stranger is not None:
            raise _unproven(facts.port, came.stranger, facts)
        return check_arrival(bus, came.attached, facts, silicon)

    arrival, known = when_it_has_a_driver(bus, Arrival(attached), notice, who)
    return arrival.attached, known


def _rom_facts_when_open(bus: Bus, attached: Attached) -> RomFacts | None:
    """udev takes a moment before it hands over a device that has just arrived. Whether it has a driver by
    now is not seen here, but in a new list of devices (`when_it_has_a_driver`)."""
    deadline = bus.clock.now_ms() + _OPENS_WITHIN_MS
    while True:
        try:
            return read_rom_facts(attached)
        except CannotOpen as error:
            if error.problem == "no-driver" or bus.clock.now_ms() >= deadline:
                raise
            bus.clock.sleep_ms(_ASK_AGAIN_MS)


def await_application(
    bus: Bus, port: str, product: Product, plan: Plan, vendor: Vendor, silicon: Silicon
) -> DeviceFacts | None:
    """The application that came back on this port in time and answers; None when none did.

    Where the plan says that a person must replug the device, the person gets the time for it.
    """
    within_ms = max(REPLUGGED_WITHIN_MS if plan.replug_because else 0, plan.back_within_ms)
    deadline = bus.clock.now_ms() + within_ms
    while True:
        left = max(deadline - bus.clock.now_ms(), 0.0)  # none left: one last look, for the PC may have slept
        try:
            attached = bus.wait_for(port, product.usb, left)
            answer = application_facts(attached, vendor, silicon) if attached else None
        except (WireError, UsbFailed, CannotOpen):
            answer = None  # it is still starting
        if left == 0 or (answer is not None and answer.product == product.id):
            return answer
        bus.clock.sleep_ms(_ASK_AGAIN_MS)


def seen_without_answer(bus: Bus, facts: DeviceFacts) -> DeviceFacts:
    """The facts of a device whose application did not come back: is its bootloader still on the port?"""
    try:
        stayed = any(one.port == facts.port for one in bus.attached({ROM_USB}))
    except UsbFailed:
        stayed = False
    return replace(facts, mode=Mode.ROM, usb=ROM_USB) if stayed else replace(facts, mode=Mode.OTHER)
