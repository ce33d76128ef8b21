"""What the operating system knows of USB devices and of this program, without opening any device.

Linux: sysfs, /proc and the udev rules. Windows: its own records (`windrivers`). Every look that fails gives
"not known"; nothing here raises. The folders are parameters, so that a test gives recorded ones.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from updater.hands import windrivers
from updater.heads.doctor import Place, Space, System, hubs_on
from updater.heads.drivers import DeviceRecord, Driver, driver_of
from updater.heads.udev import covers

_HUB_CLASS = "09"
_ROOT_HUB_VENDOR = "1d6b"
"""The Linux Foundation: the root hubs that Linux itself makes up."""
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "sshfs", "fuse.sshfs"})


def this_system() -> System:
    """Which of the systems that differ in what can go wrong."""
    if sys.platform == "win32":
        return "windows"
    if sys.platform == "darwin":
        return "macos"
    return "linux" if sys.platform.startswith("linux") else "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbNode:
    """One device in Linux' sysfs. `node` is what a program opens; `drivers` are those of its interfaces."""

    port: str
    usb: str
    is_hub: bool
    node: Path
    drivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinuxUsb:
    """Linux' own view of the bus. For tests with other folders than the system's."""

    sys: Path = Path("/sys/bus/usb/devices")
    dev: Path = Path("/dev/bus/usb")
    proc: Path = Path("/proc")
    rules: tuple[Path, ...] = (
        Path("/etc/udev/rules.d"),
        Path("/run/udev/rules.d"),
        Path("/usr/lib/udev/rules.d"),
        Path("/lib/udev/rules.d"),
    )

    def devices(self) -> tuple[UsbNode, ...]:
        """Every device but the computer's own root hubs, ordered by port path."""
        found = []
        for folder in sorted(self.sys.glob("*-*")):
            if ":" in folder.name:
                continue  # an interface
            vid, pid = _line(folder / "idVendor"), _line(folder / "idProduct")
            if not vid or vid == _ROOT_HUB_VENDOR:
                continue
            found.append(
                UsbNode(
                    port=folder.name,
                    usb=f"{vid}:{pid}",
                    is_hub=_line(folder / "bDeviceClass") == _HUB_CLASS,
                    node=self._node(folder),
                    drivers=tuple(sorted(self._drivers(folder))),
                )
            )
        return tuple(found)

    def _node(self, folder: Path) -> Path:
        with suppress(ValueError):
            return self.dev / f"{int(_line(folder / 'busnum')):03}" / f"{int(_line(folder / 'devnum')):03}"
        return self.dev

    def _drivers(self, folder: Path) -> set[str]:
        """The kernel drivers of its interfaces; usbfs stands for a program that uses it through libusb."""
        links = (path / "driver" for path in self.sys.glob(f"{folder.name}:*"))
        return {os.readlink(link).rsplit("/", 1)[-1] for link in links if link.is_symlink()}

    def users_of(self, node: Path) -> tuple[str, ...]:
        """The programs that have this node open, as far as this account may see: its own ones."""
        names = set()
        for process in self.proc.glob("[0-9]*"):
            if process.name == str(os.getpid()):
                continue
            with suppress(OSError):
                if any(_target(link) == str(node) for link in (process / "fd").iterdir()):
                    names.add(_line(process / "comm") or process.name)
        return tuple(sorted(names))

    def runs(self, name: str) -> bool:
        """Whether a program of this name is running. The kernel keeps 15 characters of a name."""
        return any(_line(path) == name[:15] for path in self.proc.glob("[0-9]*/comm"))

    def rules_text(self) -> str:
        """All udev rules, those that this account may read."""
        texts = []
        for folder in self.rules:
            for path in sorted(folder.glob("*.rules")):
                with suppress(OSError):
                    texts.append(path.read_text("utf-8", errors="replace"))
        return "\n".join(texts)

    def has_rule(self, usb: str) -> bool:
        """Whether some udev rule gives access to this "vid:pid"."""
        return covers(self.rules_text(), usb)


def _target(link: Path) -> str:
    with suppress(OSError):
        return os.readlink(link)
    return ""


def _line(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text("ascii").strip()
    return ""


def hub_ports(nodes: Iterable[UsbNode]) -> tuple[str, ...]:
    """The port paths of the hubs that have at least one other hub before them."""
    return tuple(one.port for one in nodes if one.is_hub and hubs_on(one.port))


class ComputersDrivers:
    """What this computer has as driver for a device: see `job.Drivers`. Asked again at every question."""

    def of(self, usb: str) -> Driver:
        """Windows' records say it; elsewhere no driver is needed."""
        if sys.platform != "win32":
            return Driver.NOT_NEEDED
        records = windrivers.records()
        if not records:  # they could not be asked: not a reason to stop anybody
            return Driver.NOT_NEEDED
        return driver_of(records, usb, staged=windrivers.is_staged(usb))


def windows_records() -> tuple[DeviceRecord, ...]:
    """Windows' records of USB devices; none elsewhere."""
    return windrivers.records() if sys.platform == "win32" else ()


def space_in(folder: Path) -> tuple[Space, int | None]:
    """Whether files can be made in this folder, or in the first of its parents that is there; free bytes."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = None
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        return (Space.FULL if _is_full(error) else Space.UNWRITABLE), free
    return Space.USABLE, free


def _is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def place_of(program: Path, mounts: Path = Path("/proc/mounts")) -> Place:
    """What kind of folder a program lies in."""
    text = str(program)
    if text.startswith(("\\\\", "//")) or _on_network(program, mounts) or windrivers.is_network(text):
        return Place.NETWORK
    return Place.TEMPORARY if any(_is_below(text, one) for one in _temporary()) else Place.LASTING


def _temporary() -> Iterator[str]:
    """Windows opens a program inside a ZIP file from %TEMP%; macOS runs a quarantined one "translocated"."""
    yield tempfile.gettempdir()
    yield from ("/tmp", "/var/tmp", "/private/var/folders", "/var/folders")  # noqa: S108 - only compared


def _is_below(path: str, folder: str) -> bool:
    path, folder = (os.path.normcase(one).replace("\\", "/").rstrip("/") for one in (path, folder))
    return path.startswith(f"{folder}/")


def _on_network(program: Path, mounts: Path) -> bool:
    """Whether the mount that the program lies on is one of a network file system."""
    best = ("", "")
    with suppress(OSError, UnicodeDecodeError):
        for line in mounts.read_text("utf-8").splitlines():
            _, point, kind, *_ = [*line.split(" "), "", "", ""]
            point = point.replace("\\040", " ")
            if (str(program) == point or _is_below(str(program), point)) and len(point) >= len(best[0]):
                best = (point, kind)
    return best[1] in _NETWORK_FILE_SYSTEMS
