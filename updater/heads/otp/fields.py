"""The fields of an OTP layout: each knows its offset, its length, and how a value stands in its bytes.

A value is a text in one spelling: `0x1F` for a number is read, and `31` is what is shown. `encode` raises
`ValueError` with a sentence for a value that does not fit; `decode` gives None for bytes that are no value.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Callable
from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

FieldName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_-]{0,31}\Z")]
Offset = Annotated[int, Meta(ge=0, le=0xFFFF)]
Length = Annotated[int, Meta(ge=1, le=1024)]
Endian = Literal["little", "big"]
UID_BYTES = 12
"""The unique device ID of an STM32 has 96 bits (RM0090 and RM0385, device electronic signature)."""


class _Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every field has: a name, and where it begins, counted from the start of the OTP data.

    What each type says for itself raises `NotImplementedError` here: a msgspec Struct cannot be an ABC.
    """

    name: FieldName
    offset: Offset

    @property
    def length(self) -> int:
        """How many bytes it takes."""
        raise NotImplementedError

    @property
    def end(self) -> int:
        return self.offset + self.length

    def decode(self, data: bytes) -> str | None:
        """The value in these bytes, in its one spelling; None where they hold none."""
        raise NotImplementedError


class _Valued(_Place, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field whose value comes from exactly one of five places.

    `secret`: its value is burnt, but not named on labels and in receipts.
    """

    constant: str | int | None = None
    counter: Annotated[int, Meta(ge=0)] | None = None
    csv: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    asked: Literal[True] | None = None
    uid: Literal[True] | None = None
    secret: bool = False

    def __post_init__(self) -> None:
        given = (self.constant, self.counter, self.csv, self.asked, self.uid)
        if sum(one is not None for one in given) != 1:
            raise ValueError(
                f"{self.name} needs exactly one of constant, counter, csv, asked and uid: where its value "
                "comes from"
            )
        if self.uid and not (isinstance(self, Bytes) and self.length == UID_BYTES):
            raise ValueError(f"{self.name}: uid needs type bytes with a length of {UID_BYTES}")
        if self.counter is not None and not isinstance(self, _Unsigned):
            raise ValueError(f"{self.name}: counter needs one of the types u8 to u64")
        if self.constant is not None:
            self.encode(str(self.constant))

    def encode(self, value: str) -> bytes:
        """The bytes of this value. Raises `ValueError` with a sentence for one that does not fit."""
        raise NotImplementedError


class _Unsigned(_Valued, frozen=True, kw_only=True, forbid_unknown_fields=True):
    SIZE: ClassVar[int]

    endian: Endian = "little"

    @property
    def length(self) -> int:
        return self.SIZE

    def encode(self, value: str) -> bytes:
        if not re.fullmatch(r"[0-9]{1,20}|0[xX][0-9A-Fa-f]{1,16}", value, re.ASCII):
            raise ValueError(f"{value!r} is not a whole number, decimal or 0x...")
        number = int(value, 16 if value[:2] in ("0x", "0X") else 10)
        if number >= 1 << 8 * self.SIZE:
            raise ValueError(f"{value} does not fit into {8 * self.SIZE} bits")
        return number.to_bytes(self.SIZE, self.endian)

    def decode(self, data: bytes) -> str | None:
        return str(int.from_bytes(data, self.endian))


class U8(_Unsigned, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="u8"):
    """One byte."""

    SIZE: ClassVar[int] = 1


class U16(_Unsigned, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="u16"):
    """Two bytes."""

    SIZE: ClassVar[int] = 2


class U32(_Unsigned, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="u32"):
    """Four bytes."""

    SIZE: ClassVar[int] = 4


class U64(_Unsigned, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="u64"):
    """Eight bytes."""

    SIZE: ClassVar[int] = 8


class Text(_Valued, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="text"):
    """Printable ASCII, filled up to its length with one byte; no value ends with that byte."""

    length: Length
    padding: Literal[0x00, 0x20, 0xFF] = 0x00

    def encode(self, value: str) -> bytes:
        data = value.encode("ascii", "replace")
        if not value:
            raise ValueError("it is empty")
        if data.decode() != value or not value.isprintable():
            raise ValueError(f"{value!r} is not all printable ASCII")
        if len(data) > self.length:
            raise ValueError(f"{value!r} has {len(data)} characters, and {self.length} fit")
        if data.endswith(bytes([self.padding])):
            raise ValueError(f"{value!r} ends with a blank, which is what fills this field up")
        return data.ljust(self.length, bytes([self.padding]))

    def decode(self, data: bytes) -> str | None:
        try:
            text = data.rstrip(bytes([self.padding])).decode("ascii")
        except UnicodeDecodeError:
            return None
        return text if text and text.isprintable() else None


class Uuid(_Valued, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="uuid"):
    """16 bytes in the order in which they are written (RFC 9562 section 4)."""

    @property
    def length(self) -> int:
        return 16

    def encode(self, value: str) -> bytes:
        try:
            if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", value, re.ASCII):
                return UUID(value).bytes
        except ValueError:
            pass
        raise ValueError(f"{value!r} is not a UUID like 6ba7b810-9dad-11d1-80b4-00c04fd430c8")

    def decode(self, data: bytes) -> str | None:
        return str(UUID(bytes=data))


class Mac(_Valued, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mac"):
    """6 bytes in the order in which they are written, for one station: no group address (IEEE 802)."""

    @property
    def length(self) -> int:
        return 6

    def encode(self, value: str) -> bytes:
        if not re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", value, re.ASCII):
            raise ValueError(f"{value!r} is not a MAC address like 02:00:5e:10:00:01")
        data = bytes.fromhex(value.replace("-", "").replace(":", ""))
        if data[0] & 1:
            raise ValueError(f"{value} is a group address, which no device can have as its own")
        return data

    def decode(self, data: bytes) -> str | None:
        return None if data[0] & 1 else data.hex(":")


class Date(_Valued, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="date"):
    """A day. `bcd`: four bytes 20 26 11 30 (hex); `text`: eight characters 20261130."""

    form: Literal["bcd", "text"] = "bcd"

    @property
    def length(self) -> int:
        return 4 if self.form == "bcd" else 8

    def encode(self, value: str) -> bytes:
        try:
            digits = f"{date.fromisoformat(value):%Y%m%d}".zfill(8)
            if date.fromisoformat(value).isoformat() != value:
                raise ValueError(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a day like 2026-11-30") from None
        return bytes.fromhex(digits) if self.form == "bcd" else digits.encode()

    def decode(self, data: bytes) -> str | None:
        digits = data.hex() if self.form == "bcd" else data.decode("ascii", "replace")
        if not re.fullmatch("[0-9]{8}", digits, re.ASCII):
            return None
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
        except ValueError:
            return None


class Bytes(_Valued, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bytes"):
    """Bytes as hex digits, exactly as many as its length."""

    length: Length

    def encode(self, value: str) -> bytes:
        if not re.fullmatch("(?:[0-9A-Fa-f]{2})*", value, re.ASCII):
            raise ValueError(f"{value!r} is not pairs of hex digits")
        data = bytes.fromhex(value)
        if len(data) != self.length:
            raise ValueError(f"{value!r} has {len(data)} bytes, and {self.length} are needed")
        return data

    def decode(self, data: bytes) -> str | None:
        return data.hex()


class Over(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bytes that a CRC is made of."""

    offset: Offset
    length: Length

    @property
    def end(self) -> int:
        return self.offset + self.length


class Crc(_Place, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="crc"):
    """A checksum over bytes of other fields. `algorithm` is its name in the RevEng catalogue of CRCs."""

    algorithm: Literal["crc-32", "crc-32-mpeg-2", "crc-16-ibm-3740", "crc-16-xmodem"]
    over: Over
    endian: Endian = "little"

    @property
    def length(self) -> int:
        return 4 if self.algorithm.startswith("crc-32") else 2

    def of(self, data: bytes) -> bytes:
        """The bytes of the checksum over this data."""
        return _ALGORITHMS[self.algorithm](data).to_bytes(self.length, self.endian)

    def decode(self, data: bytes) -> str | None:
        return f"0x{int.from_bytes(data, self.endian):0{2 * self.length}x}"


Valued = U8 | U16 | U32 | U64 | Text | Uuid | Mac | Date | Bytes
Field = Valued | Crc


def _crc32_mpeg2(data: bytes) -> int:
    """CRC-32 with every byte and the result turned round, and not inverted at the end."""
    turned = zlib.crc32(bytes(int(f"{byte:08b}"[::-1], 2) for byte in data))
    return int(f"{turned:032b}"[::-1], 2) ^ 0xFFFF_FFFF


_ALGORITHMS: dict[str, Callable[[bytes], int]] = {
    "crc-32": zlib.crc32,
    "crc-32-mpeg-2": _crc32_mpeg2,
    "crc-16-ibm-3740": lambda data: binascii.crc_hqx(data, 0xFFFF),
    "crc-16-xmodem": lambda data: binascii.crc_hqx(data, 0),
}
