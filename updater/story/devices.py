"""Who is connected, and which of them is worked on.

An application says who it is; what is found in a bootloader has to be recognised (`recognise`), or a
person says what it is, which never overrules what the device proves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from updater.hands.store import Journal
from updater.hands.usbio import ROM_USB, Attached, Bus, cannot_open, read_identity, read_serial
from updater.heads.dfu.words import WireError
from updater.heads.silicon import Behaviour, Silicon
from updater.heads.vendor import Product, Vendor
from updater.story.recognise import of_product, rom_facts, with_limitations
from updater.words.errors import (
    CannotOpen,
    DeviceIs,
    NoDevice,
    SeveralDevices,
    UnknownDevice,
    Usage,
    UsbFailed,
    WrongDevice,
)
from updater.words.facts import DeviceFacts, IdentityFrom, Mode


@dataclass(frozen=True, slots=True)
class Connected:
    """A device on the bus and what we know of it."""

    attached: Attached
    facts: DeviceFacts


def look_around(
    bus: Bus, vendor: Vendor, silicon: Silicon, journals: Sequence[Journal] = ()
) -> tuple[Connected, ...]:
    """All devices that could be this vendor's, ordered by port path. Nothing is written to any."""
    lookalikes = {row.usb for row in silicon.lookalike}
    attached = bus.attached({*application_ids(vendor), *lookalikes, ROM_USB})
    looks = (look_at(bus, one, vendor, silicon, journals) for one in attached)
    return tuple(one for one in looks if one is not None)


def application_ids(vendor: Vendor) -> set[str]:
    """The "vid:pid" of all running applications of this vendor."""
    return {usb for product in vendor.products for usb in product.usb}


def look_at(
    bus: Bus, attached: Attached, vendor: Vendor, silicon: Silicon, journals: Sequence[Journal] = ()
) -> Connected | None:
    """This one device and nothing beside it; None when it went away while we looked."""
    is_application = attached.usb in application_ids(vendor)
    try:
        if is_application:
            facts = application_facts(attached, vendor, silicon)
        else:
            facts = rom_facts(bus, attached, vendor, silicon, journals)
    except CannotOpen as error:
        mode = Mode.APPLICATION if is_application else Mode.ROM
        facts = DeviceFacts(
            name=attached.usb, port=attached.port, usb=attached.usb, mode=mode, problem=error.problem
        )
    except (WireError, UsbFailed):
        return None
    return Connected(attached, facts)


def application_facts(attached: Attached, vendor: Vendor, silicon: Silicon) -> DeviceFacts:
    """What a running application says of itself."""
    said = read_identity(attached)
    facts = DeviceFacts(
        name=f"device on port {attached.port}",
        port=attached.port,
        usb=attached.usb,
        mode=Mode.APPLICATION,
        serial=read_serial(attached),
    )
    product = vendor.product(said.header.product) if said else None
    if said is None or product is None or attached.usb not in product.usb:
        return facts
    chip = silicon.by_dev_id(said.idcode & 0xFFF)
    facts = replace(
        facts,
        name=product.title,
        product=product.id,
        hardware=said.header.hardware,
        version=said.header.version,
        security_counter=said.header.security_counter,
        identity=IdentityFrom.APPLICATION,
        uid=said.uid,
        idcode=said.idcode,
        dev_id=said.idcode & 0xFFF,
        rom_version=said.rom_version,
        rom_version_from="application" if said.rom_version else None,
    )
    if chip is None:
        return facts
    letter = chip.letter(said.idcode >> 16)
    facts = replace(
        facts,
        chip=chip.id,
        chips=(chip.id,),
        revision=letter,
        revision_from="application" if letter else None,
    )
    return with_limitations(facts, chip, silicon)


def no_device(vendor: Vendor, journals: Sequence[Journal]) -> NoDevice:
    """Nothing is there. After an update that was cut off the way back is worth more than the cable."""
    for journal in journals:
        product = vendor.product(journal.product)
        if product is not None and product.recovery.steps:
            return NoDevice(
                f"no device was found, and an update of a {product.title} was cut off earlier",
                advice="Plug it in. If it is not found then, start its bootloader by hand: "
                f"{product.recovery.steps} Then run the command again.",
            )
    return NoDevice("no device was found")


