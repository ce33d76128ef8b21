"""Who answers in a bootloader, and how do we know (docs/decisions/0006).

In the ROM every STM32 looks alike. Its descriptors leave some rows of the silicon table; its bootloader ID
may leave one. The product is proved by the serial that was foretold, by a product header in flash, by an OTP
record, or by a journal together with sectors that still hold what the journal recorded; else a person must
say it, and the receipt will say so. What only looks like an STM32's ROM is named and left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from updater.hands.store import Journal
from updater.hands.usbio import Attached, Bus, Wire, read_rom_facts, read_shown
from updater.heads.dfu.scripts import Pace, Polling, read_if_allowed
from updater.heads.dfu.words import Vanished, WireError
from updater.heads.plan import is_blank
from updater.heads.silicon import Chip, Silicon
from updater.heads.vendor import Product, Vendor
from updater.story.records import disagreement, read_record
from updater.words.errors import DeviceIs, UsbFailed
from updater.words.facts import HEADER_BYTES, DeviceFacts, IdentityFrom, Mode, ProductHeader, RomFacts


def rom_facts(
    bus: Bus, attached: Attached, vendor: Vendor, silicon: Silicon, journals: Sequence[Journal]
) -> DeviceFacts:
    """What can be learnt of a device that was found in its ROM: descriptors, ROM ID, and who it may be.

    Raises `UsbFailed` when it goes away meanwhile, `CannotOpen`.
    """
    facts = DeviceFacts(
        name=f"bootloader on port {attached.port}", port=attached.port, usb=attached.usb, mode=Mode.ROM
    )
    shown = read_shown(attached)
    lookalike = silicon.lookalike_of(attached.usb, shown)
    if lookalike is not None:
        return replace(
            facts,
            name=lookalike.title,
            mode=Mode.OTHER,
            serial=shown.serial,
            refused=lookalike.refused,
        )
    rom = read_rom_facts(attached)
    if rom is None:
        return replace(facts, mode=Mode.OTHER)
    rows = silicon.like(rom)
    facts = _narrowed(replace(facts, serial=rom.serial, rom=rom), rows)
    if not rows:
        return facts
    try:
        with bus.open_dfu(attached) as wire:
            facts = _narrowed(facts, _by_rom_id(rows, wire, _careful_pace(rows, silicon)))
            facts = rom_silicon(facts, wire, silicon)
            return _recognised(facts, wire, silicon, vendor, journals)
    except Vanished as error:
        raise _went_away(error) from error
    except WireError as error:
        return replace(facts, unread=str(error))  # what its descriptors said is still worth showing


def _narrowed(facts: DeviceFacts, rows: Iterable[Chip]) -> DeviceFacts:
    """The facts with the rows that are left; a single one is the chip."""
    rows = tuple(rows)
    if len(rows) != 1:
        return replace(facts, chips=tuple(row.id for row in rows))
    return replace(facts, chips=(rows[0].id,), chip=rows[0].id, dev_id=rows[0].dev_id.value)


def _by_rom_id(rows: Sequence[Chip], wire: Wire, pace: Pace) -> Sequence[Chip]:
    """The rows that have the bootloader ID which stands at their own place; all, if none has."""
    if len(rows) == 1:
        return rows
    fitting = [row for row in rows if _rom_id(row, wire, pace) in {rom.id for rom in row.roms}]
    return fitting or rows


def _rom_id(chip: Chip, wire: Wire, pace: Pace) -> int | None:
    """The bootloader ID by UPLOAD (AN2606 section 4.2); None where it cannot be read."""
    if chip.rom_id_at is None:
        return None
    return _number(wire, pace, chip.rom_id_at.value, chip.rom_id_bytes)


def _number(wire: Wire, pace: Pace, address: int, width: int) -> int | None:
    """A little-endian number out of the word that holds it; None where it cannot be read."""
    word = wire.run(read_if_allowed(address & ~3, 4, pace))
    return None if word is None else int.from_bytes(word[address & 3 :][:width], "little")


def _careful_pace(rows: Sequence[Chip], silicon: Silicon) -> Pace:
    """How to read from a device that may be any of these."""
    paces = [silicon.behaviour(row, rom_version=None, revision=None).pace for row in rows]
    return Pace(
        transfer_size=paces[0].transfer_size,
        write_max_ms=max(pace.write_max_ms for pace in paces),
        polling=Polling(
            at_once=all(pace.polling.at_once for pace in paces),
            stalls=max(pace.polling.stalls for pace in paces),
        ),
        may_stick=any(pace.may_stick for pace in paces),
    )


def read_silicon(bus: Bus, attached: Attached, facts: DeviceFacts, silicon: Silicon) -> DeviceFacts:
    """`rom_silicon` for a device that is not open yet; what cannot be read stays unknown.

    Raises `UsbFailed` when it goes away meanwhile, `CannotOpen`.
    """
    try:
        with bus.open_dfu(attached) as wire:
            return rom_silicon(facts, wire, silicon)
    except Vanished as error:
        raise _went_away(error) from error
    except WireError as error:
        return replace(facts, unread=str(error))


def _went_away(error: Vanished) -> UsbFailed:
    return UsbFailed(f"the device went away while it was being asked: {error}", device_is=DeviceIs.UNKNOWN)


def rom_silicon(facts: DeviceFacts, wire: Wire, silicon: Silicon) -> DeviceFacts:
    """Revision (from the serial, where the row allows), ROM version, bank mode and size, by UPLOAD."""
    chip = silicon.by_id(facts.chip or "")
    if chip is None:
        return facts
    rev_id = chip.rev_id_of(facts.rom.serial) if facts.rom else None
    if rev_id is not None and (letter := chip.letter(rev_id)):
        facts = replace(facts, revision=letter, revision_from="rom-serial")
    pace = _pace(facts, chip, silicon)
    read = _rom_id(chip, wire, pace)
    if read in {rom.id for rom in chip.roms}:
        facts = replace(facts, rom_version=read, rom_version_from="rom-id")
    else:  # what the application claimed is worth less than the ROM's own silence: assume the worst
        facts = replace(facts, rom_version=None, rom_version_from=None)
    return with_limitations(_measured(facts, chip, wire, pace), chip, silicon)


def _measured(facts: DeviceFacts, chip: Chip, wire: Wire, pace: Pace) -> DeviceFacts:
    """Bank mode from the option bytes and size from the flash-size register, where they can be read."""
    if chip.bank_mode is not None and chip.option_bytes is not None:
        first, whole = chip.option_bytes.at, chip.option_bytes.bytes  # in one piece from its start (AN3156)
        block = wire.run(read_if_allowed(first, whole, pace)) or b""
        word = block[(chip.bank_mode.at & ~3) - first :][:4]
        facts = replace(facts, bank_mode=chip.bank_mode.mode_in(word) if len(word) == 4 else None)
    if chip.flash_size_at is not None and len(chip.sizes_kib.value) > 1:
        kib = _number(wire, pace, chip.flash_size_at.value, 2)
        facts = replace(facts, flash_kib=kib if kib in chip.sizes_kib.value else None)
    return facts


def _pace(facts: DeviceFacts, chip: Chip, silicon: Silicon) -> Pace:
    return silicon.behaviour(chip, rom_version=facts.rom_version, revision=facts.revision).pace


def with_limitations(facts: DeviceFacts, chip: Chip, silicon: Silicon) -> DeviceFacts:
    """The facts with the known limitations of this chip."""
    behaviour = silicon.behaviour(
        chip, rom_version=facts.rom_version, revision=facts.revision, bank_mode=facts.bank_mode
    )
    return replace(facts, limitations=behaviour.limitations)


def _recognised(
    facts: DeviceFacts, wire: Wire, silicon: Silicon, vendor: Vendor, journals: Sequence[Journal]
) -> DeviceFacts:
    """Prove which product a stranger is, by the first proof that holds; or leave it unknown."""
    rows = [row for row in silicon.chip if row.id in facts.chips]
    pace = _careful_pace(rows, silicon)
    possible = [product for product in vendor.products if set(facts.chips) & set(product.chips)]
    header = _header(wire, pace, possible)
    record = read_record(wire, pace, rows, facts.rom.regions if facts.rom else (), possible)
    if header is not None and record is not None and disagreement(header, record):
        both = (
            f"Its flash says that it is a {header.product}, hardware {header.hardware}, and its one-time-"
            f"programmable memory that it is a {record.product}, hardware {record.hardware}."
        )
        return replace(facts, refused=both)
    if header is not None:
        runs = not is_blank(wire.run(read_if_allowed(rows[0].flash.address, 8, pace)) or b"")
        facts = replace(
            facts,
            version=header.version if runs else None,
            security_counter=header.security_counter,
            identity=IdentityFrom.HEADER,
        )
        return _of_header(facts, header, wire, silicon, vendor)
    if record is not None:  # its version and counter are those with which the board was made
        facts = replace(facts, identity=IdentityFrom.OTP)
        return _of_header(facts, record, wire, silicon, vendor)
    for journal in journals:
        product = next((one for one in possible if one.id == journal.product), None)
        proof = _journal_proof(facts, wire, silicon, pace, journal) if product else None
        if product is not None and proof is not None:
            facts = replace(
                facts, name=product.title, product=product.id, hardware=journal.hardware, identity=proof
            )
            if journal.revision is not None:  # its application had said so; most ROMs cannot
                facts = replace(facts, revision=journal.revision, revision_from="journal")
            return rom_silicon(of_product(facts, product, silicon), wire, silicon)
    return facts


def of_product(facts: DeviceFacts, product: Product, silicon: Silicon) -> DeviceFacts:
    """The facts of a device that is this product: of its possible chips only the product's are left."""
    if facts.chip is not None:
        return facts
    possible = set(facts.chips) & set(product.chips)
    return _narrowed(facts, [row for row in silicon.chip if row.id in possible])


