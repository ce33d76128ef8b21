"""The serial hand: which serial port belongs to a USB device, and bytes to and from it.

The only room that knows pyserial. `SerialPorts` is what a bus has: this computer's own ports, none, or the
lab's. A port is chosen by the place of its device on USB; a name such as COM3 says nothing.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol, TypeVar

import serial

from updater.heads.dfu.words import TimedOut, Vanished
from updater.words.errors import CannotOpen, UsbFailed

try:
    from termios import error as _TerminalError
except ImportError:  # Windows

    class _TerminalError(Exception):  # type: ignore[no-redef] # its stand-in
        """Never raised here."""


_WRITTEN_WITHIN_S = 2.0
_NAP_S = 0.01
T = TypeVar("T")
_FAILURES = (serial.SerialException, OSError, _TerminalError)


class SerialLine(Protocol):
    """An open serial port, DTR and RTS on. Every call raises `Vanished` when the device went away."""

    def send(self, data: bytes) -> None:
        """Raises `TimedOut` when the device does not take the bytes."""

    def receive(self, within_ms: float) -> bytes:
        """What has come, as soon as anything has; empty when nothing came in time."""

    def drop(self) -> None:
        """Take DTR and RTS away, as a program does that closes the port."""


class SerialPorts(Protocol):
    """The serial ports of a bus."""

    def find(self, port: str, usb: str, serial_number: str | None) -> str | None:
        """The name of the first serial port of the device at this USB port path, or None."""

    def open(self, name: str, baud: int) -> AbstractContextManager[SerialLine]:
        """Raises `CannotOpen`, or `UsbFailed` when there is no such port any more."""


class NoSerialPorts:
    """A bus without serial ports: a virtual one must never reach a real one that has the same path."""

    def find(self, port: str, usb: str, serial_number: str | None) -> None:  # noqa: ARG002 - none fits
        return None

    def open(self, name: str, baud: int) -> AbstractContextManager[SerialLine]:  # noqa: ARG002 - none opens
        raise UsbFailed(f"there is no serial port {name}")


class RealSerialPorts:
    """This computer's serial ports, through pyserial."""

    def find(self, port: str, usb: str, serial_number: str | None) -> str | None:
        from serial.tools import list_ports  # costly on Windows, and seldom needed

        try:
            infos = list_ports.comports()
        except OSError:
            return None
        return port_of(infos, port, usb, serial_number, windows=sys.platform == "win32")

    @contextmanager
    def open(self, name: str, baud: int) -> Iterator[SerialLine]:
        try:
            exclusive = True if sys.platform != "win32" else None  # Windows shares no port anyway
            handle = serial.Serial(
                name, baud, timeout=0, write_timeout=_WRITTEN_WITHIN_S, exclusive=exclusive
            )
        except _FAILURES as error:
            raise _cannot_open(name, error) from error
        try:
            yield _Line(handle)
        finally:
            with suppress(*_FAILURES):
                handle.close()


class _Line:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def send(self, data: bytes) -> None:
        def write() -> None:
            self._handle.write(data)
            deadline = time.monotonic() + _WRITTEN_WITHIN_S
            while self._handle.out_waiting:  # not flush(): that waits for ever
                if time.monotonic() > deadline:
                    self._handle.reset_output_buffer()
                    raise serial.SerialTimeoutException("write timeout")
                time.sleep(_NAP_S)

        try:
            _alive(write)
        except serial.SerialTimeoutException as error:
            raise TimedOut("the device does not take what is sent to its serial port") from error

    def receive(self, within_ms: float) -> bytes:
        def read() -> bytes:
            self._handle.timeout = within_ms / 1000
            first: bytes = self._handle.read(1)
            return first + self._handle.read(self._handle.in_waiting) if first else b""

        return _alive(read)

    def drop(self) -> None:
        def lower() -> None:
            self._handle.dtr = False
            self._handle.rts = False

        _alive(lower)


def port_of(
    infos: Iterable[Any], port: str, usb: str, serial_number: str | None, *, windows: bool = False
) -> str | None:
    """The name of the first serial port of the device at this USB port path; `infos` are pyserial's.

    Linux tells the place itself ("1-2.3:1.0" is port path 1-2.3). Windows counts its buses otherwise than
    libusb does: there the ports behind the bus and the serial number must not contradict, one of them must
    agree, and if two devices fit, none is taken.
    """
    vendor, product = (int(part, 16) for part in usb.split(":"))
    same = [one for one in infos if (one.vid, one.pid) == (vendor, product)]
    if windows:
        same = [one for one in same if _agrees(one, port, serial_number)]
        if len({_place(one) for one in same}) > 1:
            return None
    else:
        same = [one for one in same if _place(one) == port]
    found = sorted(same, key=lambda one: (one.location or "", one.device))
    return str(found[0].device) if found else None


def _place(info: Any) -> str:
    """The USB port path without the interface."""
    return str(info.location or "").partition(":")[0]


def _agrees(info: Any, port: str, serial_number: str | None) -> bool:
    chain = _place(info).partition("-")[2]
    said = []
    if chain:
        said.append(chain == port.partition("-")[2])
    if info.serial_number and serial_number:
        said.append(info.serial_number.upper() == serial_number.upper())
    return bool(said) and all(said)


def _alive(work: Callable[[], T]) -> T:
    """Do it on an open port; what fails there is a device that has gone."""
    try:
        return work()
    except serial.SerialTimeoutException:
        raise
    except _FAILURES as error:
        raise Vanished(f"the serial port is gone ({error})") from error


def _cannot_open(name: str, error: BaseException) -> CannotOpen | UsbFailed:
    """pyserial's errors while a port is being opened. On Windows a port in use is a PermissionError."""
    number = getattr(error, "errno", None)
    in_use = number in (errno.EBUSY, errno.EAGAIN) or (number is None and "PermissionError" in str(error))
    if in_use:
        return CannotOpen(
            "busy",
            f"another program is using the serial port {name}",
            advice="Close other programs that talk to the device (its own app, a terminal), then try again.",
        )
    if number in (errno.EACCES, errno.EPERM):
        return CannotOpen(
            "no-permission",
            f"this account may not open the serial port {name}",
            advice="On Linux, ask your administrator for the udev rule for serial ports (docs/linux.md has "
            "it), and plug the device in again.",
        )
    return UsbFailed(f"the serial port {name} cannot be opened ({error})")
