"""What `updater doctor --fix` does after a yes: udev rules on Linux, a driver package on Windows.

Both need more rights than the updater has, and neither gives them to the updater: one fixed command of the
system runs with them (pkexec and a line of shell; pnputil), after the system itself has asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from updater.hands import windrivers
from updater.hands.host import Home
from updater.heads.udev import rules_file, rules_text
from updater.heads.vendor import Vendor
from updater.words.errors import Cancelled, CannotOpen, StorageFailed

_PKEXEC_DISMISSED = 126
"""pkexec(1): the question for the password was dismissed. 127: not authorized, or another error."""
_WITHIN_S = 300
_WRITE = 'umask 022 && cat > "$1" && udevadm control --reload-rules'
"""The rules come over standard input, so that no file lies around for somebody to change meanwhile."""
REPLUG = "Now unplug the device and plug it in again: the rule is for devices that come after it."


def install_rules(vendor: Vendor, *, pkexec: Sequence[str] = ("pkexec",), path: str | None = None) -> str:
    """Install this vendor's udev rules as root, and say where. `pkexec` and `path` are others in tests.

    Raises `Cancelled`, or `CannotOpen` with the steps by hand.
    """
    path = path or rules_file(vendor)
    program = shutil.which(pkexec[0])
    if program is None:
        raise _by_hand(vendor, path, "this system has no pkexec, which asks for an administrator's password")
    ran = subprocess.run(  # noqa: S603 - fixed words; nothing of it comes from a person or the network
        [program, *pkexec[1:], "/bin/sh", "-c", _WRITE, "sh", path],
        input=rules_text(vendor).encode(),
        capture_output=True,
        timeout=_WITHIN_S,
        check=False,
    )
    if ran.returncode == _PKEXEC_DISMISSED:
        raise Cancelled("the question for the password was not answered")
    if ran.returncode:
        raise _by_hand(vendor, path, f"the rules could not be installed (pkexec ended with {ran.returncode})")
    return path


def _by_hand(vendor: Vendor, path: str, why: str) -> CannotOpen:
    lines = "; ".join(rules_text(vendor).splitlines())
    return CannotOpen(
        "no-permission",
        why,
        advice=f"Ask an administrator to write these lines into {path} and to run `udevadm control "
        f"--reload-rules`: {lines}. Then unplug the device and plug it in again.",
    )


def install_driver(home: Home, folder: Path) -> str:
    """Install the vendor's driver package with pnputil, and say what came of it.

    `folder` is one that stays: Windows reads the files again later. Raises `Cancelled`, `CannotOpen`, or
    `StorageFailed`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in home.driver:
            folder.joinpath(os.path.basename(name)).write_bytes(data)
    except OSError as error:
        raise StorageFailed(f"the driver cannot be put into {folder}: {error.strerror}") from error
    inf = next((folder / name for name, _ in home.driver if name.lower().endswith(".inf")), None)
    if inf is None:
        raise CannotOpen("no-driver", "this updater brings no driver", advice="Ask the vendor for it.")
    try:
        answer = windrivers.install(inf)
    except OSError as error:
        raise _pnputil_failed(str(error.strerror or error)) from error
    if answer == windrivers.SAID_NO:
        raise Cancelled("Windows' question for permission was answered with no")
    if answer == windrivers.NEEDS_RESTART:
        return "The driver is installed. Restart Windows, and run the command again."
    if answer == windrivers.NOTHING_BETTER:
        return (
            "Windows keeps the driver package for when the bootloader comes. If the bootloader is plugged in "
            "now, Windows takes its present driver for the better one: uninstall that in the Device Manager, "
            'with "delete the driver" ticked, and plug the device in again.'
        )
    if answer != windrivers.INSTALLED:
        raise _pnputil_failed(f"pnputil ended with {answer}")
    return "The driver is installed. Run the command again; an update that waits goes on by itself."


def _pnputil_failed(why: str) -> CannotOpen:
    return CannotOpen(
        "no-driver",
        f"Windows could not install the driver: {why}",
        advice="Ask whoever looks after this computer to install it: `pnputil /add-driver` with the vendor's "
        "INF file. Or install ST's STM32CubeProgrammer, which brings one.",
    )
