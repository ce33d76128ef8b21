"""The USB hand: finds devices, opens one, performs a script's wishes, and keeps the clock.

The only room that knows pyusb and `time`. It never decides: what to send comes from the scripts, what a
device is comes from the story. pyusb's backend is a parameter, so a virtual device is reached through the
same code as a real one.
"""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import usb.core
import usb.util

from updater.hands.serialio import NoSerialPorts, RealSerialPorts, SerialPorts
from updater.heads.dfu.layout import parse_layout
from updater.heads.dfu.scripts import drive, select
from updater.heads.dfu.words import (
    FIRST_BLOCK,
    Answer,
    Functional,
    In,
    Out,
    ProtocolError,
    Request,
    Script,
    Select,
    Sleep,
    Stalled,
    T,
    TimedOut,
    Vanished,
    WireError,
    Wish,
)
from updater.heads.listener import Listener, Transfer
from updater.words.errors import CannotOpen, UsbFailed
from updater.words.facts import IDENTITY_BYTES, ApplicationIdentity, RomFacts, Shown

ROM_USB = "0483:df11"
"""The vid:pid of STM32 ROM bootloaders, and of clones and own loaders that are none."""

FLASH_ALTERNATE = 0
"""The ROM's first alternate setting is its flash (AN3156)."""

IDENTITY_REQUEST = 0x55
_POLL_MS = 50
_LONGEST_SLEEP_MS = 1_000
"""A longer one is slept in pieces, so that whoever listens hears that the work goes on."""
_TO_DEVICE, _FROM_DEVICE, _VENDOR_FROM_DEVICE = 0x21, 0xA1, 0xC0
_SHORT_TIMEOUT_MS = 2_000
_MOST_ALTERNATES = 8
"""Twice what any ROM has; each may describe 65,536 sectors."""


class Clock(Protocol):
    """Time as a device's wire sees it; the lab has one that jumps.

    Several threads that share it say so with `together`: the lab's jumps only when all of them sleep.
    """

    def now_ms(self) -> float: ...

    def sleep_ms(self, ms: float) -> None: ...

    def together(self) -> AbstractContextManager[None]: ...


class WallClock:
    """Real time."""

    def now_ms(self) -> float:
        return time.monotonic() * 1000

    def sleep_ms(self, ms: float) -> None:
        time.sleep(ms / 1000)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Attached:
    """A device on the bus, not opened. `port` is its port path, `usb` its "vid:pid"."""

    port: str
    usb: str
    address: int
    device: Any  # usb.core.Device: pyusb ships no types


_PROBLEMS = {
    "no-permission": (
        "this account may not open the USB device",
        "On Linux, `updater doctor --fix` installs the udev rule that is needed (docs/linux.md shows it); "
        "then unplug the device and plug it in again.",
    ),
    "busy": (
        "another program is using the USB device",
        "Close other programs that talk to the device (its own app, STM32CubeProgrammer), then try again.",
    ),
    "no-driver": (
        "Windows has no suitable driver for the USB device",
        "Unplug the device, plug it in again, and give Windows a minute. If that does not help, `updater "
        "doctor` says which driver is there and how to get the right one.",
    ),
}


def cannot_open(problem: str) -> CannotOpen:
    """The error for one of the three problems that a person can solve."""
    message, advice = _PROBLEMS[problem]
    return CannotOpen(problem, message, advice=advice)


