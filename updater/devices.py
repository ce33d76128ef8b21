"""Who is connected, and how do we know (docs/decisions/0006).

An application says who it is. In the ROM every STM32 looks alike: there the product is proved by the
serial that was foretold, by a product header in flash, or by a journal together with sectors that still
hold what the journal recorded; else a person must say it, and the receipt will say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from updater.dfu.scripts import Pace, read_if_allowed
from updater.dfu.words import WireError
from updater.errors import (
    CannotOpen,
    DeviceIs,
    NoDevice,
    SeveralDevices,
    UnknownDevice,
    Usage,
    UsbFailed,
    WrongDevice,
)
from updater.facts import HEADER_BYTES, DeviceFacts, IdentityFrom, Mode, ProductHeader, RomFacts
from updater.plan import ERASED
from updater.silicon import Behaviour, Chip, Silicon
from updater.store import Journal
from updater.usbio import (
    ROM_USB,
    Attached,
    Bus,
    Wire,
    cannot_open,
    read_identity,
    read_rom_facts,
    read_serial,
)
from updater.vendor import Product, Vendor


@dataclass(frozen=True, slots=True)
class Connected:
    """A device on the bus and what we know of it."""

    attached: Attached
    facts: DeviceFacts


def look_around(
    bus: Bus, vendor: Vendor, silicon: Silicon, journals: Sequence[Journal] = ()
) -> tuple[Connected, ...]:
    """All devices that could be this vendor's, ordered by port path. Nothing is written to any."""
    applications = {usb for product in vendor.products for usb in product.usb}
    found = []
    for attached in bus.attached({*applications, ROM_USB}):
        blank = DeviceFacts(name=attached.usb, port=attached.port, usb=attached.usb, mode=Mode.OTHER)
        try:
            if attached.usb in applications:
                facts = application_facts(attached, vendor, silicon)
            else:
                facts = rom_facts(bus, attached, vendor, silicon, journals)
        except CannotOpen as error:
            mode = Mode.APPLICATION if attached.usb in applications else Mode.ROM
            facts = replace(blank, mode=mode, problem=error.problem)
        except (WireError, UsbFailed):
            continue  # it went away while we looked
        found.append(Connected(attached, facts))
    return tuple(found)


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
    facts = replace(facts, chip=chip.id, revision=letter, revision_from="application" if letter else None)
    return _with_limitations(facts, chip, silicon)


def rom_facts(
    bus: Bus, attached: Attached, vendor: Vendor, silicon: Silicon, journals: Sequence[Journal]
) -> DeviceFacts:
    """What can be learnt of a device that was found in its ROM: descriptors, ROM ID, and who it may be."""
    facts = DeviceFacts(
        name=f"bootloader on port {attached.port}", port=attached.port, usb=attached.usb, mode=Mode.ROM
    )
    rom = read_rom_facts(attached)
    if rom is None:
        return replace(facts, mode=Mode.OTHER)
    facts = replace(facts, serial=rom.serial, rom=rom)
    rows = silicon.like(rom)
    if len(rows) != 1:
        return facts
    facts = replace(facts, chip=rows[0].id, dev_id=rows[0].dev_id.value)
    try:
        with bus.open_dfu(attached) as wire:
            facts = rom_silicon(facts, wire, silicon)
            return _recognised(facts, wire, silicon, vendor, journals)
    except WireError as error:
        return replace(facts, unread=str(error))  # what its descriptors said is still worth showing


def rom_silicon(facts: DeviceFacts, wire: Wire, silicon: Silicon) -> DeviceFacts:
    """Revision (from the serial, where the row allows) and ROM version (by UPLOAD of its ID byte)."""
    chip = silicon.by_id(facts.chip or "")
    if chip is None:
        return facts
    rev_id = chip.rev_id_of(facts.rom.serial) if facts.rom else None
    if rev_id is not None and (letter := chip.letter(rev_id)):
        facts = replace(facts, revision=letter, revision_from="rom-serial")
    at = chip.rom_id_at.value
    word = wire.run(read_if_allowed(at & ~3, 4, _pace(facts, chip, silicon)))
    read = word[at & 3] if word is not None else None
    if read in {rom.id for rom in chip.roms}:
        facts = replace(facts, rom_version=read, rom_version_from="rom-id")
    else:  # what the application claimed is worth less than the ROM's own silence: assume the worst
        facts = replace(facts, rom_version=None, rom_version_from=None)
    return _with_limitations(facts, chip, silicon)


