"""What a virtual board shows on USB: its descriptors, and the standard requests every device answers.

One configuration, one interface (number 0) with one or more alternate settings, no endpoints but EP0.
Sources: USB 2.0 chapter 9; DFU 1.1 section 4.1.3 for the functional descriptor.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from updater.dfu.words import Stalled

DEVICE, CONFIGURATION, STRING, INTERFACE = 1, 2, 3, 4
DFU_FUNCTIONAL = 0x21
ENGLISH_US = 0x0409
MAX_PACKET_BYTES = 64
SELF_POWERED = 0xC0
MAX_POWER_2MA = 50
MANUFACTURER_INDEX, PRODUCT_INDEX, SERIAL_INDEX, FIRST_ALTERNATE_INDEX = 1, 2, 3, 6

_DEVICE = struct.Struct("<BBHBBBBHHHBBBB")
_CONFIGURATION = struct.Struct("<BBHBBBBB")
_INTERFACE = struct.Struct("<9B")
_FUNCTIONAL = struct.Struct("<BBBHHH")

STANDARD_IN_DEVICE, STANDARD_IN_INTERFACE, STANDARD_IN_ENDPOINT = 0x80, 0x81, 0x82
STANDARD_OUT_DEVICE, STANDARD_OUT_INTERFACE = 0x00, 0x01
GET_STATUS, SET_ADDRESS, GET_DESCRIPTOR = 0, 5, 6
GET_CONFIGURATION, SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 8, 9, 10, 11


class InterfaceClass(NamedTuple):
    """bInterfaceClass, bInterfaceSubClass, bInterfaceProtocol."""

    code: int
    subclass: int
    protocol: int


DFU_RUNTIME = InterfaceClass(0xFE, 0x01, 0x01)
DFU_MODE = InterfaceClass(0xFE, 0x01, 0x02)
VENDOR_SPECIFIC = InterfaceClass(0xFF, 0x00, 0x00)


@dataclass(frozen=True, slots=True, kw_only=True)
class DfuFunction:
    """The DFU functional descriptor (DFU 1.1 table 4.2)."""

    attributes: int
    detach_timeout_ms: int
    transfer_size: int
    bcd_dfu: int

    def pack(self) -> bytes:
        return _FUNCTIONAL.pack(
            9, DFU_FUNCTIONAL, self.attributes, self.detach_timeout_ms, self.transfer_size, self.bcd_dfu
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Everything a host can learn without a class request. Empty alternate names have no string."""

    vendor_id: int
    product_id: int
    bcd_device: int
    manufacturer: str
    product: str
    serial: str
    interface_class: InterfaceClass
    alternates: tuple[str, ...]
    function: DfuFunction | None

    def device_descriptor(self) -> bytes:
        return _DEVICE.pack(
            18, DEVICE, 0x0200, 0, 0, 0, MAX_PACKET_BYTES,
            self.vendor_id, self.product_id, self.bcd_device,
            MANUFACTURER_INDEX, PRODUCT_INDEX, SERIAL_INDEX, 1,
        )  # fmt: skip

    def interface_descriptor(self, alternate: int) -> bytes:
        """Raises IndexError where there is no such alternate setting."""
        name = FIRST_ALTERNATE_INDEX + alternate if self.alternates[alternate] else 0
        return _INTERFACE.pack(9, INTERFACE, 0, alternate, 0, *self.interface_class, name)

    def extra_descriptors(self, alternate: int) -> bytes:
        """What follows the interface descriptor: as in ST's, the functional descriptor after the last one."""
        if self.function is None or alternate != len(self.alternates) - 1:
            return b""
        return self.function.pack()

    def configuration_descriptor(self) -> bytes:
        body = b"".join(
            self.interface_descriptor(number) + self.extra_descriptors(number)
            for number in range(len(self.alternates))
        )
        head = _CONFIGURATION.pack(9, CONFIGURATION, 9 + len(body), 1, 1, 0, SELF_POWERED, MAX_POWER_2MA)
        return head + body

    def string_descriptor(self, index: int) -> bytes | None:
        if index == 0:
            return struct.pack("<BBH", 4, STRING, ENGLISH_US)
        fixed = {
            MANUFACTURER_INDEX: self.manufacturer,
            PRODUCT_INDEX: self.product,
            SERIAL_INDEX: self.serial,
        }
        text = fixed.get(index)
        if text is None and 0 <= index - FIRST_ALTERNATE_INDEX < len(self.alternates):
            text = self.alternates[index - FIRST_ALTERNATE_INDEX]
        if not text:
            return None
        encoded = text.encode("utf-16-le")
        return bytes((2 + len(encoded), STRING)) + encoded


class Endpoint0:
    """The standard requests of one enumerated device: what a kernel asks before anyone talks DFU."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.configuration = 0
        self.alternate = 0

    def control(
        self, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data_or_length: bytes | int
    ) -> bytes:
        """Answer one standard request; anything else is a STALL (full speed: no device qualifier)."""
        length = data_or_length if isinstance(data_or_length, int) else 0
        if bmRequestType == STANDARD_IN_DEVICE and bRequest == GET_DESCRIPTOR:
            return self._descriptor(wValue >> 8, wValue & 0xFF)[:length]
        if bmRequestType in (STANDARD_IN_DEVICE, STANDARD_IN_INTERFACE, STANDARD_IN_ENDPOINT):
            return self._state(bmRequestType, bRequest, wIndex)[:length]
        if bmRequestType == STANDARD_OUT_DEVICE and bRequest == SET_CONFIGURATION and wValue <= 1:
            self.configuration, self.alternate = wValue, 0
            return b""
        if bmRequestType == STANDARD_OUT_DEVICE and bRequest == SET_ADDRESS:
            return b""
        if (
            bmRequestType == STANDARD_OUT_INTERFACE
            and bRequest == SET_INTERFACE
            and wIndex == 0
            and wValue < len(self.face.alternates)
        ):
            self.alternate = wValue
            return b""
        raise Stalled(f"standard request {bRequest} (bmRequestType 0x{bmRequestType:02X})")

    def _state(self, bmRequestType: int, bRequest: int, wIndex: int) -> bytes:
        if bRequest == GET_STATUS:
            return b"\x01\x00" if bmRequestType == STANDARD_IN_DEVICE else b"\x00\x00"
        if bmRequestType == STANDARD_IN_DEVICE and bRequest == GET_CONFIGURATION:
            return bytes((self.configuration,))
        if bmRequestType == STANDARD_IN_INTERFACE and bRequest == GET_INTERFACE and wIndex == 0:
            return bytes((self.alternate,))
        raise Stalled(f"standard request {bRequest}")

    def _descriptor(self, kind: int, index: int) -> bytes:
        if kind == DEVICE:
            return self.face.device_descriptor()
        if kind == CONFIGURATION and index == 0:
            return self.face.configuration_descriptor()
        text = self.face.string_descriptor(index) if kind == STRING else None
        if text is None:
            raise Stalled(f"no descriptor 0x{kind:02X}, index {index}")
        return text
