"""The udev rules that let the person at the screen use a vendor's devices on Linux: the one place for them.

`uaccess` gives the device to whoever is logged in at this computer (systemd-logind); a file that sets it must
be sorted before 73-seat-late.rules, hence the 70. ID_MM_DEVICE_IGNORE keeps ModemManager from trying a
device's serial ports as if it were a modem (ModemManager reference manual, "Common udev tags").
"""

from __future__ import annotations

from updater.heads.vendor import SerialSend, Touch1200, Vendor

FOLDER = "/etc/udev/rules.d"
_BOOTLOADER = "0483:df11"


def rules_file(vendor: Vendor) -> str:
    """Where this vendor's rules belong. Its link scheme is its own, and fits into a file name."""
    return f"{FOLDER}/70-{vendor.link.scheme}.rules"


def rules_text(vendor: Vendor) -> str:
    """The rules: the bootloader, each product, and the serial port of those that are entered over it."""
    lines = [_device(_BOOTLOADER)]
    for product in vendor.products:
        speaks = any(isinstance(way, Touch1200 | SerialSend) for way in product.ways)
        for usb in product.usb:
            lines.append(_device(usb, no_modem=speaks))
            if speaks:
                lines.append(_serial_port(usb))
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _device(usb: str, *, no_modem: bool = False) -> str:
    vid, pid = usb.split(":")
    also = ', ENV{ID_MM_DEVICE_IGNORE}="1"' if no_modem else ""
    return f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vid}", ATTR{{idProduct}}=="{pid}", TAG+="uaccess"{also}'


def _serial_port(usb: str) -> str:
    vid, pid = usb.split(":")
    return f'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vid}", ATTRS{{idProduct}}=="{pid}", TAG+="uaccess"'


def covers(rules: str, usb: str) -> bool:
    """Whether some line of these rules gives access to this "vid:pid"."""
    vid, pid = usb.split(":")
    for line in rules.lower().splitlines():
        if line.lstrip().startswith("#") or ("uaccess" not in line and "mode" not in line):
            continue
        if f'"{vid}"' in line and (f'"{pid}"' in line or "idproduct" not in line):
            return True
    return False
