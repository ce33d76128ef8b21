"""DfuSe files (`.dfu` with addresses): read as an input, written for factory tools.

UM0391: a prefix of 11 bytes, then targets (274 bytes of prefix each) made of elements (address, size, bytes),
then the suffix of DFU 1.1 appendix B, 16 bytes, whose CRC-32 is over everything before it and not inverted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from updater.words.facts import Segment

VENDOR_ID = 0x0483
PRODUCT_ID = 0xDF11
INTERNAL_FLASH = 0
"""The alternate setting of the internal flash in every ROM; the only one that a release writes to."""

_PREFIX = struct.Struct("<5sBIB")
_TARGET = struct.Struct("<6sBI255s2I")
_ELEMENT = struct.Struct("<2I")
_SUFFIX = struct.Struct("<4H3sBI")
_FORMAT_VERSION = 1
_BCD_DFU = 0x011A
_CRC_BYTES = 4
_NAME_BYTES = 254  # of 255: a C string


def parse_dfuse(data: bytes) -> list[Segment]:
    """The elements of all targets, in the file's order. Raises ValueError, in words."""
    body = _checked_body(data)
    *_, targets = _PREFIX.unpack_from(body)
    if not targets:
        raise ValueError("it has no target")
    segments: list[Segment] = []
    at = _PREFIX.size
    for number in range(1, targets + 1):
        elements, at = _target(body, at, f"target {number} of {targets}")
        segments += elements
    if at != len(body):
        raise ValueError("bytes follow its last target")
    return segments


def format_dfuse(segments: Sequence[Segment], *, name: str, bcd_device: int = 0) -> bytes:
    """A file with one target, the internal flash, and an element for each segment.

    `name` is what a tool shows of it, ASCII; `bcd_device` goes into the suffix, where 0 says nothing.
    """
    body = b"".join(_ELEMENT.pack(part.address, len(part.data)) + part.data for part in segments)
    label = name.encode("ascii")[:_NAME_BYTES]
    target = _TARGET.pack(b"Target", INTERNAL_FLASH, 1, label, len(body), len(segments)) + body
    prefix = _PREFIX.pack(b"DfuSe", _FORMAT_VERSION, _PREFIX.size + len(target), 1)
    unsealed = _SUFFIX.pack(bcd_device, PRODUCT_ID, VENDOR_ID, _BCD_DFU, b"UFD", _SUFFIX.size, 0)
    whole = (prefix + target + unsealed)[:-_CRC_BYTES]
    return whole + _crc(whole).to_bytes(_CRC_BYTES, "little")


def _checked_body(data: bytes) -> bytes:
    """What lies before the suffix, after suffix, CRC and prefix were found to be right."""
    if len(data) < _PREFIX.size + _SUFFIX.size:
        raise ValueError("it is too short for a DfuSe file")
    body = data[: -_SUFFIX.size]
    *_, version, mark, length, crc = _SUFFIX.unpack(data[-_SUFFIX.size :])
    if mark != b"UFD" or length != _SUFFIX.size:
        raise ValueError("it does not end with a DFU suffix: it is cut off, or not a .dfu file")
    if crc != _crc(data[:-_CRC_BYTES]):
        raise ValueError("its CRC is wrong: the file is damaged")
    if version != _BCD_DFU:
        raise ValueError(f"it is a plain DFU file (bcdDFU 0x{version:04X}), which has no addresses")
    mark, version, size, _ = _PREFIX.unpack_from(body)
    if mark != b"DfuSe" or version != _FORMAT_VERSION or size != len(body):
        raise ValueError("it does not begin with a DfuSe prefix, or says a wrong size")
    return body


def _target(body: bytes, at: int, which: str) -> tuple[list[Segment], int]:
    """One target's elements, and where it ends."""
    if at + _TARGET.size > len(body):
        raise ValueError(f"{which} is missing")
    mark, alternate, _, _, size, count = _TARGET.unpack_from(body, at)
    at += _TARGET.size
    end = at + size
    if mark != b"Target" or end > len(body):
        raise ValueError(f"{which} is not one, or is longer than the file")
    if alternate != INTERNAL_FLASH:
        raise ValueError(
            f"{which} is for alternate setting {alternate}, which is not the flash "
            "(option bytes and OTP are no part of a release)"
        )
    segments = []
    for _ in range(count):
        if at + _ELEMENT.size > end:
            raise ValueError(f"{which} has fewer elements than it says")
        address, length = _ELEMENT.unpack_from(body, at)
        at += _ELEMENT.size + length
        if at > end:
            raise ValueError(f"{which} has an element that is longer than the target")
        segments.append(Segment(address=address, data=body[at - length : at]))
    if at != end:
        raise ValueError(f"{which} has more bytes than its elements")
    return segments, end


def _crc(data: bytes) -> int:
    return zlib.crc32(data) ^ 0xFFFF_FFFF