def _pace(facts: DeviceFacts, chip: Chip, silicon: Silicon) -> Pace:
    return silicon.behaviour(chip, rom_version=facts.rom_version, revision=facts.revision).pace


def _with_limitations(facts: DeviceFacts, chip: Chip, silicon: Silicon) -> DeviceFacts:
    behaviour = silicon.behaviour(chip, rom_version=facts.rom_version, revision=facts.revision)
    return replace(facts, limitations=behaviour.limitations)


def _recognised(
    facts: DeviceFacts, wire: Wire, silicon: Silicon, vendor: Vendor, journals: Sequence[Journal]
) -> DeviceFacts:
    """Prove which product a stranger is, by the first proof that holds; or leave it unknown."""
    chip = silicon.by_id(facts.chip or "")
    if chip is None:
        return facts
    pace = _pace(facts, chip, silicon)
    possible = [product for product in vendor.products if chip.id in product.chips]
    for header in _headers(wire, pace, possible):
        runs = not _is_blank(wire.run(read_if_allowed(chip.flash.address, 8, pace)))
        product = vendor.product(header.product)
        return replace(
            facts,
            name=product.title if product else facts.name,
            product=header.product,
            hardware=header.hardware,
            version=header.version if runs else None,
            security_counter=header.security_counter,
            identity=IdentityFrom.HEADER,
        )
    for journal in journals:
        product = next((one for one in possible if one.id == journal.product), None)
        proof = _journal_proof(facts, wire, chip, pace, journal) if product else None
        if product is not None and proof is not None:
            return replace(
                facts, name=product.title, product=product.id, hardware=journal.hardware, identity=proof
            )
    return facts


def _headers(wire: Wire, pace: Pace, possible: Iterable[Product]) -> Iterable[ProductHeader]:
    addresses = {product.header.address for product in possible if product.header}
    for address in sorted(addresses):
        header = ProductHeader.parse(wire.run(read_if_allowed(address, HEADER_BYTES, pace)) or b"")
        if header is not None:
            yield header


def _journal_proof(
    facts: DeviceFacts, wire: Wire, chip: Chip, pace: Pace, journal: Journal
) -> IdentityFrom | None:
    """How this journal proves that the device on its port is the one it was written for, or None.

    A journal alone never proves. The device must hold a sector, not blank, with the SHA-256 that the
    journal recorded (or show a foretold serial that the row says is unique), and at most one sector may
    contradict: the one in work when the cable was pulled. What a person had said stays a person's word.
    """
    if (journal.port, journal.chip, journal.serial) != (facts.port, chip.id, facts.serial):
        return None
    is_unique = chip.serial_is_unique.value and journal.serial is not None
    agree = contradict = 0
    for witness in journal.witnesses:
        content = wire.run(read_if_allowed(witness.address, witness.size, pace)) or b""
        if hashlib.sha256(content).hexdigest() not in witness.sha256:
            contradict += 1
        elif not _is_blank(content):
            agree += 1
    if contradict > 1 or not (agree or is_unique):
        return None
    if journal.identity in (IdentityFrom.PERSON, IdentityFrom.NONE):
        return IdentityFrom.PERSON
    return IdentityFrom.SERIAL if is_unique and not agree else IdentityFrom.JOURNAL


def _is_blank(content: bytes | None) -> bool:
    return content is not None and content.count(ERASED) == len(content)


