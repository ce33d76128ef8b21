"""External programs that some tests need, and the Debian package of each."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import NoReturn

import pytest

# Set to 1 where every tool must be present (continuous integration, a release machine).
REQUIRE_TOOLS = "UPDATER_REQUIRE_TOOLS"

DEBIAN_PACKAGE = {
    "apt-get": "apt",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-objcopy": "binutils-arm-none-eabi",
    "arm-none-eabi-objdump": "binutils-arm-none-eabi",
    "Xvfb": "xvfb",
    "busybox": "busybox-static",
    "chromium": "chromium",
    "chroot": "coreutils",
    "cpio": "cpio",
    "depmod": "kmod",
    "desktop-file-validate": "desktop-file-utils",
    "dfu-util": "dfu-util",
    "dpkg": "dpkg",
    "gio": "libglib2.0-bin",
    "import": "imagemagick",
    "make": "make",
    "modprobe": "kmod",
    "objdump": "binutils",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "shellcheck": "shellcheck",
    "softhsm2-util": "softhsm2",
    "sshd": "openssh-server",
    "strip": "binutils",
    "unshare": "util-linux",
    "update-desktop-database": "desktop-file-utils",
    "usbip": "usbip",
    "xdg-mime": "xdg-utils",
    "xdg-open": "xdg-utils",
    "xdotool": "xdotool",
}

# Debian keeps depmod, modprobe and usbip here, and an ordinary user's PATH leaves it out.
SYSTEM_PROGRAMS = os.pathsep.join(("/usr/sbin", "/sbin"))


def find(program: str) -> str | None:
    """The path of a program, also when only the superuser's PATH would find it."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PROGRAMS)


def unavailable(reason: str) -> NoReturn:
    """Skip on a newcomer's machine; fail where every tool is promised."""
    if os.environ.get(REQUIRE_TOOLS) == "1":
        pytest.fail(f"{reason} ({REQUIRE_TOOLS}=1)", pytrace=False)
    pytest.skip(reason)


def need(*programs: str) -> None:
    """Skip (or fail) the calling test unless all these programs are installed."""
    missing = [program for program in programs if find(program) is None]
    if missing:
        packages = sorted({DEBIAN_PACKAGE.get(program, program) for program in missing})
        unavailable(f"not installed: {', '.join(missing)}; Debian: apt install {' '.join(packages)}")


def need_library(*modules: str, extra: str = "outside") -> None:
    """Skip (or fail) the calling test unless these modules, which an extra brings, can be imported."""
    missing = [module for module in modules if not _can_import(module)]
    if missing:
        unavailable(f"not installed: {', '.join(missing)}; pip install -e '.[{extra}]'")


def _can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
