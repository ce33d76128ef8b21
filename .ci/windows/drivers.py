"""What the doctor makes of Windows' records: driver states in the registry, and the built program asked.

    python .ci/windows/drivers.py updater-demo-cli.exe

Only for a throw-away Wine prefix: it writes below HKEY_LOCAL_MACHINE\\System\\CurrentControlSet\\Enum, which
Windows itself keeps and protects. What Wine reads from there takes the same way through SetupAPI to the
doctor. Not seen here: problem codes, devices that are not plugged in (Wine 8 tells all as present), and any
that libusb opens.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import winreg
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ENUM = "System\\CurrentControlSet\\Enum\\USB"
BOOTLOADER, WIDGET = "VID_0483&PID_DF11", "VID_1209&PID_0001"
GUID = "{11111111-2222-3333-4444-555555555555}"
USB_CLASS = "{88BAE032-5A81-49F0-BC3D-A4FF138216D6}"


@dataclass(frozen=True)
class State:
    """A device in the records, and what the doctor finds. `guids`: its INF has named an interface."""

    name: str
    device: str
    service: str
    finding: str
    looked_at: str
    guids: bool = False


STATES = (
    State("no driver", BOOTLOADER, "", "driver-missing", "missing"),
    State("ST's old driver", BOOTLOADER, "STTub30", "driver-old-st", "old-st"),
    State("another driver", BOOTLOADER, "usbser", "driver-other", "other"),
    State("WinUSB without an interface", BOOTLOADER, "WinUSB", "driver-incomplete", "incomplete"),
    State("WinUSB, and libusb does not see it", BOOTLOADER, "WinUSB", "driver-unknown", "ready", guids=True),
    State("the application without a driver", WIDGET, "", "driver-missing", "never-seen"),
)


@contextmanager
def recorded(state: State) -> Iterator[None]:
    """The registry as Windows would have it for this device."""
    device = f"{ENUM}\\{state.device}"
    instance = f"{device}\\FAKE0001"
    with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, instance) as key:
        winreg.SetValueEx(key, "ClassGUID", 0, winreg.REG_SZ, USB_CLASS)
        if state.service:
            winreg.SetValueEx(key, "Service", 0, winreg.REG_SZ, state.service)
        with winreg.CreateKey(key, "Device Parameters") as parameters:
            if state.guids:
                winreg.SetValueEx(parameters, "DeviceInterfaceGUIDs", 0, winreg.REG_MULTI_SZ, [GUID])
    try:
        yield
    finally:
        for name in (f"{instance}\\Device Parameters", instance, device):
            winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, name)


def asked(program: str) -> tuple[str, str]:
    """The doctor's finding, and what he says of the bootloader's driver."""
    command = [program, "doctor", "--json"]
    ran = subprocess.run(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, timeout=60)  # noqa: S603 - ours
    said = json.loads(ran.stdout)
    looked = {one["name"]: one["text"] for one in said["looked_at"]}
    assert ran.returncode == said["exit"], (ran.returncode, said)
    return said["finding"], looked["driver for bootloader"]


def main() -> int:
    assert hasattr(ctypes.windll.ntdll, "wine_get_version"), "this writes where only Windows itself may write"
    wrong = 0
    for state in STATES:
        with recorded(state):
            found = asked(sys.argv[1])
        ok = found == (state.finding, state.looked_at)
        wrong += not ok
        wanted = "" if ok else f", not {state.finding} / {state.looked_at}"
        print(f"  {state.name}: {' / '.join(found)}{wanted}")
    print("drivers: " + ("WRONG" if wrong else "ok"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
