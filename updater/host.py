"""The computer we run on: folders, the vendor that this updater belongs to, and today's date."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from updater.errors import StorageFailed, Usage
from updater.vendor import Vendor, parse_vendor


@dataclass(frozen=True, slots=True)
class Home:
    """Whose updater this is: the vendor's description and the root of trust that came with the program."""

    vendor: Vendor
    embedded_root: bytes


def is_frozen() -> bool:
    """Whether this is a built executable."""
    return bool(getattr(sys, "frozen", False))


def is_elevated() -> bool:
    """Whether this process was raised above the rights of who sits here, as far as one can tell."""
    if sys.platform == "win32":
        from updater.winaccount import is_elevated as is_raised

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
            f"the vendor folder {folder} cannot be read: {error.strerror}",
            advice="Set UPDATER_VENDOR to a folder with vendor.toml and root.json, or unset it for the demo.",
        ) from error
    return Home(parse_vendor(text, allow_loopback_http=not is_frozen()), root)


def _packaged() -> Any:
    """`updater/vendor` in a product's executable; the demo vendor everywhere else."""
    product = files("updater").joinpath("vendor")
    return product if product.is_dir() else files("updater").joinpath("demo")


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
    except OSError as error:
        raise StorageFailed(f"cannot read {path}: {error.strerror}") from error