def _of_header(
    facts: DeviceFacts, header: ProductHeader, wire: Wire, silicon: Silicon, vendor: Vendor
) -> DeviceFacts:
    """The facts of a device of which a header or a record says which product it is, known to us or not."""
    product = vendor.product(header.product)
    facts = replace(
        facts,
        name=product.title if product else facts.name,
        product=header.product,
        hardware=header.hardware or None,
    )
    return rom_silicon(of_product(facts, product, silicon), wire, silicon) if product else facts


def _header(wire: Wire, pace: Pace, possible: Iterable[Product]) -> ProductHeader | None:
    addresses = {product.header.address for product in possible if product.header}
    for address in sorted(addresses):
        header = ProductHeader.parse(wire.run(read_if_allowed(address, HEADER_BYTES, pace)) or b"")
        if header is not None:
            return header
    return None


def _journal_proof(
    facts: DeviceFacts, wire: Wire, silicon: Silicon, pace: Pace, journal: Journal
) -> IdentityFrom | None:
    """How this journal proves that the device on its port is the one it was written for, or None.

    A journal alone never proves. The device must hold a sector, not blank, with the SHA-256 that the
    journal recorded (or show a foretold serial that the row says is unique), and at most one sector may
    contradict: the one in work when the cable was pulled. What a person had said stays a person's word.
    """
    chip = silicon.by_id(journal.chip)
    if chip is None or journal.chip not in facts.chips or journal.port != facts.port:
        return None
    if journal.serial not in (None, facts.serial):
        return None
    is_unique = chip.serial_is_unique.value and journal.serial is not None
    agree = contradict = 0
    for witness in journal.witnesses:
        content = wire.run(read_if_allowed(witness.address, witness.size, pace)) or b""
        if hashlib.sha256(content).hexdigest() not in witness.sha256:
            contradict += 1
        elif not is_blank(content):
            agree += 1
    if contradict > 1 or not (agree or is_unique):
        return None
    if journal.identity in (IdentityFrom.PERSON, IdentityFrom.NONE):
        return IdentityFrom.PERSON
    return IdentityFrom.SERIAL if is_unique and not agree else IdentityFrom.JOURNAL