def no_device(vendor: Vendor, journals: Sequence[Journal]) -> NoDevice:
    """Nothing is there. After an update that was cut off the way back is worth more than the cable."""
    for journal in journals:
        product = vendor.product(journal.product)
        if product is not None and product.recovery.steps:
            return NoDevice(
                f"no device was found, and an update of a {product.title} was not finished",
                advice=f"Start its bootloader by hand: {product.recovery.steps} Then run the command again.",
            )
    return NoDevice("no device was found")


def choose(found: Sequence[Connected], selector: str | None, nothing: NoDevice) -> Connected:
    """The one device to work on. Raises `nothing` when there is none, `NoDevice` or `SeveralDevices`."""
    fitting = [one for one in found if one.facts.mode is not Mode.OTHER]
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


def told(facts: DeviceFacts, product: Product, hardware: str | None) -> DeviceFacts:
    """The facts with a person's word in the gaps. It never overrules what the device proves.

    Raises `WrongDevice` when the device contradicts the person.
    """
    if facts.product is not None:
        if facts.product != product.id or (hardware and facts.hardware and facts.hardware != hardware):
            raise WrongDevice(f"you said {product.id}, but the device says that it is a {facts.product}")
        return facts if facts.hardware else replace(facts, hardware=hardware)
    if facts.chip is not None and facts.chip not in product.chips:
        raise WrongDevice(f"you said {product.id}, but the device's chip is not one that it is made with")
    return replace(
        facts, name=product.title, product=product.id, hardware=hardware, identity=IdentityFrom.PERSON
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
    product = vendor.product(facts.product) if facts.product else None
    if product is not None:
        return product
    if facts.product is not None:
        raise WrongDevice(f"the device is a {facts.product}, which is not one of {vendor.name}'s products")
    fitting = [one.id for one in vendor.products if facts.chip is None or facts.chip in one.chips]
    raise UnknownDevice(
        f"the device on port {facts.port} cannot say which product it is",
        advice="Read the product name on its label and run the command again with --as PRODUCT, "
        f"where PRODUCT is one of: {', '.join(fitting)}.",
    )


def same_device(facts: DeviceFacts, rom: RomFacts, chip: Chip) -> str | None:
    """What speaks against this ROM being the device that we sent there, in words; None when nothing."""
    against = chip.contradiction(rom)
    if against is None and facts.uid is not None and facts.idcode is not None:
        against = chip.serial_contradiction(rom.serial, uid=facts.uid, idcode=facts.idcode)
    return against


def foretold_serial(facts: DeviceFacts, chip: Chip) -> str | None:
    """The serial by which this device's ROM can be known again."""
    if facts.uid is not None and facts.idcode is not None:
        return chip.predicted_serial(uid=facts.uid, idcode=facts.idcode)
    return facts.rom.serial if facts.rom else None


def behaviour_of(silicon: Silicon, facts: DeviceFacts) -> Behaviour:
    """What to do with this device's chip. Raises `UnknownDevice` for one that is not in the table."""
    chip = silicon.by_id(facts.chip) if facts.chip else None
    if chip is None:
        raise UnknownDevice(
            "this device's chip is not one that this updater knows, or its bootloader does not answer",
            advice="Unplug the device, plug it in again, and run the same command. If that does not help, "
            "ask the vendor for a newer updater.",
        )
    return silicon.behaviour(chip, rom_version=facts.rom_version, revision=facts.revision)


def contradicting_header(
    facts: DeviceFacts, product: Product, vendor: Vendor, contents: Mapping[int, bytes]
) -> str | None:
    """What a product header in these sectors (bytes by address) says against the device being this product.

    In words; None when no header is there, or the right one.
    """
    places = {one.header.address for one in vendor.products if one.header}
    for start, content in contents.items():
        for at in sorted(places):
            header = (
                ProductHeader.parse(content[at - start :]) if start <= at < start + len(content) else None
            )
            if header is None:
                continue
            if header.product != product.id:
                return f"its flash holds the program of a {header.product}"
            if facts.hardware is not None and header.hardware != facts.hardware:
                return f"its flash holds the program of hardware {header.hardware}, not {facts.hardware}"
    return None
