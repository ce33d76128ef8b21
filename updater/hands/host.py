"""The computer we run on: folders, the vendor that this updater belongs to, and today's date."""

from __future__ import annotations

import os
import platform
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from updater.heads.vendor import Vendor, parse_vendor
from updater.words.errors import StorageFailed, Usage


@dataclass(frozen=True, slots=True)
class Home:
    """Whose updater this is: the vendor's description and the root of trust that came with the program.

    `driver` are the files of a signed WinUSB package for the bootloader, where the vendor supplies one.
    `own` is the description that came with the program, where `vendor` has products of a signed catalogue
    (`story.catalogue`); `doubt` says why one that was kept does not count.
    """

    vendor: Vendor
    embedded_root: bytes
    driver: tuple[tuple[str, bytes], ...] = ()
    own: Vendor | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """By what names this account, its person and this computer go; for taking them out of reports."""

    people: tuple[str, ...]
    computers: tuple[str, ...]
    homes: tuple[str, ...]


def is_frozen() -> bool:
    """Whether this is a built executable."""
    return bool(getattr(sys, "frozen", False))


def is_elevated() -> bool:
    """Whether this process was raised above the rights of who sits here, as far as one can tell."""
    if sys.platform == "win32":
        from updater.hands.winaccount import is_elevated as is_raised

        return is_raised()
    raised_by = {"SUDO_UID", "PKEXEC_UID"} & os.environ.keys()
    return os.geteuid() != os.getuid() or (os.geteuid() == 0 and bool(raised_by))


def load_home() -> Home:
    """The vendor folder: UPDATER_VENDOR when running from source, else the one in the package.

    A built executable never looks at the environment: it belongs to one vendor. Raises `Usage`.
    """
    named = None if is_frozen() else os.environ.get("UPDATER_VENDOR")
    folder: Any = Path(named) if named else _packaged()
    try:
        text = folder.joinpath("vendor.toml").read_text(encoding="utf-8")
        root = folder.joinpath("root.json").read_bytes()
    except OSError as error:
        raise Usage(
            f"the vendor folder {folder} cannot be read: {error.filename}: {error.strerror}",
            advice="Set UPDATER_VENDOR to a folder with vendor.toml and root.json, or unset it for the demo.",
        ) from error
    return Home(parse_vendor(text, allow_loopback_http=not is_frozen()), root, _driver_in(folder))


def _packaged() -> Any:
    """`updater/vendor` in a product's executable; the demo vendor everywhere else."""
    product = files("updater").joinpath("vendor")
    return product if product.is_dir() else files("updater").joinpath("demo")


DRIVER_FOLDER = "driver"
_DRIVER_FILES = (".inf", ".cat")
"""A WinUSB package has no more: its driver is a part of Windows."""


def _driver_in(folder: Any) -> tuple[tuple[str, bytes], ...]:
    """The vendor's driver package: vendor/driver/*.inf and *.cat, unchanged, or nothing."""
    with suppress(OSError):
        files = [
            one
            for one in folder.joinpath(DRIVER_FOLDER).iterdir()
            if one.name.lower().endswith(_DRIVER_FILES)
        ]
        return tuple(sorted((one.name, one.read_bytes()) for one in files))
    return ()


def program_path() -> Path | None:
    """Where the executable lies; None for a Python package, which pip has put into its place."""
    return Path(sys.executable) if is_frozen() else None


def owner() -> Owner:
    """What this computer knows of names; what cannot be asked is left out."""
    people = {os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME", "SUDO_USER")}
    computers = {
        os.environ.get(name, "") for name in ("COMPUTERNAME", "USERDOMAIN", "HOSTNAME", "USERDNSDOMAIN")
    }
    homes = {os.environ.get(name, "") for name in ("HOME", "USERPROFILE")}
    with suppress(OSError):
        computers |= {socket.gethostname(), platform.node()}
    with suppress(RuntimeError):
        homes.add(str(Path.home()))
    with suppress(ImportError, KeyError, OSError):
        import pwd

        entry = pwd.getpwuid(os.getuid())
        people |= {entry.pw_name, entry.pw_gecos.split(",")[0]}
        homes.add(entry.pw_dir)
    computers |= {name.split(".")[0] for name in computers}
    return Owner(
        people=tuple(sorted(people - {""})),
        computers=tuple(sorted(computers - {"", "localhost"})),
        homes=tuple(sorted(home for home in homes if home.strip("/\\"))),
    )


def state_folder(named: str | None) -> Path:
    """Where state is kept: as named, else UPDATER_STATE, else this account's own folder (not roaming)."""
    chosen = named or os.environ.get("UPDATER_STATE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_state_path

    return user_state_path("stm32-updater", appauthor=False)


def lab_folder(named: str | None) -> Path | None:
    """The folder of virtual devices, or None for real ones."""
    chosen = named or os.environ.get("UPDATER_LAB")
    return Path(chosen) if chosen else None


def has_display() -> bool:
    """Whether a window could be shown. Windows and macOS always have a desktop."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def today() -> datetime:
    """Now, by this computer's clock."""
    return datetime.now(UTC)


def read_file(path: Path, *, limit: int) -> bytes:
    """A file's bytes, read once, at most `limit` + 1 of them. Raises `Usage` or `StorageFailed`."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError as error:
        raise Usage(
            f"there is no file {path}", advice="Check the name, or download the update again."
        ) from error
    except IsADirectoryError as error:
        raise Usage(f"{path} is a folder", advice="Name the file in it.") from error
    except OSError as error:
        raise StorageFailed(f"cannot read {path}: {error.strerror}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole. Raises `StorageFailed`."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror}") from error