def same_device(facts: DeviceFacts, rom: RomFacts, chip: Chip) -> str | None:
    """What speaks against this ROM being the device that we sent there, in words; None when nothing."""
    against = chip.contradiction(rom)
    if against is None and facts.uid is not None and facts.idcode is not None:
        against = chip.serial_contradiction(rom.serial, uid=facts.uid, idcode=facts.idcode)
    return against


def is_proved_by_serial(facts: DeviceFacts, silicon: Silicon) -> bool:
    """Whether this ROM shows the serial that the UID foretold, and its row says that no two share it."""
    chip = silicon.by_id(facts.chip or "")
    if chip is None or not chip.serial_is_unique.value or facts.uid is None or facts.idcode is None:
        return False
    shown = facts.rom.serial if facts.rom else None
    return shown in chip.predicted_serials(uid=facts.uid, idcode=facts.idcode)


def lasting_serial(facts: DeviceFacts, chip: Chip) -> str | None:
    """The serial by which this device's ROM can be known again; None where it is another each time."""
    return facts.rom.serial if facts.rom and chip.serial.value != "random" else None


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
            if header.hardware and facts.hardware not in (None, header.hardware):
                return f"its flash holds the program of hardware {header.hardware}, not {facts.hardware}"
    return None


def contradicting_record(
    facts: DeviceFacts, product: Product, vendor: Vendor, wire: Wire, silicon: Silicon
) -> str | None:
    """What an OTP record says against this open device being this product, in words; None for nothing."""
    chip = silicon.by_id(facts.chip or "")
    if chip is None or facts.rom is None:
        return None
    fitting = [one for one in vendor.products if chip.id in one.chips]
    record = read_record(wire, _pace(facts, chip, silicon), (chip,), facts.rom.regions, fitting)
    if record is None:
        return None
    if record.product != product.id:
        return f"its one-time-programmable memory says that it is a {record.product}"
    if facts.hardware is not None and record.hardware not in ("", facts.hardware):
        return f"its one-time-programmable memory says hardware {record.hardware}, not {facts.hardware}"
    return None
