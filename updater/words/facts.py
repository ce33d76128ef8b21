"""What we know: frozen nouns that every room may use, and the bytes a product speaks them in.

Units stand in names (`_ms`, `_bytes`); addresses are ints. Nothing here does I/O.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

from semver import Version

HEADER_BYTES = 44
IDENTITY_BYTES = 64
VERSION_PART_LIMIT = 0xFFFF
RESERVED_PRODUCT = "catalogue"
"""The id that no product has: under it the update site keeps the signed catalogue of products."""
_HEADER = struct.Struct("<4sHH16s8sHHHHI")
_IDENTITY_TAIL = struct.Struct("<12sIB3x")
_MAGIC = b"FWID"


class Mode(StrEnum):
    """Which program answers on USB."""

    APPLICATION = "application"
    ROM = "rom"
    OTHER = "other"


class IdentityFrom(StrEnum):
    """How the product is known (docs/decisions/0006). Only `none` and `person` are not proof."""

    APPLICATION = "application"
    UID = "uid"
    SERIAL = "serial"
    HEADER = "header"
    OTP = "otp"
    JOURNAL = "journal"
    PERSON = "person"
    NONE = "none"


class Channel(StrEnum):
    """Which line of releases a bundle may be offered on. Links know the first two only."""

    STABLE = "stable"
    BETA = "beta"
    ENGINEERING = "engineering"


def parse_version(text: str) -> Version:
    """A firmware version is three numbers up to 65535, nothing else (the header has u16 for each).

    Raises ValueError, also for spellings such as "1.02.0" or "1.0.0-rc1".
    """
    version = Version.parse(text)
    if str(version) != f"{version.major}.{version.minor}.{version.patch}" or not text.isascii():
        raise ValueError(f"{text!r} is not three numbers")
    if max(version.major, version.minor, version.patch) > VERSION_PART_LIMIT:
        raise ValueError(f"a part of {text!r} is above {VERSION_PART_LIMIT}")
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductHeader:
    """The 44 bytes at a fixed offset of every firmware image; `docs/integration.md` has the layout."""

    product: str
    hardware: str
    version: Version
    security_counter: int

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Read a header, or None when these bytes are not one."""
        if len(data) < HEADER_BYTES:
            return None
        magic, schema, length, product, hardware, major, minor, patch, zero, counter = _HEADER.unpack_from(
            data
        )
        if magic != _MAGIC or schema != 1 or length != HEADER_BYTES or zero:
            return None
        texts = _text(product), _text(hardware)
        if not texts[0] or texts[1] is None:
            return None
        return cls(
            product=texts[0],
            hardware=texts[1],
            version=Version(major, minor, patch),
            security_counter=counter,
        )

    def pack(self) -> bytes:
        """The 44 bytes, little-endian."""
        v = self.version
        names = self.product.encode("ascii"), self.hardware.encode("ascii")
        return _HEADER.pack(
            _MAGIC, 1, HEADER_BYTES, *names, v.major, v.minor, v.patch, 0, self.security_counter
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationIdentity:
    """The 64 bytes with which a running application answers the identity request."""

    header: ProductHeader
    uid: bytes
    idcode: int
    rom_version: int | None

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Read an answer, or None when it is not one. Device-reported: it may inform, never unlock."""
        header = ProductHeader.parse(data)
        if header is None or len(data) < IDENTITY_BYTES - 3:
            return None
        uid, idcode, rom = _IDENTITY_TAIL.unpack(data[HEADER_BYTES:IDENTITY_BYTES].ljust(20, b"\0"))
        return cls(header=header, uid=uid, idcode=idcode, rom_version=rom or None)

    def pack(self) -> bytes:
        """The 64 bytes, little-endian, zero-padded."""
        return self.header.pack() + _IDENTITY_TAIL.pack(self.uid, self.idcode, self.rom_version or 0)


def _text(field: bytes) -> str | None:
    """A zero-padded printable ASCII field, or None."""
    text, _, padding = field.partition(b"\0")
    if padding.strip(b"\0") or not text.isascii():
        return None
    decoded = text.decode("ascii")
    return decoded if decoded.isprintable() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Bytes for consecutive addresses."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        return self.address + len(self.data)

    def __repr__(self) -> str:
        return f"Segment(0x{self.address:08X}, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sector:
    """The smallest part of flash that can be erased, as a memory-layout string describes it."""

    address: int
    size: int
    readable: bool = True
    erasable: bool = True
    writable: bool = True

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One alternate setting of a DFU interface: a named piece of memory and its sectors."""

    name: str
    alternate: int
    sectors: tuple[Sector, ...]

    @property
    def address(self) -> int:
        return self.sectors[0].address


@dataclass(frozen=True, slots=True, kw_only=True)
class RomFacts:
    """What a ROM bootloader shows of itself on USB, before any question is asked of it."""

    serial: str | None
    product_string: str | None
    bcd_device: int
    transfer_size: int
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A bootloader's strings and version, unread: the alternate settings' names in their order."""

    serial: str | None
    product_string: str | None
    bcd_device: int
    alternates: tuple[str, ...]

    @property
    def first(self) -> str:
        """What alternate setting 0 is called; empty when it has no name."""
        return self.alternates[0] if self.alternates else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limitation:
    """A known limitation of this silicon or ROM, in words a person can read.

    `handled`: the updater does something about it; the others are only good to know.
    """

    id: str
    text: str
    source: tuple[str, ...]
    handled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """All that is known of one connected device, and how. Unknown is None, never a guess.

    `port` is the USB port path ("1-2.3"); `usb` is "vid:pid" in hex; `unread` says why a bootloader
    could not be read. `chips` are the rows of the silicon table that look like this device, `chip` the only
    one; `flash_kib` is what the flash-size register says, `bank_mode` what the option bytes say;
    `refused` says why this is no device that may be written to.
    """

    name: str
    port: str
    usb: str
    mode: Mode
    product: str | None = None
    hardware: str | None = None
    serial: str | None = None
    version: Version | None = None
    security_counter: int | None = None
    identity: IdentityFrom = IdentityFrom.NONE
    uid: bytes | None = None
    idcode: int | None = None
    chip: str | None = None
    chips: tuple[str, ...] = ()
    dev_id: int | None = None
    revision: str | None = None
    revision_from: str | None = None
    rom_version: int | None = None
    rom_version_from: str | None = None
    rom: RomFacts | None = None
    flash_kib: int | None = None
    bank_mode: Literal["single", "dual"] | None = None
    limitations: tuple[Limitation, ...] = ()
    problem: str | None = None
    unread: str | None = None
    refused: str | None = None
