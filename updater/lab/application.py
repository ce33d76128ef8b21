"""The running firmware of a virtual board, as far as USB sees it.

All that it says of itself it reads from the product header in the flash; so half an image says nothing,
and firmware without a header is firmware that has never heard of us.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from updater.heads.dfu.words import Request, Stalled, State
from updater.lab.cdc import Dialogue, SerialPort
from updater.lab.face import DFU_RUNTIME, SERIAL_CONTROL, VENDOR_SPECIFIC, DfuFunction, Face
from updater.lab.flash import Flash
from updater.words.facts import HEADER_BYTES, ApplicationIdentity, ProductHeader

T = TypeVar("T")
VECTOR_TABLE = 0x08000000
HEADER_ADDRESS = 0x08000400
IDENTITY_REQUEST_TYPE, IDENTITY_REQUEST, IDENTITY_VALUE = 0xC0, 0x55, 1
CAN_DOWNLOAD, WILL_DETACH = 0x01, 0x08
DFU_DETACH, DFU_DETACH_AND_RESET = "dfu-detach", "dfu-detach-and-reset"
VENDOR_REQUEST, TOUCH_1200, SERIAL_SEND = "vendor-request", "touch-1200", "serial-send"
WAYS = (DFU_DETACH, DFU_DETACH_AND_RESET, VENDOR_REQUEST, TOUCH_1200, SERIAL_SEND)
"""By what firmware can be asked to enter the ROM; after `dfu-detach-and-reset` the host resets the bus."""
STRANGER_VENDOR_ID, STRANGER_PRODUCT_ID = 0x0483, 0x5740
"""ST's virtual COM port: what much firmware in the field shows."""

# Where an initial stack pointer can lie: CCM or ITCM, DTCM or SRAM, AXI SRAM, SRAM of D2, of D3.
_RAM = frozenset({0x10, 0x20, 0x24, 0x30, 0x38})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabProduct:
    """What a vendor says of a product, as far as a virtual board needs it. `usb` is "vid:pid" in hex.

    `enters` are the `WAYS` that its firmware heeds. `setup` is the vendor request: the eight bytes of its
    setup packet, then its data; `dialogue` is what is said on the serial port.
    """

    product: str
    hardware: str
    title: str
    usb: str
    header_address: int = HEADER_ADDRESS
    enters: tuple[str, ...] = (DFU_DETACH,)
    setup: bytes = b""
    dialogue: Dialogue = ()


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
    """One run of the firmware in `flash`. `wants_rom` becomes true when a host asked for it.

    `refuses`: the next such wish is refused, which sets `has_refused`.
    """

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
        self._ways = product.enters if product and self.header else ()
        self._setup = product.setup if product else b""
        self._may_be_reset_away = False
        self.refuses = self.has_refused = self.wants_rom = False
        self.serial_port: SerialPort | None = None
        if {TOUCH_1200, SERIAL_SEND} & set(self._ways):
            dialogue = product.dialogue if product and SERIAL_SEND in self._ways else ()
            self.serial_port = SerialPort(dialogue, heeds_touch=TOUCH_1200 in self._ways)

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
            interface_class=DFU_RUNTIME if self._has_dfu else VENDOR_SPECIFIC,
            alternates=("",),
            function=self._dfu_function() if self._has_dfu else None,
            has_serial=self.serial_port is not None,
        )

    @property
    def _has_dfu(self) -> bool:
        return bool({DFU_DETACH, DFU_DETACH_AND_RESET} & set(self._ways))

    def _dfu_function(self) -> DfuFunction:
        return DfuFunction(
            attributes=CAN_DOWNLOAD | (WILL_DETACH if DFU_DETACH in self._ways else 0),
            detach_timeout_ms=1000,
            transfer_size=self._chip.transfer_size,
            bcd_dfu=0x0110,
        )

    def control(
        self, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data_or_length: bytes | int
    ) -> bytes:
        """The vendor's requests, those of the serial port, and the DFU requests of run-time mode."""
        if self.header is None or self._product is None:
            raise Stalled("this firmware knows no vendor request")
        setup = bmRequestType, bRequest
        length = data_or_length if isinstance(data_or_length, int) else 0
        if (*setup, wValue) == (IDENTITY_REQUEST_TYPE, IDENTITY_REQUEST, IDENTITY_VALUE):
            return self._identity(self.header)[:length]
        if self._is_the_wish(*setup, wValue, wIndex, data_or_length):
            self._asked()
            return b""
        if self.serial_port is not None and setup[0] & 0x7F == 0x21 and wIndex == SERIAL_CONTROL:
            answer = self._on_serial_port(
                self.serial_port, lambda one: one.control(*setup, wValue, data_or_length)
            )
            return answer[:length] if bmRequestType & 0x80 else b""
        if self._has_dfu and wIndex == 0:
            return self._dfu(setup, length)
        raise Stalled(f"request {bRequest} (bmRequestType 0x{bmRequestType:02X})")

    def _is_the_wish(
        self, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data_or_length: bytes | int
    ) -> bool:
        """Whether this is the vendor request that leads into the ROM, byte by byte."""
        if VENDOR_REQUEST not in self._ways or not isinstance(data_or_length, bytes):
            return False
        packet = struct.pack("<BBHHH", bmRequestType, bRequest, wValue, wIndex, len(data_or_length))
        return packet + data_or_length == self._setup

    def _dfu(self, setup: tuple[int, int], length: int) -> bytes:
        if setup == (0x21, Request.DETACH):
            if DFU_DETACH in self._ways:
                self._asked()
            else:
                self._may_be_reset_away = True
            return b""
        if setup == (0xA1, Request.GETSTATE):
            return bytes((State.appIDLE,))[:length]
        if setup == (0xA1, Request.GETSTATUS):
            return bytes(6)[:length]
        raise Stalled(f"request {setup[1]} (bmRequestType 0x{setup[0]:02X}) in run-time mode")

    def _asked(self) -> None:
        if self.refuses:
            self.has_refused = True
            raise Stalled("this firmware refuses, as it was told to")
        self.wants_rom = True

    def bus_reset(self) -> None:
        """After DETACH, firmware that does not leave by itself takes a bus reset as the sign to do so."""
        if self._may_be_reset_away:
            self._may_be_reset_away = False
            with suppress(Stalled):
                self._asked()

    def hear(self, data: bytes) -> None:
        """Bytes to its serial port. Raises `Stalled` where it has none."""
        if self.serial_port is None:
            raise Stalled("no such endpoint")
        self._on_serial_port(self.serial_port, lambda one: one.hear(data))

    def _on_serial_port(self, port: SerialPort, work: Callable[[SerialPort], T]) -> T:
        port.refuses = self.refuses
        done = work(port)
        self.has_refused = self.has_refused or port.has_refused
        self.wants_rom = self.wants_rom or port.wants_rom
        port.has_refused = port.wants_rom = False
        return done

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
