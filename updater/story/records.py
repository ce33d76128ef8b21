"""The OTP record: what a board is, burnt into its one-time-programmable memory where it was made.

It has the fields of the product header and stays when the flash is erased (docs/integration.md). It is read
only where the row of the silicon table says where this memory lies and that the bootloader gives it. What
cannot be read proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from updater.hands.usbio import FLASH_ALTERNATE, Wire
from updater.heads.dfu.scripts import Pace, go_to_idle, read_if_allowed, select
from updater.heads.dfu.words import Stalled
from updater.heads.otp.plan import alternate_of
from updater.heads.silicon import Chip
from updater.heads.vendor import Product
from updater.words.errors import Refused
from updater.words.facts import HEADER_BYTES, ProductHeader, Region


def read_record(
    wire: Wire, pace: Pace, rows: Sequence[Chip], regions: Iterable[Region], products: Iterable[Product]
) -> ProductHeader | None:
    """The record of a device in its bootloader that may be any of these rows and products; None without one.

    `regions` are the bootloader's alternate settings; the flash's is selected again afterwards. Lets wire
    errors through that are no refusal to be read.
    """
    for address in sorted({one.otp_record.address for one in products if one.otp_record}):
        settings = {_setting(row, regions, address) for row in rows}
        setting = settings.pop() if len(settings) == 1 else None
        record = ProductHeader.parse(_read(wire, pace, setting, address)) if setting is not None else None
        if record is not None:
            return record
    return None


_BY_ADDRESS = -1


def _setting(chip: Chip, regions: Iterable[Region], address: int) -> int | None:
    """The alternate setting in which a record at this address is read, `_BY_ADDRESS`, or None: not at all."""
    area = chip.otp
    if area is None or address < area.at or address + HEADER_BYTES > area.end:
        return None
    try:
        alternate = alternate_of(area, regions)
    except Refused:
        return None
    return _BY_ADDRESS if alternate is None else alternate


def _read(wire: Wire, pace: Pace, setting: int, address: int) -> bytes:
    if setting in (_BY_ADDRESS, FLASH_ALTERNATE):
        return wire.run(read_if_allowed(address, HEADER_BYTES, pace)) or b""
    wire.run(go_to_idle(pace.may_stick))
    try:
        wire.run(select(setting))
    except Stalled:
        return b""
    held = wire.run(read_if_allowed(address, HEADER_BYTES, pace)) or b""
    wire.run(go_to_idle(pace.may_stick))
    wire.run(select(FLASH_ALTERNATE))
    return held


def disagreement(one: ProductHeader, other: ProductHeader) -> bool:
    """Whether a header and a record cannot be of one device. The version is no part of it: only one moves."""
    hardware = {one.hardware, other.hardware} - {""}
    return one.product != other.product or len(hardware) > 1
