"""The running firmware of a virtual board, as far as USB sees it.

All that it says of itself it reads from the product header in the flash; so half an image says nothing,
and firmware without a header is firmware that has never heard of us.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from updater.dfu.words import Request, Stalled, State
from updater.facts import HEADER_BYTES, ApplicationIdentity, ProductHeader
from updater.lab.face import DFU_RUNTIME, VENDOR_SPECIFIC, DfuFunction, Face
from updater.lab.flash import Flash

VECTOR_TABLE = 0x08000000
HEADER_ADDRESS = 0x08000400
IDENTITY_REQUEST_TYPE, IDENTITY_REQUEST, IDENTITY_VALUE = 0xC0, 0x55, 1
WILL_DETACH_AND_DOWNLOAD = 0x09
STRANGER_VENDOR_ID, STRANGER_PRODUCT_ID = 0x0483, 0x5740
"""ST's virtual COM port: what much firmware in the field shows."""

# Where an initial stack pointer can lie: CCM or ITCM, DTCM or SRAM, AXI SRAM, SRAM of D2, of D3.
_RAM = frozenset({0x10, 0x20, 0x24, 0x30, 0x38})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabProduct:
    """What a vendor says of a product, as far as a virtual board needs it. `usb` is "vid:pid" in hex."""

    product: str
    hardware: str
    title: str
    usb: str
    header_address: int = HEADER_ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipIdentity:
    """What the chip itself tells its firmware."""

    uid: bytes
    idcode: int
    rom_version: int
    transfer_size: int


def vectors_are_valid(flash: Flash, table: int = VECTOR_TABLE) -> bool:
    """Whether a jump to this vector table would run: SP in RAM, a Thumb reset vector into written flash."""
    if not flash.base <= table <= flash.end - 8 or table % 4:
        return False
    stack, reset = struct.unpack("<II", flash.read(table, 8))
    entry = reset & ~1
    in_flash = flash.base <= entry <= flash.end - 2
    return (
        stack % 4 == 0
        and stack >> 24 in _RAM
        and reset & 1 == 1
        and in_flash
        and flash.read(entry, 2) != b"\xff\xff"
    )


def initial_stack(flash: Flash, table: int) -> int:
    """The initial stack pointer that a vector table names; 0 outside the flash."""
    if not flash.base <= table <= flash.end - 8:
        return 0
    return int.from_bytes(flash.read(table, 4), "little")


class Application:
    """One run of the firmware in `flash`. `wants_rom` becomes true when a host sent DETACH."""

    def __init__(
        self, flash: Flash, *, chip: ChipIdentity, product: LabProduct | None, foreign_identity: bool = False
    ) -> None:
        self._chip = chip
        self._product = product
        self.header = read_header(flash, product)
        if self.header and foreign_identity:
            self.header = ProductHeader(
                product="another-product",
                hardware=self.header.hardware,
                version=self.header.version,
                security_counter=self.header.security_counter,
            )
        self.wants_rom = False

    @property
    def face(self) -> Face:
        if self.header is None or self._product is None:
            return _STRANGER
        vendor, product = (int(part, 16) for part in self._product.usb.split(":"))
        version = self.header.version
        return Face(
            vendor_id=vendor,
            product_id=product,
            bcd_device=(version.major % 100) << 8 | version.minor % 16 << 4 | version.patch % 16,
            manufacturer="Virtual lab",
            product=self._product.title,
            serial=self._chip.uid.hex().upper(),
            interface_class=DFU_RUNTIME,
            alternates=("",),
            function=DfuFunction(
                attributes=WILL_DETACH_AND_DOWNLOAD,
                detach_timeout_ms=1000,
                transfer_size=self._chip.transfer_size,
                bcd_dfu=0x0110,
            ),
        )

    def control(
        self, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data_or_length: bytes | int
    ) -> bytes:
        """The vendor's identity request, and the DFU requests of a device in run-time mode."""
        if self.header is None or self._product is None:
            raise Stalled("this firmware knows no vendor request")
        setup = bmRequestType, bRequest
        length = data_or_length if isinstance(data_or_length, int) else 0
        if (*setup, wValue) == (IDENTITY_REQUEST_TYPE, IDENTITY_REQUEST, IDENTITY_VALUE):
            return self._identity(self.header)[:length]
        if setup == (0x21, Request.DETACH) and wIndex == 0:
            self.wants_rom = True
            return b""
        if setup == (0xA1, Request.GETSTATE) and wIndex == 0:
            return bytes((State.appIDLE,))[:length]
        if setup == (0xA1, Request.GETSTATUS) and wIndex == 0:
            return bytes(6)[:length]
        raise Stalled(f"request {bRequest} (bmRequestType 0x{bmRequestType:02X}) in run-time mode")

    def _identity(self, header: ProductHeader) -> bytes:
        chip = self._chip
        return ApplicationIdentity(
            header=header, uid=chip.uid, idcode=chip.idcode, rom_version=chip.rom_version
        ).pack()


_STRANGER = Face(
    vendor_id=STRANGER_VENDOR_ID,
    product_id=STRANGER_PRODUCT_ID,
    bcd_device=0x0200,
    manufacturer="STMicroelectronics",
    product="STM32 Virtual ComPort",
    serial="0001",
    interface_class=VENDOR_SPECIFIC,
    alternates=("",),
    function=None,
)


def read_header(flash: Flash, product: LabProduct | None) -> ProductHeader | None:
    """The product header in the flash, whatever runs; None where there is none, or half of one."""
    address = product.header_address if product else HEADER_ADDRESS
    if not flash.base <= address <= flash.end - HEADER_BYTES:
        return None
    return ProductHeader.parse(flash.read(address, HEADER_BYTES))
