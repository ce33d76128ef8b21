"""What a chip's ROM shows on USB: its descriptors by the silicon table, or a look-alike's."""

from __future__ import annotations

import hashlib

from updater.heads.silicon import Chip, Lookalike
from updater.lab.application import ChipIdentity
from updater.lab.face import DFU_MODE, DfuFunction, Face

ROM_VENDOR_ID, ROM_PRODUCT_ID = 0x0483, 0xDF11
ROM_ATTRIBUTES = 0x0B
ROM_DETACH_TIMEOUT_MS = 255
BCD_DFUSE = 0x011A


def rom_face(chip: Chip, identity: ChipIdentity, *, power_ups: int) -> Face:
    """The face of this chip's ROM. `power_ups` counts: a serial may be another one each time."""
    return Face(
        vendor_id=ROM_VENDOR_ID,
        product_id=ROM_PRODUCT_ID,
        bcd_device=chip.bcd_device.value,
        manufacturer="STMicroelectronics",
        product=chip.product_string.value,
        serial=_serial(chip, identity, power_ups),
        interface_class=DFU_MODE,
        alternates=chip.alternates.value,
        function=_function(chip.transfer_size.value),
    )


def lookalike_face(row: Lookalike) -> Face:
    """The face of something that only looks like an STM32's ROM."""
    shown = row.face
    vendor, product = (int(part, 16) for part in shown.usb.split(":"))
    return Face(
        vendor_id=vendor,
        product_id=product,
        bcd_device=shown.bcd_device,
        manufacturer=shown.manufacturer,
        product=shown.product,
        serial=shown.serial,
        interface_class=DFU_MODE,
        alternates=shown.alternates,
        function=_function(shown.transfer_size),
    )


def _function(transfer_size: int) -> DfuFunction:
    return DfuFunction(
        attributes=ROM_ATTRIBUTES,
        detach_timeout_ms=ROM_DETACH_TIMEOUT_MS,
        transfer_size=transfer_size,
        bcd_dfu=BCD_DFUSE,
    )


def _serial(chip: Chip, identity: ChipIdentity, power_ups: int) -> str:
    """By the row's rule; a serial that nobody can foretell is made from the UID, and from the count."""
    foretold = chip.predicted_serials(uid=identity.uid, idcode=identity.idcode)
    if foretold:
        return foretold[0]
    salt = power_ups.to_bytes(4, "little") if chip.serial.value == "random" else b""
    return hashlib.sha256(identity.uid + salt).hexdigest()[:12].upper()
