"""Attach a USB/IP device to a chosen port of the kernel's virtual host controller (Linux, root).

`usbip attach` takes whichever port is free, so with several boards the port paths swap whenever two of
them change identity. Here the caller names the port, so a board stays at one port path.

The kernel's side is drivers/usb/usbip/vhci_sysfs.c: whoever writes `PORT SOCKFD DEVID SPEED` to `attach`
hands over a connected TCP socket. The kernel looks SOCKFD up in the writing process and keeps its own
reference, so the process may close its descriptor afterwards. The handshake before that is
OP_REQ_IMPORT, Documentation/usb/usbip_protocol.rst.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from updater.lab.usbip import (
    BUSID_BYTES,
    OK,
    OP_COMMON,
    REP_IMPORT,
    REQ_IMPORT,
    USB_DEVICE,
    VERSION,
    receive,
)

VHCI = Path("/sys/devices/platform/vhci_hcd.0")
CERTAIN_PORTS = 8
"""As many high-speed ports has a kernel with the default CONFIG_USBIP_VHCI_HC_PORTS; Debian's have more."""

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


def vhci_ports(paths: Sequence[str]) -> list[int]:
    """The vhci port for each board's port path: N-1 for "1-N", which is then its path in the kernel too.

    What cannot have its own (behind a hub, on another bus, too high a number, taken by a board before it)
    gets the lowest port that is left.
    """
    chosen: dict[int, int] = {}  # vhci port: whose
    for board, path in enumerate(paths):
        own = re.fullmatch(r"1-([1-9])", path)
        if own and int(own[1]) <= CERTAIN_PORTS:
            chosen.setdefault(int(own[1]) - 1, board)
    left = (port for port in count() if port not in chosen)
    owners = {board: port for port, board in chosen.items()}
    return [owners[board] if board in owners else next(left) for board in range(len(paths))]


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
    name = busid.encode("ascii").ljust(BUSID_BYTES, b"\0")
    try:
        connection.sendall(OP_COMMON.pack(VERSION, REQ_IMPORT, 0) + name)
        version, code, status = OP_COMMON.unpack(receive(connection, OP_COMMON.size))
        if (version, code, status) != (VERSION, REP_IMPORT, OK):
            raise ImportRefused(f"version {version:#06x}, reply {code:#06x}, status {status}")
        _path, _busid, busnum, devnum, speed, *_rest = USB_DEVICE.unpack(receive(connection, USB_DEVICE.size))
    except ConnectionError as error:
        raise ImportRefused(f"import of {busid}: {error}") from error
    return ImportedDevice(devid=busnum << 16 | devnum, speed=speed)
