"""What both ends of a USB/IP 1.1.1 connection say before the first transfer.

Source: Linux Documentation/usb/usbip_protocol.rst.
"""

from __future__ import annotations

import socket
import struct

VERSION = 0x0111
REQ_DEVLIST, REP_DEVLIST, REQ_IMPORT, REP_IMPORT = 0x8005, 0x0005, 0x8003, 0x0003
OK, NOT_AVAILABLE = 0, 1
BUSID_BYTES = 32
OP_COMMON = struct.Struct(">HHI")
"""Version, code, status."""
USB_DEVICE = struct.Struct(">256s32sIIIHHH6B")
"""struct usbip_usb_device: path, busid, busnum, devnum, speed, idVendor, idProduct, bcdDevice, six bytes."""


def receive(connection: socket.socket, length: int) -> bytes:
    """Read exactly `length` bytes: the next one belongs to whoever reads after us.

    Raises ConnectionError when the other end hung up; TimeoutError if the connection has a timeout.
    """
    received = bytearray()
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionError(f"the other end hung up after {len(received)} of {length} bytes")
        received += part
    return bytes(received)
