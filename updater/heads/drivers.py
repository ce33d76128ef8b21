"""Which driver Windows has for a device, from Windows' own records. Pure: records in, one word out.

The records are what SetupAPI and cfgmgr32 say (`windrivers` asks them). Which services libusb can work with
is libusb's own list (`get_api_type` in os/windows_winusb.c): WinUSB, libusbK and libusb0, and for a composite
device usbccgp, whose functions then have services of their own. Problem codes: Microsoft, "Device Manager
error messages" (CM_PROB_*).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_USABLE = frozenset({"winusb", "libusbk", "libusb0"})
_COMPOSITE = "usbccgp"
_OLD_ST = frozenset({"sttub30", "sttube"})
_INSTANCE = re.compile(r"USB\\VID_([0-9A-F]{4})&PID_([0-9A-F]{4})(&MI_[0-9A-F]{2})?(?:&[^\\]*)?(?:\\|\Z)")
_UNREADABLE = "0000:"
"""Windows files a device whose descriptors it could not read under the vendor id 0000."""

NOT_CONFIGURED, DISABLED, FAILED_INSTALL, PHANTOM = 1, 22, 28, 45


class Driver(StrEnum):
    """What Windows has for a device."""

    READY = "ready"
    MISSING = "missing"
    OLD_ST = "old-st"
    OTHER = "other"
    INCOMPLETE = "incomplete"
    DISABLED = "disabled"
    FAILED = "failed"
    NEVER_SEEN = "never-seen"
    NOT_NEEDED = "not-needed"


class Drivers(Protocol):
    """What the operating system has as driver for a device, plugged in or not."""

    def of(self, usb: str) -> Driver:
        """For this "vid:pid", now."""
        ...


class NoDriversNeeded:
    """Linux, macOS and the lab: a program opens a USB device without a driver of its own."""

    def of(self, usb: str) -> Driver:  # noqa: ARG002 - the same for every device
        """Nothing is ever missing."""
        return Driver.NOT_NEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """One USB device in Windows' records, which also keep those that are not plugged in.

    `instance` is the device instance id, `service` the name of its driver service (empty: none), `problem`
    the CM_PROB code (0: none), `interface_guids` the DeviceInterfaceGUIDs of its hardware key.
    """

    instance: str
    present: bool
    service: str = ""
    problem: int = 0
    interface_guids: tuple[str, ...] = ()

    @property
    def usb(self) -> str:
        """ "vid:pid", or nothing for what is not a USB device."""
        found = _INSTANCE.match(self.instance.upper())
        return f"{found[1]}:{found[2]}".lower() if found else ""

    @property
    def is_function(self) -> bool:
        """Whether this is one function of a composite device, and not the device."""
        found = _INSTANCE.match(self.instance.upper())
        return bool(found and found[3])


def driver_of(records: Iterable[DeviceRecord], usb: str, *, staged: bool = False) -> Driver:
    """What Windows has for this "vid:pid". A device that is plugged in counts before earlier ones.

    `staged`: a WinUSB package for it lies in the driver store, which Windows uses when the device comes for
    the first time.
    """
    ours = [record for record in records if record.usb == usb]
    here = [record for record in ours if record.present]
    found = {_of_one(record, ours) for record in (here or ours)}
    for best in (
        *(Driver.READY, Driver.INCOMPLETE, Driver.OLD_ST, Driver.DISABLED),
        *(Driver.FAILED, Driver.MISSING, Driver.OTHER),
    ):
        if best in found and not (staged and not here and best is Driver.MISSING):
            return best
    return Driver.READY if staged else Driver.NEVER_SEEN


def _of_one(record: DeviceRecord, all_of_it: list[DeviceRecord]) -> Driver:
    service = record.service.lower()
    problem = record.problem if record.problem != PHANTOM else 0
    if problem == DISABLED:
        return Driver.DISABLED
    if service in _OLD_ST:
        return Driver.OLD_ST
    if not service or problem in (NOT_CONFIGURED, FAILED_INSTALL):
        return Driver.MISSING
    if problem:
        return Driver.FAILED
    if service == _COMPOSITE:
        functions = [one for one in all_of_it if one.is_function and one.present == record.present]
        usable = any(one.service.lower() in _USABLE for one in functions)
        return Driver.READY if usable else Driver.OTHER
    if service not in _USABLE:
        # of a composite device one function is for us; the others have drivers of their own
        return Driver.OTHER
    if service == "winusb" and record.present and not record.interface_guids:
        return Driver.INCOMPLETE
    return Driver.READY


def problem_of(records: Iterable[DeviceRecord], usb: str) -> int:
    """The problem code of a device that is plugged in, or 0."""
    codes = (one.problem for one in records if one.present and one.usb == usb)
    return next((code for code in codes if code), 0)


def service_of(records: Iterable[DeviceRecord], usb: str) -> str:
    """The service that a plugged-in device has, or an earlier one had; nothing where there is none."""
    ours = sorted((one for one in records if one.usb == usb), key=lambda one: not one.present)
    return next((one.service for one in ours if one.service and one.service.lower() != _COMPOSITE), "")


def unreadable(records: Iterable[DeviceRecord]) -> int:
    """How many plugged-in devices did not say who they are ("device descriptor request failed")."""
    return sum(one.present and one.usb.startswith(_UNREADABLE) for one in records)


def is_winusb_package(inf: str, usb: str) -> bool:
    """Whether the text of an INF file is a WinUSB package for this "vid:pid"."""
    vid, pid = usb.upper().split(":")
    text = inf.upper()
    return f"VID_{vid}&PID_{pid}" in text and "WINUSB" in text
