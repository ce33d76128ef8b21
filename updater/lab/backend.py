"""A pyusb backend over virtual boards: `usb.core.find(backend=...)` finds them like real devices.

Use: pass it wherever pyusb takes a backend. Errors are pyusb's own, with libusb's errno values, because
the code under test must see what libusb would show it.
"""

from __future__ import annotations

import errno
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import usb.backend
import usb.core

from updater.heads.dfu.words import Stalled, TimedOut, Vanished
from updater.lab.board import Board
from updater.lab.face import Face

SPEED_FULL = 2  # LIBUSB_SPEED_FULL
FOREVER_MS = 3_600_000
"""What a timeout of 0 (libusb: unlimited) means here, so that a hanging ROM cannot stop the world."""
ERROR_IO, ERROR_ACCESS, ERROR_NO_DEVICE, ERROR_NOT_FOUND, ERROR_TIMEOUT, ERROR_PIPE = -1, -3, -4, -5, -7, -9

_PORT = re.compile(r"[1-9][0-9]*-[1-9][0-9]*(\.[1-9][0-9]*)*")
_DEVICE_FIELDS = (
    "bLength", "bDescriptorType", "bcdUSB", "bDeviceClass", "bDeviceSubClass", "bDeviceProtocol",
    "bMaxPacketSize0", "idVendor", "idProduct", "bcdDevice", "iManufacturer", "iProduct", "iSerialNumber",
    "bNumConfigurations",
)  # fmt: skip
_INTERFACE_FIELDS = (
    "bLength", "bDescriptorType", "bInterfaceNumber", "bAlternateSetting", "bNumEndpoints",
    "bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol", "iInterface",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Enumerated:
    """One identity of one board, as long as it has this address."""

    board: Board = field(compare=False)
    bus: int
    ports: tuple[int, ...]
    address: int
    face: Face = field(compare=False)


class LabBackend(usb.backend.IBackend):  # type: ignore[misc] # pyusb ships no types
    """All boards of a lab, each at its port path. A device can be open once at a time, as with WinUSB."""

    def __init__(self, boards: Sequence[Board]) -> None:
        self.boards = tuple(boards)
        self._open: set[tuple[int, int]] = set()

    def enumerate_devices(self) -> Iterator[Enumerated]:
        """The devices that are on the bus at this moment of the boards' clock."""
        for board in self.boards:
            face = board.face
            if face is not None:
                bus, ports = split_port(board.port)
                yield Enumerated(board, bus, ports, board.address, face)

    def get_parent(self, _dev: Enumerated) -> None:
        return None

    def get_device_descriptor(self, dev: Enumerated) -> SimpleNamespace:
        raw = dev.face.device_descriptor()
        values = [raw[0], raw[1], _u16(raw, 2), *raw[4:8], *(_u16(raw, at) for at in (8, 10, 12)), *raw[14:]]
        return SimpleNamespace(
            **dict(zip(_DEVICE_FIELDS, values, strict=True)),
            bus=dev.bus,
            address=dev.address,
            port_number=dev.ports[-1],
            port_numbers=dev.ports,
            speed=SPEED_FULL,
        )

    def get_configuration_descriptor(self, dev: Enumerated, config: int) -> SimpleNamespace:
        if config:
            raise IndexError(f"no configuration {config}")
        raw = dev.face.configuration_descriptor()
        return SimpleNamespace(
            bLength=raw[0], bDescriptorType=raw[1], wTotalLength=_u16(raw, 2), bNumInterfaces=raw[4],
            bConfigurationValue=raw[5], iConfiguration=raw[6], bmAttributes=raw[7], bMaxPower=raw[8],
            extra_descriptors=[],
        )  # fmt: skip

    def get_interface_descriptor(self, dev: Enumerated, intf: int, alt: int, config: int) -> SimpleNamespace:
        if config:
            raise IndexError(f"no configuration {config}")
        setting = dev.face.setting(intf, alt)
        return SimpleNamespace(
            **dict(zip(_INTERFACE_FIELDS, setting.interface, strict=True)),
            extra_descriptors=list(setting.extra),
        )

    def get_endpoint_descriptor(
        self, dev: Enumerated, ep: int, intf: int, alt: int, _config: int
    ) -> SimpleNamespace:
        raw = dev.face.setting(intf, alt).endpoints[ep]
        return SimpleNamespace(
            bLength=raw[0], bDescriptorType=raw[1], bEndpointAddress=raw[2], bmAttributes=raw[3],
            wMaxPacketSize=_u16(raw, 4), bInterval=raw[6], bRefresh=0, bSynchAddress=0, extra_descriptors=[],
        )  # fmt: skip

    def open_device(self, dev: Enumerated) -> Enumerated:
        self._present(dev)
        if _which(dev) in self._open:
            raise usb.core.USBError("Access denied (insufficient permissions)", ERROR_ACCESS, errno.EACCES)
        self._open.add(_which(dev))
        return dev

    def close_device(self, dev_handle: Enumerated) -> None:
        self._open.discard(_which(dev_handle))

    def set_configuration(self, dev_handle: Enumerated, config_value: int) -> None:
        self._control(dev_handle, 0x00, 9, config_value, 0, b"", 1000)

    def get_configuration(self, dev_handle: Enumerated) -> int:
        self._present(dev_handle)
        endpoint0 = dev_handle.board.endpoint0
        return endpoint0.configuration if endpoint0 else 0

    def set_interface_altsetting(self, dev_handle: Enumerated, intf: int, altsetting: int) -> None:
        self._control(dev_handle, 0x01, 11, altsetting, intf, b"", 1000)

    def claim_interface(self, dev_handle: Enumerated, intf: int) -> None:
        self._present(dev_handle)
        if intf >= len(dev_handle.face.interfaces):
            raise usb.core.USBError("Entity not found", ERROR_NOT_FOUND, errno.ENOENT)

    def release_interface(self, _dev_handle: Enumerated, _intf: int) -> None:
        """Nothing to release."""

    def ctrl_transfer(
        self,
        dev_handle: Enumerated,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data: array[int],
        timeout: int,
    ) -> int:
        if bmRequestType & 0x80:
            length = len(data)
            answer = self._control(dev_handle, bmRequestType, bRequest, wValue, wIndex, length, timeout)
            data[: len(answer)] = array("B", answer)
            return len(answer)
        payload = data.tobytes()
        self._control(dev_handle, bmRequestType, bRequest, wValue, wIndex, payload, timeout)
        return len(payload)

    def clear_halt(self, dev_handle: Enumerated, _ep: int) -> None:
        self._present(dev_handle)

    def reset_device(self, dev_handle: Enumerated) -> None:
        """A port reset: the device keeps its identity; its alternate setting is 0 again."""
        self._present(dev_handle)
        dev_handle.board.bus_reset()

    def is_kernel_driver_active(self, _dev_handle: Enumerated, _intf: int) -> bool:
        return False

    def detach_kernel_driver(self, _dev_handle: Enumerated, _intf: int) -> None:
        raise usb.core.USBError("Entity not found", ERROR_NOT_FOUND, errno.ENOENT)

    def attach_kernel_driver(self, _dev_handle: Enumerated, _intf: int) -> None:
        raise usb.core.USBError("Entity not found", ERROR_NOT_FOUND, errno.ENOENT)

    def _present(self, device: Enumerated) -> None:
        if not device.board.is_present or device.board.address != device.address:
            raise _no_device()

    def _control(
        self,
        device: Enumerated,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data: bytes | int,
        timeout_ms: int,
    ) -> bytes:
        try:
            return device.board.control(
                device.address, bmRequestType, bRequest, wValue, wIndex, data, timeout_ms or FOREVER_MS
            )
        except Stalled as error:
            raise usb.core.USBError("Pipe error", ERROR_PIPE, errno.EPIPE) from error
        except TimedOut as error:
            raise usb.core.USBTimeoutError("Operation timed out", ERROR_TIMEOUT, errno.ETIMEDOUT) from error
        except Vanished as error:
            raise _no_device() from error


def _which(device: Enumerated) -> tuple[int, int]:
    """One board with one address; with a new one it is a new device."""
    return id(device.board), device.address


def split_port(port: str) -> tuple[int, tuple[int, ...]]:
    """Bus and port numbers of a path like "1-2.3". Raises ValueError."""
    if not _PORT.fullmatch(port):
        raise ValueError(f"{port!r} is no port path")
    bus, _, rest = port.partition("-")
    return int(bus), tuple(int(number) for number in rest.split("."))


def _no_device() -> usb.core.USBError:
    return usb.core.USBError("No such device (it may have been disconnected)", ERROR_NO_DEVICE, errno.ENODEV)


def _u16(raw: bytes, at: int) -> int:
    return raw[at] | raw[at + 1] << 8