class Bus:
    """All USB ports, and a clock. `listener` hears what is said on the devices opened from then on.

    `serial` are the serial ports that some devices have; with a backend of its own a bus has none of this
    computer's. `on_wait` is called again and again while something is waited for.
    """

    def __init__(
        self, backend: Any = None, clock: Clock | None = None, serial: SerialPorts | None = None
    ) -> None:
        self.clock: Clock = clock or WallClock()
        self.serial: SerialPorts = serial or (NoSerialPorts() if backend else RealSerialPorts())
        self.listener: Listener | None = None
        self.on_wait: Callable[[], None] = lambda: None
        self._backend = backend or _libusb()
        self._listing = threading.Lock()

    def beside(self) -> Bus:
        """The same ports for another lane: whoever listens there hears nothing of what is said here."""
        other = Bus(self._backend, self.clock, self.serial)
        other._listing = self._listing
        return other

    def attached(self, wanted: Collection[str]) -> tuple[Attached, ...]:
        """The devices whose "vid:pid" is wanted, ordered by port path. Raises `UsbFailed`.

        One lane at a time: not every libusb backend is known to bear two listings at once.
        """
        found = []
        try:
            with self._listing:
                for device in usb.core.find(find_all=True, backend=self._backend):
                    name = f"{device.idVendor:04x}:{device.idProduct:04x}"
                    if name in wanted:
                        found.append(Attached(_port_path(device), name, device.address, device))
        except (usb.core.USBError, NotImplementedError) as error:
            raise UsbFailed(f"this computer's USB cannot be asked for its devices ({error})") from error
        return tuple(sorted(found, key=lambda one: [int(n) for n in one.port.replace("-", ".").split(".")]))

    def wait_for(self, port: str, wanted: Collection[str], within_ms: float) -> Attached | None:
        """The wanted device that appears on this port path in time, or None. Other ports do not count.

        Raises `UsbFailed`.
        """
        deadline = self.clock.now_ms() + within_ms
        while True:
            here = [one for one in self.attached(wanted) if one.port == port]
            if here:
                return here[0]
            if self.clock.now_ms() >= deadline:
                return None
            self.on_wait()
            self.clock.sleep_ms(_POLL_MS)

    @contextmanager
    def open_dfu(self, attached: Attached, *, runtime: bool = False) -> Iterator[Wire]:
        """Open the DFU interface (of the bootloader, or the runtime one of an application).

        Raises `CannotOpen` when it cannot be opened, `UsbFailed` when it has no such interface.
        """
        with _open(attached) as device:
            with _translated_opening():
                settings = _dfu_settings(device, protocol=1 if runtime else 2)
                if not settings:
                    raise UsbFailed(f"the device on port {attached.port} has no DFU interface")
                usb.util.claim_interface(device, settings[0].bInterfaceNumber)
            wire = Wire(attached, settings, self.clock, self.listener)
            wire.on_wait = self.on_wait
            if len(settings) > 1:  # another tool may have left the option bytes selected
                wire.run(_flash_selected())
            if self.listener is not None:
                shown = _shown(device, settings)
                self.listener.opened(attached.usb, attached.port, shown, wire.functional)
            yield wire


class Wire:
    """One open DFU interface. Counts its control transfers and the bytes of data blocks."""

    def __init__(
        self, attached: Attached, settings: list[Any], clock: Clock, listener: Listener | None = None
    ) -> None:
        self._device, self._usb, self._clock = attached.device, attached.usb, clock
        self._interface, self._listener = settings[0].bInterfaceNumber, listener
        self.functional = _functional(settings)
        self.control_transfers = 0
        self.on_bytes: Callable[[int], None] = lambda _count: None
        self.on_wait: Callable[[], None] = lambda: None

    def run(self, script: Script[T]) -> T:
        """Run a script on this device. Raises the `WireError` that the script did not expect."""
        if self._listener is None:
            return drive(script, self.perform)
        name: str = getattr(script, "__name__", "script")
        self._listener.begins(self._usb, name.strip("_"), self._clock.now_ms())
        try:
            return drive(script, self.perform)
        except WireError as error:
            self._listener.failed(error)
            raise

    def perform(self, wish: Wish) -> Answer:
        """Do one thing and stamp the answer. pyusb's errors become wire errors here."""
        if isinstance(wish, Sleep):
            self._sleep(wish.ms)
            return Answer(b"", self._clock.now_ms())
        self.control_transfers += 1
        began_ms = self._clock.now_ms()
        try:
            with _translated():
                data = self._transfer(wish)
        except WireError as error:
            self._tell(wish, b"", error, began_ms)
            raise
        return Answer(data, self._tell(wish, data, None, began_ms))

    def _sleep(self, ms: float) -> None:
        while ms > _LONGEST_SLEEP_MS:
            self._clock.sleep_ms(_LONGEST_SLEEP_MS)
            self.on_wait()
            ms -= _LONGEST_SLEEP_MS
        self._clock.sleep_ms(ms)

    def _tell(self, wish: Out | In | Select, data: bytes, error: WireError | None, began_ms: float) -> float:
        """Tell the listener of a transfer; returns when it ended."""
        ended_ms = self._clock.now_ms()
        if self._listener is not None:
            self._listener.transferred(Transfer(wish, data, error, began_ms, ended_ms))
        return ended_ms

    def _transfer(self, wish: Out | In | Select) -> bytes:
        if isinstance(wish, Select):
            self._device.set_interface_altsetting(self._interface, wish.alternate)
            return b""
        if isinstance(wish, Out):
            self._device.ctrl_transfer(
                _TO_DEVICE, wish.request, wish.value, self._interface, wish.data, wish.timeout_ms
            )
            if wish.request == Request.DNLOAD and wish.value >= FIRST_BLOCK:
                self.on_bytes(len(wish.data))
            return b""
        data: bytes = self._device.ctrl_transfer(
            _FROM_DEVICE, wish.request, wish.value, self._interface, wish.length, wish.timeout_ms
        ).tobytes()
        if wish.request == Request.UPLOAD:
            self.on_bytes(len(data))
        return data

    def reset(self) -> None:
        """A USB bus reset, for an application that does not leave the bus by itself."""
        with _quietly():
            self._device.reset()


