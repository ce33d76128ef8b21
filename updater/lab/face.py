"""What a virtual board shows on USB: its descriptors, and the standard requests every device answers.

One configuration; interface 0 has one or more alternate settings and no endpoints but EP0. Firmware with a
serial port has interfaces 1 and 2 too. Sources: USB 2.0 chapter 9; DFU 1.1 section 4.1.3 for the functional
descriptor; CDC 1.2 chapter 5 and PSTN 1.2 section 5.3 for those of a serial port.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from updater.heads.dfu.words import Stalled

DEVICE, CONFIGURATION, STRING, INTERFACE, ENDPOINT = 1, 2, 3, 4, 5
DFU_FUNCTIONAL = 0x21
ENGLISH_US = 0x0409
MAX_PACKET_BYTES = 64
SELF_POWERED = 0xC0
MAX_POWER_2MA = 50
MANUFACTURER_INDEX, PRODUCT_INDEX, SERIAL_INDEX, FIRST_ALTERNATE_INDEX = 1, 2, 3, 6

SERIAL_CONTROL, SERIAL_DATA = 1, 2
"""The two interfaces of a serial port."""
SERIAL_NOTIFIES, SERIAL_HEARS, SERIAL_SAYS = 0x81, 0x02, 0x83
"""Its endpoints: interrupt IN, bulk OUT, bulk IN."""

_DEVICE = struct.Struct("<BBHBBBBHHHBBBB")
_CONFIGURATION = struct.Struct("<BBHBBBBB")
_INTERFACE = struct.Struct("<9B")
_FUNCTIONAL = struct.Struct("<BBBHHH")

STANDARD_IN_DEVICE, STANDARD_IN_INTERFACE, STANDARD_IN_ENDPOINT = 0x80, 0x81, 0x82
STANDARD_OUT_DEVICE, STANDARD_OUT_INTERFACE, STANDARD_OUT_ENDPOINT = 0x00, 0x01, 0x02
GET_STATUS, CLEAR_FEATURE, SET_ADDRESS, GET_DESCRIPTOR = 0, 1, 5, 6
GET_CONFIGURATION, SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 8, 9, 10, 11


class InterfaceClass(NamedTuple):
    """bInterfaceClass, bInterfaceSubClass, bInterfaceProtocol."""

    code: int
    subclass: int
    protocol: int


DFU_RUNTIME = InterfaceClass(0xFE, 0x01, 0x01)
DFU_MODE = InterfaceClass(0xFE, 0x01, 0x02)
VENDOR_SPECIFIC = InterfaceClass(0xFF, 0x00, 0x00)


CDC_CONTROL = InterfaceClass(0x02, 0x02, 0x00)
CDC_DATA = InterfaceClass(0x0A, 0x00, 0x00)


class Setting(NamedTuple):
    """One alternate setting of one interface, as descriptors: its own, what follows it, its endpoints."""

    interface: bytes
    extra: bytes
    endpoints: tuple[bytes, ...] = ()


_SERIAL_SETTINGS = {
    SERIAL_CONTROL: Setting(
        _INTERFACE.pack(9, INTERFACE, SERIAL_CONTROL, 0, 1, *CDC_CONTROL, 0),
        bytes.fromhex(
            "05 24 00 1001"  # header: CDC 1.10
            "05 24 01 00 02"  # call management: none; data interface 2
            "04 24 02 02"  # line coding and control line state
            "05 24 06 01 02"  # union: interfaces 1 and 2
        ),
        (bytes((7, ENDPOINT, SERIAL_NOTIFIES, 3, 8, 0, 16)),),
    ),
    SERIAL_DATA: Setting(
        _INTERFACE.pack(9, INTERFACE, SERIAL_DATA, 0, 2, *CDC_DATA, 0),
        b"",
        tuple(bytes((7, ENDPOINT, one, 2, MAX_PACKET_BYTES, 0, 0)) for one in (SERIAL_HEARS, SERIAL_SAYS)),
    ),
}


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
    """Everything a host can learn without a class request. Empty alternate names have no string.

    `has_serial`: interfaces 1 and 2 are a serial port.
    """

    vendor_id: int
    product_id: int
    bcd_device: int
    manufacturer: str
    product: str
    serial: str
    interface_class: InterfaceClass
    alternates: tuple[str, ...]
    function: DfuFunction | None
    has_serial: bool = False

    def device_descriptor(self) -> bytes:
        return _DEVICE.pack(
            18, DEVICE, 0x0200, 0, 0, 0, MAX_PACKET_BYTES,
            self.vendor_id, self.product_id, self.bcd_device,
            MANUFACTURER_INDEX, PRODUCT_INDEX, SERIAL_INDEX, 1,
        )  # fmt: skip

    def setting(self, interface: int, alternate: int) -> Setting:
        """Raises IndexError where there is no such interface or alternate setting."""
        if interface == 0:
            name = FIRST_ALTERNATE_INDEX + alternate if self.alternates[alternate] else 0
            described = _INTERFACE.pack(9, INTERFACE, 0, alternate, 0, *self.interface_class, name)
            return Setting(described, self._functional(alternate))
        if not self.has_serial or interface not in _SERIAL_SETTINGS or alternate:
            raise IndexError(f"no interface {interface}, alternate setting {alternate}")
        return _SERIAL_SETTINGS[interface]

    def _functional(self, alternate: int) -> bytes:
        """As in ST's, the functional descriptor follows the last alternate setting."""
        if self.function is None or alternate != len(self.alternates) - 1:
            return b""
        return self.function.pack()

    @property
    def interfaces(self) -> tuple[InterfaceClass, ...]:
        """The classes of its interfaces, in their order."""
        return (self.interface_class, CDC_CONTROL, CDC_DATA) if self.has_serial else (self.interface_class,)

    def configuration_descriptor(self) -> bytes:
        settings = [self.setting(0, number) for number in range(len(self.alternates))]
        if self.has_serial:
            settings += _SERIAL_SETTINGS.values()
        body = b"".join(one.interface + one.extra + b"".join(one.endpoints) for one in settings)
        count = len(self.interfaces)
        head = _CONFIGURATION.pack(9, CONFIGURATION, 9 + len(body), count, 1, 0, SELF_POWERED, MAX_POWER_2MA)
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
        if bmRequestType == STANDARD_OUT_ENDPOINT and bRequest == CLEAR_FEATURE and self.face.has_serial:
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
