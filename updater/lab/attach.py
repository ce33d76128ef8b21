"""Attach a USB/IP device to a chosen port of the kernel's virtual host controller (Linux, root).

`usbip attach` takes whichever port is free, so with several boards the port paths swap whenever two of
them change identity. Here the caller names the port, so a board stays at one port path.

The kernel's side is drivers/usb/usbip/vhci_sysfs.c: whoever writes `PORT SOCKFD DEVID SPEED` to `attach`
hands over a connected TCP socket. The kernel looks SOCKFD up in the writing process and keeps its own
reference, so the process may close its descriptor afterwards. The handshake before that is
OP_REQ_IMPORT, Documentation/usb/usbip_protocol.rst.
"""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import NamedTuple

VHCI = Path("/sys/devices/platform/vhci_hcd.0")

USBIP_VERSION = 0x0111
OP_REQ_IMPORT = 0x8003
OP_REP_IMPORT = 0x0003
OP_COMMON = struct.Struct(">HHI")  # version, code, status
BUSID_LENGTH = 32
# struct usbip_usb_device: path, busid, busnum, devnum, speed, idVendor, idProduct, bcdDevice, six bytes.
USB_DEVICE = struct.Struct(">256s32sIIIHHH6B")

# enum usbip_device_status in include/uapi/linux/usbip.h, as the third column of `status` prints it.
PORT_FREE = 4
PORT_USED = 6

POLL_S = 0.02


class ImportRefused(ConnectionError):
    """The server does not export this BUSID, has lent it to someone else, or does not speak USB/IP 1.1.1."""


class ImportedDevice(NamedTuple):
    """What the kernel must know of a remote device."""

    devid: int  # busnum << 16 | devnum, the kernel's name for it in every USBIP_CMD_SUBMIT
    speed: int  # enum usb_device_speed: 1 low, 2 full, 3 high, 5 super


def attach_to_port(host: str, tcp_port: int, busid: str, vhci_port: int, *, timeout_s: float = 10.0) -> None:
    """Import `busid` from the server at `host:tcp_port` and plug it into `vhci_port` once that is free.

    `vhci_port` is the second column of the kernel's `status` file: for low, full and high speed a row of
    the `hs` hub, counted from 0 (15 of them in Debian's kernels); the port path is BUS-(vhci_port + 1).
    Returns as soon as the kernel has the socket; enumeration follows by itself and needs the server, which
    must therefore answer from another thread or process.

    Raises ImportRefused; TimeoutError if the port stays taken or the server silent for `timeout_s` seconds;
    other OSError if vhci-hcd is not loaded, we are not root, or the port does not exist.
    """
    deadline = time.monotonic() + timeout_s
    wait_until_free(vhci_port, timeout_s=timeout_s)
    connect_s = max(deadline - time.monotonic(), POLL_S)
    with socket.create_connection((host, tcp_port), timeout=connect_s) as connection:
        # A control transfer is a small packet each way: with Nagle's algorithm each would wait for an ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        device = import_device(connection, busid)
        # A Python timeout makes the descriptor non-blocking; the kernel gets a plain one.
        connection.settimeout(None)
        order = f"{vhci_port} {connection.fileno()} {device.devid} {device.speed}"
        (VHCI / "attach").write_text(order, encoding="ascii")


def detach_port(vhci_port: int, *, timeout_s: float = 10.0) -> None:
    """Unplug what is at `vhci_port` and wait until the kernel has let go of it; a free port is left as it is.

    Raises TimeoutError after `timeout_s` seconds; other OSError if vhci-hcd is not loaded or we are not root.
    """
    if port_status(vhci_port) != PORT_FREE:
        try:
            (VHCI / "detach").write_text(str(vhci_port), encoding="ascii")
        except OSError:
            # detach_store() answers EINVAL for a port that became free by itself since we looked.
            if port_status(vhci_port) != PORT_FREE:
                raise
    wait_until_free(vhci_port, timeout_s=timeout_s)


def wait_until_free(vhci_port: int, *, timeout_s: float) -> None:
    """Wait until nothing is plugged into `vhci_port`; TimeoutError after `timeout_s` seconds.

    The kernel tears a connection down in a thread of its own, some time after either end closed it.
    """
    deadline = time.monotonic() + timeout_s
    while port_status(vhci_port) != PORT_FREE:
        if time.monotonic() > deadline:
            raise TimeoutError(f"vhci port {vhci_port} is still in use after {timeout_s:g} s")
        time.sleep(POLL_S)


def port_status(vhci_port: int) -> int:
    """The kernel's status number for `vhci_port`.

    Raises ValueError if the controller has no such port, OSError if vhci-hcd is not loaded.
    """
    for line in (VHCI / "status").read_text(encoding="ascii").splitlines()[1:]:
        _hub, port, status, *_rest = line.split()
        if int(port) == vhci_port:
            return int(status)
    raise ValueError(f"{VHCI} has no port {vhci_port}")


def import_device(connection: socket.socket, busid: str) -> ImportedDevice:
    """Ask the server for `busid` and read exactly its reply: the next byte belongs to the kernel.

    Raises ImportRefused; TimeoutError if the connection has a timeout.
    """
    name = busid.encode("ascii").ljust(BUSID_LENGTH, b"\0")
    connection.sendall(OP_COMMON.pack(USBIP_VERSION, OP_REQ_IMPORT, 0) + name)
    version, code, status = OP_COMMON.unpack(_receive(connection, OP_COMMON.size))
    if (version, code, status) != (USBIP_VERSION, OP_REP_IMPORT, 0):
        raise ImportRefused(f"import of {busid}: version {version:#06x}, reply {code:#06x}, status {status}")
    _path, _busid, busnum, devnum, speed, *_rest = USB_DEVICE.unpack(_receive(connection, USB_DEVICE.size))
    return ImportedDevice(devid=busnum << 16 | devnum, speed=speed)


def _receive(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ImportRefused(f"the server hung up after {len(received)} of {length} bytes")
        received += part
    return received
