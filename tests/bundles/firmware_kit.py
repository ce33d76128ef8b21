"""Firmware files put together byte by byte, as their standards say and not with our code."""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLASH = 0x0800_0000
ARM = 40
EXECUTABLE = 2


def program(size: int, *, sp: int = 0x2000_8000, reset: int = FLASH + 0x101) -> bytes:
    """A vector table (initial SP, reset vector) and something behind it that tells its place."""
    return struct.pack("<II", sp, reset) + bytes(at % 251 for at in range(8, size))


def intel_hex_record(kind: int, address: int, data: bytes = b"") -> str:
    record = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return f":{record.hex().upper()}{-sum(record) & 0xFF:02X}\n"


def intel_hex(*parts: tuple[int, bytes]) -> str:
    """Parts of at most 16 bytes, none across 64 KiB: upper half of the address, data, end of file."""
    lines = [
        intel_hex_record(4, 0, struct.pack(">H", address >> 16)) + intel_hex_record(0, address & 0xFFFF, data)
        for address, data in parts
    ]
    return "".join(lines) + ":00000001FF\n"


def jamcrc(data: bytes) -> int:
    """CRC-32 without the final inversion, bit by bit: DFU 1.1 appendix B."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc


def dfuse_target(*elements: tuple[int, bytes], alternate: int = 0, name: bytes = b"flash") -> bytes:
    """UM0391: "Target", alternate, named, name, size of the elements, their number; then the elements."""
    body = b"".join(struct.pack("<II", address, len(data)) + data for address, data in elements)
    return (
        struct.pack("<6sBI255sII", b"Target", alternate, 1, name.ljust(255, b"\0"), len(body), len(elements))
        + body
    )


def sealed(whole: bytes, *, bcd_device: int = 0, bcd_dfu: int = 0x011A) -> bytes:
    """With the suffix of DFU 1.1 appendix B: bcdDevice, idProduct, idVendor, bcdDFU, "UFD", 16, CRC."""
    whole += struct.pack("<HHHH3sB", bcd_device, 0xDF11, 0x0483, bcd_dfu, b"UFD", 16)
    return whole + struct.pack("<I", jamcrc(whole))


def dfuse(*targets: bytes, bcd_device: int = 0) -> bytes:
    """UM0391: "DfuSe", version 1, size without the suffix, number of targets; targets; suffix."""
    body = b"".join(targets)
    return sealed(
        struct.pack("<5sBIB", b"DfuSe", 1, 11 + len(body), len(targets)) + body, bcd_device=bcd_device
    )


def elf32(
    *loads: tuple[int, int, bytes], machine: int = ARM, kind: int = EXECUTABLE, offsets: Sequence[int] = ()
) -> bytes:
    """An ELF32 little-endian file of LOAD segments: virtual address, physical address, bytes.

    `offsets` are where the segments claim to lie in the file; by default where they do.
    """
    at = 52 + 32 * len(loads)
    table, content = b"", b""
    for number, (virtual, physical, data) in enumerate(loads):
        offset = offsets[number] if offsets else at + len(content)
        table += struct.pack("<8I", 1, offset, virtual, physical, len(data), len(data) + 64, 5, 4)
        content += data
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<HHIIIIIHHHHHH", kind, machine, 1, 0x08000000, 52, 0, 0, 52, 32, len(loads), 40, 0, 0
    )
    return ident + header + table + content