def _flash_selected() -> Script[None]:
    try:
        yield from select(FLASH_ALTERNATE)
    except WireError as error:
        raise UsbFailed(f"the device's flash cannot be selected: {error}") from error


def read_identity(attached: Attached) -> ApplicationIdentity | None:
    """Ask a running application who it is; None when it does not know the request.

    Raises `WireError`, or `CannotOpen` or `UsbFailed` when the device cannot be opened.
    """
    with _open(attached) as device:
        with _translated_opening():
            device.get_active_configuration()
        try:
            with _translated():
                answer = device.ctrl_transfer(
                    _VENDOR_FROM_DEVICE, IDENTITY_REQUEST, 1, 0, IDENTITY_BYTES, _SHORT_TIMEOUT_MS
                )
            return ApplicationIdentity.parse(answer.tobytes())
        except (Stalled, TimedOut):
            return None


def send_vendor_request(attached: Attached, setup: tuple[int, int, int, int], data: bytes) -> None:
    """A control request to a running application: bmRequestType, bRequest, wValue, wIndex, and its data.

    Raises `WireError`, or `CannotOpen` or `UsbFailed` when the device cannot be opened.
    """
    with _open(attached) as device:
        with _translated_opening():
            device.get_active_configuration()
        with _translated():
            device.ctrl_transfer(*setup, data, _SHORT_TIMEOUT_MS)


def read_serial(attached: Attached) -> str | None:
    """The serial number string, or None when there is none."""
    with _open(attached) as device:
        return _string(device, device.iSerialNumber)


def read_shown(attached: Attached) -> Shown:
    """What a bootloader shows in its descriptors, as it stands there.

    Raises `CannotOpen` or `UsbFailed`.
    """
    with _open(attached) as device:
        with _translated_opening():
            settings = _dfu_settings(device, protocol=2)
        return _shown(device, settings)


def _shown(device: Any, settings: list[Any]) -> Shown:
    return Shown(
        serial=_string(device, device.iSerialNumber),
        product_string=_string(device, device.iProduct),
        bcd_device=device.bcdDevice,
        alternates=tuple(_string(device, setting.iInterface) or "" for setting in settings),
    )