def choose(found: Sequence[Connected], selector: str | None, nothing: NoDevice) -> Connected:
    """The one device to work on. Raises `nothing` when there is none, `NoDevice`, `SeveralDevices`, or
    `WrongDevice` when all that is there only looks like a bootloader of ours.
    """
    fitting = [one for one in found if one.facts.mode is not Mode.OTHER]
    if not fitting and (refused := [one.facts for one in found if one.facts.refused]):
        raise WrongDevice(f"on port {refused[0].port}: {refused[0].refused}")
    if selector is not None:
        fitting = [one for one in fitting if selector in (one.facts.port, one.facts.serial, one.facts.name)]
        if not fitting:
            raise NoDevice(f"no device matches {selector!r}", advice="List them with `updater devices`.")
    if not fitting:
        raise nothing
    if len(fitting) > 1:
        raise SeveralDevices(
            f"{len(fitting)} devices are connected: "
            + ", ".join(f"{one.facts.name} (port {one.facts.port})" for one in fitting)
        )
    return fitting[0]


def parse_as(text: str, vendor: Vendor) -> tuple[Product, str | None]:
    """`PRODUCT[:HARDWARE]` as a person gives it with --as. Raises `Usage`."""
    name, _, hardware = text.partition(":")
    product = vendor.product(name)
    if product is None:
        known = ", ".join(one.id for one in vendor.products)
        raise Usage(f"there is no product {name!r}", advice=f"This updater knows: {known}.")
    if hardware and hardware not in product.hardware:
        raise Usage(
            f"{product.title} does not exist as hardware {hardware!r}",
            advice=f"It exists as: {', '.join(product.hardware)}.",
        )
    if not hardware and len(product.hardware) == 1:
        hardware = product.hardware[0]
    return product, hardware or None


def told(facts: DeviceFacts, product: Product, hardware: str | None, silicon: Silicon) -> DeviceFacts:
    """The facts with a person's word in the gaps. It never overrules what the device proves.

    Raises `WrongDevice` when the device contradicts the person.
    """
    _require_no_contradiction(facts)
    if facts.product is not None:
        if facts.product != product.id or (hardware and facts.hardware and facts.hardware != hardware):
            raise WrongDevice(f"you said {product.id}, but the device says that it is a {facts.product}")
        return facts if facts.hardware else replace(facts, hardware=hardware)
    if facts.chips and not set(facts.chips) & set(product.chips):
        raise WrongDevice(f"you said {product.id}, but the device's chip is not one that it is made with")
    facts = of_product(facts, product, silicon)
    return replace(
        facts, name=product.title, product=product.id, hardware=hardware, identity=IdentityFrom.PERSON
    )


def _require_no_contradiction(facts: DeviceFacts) -> None:
    if facts.refused is not None:
        raise WrongDevice(
            f"the device on port {facts.port} contradicts itself. {facts.refused}",
            advice="Nothing was changed. Ask the vendor what this board is, and show them this message.",
        )


def product_of(facts: DeviceFacts, vendor: Vendor) -> Product:
    """Which product this is. Raises `CannotOpen`, `UsbFailed`, `WrongDevice` or `UnknownDevice`."""
    if facts.problem is not None:
        raise cannot_open(facts.problem)
    if facts.unread is not None:
        raise UsbFailed(
            f"the bootloader on port {facts.port} did not answer: {facts.unread}",
            device_is=DeviceIs.IN_BOOTLOADER,
        )
    _require_no_contradiction(facts)
    product = vendor.product(facts.product) if facts.product else None
    if product is not None:
        return product
    if facts.product is not None:
        raise WrongDevice(f"the device is a {facts.product}, which is not one of {vendor.name}'s products")
    fitting = [one.id for one in vendor.products if not facts.chips or set(facts.chips) & set(one.chips)]
    if not fitting:
        raise WrongDevice(
            f"none of {vendor.name}'s products has a chip like that of the device on port {facts.port}",
            advice="Connect the right device, or ask its vendor for the updater that is made for it.",
        )
    raise UnknownDevice(
        f"the device on port {facts.port} cannot say which product it is",
        advice="Read the product name on its label and run the command again with --as PRODUCT, "
        f"where PRODUCT is one of: {', '.join(fitting)}.",
    )


def behaviour_of(silicon: Silicon, facts: DeviceFacts) -> Behaviour:
    """What to do with this device's chip. Raises `UnknownDevice` for one that is not in the table."""
    chip = silicon.by_id(facts.chip) if facts.chip else None
    if chip is None and len(facts.chips) > 1:
        names = ", ".join(row.title for row in silicon.chip if row.id in facts.chips)
        raise UnknownDevice(
            f"this device may be one of several chips, which look alike over USB: {names}",
            advice="Tell the vendor: the product's description allows more than one of them.",
        )
    if chip is None:
        raise UnknownDevice(
            "this device's chip is not one that this updater knows, or its bootloader does not answer",
            advice="Unplug the device, plug it in again, and run the same command. If that does not help, "
            "ask the vendor for a newer updater.",
        )
    return silicon.behaviour(
        chip, rom_version=facts.rom_version, revision=facts.revision, bank_mode=facts.bank_mode
    )
