"""What can go wrong, as a flat tree.

Every error answers three questions: what happened (the message), how is the device now (`device_is`),
what should the person do (`advice`). Each class owns one exit status; the table in the README is
generated from this module. Foreign exceptions (USB, TUF, OS) are translated in the hands, nowhere else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class DeviceIs(StrEnum):
    """How the device is at the moment an error is raised."""

    UNTOUCHED = "untouched"
    IN_BOOTLOADER = "in-bootloader"
    RUNS_OLD = "runs-old"
    RUNS_NEW = "runs-new"
    UNKNOWN = "unknown"


class UpdaterError(Exception):
    """The root of the tree. Raise a subclass."""

    exit_status: ClassVar[int] = 70
    means: ClassVar[str] = ""
    advice: str = ""

    def __init__(
        self, message: str, *, advice: str | None = None, device_is: DeviceIs = DeviceIs.UNTOUCHED
    ) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice
        self.device_is = device_is


class Usage(UpdaterError):
    """The command line cannot be understood, or names something that does not exist."""

    exit_status = 2
    means = "usage"
    advice = "Run the command with --help to see what it takes."


class NoDevice(UpdaterError):
    """No device of this vendor is connected."""

    exit_status = 3
    means = "no device found, more than one and none chosen, or a device that cannot be identified"
    advice = (
        "Plug the device in with a USB cable that carries data, wait a few seconds and run the command again."
    )


class SeveralDevices(UpdaterError):
    """More than one device fits and none was chosen."""

    exit_status = 3
    means = NoDevice.means
    advice = "Unplug the others, or choose one with --device and its port from `updater devices`."


class UnknownDevice(UpdaterError):
    """A device in its bootloader that cannot say which product it is."""

    exit_status = 3
    means = NoDevice.means
    advice = "Read the product name on its label and run the command again with --as PRODUCT:HARDWARE."


class WrongDevice(UpdaterError):
    """The bundle is not for this product, hardware or silicon, or the device contradicts what it said."""

    exit_status = 4
    means = "wrong device for this bundle, or the device contradicts what it said of itself"
    advice = "Check that the right device is connected, and ask the vendor for the update made for it."


class NotTrusted(UpdaterError):
    """Signature, threshold, hash, container or online freshness is not as it must be."""

    exit_status = 5
    means = "not trusted: signature, threshold, hash, container, or expired online information"
    advice = "Do not use this file. Download the update again, or ask the vendor for it."


class Refused(UpdaterError):
    """The bundle is genuine, but policy says no."""

    exit_status = 6
    means = (
        "refused by policy: older version, wrong channel, withdrawn, updater too old, no way to recover, "
        "flash that is not known well enough, links that belong to another program"
    )
    advice = "Ask the vendor for an update that fits this device."


class NoSuchRelease(UpdaterError):
    """The update site lists no such product, channel or version."""

    exit_status = 6
    means = Refused.means
    advice = "Check the link or the version with the one who sent it; the vendor may have taken it back."


class NetworkFailed(UpdaterError):
    """The update site cannot be reached or does not answer like one."""

    exit_status = 7
    means = "network"
    advice = "Check the internet connection, or ask the vendor for the update as a file and open that."


class TlsFailed(UpdaterError):
    """Somebody answered and could not prove to be the update site: nothing more is said to him."""

    exit_status = 7
    means = NetworkFailed.means
    advice = (
        "Check this computer's date. In a company's network ask its administrators to let this address "
        "through. Or ask the vendor for the update as a file and open that; it needs no internet."
    )


class UsbFailed(UpdaterError):
    """USB or the driver failed before anything was erased."""

    exit_status = 8
    means = "USB or driver; nothing was erased"
    advice = "Unplug the device, plug it in again, and run the same command."


class CannotOpen(UpdaterError):
    """A device is there but cannot be opened. `problem` is the word for it in `devices --json`."""

    exit_status = 8
    means = UsbFailed.means
    advice = "Close other programs that talk to the device, plug it in again, and run the same command."

    def __init__(self, problem: str, message: str, *, advice: str) -> None:
        super().__init__(message, advice=advice)
        self.problem = problem


class NotFinished(UpdaterError):
    """The device was lost after the first erase. The same command finishes the job."""

    exit_status = 9
    means = "not finished; the same command finishes it once the device is back in its bootloader"
    advice = "Plug the device in again and run the same command."


class NotConfirmed(UpdaterError):
    """Written and verified, but the application did not come back with the expected version."""

    exit_status = 10
    means = "written and verified, but the application did not come back with the expected version"
    advice = (
        "Unplug the device, plug it in again, and look at its version with `updater devices`. If it is not "
        "the new one, send the receipt to the vendor's support."
    )


class Protected(UpdaterError):
    """The chip's read or write protection is on."""

    exit_status = 11
    means = "read-protected or write-protected"
    advice = "This device's memory is locked by its maker. Ask the vendor how it is meant to be updated."


class Cancelled(UpdaterError):
    """The person said no, or confirmed something else."""

    exit_status = 12
    means = "cancelled by the person"
    advice = "Nothing was changed. Run the command again when you are ready."


class StorageFailed(UpdaterError):
    """The state folder, the lab folder or the disk failed."""

    exit_status = 13
    means = "the state folder, the lab folder or the disk failed"
    advice = "Free some disk space and check that the folder can be written, then run the command again."


class Differs(UpdaterError):
    """The device's memory is not what the file says (`read --compare`). Nothing was changed."""

    exit_status = 14
    means = "compared, and not equal (`read --compare`)"
    advice = "Nothing was changed. `updater read --output FILE` keeps what the device holds."


class Bug(UpdaterError):
    """Something happened that the updater's authors did not foresee."""

    exit_status = 70
    means = "a bug in the updater"
    advice = "Please send the text above to the vendor's support."


def every_error() -> tuple[type[UpdaterError], ...]:
    """All error classes, by exit status and name. The README's table and its test read this."""
    return tuple(sorted(UpdaterError.__subclasses__(), key=lambda kind: (kind.exit_status, kind.__name__)))
