"""The words of USB DFU 1.1 and ST's DfuSe extension, spelled as in the standards.

Sources: "USB Device Firmware Upgrade Specification 1.1" (usb.org), sections 3 and 6.1; ST AN3156.
A script is a generator that yields the frozen requests below and receives an `Answer` for each;
it never touches a wire, a clock or a device.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Self, TypeVar

T = TypeVar("T")

TRANSFER_TIMEOUT_MS = 35_000
"""A control transfer itself may block while the ROM erases: dfu-util and fwupd allow 35 s for DfuSe."""

FIRST_BLOCK = 2
"""wBlockNum of the first data block; 0 is a command, 1 is reserved (AN3156)."""


class Request(IntEnum):
    """bRequest of the class requests (DFU 1.1 table 3.2)."""

    DETACH = 0
    DNLOAD = 1
    UPLOAD = 2
    GETSTATUS = 3
    CLRSTATUS = 4
    GETSTATE = 5
    ABORT = 6


class Command(IntEnum):
    """First byte of a block-0 download (AN3156). Read-unprotect (0x92) is left out on purpose."""

    SET_ADDRESS = 0x21
    ERASE = 0x41


class State(IntEnum):
    """bState (DFU 1.1 section 6.1.2)."""

    appIDLE = 0
    appDETACH = 1
    dfuIDLE = 2
    dfuDNLOAD_SYNC = 3
    dfuDNBUSY = 4
    dfuDNLOAD_IDLE = 5
    dfuMANIFEST_SYNC = 6
    dfuMANIFEST = 7
    dfuMANIFEST_WAIT_RESET = 8
    dfuUPLOAD_IDLE = 9
    dfuERROR = 10


class StatusCode(IntEnum):
    """bStatus (DFU 1.1 section 6.1.2)."""

    OK = 0x00
    errTARGET = 0x01
    errFILE = 0x02
    errWRITE = 0x03
    errERASE = 0x04
    errCHECK_ERASED = 0x05
    errPROG = 0x06
    errVERIFY = 0x07
    errADDRESS = 0x08
    errNOTDONE = 0x09
    errFIRMWARE = 0x0A
    errVENDOR = 0x0B
    errUSBR = 0x0C
    errPOR = 0x0D
    errUNKNOWN = 0x0E
    errSTALLEDPKT = 0x0F


@dataclass(frozen=True, slots=True)
class Out:
    """A control transfer to the interface (bmRequestType 0x21)."""

    request: Request
    value: int = 0
    data: bytes = b""
    timeout_ms: int = TRANSFER_TIMEOUT_MS


@dataclass(frozen=True, slots=True)
class In:
    """A control transfer from the interface (bmRequestType 0xA1)."""

    request: Request
    value: int = 0
    length: int = 0
    timeout_ms: int = TRANSFER_TIMEOUT_MS


@dataclass(frozen=True, slots=True)
class Select:
    """SET_INTERFACE to this alternate setting."""

    alternate: int


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass on the wire's clock."""

    ms: int


class Answer(NamedTuple):
    """What came back (empty for all but `In`), stamped with the wire's clock in ms."""

    data: bytes
    at_ms: float


Wish = Out | In | Select | Sleep
Script = Generator[Wish, Answer, T]


class Status(NamedTuple):
    """The six bytes of GETSTATUS (DFU 1.1 section 6.1.2), stamped.

    `state` and `code` are plain ints outside the standard's values: ST's own library answers
    bState 15 after an unreadable UPLOAD, and a host must survive it.
    """

    code: int
    poll_ms: int
    state: int
    at_ms: float

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises `ProtocolError` when the device sent anything but six bytes."""
        data = answer.data
        if len(data) != 6:
            raise ProtocolError(f"GETSTATUS answered {len(data)} bytes instead of 6")
        return cls(data[0], int.from_bytes(data[1:4], "little"), data[4], answer.at_ms)

    def __str__(self) -> str:
        return f"{_name(State, self.state)}, {_name(StatusCode, self.code)}"


def _name(kind: type[State] | type[StatusCode], value: int) -> str:
    try:
        return kind(value).name.replace("_", "-") if kind is State else kind(value).name
    except ValueError:
        return f"{kind.__name__} {value}"


class Functional(NamedTuple):
    """The DFU functional descriptor (DFU 1.1 section 4.1.3), taken from the configuration descriptor.

    It is never requested by itself: 0x21 is also HID's type, and such a request hangs the C5 ROM.
    DFU 1.0 had 7 bytes, without bcdDFUVersion, which is 0 then.
    """

    attributes: int
    detach_timeout_ms: int
    transfer_size: int
    bcd_dfu_version: int

    @property
    def will_detach(self) -> bool:
        """bitWillDetach: the device leaves the bus by itself after DETACH."""
        return bool(self.attributes & 0x08)

    @classmethod
    def find(cls, descriptors: bytes) -> Self | None:
        """The first functional descriptor among an interface's extra descriptors, or None."""
        at = 0
        while at + 2 <= len(descriptors) and descriptors[at] >= 2:
            length = descriptors[at]
            part = descriptors[at : at + length]
            if part[1] == 0x21 and length in (7, 9) and len(part) == length:
                words = [int.from_bytes(part[n : n + 2], "little") for n in (3, 5, 7)]
                return cls(part[2], words[0], words[1], words[2])
            at += length
        return None


class WireError(Exception):
    """Something between script and device; the driver throws it into the script."""


class Stalled(WireError):
    """The device answered the control transfer with STALL."""


class Vanished(WireError):
    """The device is not on the bus any more."""


class TimedOut(WireError):
    """A transfer or a state took longer than its deadline."""


class ProtocolError(WireError):
    """The device answered something the protocol does not allow here."""


class DeviceRefused(WireError):
    """The device is in dfuERROR. `code` is its bStatus."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