def read_rom_facts(attached: Attached) -> RomFacts | None:
    """What a DFU bootloader shows in its descriptors; None when it is not a DfuSe bootloader.

    The functional descriptor comes out of the configuration descriptor and is never requested by itself.
    Raises `CannotOpen` or `UsbFailed`.
    """
    with _open(attached) as device:
        with _translated_opening():
            settings = _dfu_settings(device, protocol=2)
        functional = _functional(settings)
        if functional is None:
            return None
        regions = []
        for setting in settings:
            name = _string(device, setting.iInterface)
            if name is None:
                continue  # a bootloader that hangs enumerates, but does not say its strings any more
            try:
                regions.append(parse_layout(name, setting.bAlternateSetting))
            except ProtocolError:
                if not regions:
                    return None  # not a DfuSe bootloader; a bad string behind the flash is only not used
        return RomFacts(
            serial=_string(device, device.iSerialNumber),
            product_string=_string(device, device.iProduct),
            bcd_device=device.bcdDevice,
            transfer_size=functional.transfer_size,
            regions=tuple(regions),
        )


def libusb_path() -> str | None:
    """The libusb library that comes with the program, or None where the system's own is used."""
    import libusb_package

    path = libusb_package.get_library_path()
    return str(path) if path else None


def _libusb() -> Any:
    import libusb_package

    backend = libusb_package.get_libusb1_backend()
    if backend is None:
        raise UsbFailed("the libusb library cannot be loaded", advice="Install the updater again.")
    return backend


def _port_path(device: Any) -> str:
    ports = device.port_numbers or (0,)
    return f"{device.bus}-{'.'.join(str(number) for number in ports)}"


def _dfu_settings(device: Any, *, protocol: int) -> list[Any]:
    """The alternate settings of the DFU interface (DFU 1.1 sections 4.1.2 and 4.2.3), in their order."""
    settings = [
        one
        for one in device.get_active_configuration()
        if (one.bInterfaceClass, one.bInterfaceSubClass, one.bInterfaceProtocol) == (0xFE, 0x01, protocol)
    ]
    return sorted(settings, key=lambda one: int(one.bAlternateSetting))[:_MOST_ALTERNATES]


def _functional(settings: list[Any]) -> Functional | None:
    """The functional descriptor, which stands behind the last alternate setting or behind each."""
    return Functional.find(b"".join(bytes(one.extra_descriptors) for one in settings))


def _string(device: Any, index: int) -> str | None:
    if not index:
        return None
    try:
        text: str = usb.util.get_string(device, index)
    except (usb.core.USBError, ValueError, NotImplementedError):
        return None  # pyusb says ValueError ("no langid") when the device has gone or may not be opened
    # whatever a device says reaches a screen: nothing that could steer a terminal
    return text if text.isascii() and text.isprintable() else None


@contextmanager
def _translated() -> Iterator[None]:
    """pyusb's errors during a transfer, as wire errors."""
    try:
        yield
    except usb.core.USBTimeoutError as error:
        raise TimedOut("the device did not answer in time") from error
    except usb.core.USBError as error:
        if error.errno == errno.EPIPE:
            raise Stalled("the device refused a request") from error
        if error.errno == errno.ETIMEDOUT:
            raise TimedOut("the device did not answer in time") from error
        raise Vanished(f"the USB connection was lost ({error.strerror})") from error
    except NotImplementedError as error:
        raise Vanished("the USB driver does not let the device be asked") from error


@contextmanager
def _translated_opening() -> Iterator[None]:
    """pyusb's errors while a device is being opened, as problems a person can solve."""
    try:
        yield
    except usb.core.USBError as error:
        is_denied = error.errno in (errno.EACCES, errno.EPERM)
        if error.errno == errno.EBUSY or (is_denied and sys.platform == "win32"):  # somebody else has it open
            raise cannot_open("busy") from error
        if is_denied:
            raise cannot_open("no-permission") from error
        raise UsbFailed(f"the device cannot be opened ({error.strerror})") from error
    except NotImplementedError as error:
        raise cannot_open("no-driver") from error
    except ValueError as error:
        raise UsbFailed("the device went away while it was being opened") from error


@contextmanager
def _open(attached: Attached) -> Iterator[Any]:
    """The device, closed in the end: WinUSB opens one once, and refuses a second time (libusb issue 651)."""
    try:
        yield attached.device
    finally:
        with _quietly():
            usb.util.dispose_resources(attached.device)


@contextmanager
def _quietly() -> Iterator[None]:
    """Closing a device that has gone is no error."""
    try:
        yield
    except (usb.core.USBError, NotImplementedError, ValueError, WireError):
        return
