"""DfuSe files (`.dfu` with addresses): decoded, read as an input, written for other tools. Pure.

UM0391: a prefix of 11 bytes, then targets (274 bytes of prefix each) made of elements (address, size, bytes),
then the suffix of DFU 1.1 appendix B, 16 bytes, whose CRC-32 is over everything before it and not inverted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

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
_ADDRESSES = 1 << 32
_NAME_BYTES = 254  # of 255: a C string


@dataclass(frozen=True, slots=True, kw_only=True)
class DfuTarget:
    """What is meant for one alternate setting. `name` is None where the file says that it has none."""

    alternate: int
    name: str | None
    elements: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DfuFile:
    """A DFU file, decoded. `targets` is None for a plain DFU 1.1 file, which has bytes without addresses.

    `vendor_id`, `product_id` and `bcd_device` say which device it is for; 0xFFFF means any (DFU 1.1,
    appendix B).
    """

    vendor_id: int
    product_id: int
    bcd_device: int
    bcd_dfu: int
    crc: int
    body_bytes: int
    targets: tuple[DfuTarget, ...] | None


def decode_dfu(data: bytes) -> DfuFile:
    """Decode a DfuSe or a plain DFU 1.1 file. Raises ValueError, in words, for a damaged one."""
    if len(data) < _SUFFIX.size:
        raise ValueError("it is too short for a DFU file")
    bcd_device, product_id, vendor_id, version, mark, length, crc = _SUFFIX.unpack(data[-_SUFFIX.size :])
    if mark != b"UFD" or length != _SUFFIX.size:
        raise ValueError("it does not end with a DFU suffix: it is cut off, or not a .dfu file")
    if crc != _crc(data[:-_CRC_BYTES]):
        raise ValueError("its CRC is wrong: the file is damaged")
    body = data[: -_SUFFIX.size]
    return DfuFile(
        vendor_id=vendor_id,
        product_id=product_id,
        bcd_device=bcd_device,
        bcd_dfu=version,
        crc=crc,
        body_bytes=len(body),
        targets=_targets(body) if version == _BCD_DFU else None,
    )


def parse_dfuse(data: bytes, *, flash_only: bool = True) -> list[Segment]:
    """The elements of all targets, in the file's order. Raises ValueError.

    All must be for the flash; not so in a file that is only compared with what a device holds.
    """
    file = decode_dfu(data)
    if file.targets is None:
        raise ValueError(f"it is a plain DFU file (bcdDFU 0x{file.bcd_dfu:04X}), which has no addresses")
    if not file.targets:
        raise ValueError("it has no target")
    for number, target in enumerate(file.targets, 1):
        if flash_only and target.alternate != INTERNAL_FLASH:
            raise ValueError(
                f"target {number} of {len(file.targets)} is for alternate setting {target.alternate}, which "
                "is not the flash (option bytes and OTP are not written from a file)"
            )
    return [element for target in file.targets for element in target.elements]


def format_dfuse(
    segments: Sequence[Segment], *, name: str, bcd_device: int = 0, alternate: int = INTERNAL_FLASH
) -> bytes:
    """A file with one target and an element for each segment.

    `name` is what a tool shows of it, ASCII; `bcd_device` goes into the suffix, where 0 says nothing.
    """
    body = b"".join(_ELEMENT.pack(part.address, len(part.data)) + part.data for part in segments)
    label = name.encode("ascii")[:_NAME_BYTES]
    target = _TARGET.pack(b"Target", alternate, 1, label, len(body), len(segments)) + body
    prefix = _PREFIX.pack(b"DfuSe", _FORMAT_VERSION, _PREFIX.size + len(target), 1)
    unsealed = _SUFFIX.pack(bcd_device, PRODUCT_ID, VENDOR_ID, _BCD_DFU, b"UFD", _SUFFIX.size, 0)
    whole = (prefix + target + unsealed)[:-_CRC_BYTES]
    return whole + _crc(whole).to_bytes(_CRC_BYTES, "little")


def _targets(body: bytes) -> tuple[DfuTarget, ...]:
    """The targets between prefix and suffix, which must be there to the last byte."""
    if len(body) < _PREFIX.size:
        raise ValueError("it is too short for a DfuSe file")
    mark, version, size, count = _PREFIX.unpack_from(body)
    if mark != b"DfuSe" or version != _FORMAT_VERSION or size != len(body):
        raise ValueError("it does not begin with a DfuSe prefix, or says a wrong size")
    targets = []
    at = _PREFIX.size
    for number in range(1, count + 1):
        target, at = _target(body, at, f"target {number} of {count}")
        targets.append(target)
    if at != len(body):
        raise ValueError("bytes follow its last target" if count else "it has no target")
    return tuple(targets)


def _target(body: bytes, at: int, which: str) -> tuple[DfuTarget, int]:
    """One target, and where it ends."""
    if at + _TARGET.size > len(body):
        raise ValueError(f"{which} is missing")
    mark, alternate, named, label, size, count = _TARGET.unpack_from(body, at)
    at += _TARGET.size
    end = at + size
    if mark != b"Target" or end > len(body):
        raise ValueError(f"{which} is not one, or is longer than the file")
    elements = []
    for _ in range(count):
        if at + _ELEMENT.size > end:
            raise ValueError(f"{which} has fewer elements than it says")
        address, length = _ELEMENT.unpack_from(body, at)
        at += _ELEMENT.size + length
        if at > end:
            raise ValueError(f"{which} has an element that is longer than the target")
        if address + length > _ADDRESSES:
            raise ValueError(f"{which} has an element that ends beyond the last 32-bit address")
        elements.append(Segment(address=address, data=body[at - length : at]))
    if at != end:
        raise ValueError(f"{which} has more bytes than its elements")
    name = label.split(b"\0")[0].decode("latin-1") if named else None
    return DfuTarget(alternate=alternate, name=name, elements=tuple(elements)), end


def _crc(data: bytes) -> int:
    return zlib.crc32(data) ^ 0xFFFF_FFFF
