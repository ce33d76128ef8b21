"""`release.toml`: what goes into a release, and the firmware files it is made from.

Every input becomes plain segments (address and bytes). Only this side reads .hex, .elf and DfuSe files;
what customers run writes raw segments and parses none of these.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from intelhex import IntelHex, IntelHexError
from semver import Version

from updater.errors import Usage
from updater.facts import HEADER_BYTES, Channel, ProductHeader, Segment, parse_version
from updater.manifest import ImageFor

from .files import read_file

_DFUSE_PREFIX = struct.Struct("<5sBIB")
_DFUSE_TARGET = struct.Struct("<6sBI255s2I")
_DFUSE_ELEMENT = struct.Struct("<2I")
_DFUSE_SUFFIX = struct.Struct("<4H3sBI")
_DFUSE_VERSION = 0x011A


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A firmware file, relative to the recipe. Only a .bin needs (and takes) an address."""

    file: str
    address: int | None = None


class RecipeImage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}
):
    """One program, the silicon it is for, and the files whose bytes make it up."""

    name: str
    for_: ImageFor
    inputs: tuple[Input, ...]


class Recipe(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"images": "image"}
):
    """A release. `roots` are the root metadata files from the first to the newest, relative to the recipe.

    `header_address` is where every image carries the product header (`docs/integration.md`).
    """

    product: str
    hardware: tuple[str, ...]
    version: Version
    security_counter: int
    channels: tuple[Channel, ...]
    created: date
    min_tool: Version
    notes: str
    images: tuple[RecipeImage, ...]
    roots: tuple[str, ...] = ()
    header_address: int | None = None
    from_min_version: Version | None = None
    accept_no_recovery: bool = False


def parse_recipe(text: bytes) -> Recipe:
    """Read a recipe. Raises Usage, naming the key that is wrong."""
    try:
        return msgspec.toml.decode(text, type=Recipe, dec_hook=_decode)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Usage(f"the recipe breaks a rule: {error}", advice="Correct the recipe.") from error


def image_segments(recipe: Recipe, image: RecipeImage, folder: Path) -> tuple[Segment, ...]:
    """The image's bytes, sorted and joined. Raises Usage: overlap, unreadable file, wrong header."""
    parts = [part for entry in image.inputs for part in read_segments(entry, folder)]
    segments = merge(parts)
    if not segments:
        raise Usage(f"image {image.name} contains no bytes", advice="Check its inputs.")
    _check_header(recipe, image, segments)
    return segments


def read_segments(entry: Input, folder: Path) -> list[Segment]:
    """The segments of one firmware file. Raises Usage."""
    data = read_file(folder / entry.file)
    suffix = Path(entry.file).suffix.lower()
    if (suffix == ".bin") != (entry.address is not None):
        what = "needs an address" if suffix == ".bin" else "carries its own addresses"
        raise Usage(f"{entry.file}: a {suffix} file {what}", advice="Correct the recipe.")
    if suffix == ".bin":
        return [Segment(address=entry.address or 0, data=data)]
    readers = {".hex": _hex_segments, ".elf": _elf_segments, ".dfu": dfuse_segments}
    if suffix not in readers:
        raise Usage(f"{entry.file}: only .bin, .hex, .elf and .dfu are read", advice="Convert the file.")
    try:
        return readers[suffix](data)
    except (IntelHexError, ELFError, ValueError, struct.error) as error:
        raise Usage(f"{entry.file} cannot be read: {error}", advice="Build the firmware again.") from error


def merge(parts: Sequence[Segment]) -> tuple[Segment, ...]:
    """Sorted by address, neighbours joined. Raises Usage when two parts claim the same address."""
    merged: list[Segment] = []
    for part in sorted((part for part in parts if part.data), key=lambda part: part.address):
        last = merged[-1] if merged else None
        if last is not None and part.address < last.end:
            raise Usage(
                f"two inputs both fill the bytes from 0x{part.address:08X}",
                advice="Take one of them out, or move it.",
            )
        if last is not None and part.address == last.end:
            merged[-1] = Segment(address=last.address, data=last.data + part.data)
        else:
            merged.append(part)
    return tuple(merged)


def dfuse_segments(data: bytes) -> list[Segment]:
    """The elements of a DfuSe file (UM0391), from its only target.

    The suffix's CRC is over everything before it, inverted as in DFU 1.1 appendix B. Raises ValueError, or
    struct.error for a file that ends too early.
    """
    body, suffix = data[: -_DFUSE_SUFFIX.size], data[-_DFUSE_SUFFIX.size :]
    *_, version, mark, length, crc = _DFUSE_SUFFIX.unpack(suffix)
    if mark != b"UFD" or length != _DFUSE_SUFFIX.size or version != _DFUSE_VERSION:
        raise ValueError("it has no DfuSe suffix")
    if crc != zlib.crc32(data[:-4]) ^ 0xFFFF_FFFF:
        raise ValueError("its CRC is wrong: the file is damaged")
    mark, version, size, targets = _DFUSE_PREFIX.unpack_from(body)
    if mark != b"DfuSe" or version != 1 or size != len(body):
        raise ValueError("it has no DfuSe prefix, or says a wrong size")
    if targets != 1:
        raise ValueError(f"it has {targets} targets; only one, the internal flash, can be written")
    at = _DFUSE_PREFIX.size
    mark, alternate, _, _, size, elements = _DFUSE_TARGET.unpack_from(body, at)
    at += _DFUSE_TARGET.size
    if mark != b"Target" or alternate != 0 or at + size != len(body):
        raise ValueError("its target is not alternate setting 0, or says a wrong size")
    segments = []
    for _ in range(elements):
        address, size = _DFUSE_ELEMENT.unpack_from(body, at)
        at += _DFUSE_ELEMENT.size + size
        if at > len(body):
            raise ValueError("an element is longer than the file")
        segments.append(Segment(address=address, data=body[at - size : at]))
    if at != len(body):
        raise ValueError("bytes follow the last element")
    return segments


def _hex_segments(data: bytes) -> list[Segment]:
    content = IntelHex()
    content.loadhex(io.StringIO(data.decode("ascii")))
    return [
        Segment(address=start, data=bytes(content.tobinarray(start=start, end=end - 1)))
        for start, end in content.segments()
    ]


def _elf_segments(data: bytes) -> list[Segment]:
    """LOAD segments by physical address: where the bytes lie in flash, not where they run."""
    return [
        Segment(address=part["p_paddr"], data=part.data())
        for part in ELFFile(io.BytesIO(data)).iter_segments("PT_LOAD")
        if part["p_filesz"]
    ]


def _check_header(recipe: Recipe, image: RecipeImage, segments: Sequence[Segment]) -> None:
    """The bytes themselves must say what the recipe says, or the wrong file was packed."""
    at = recipe.header_address
    if at is None:
        return
    home = next((part for part in segments if part.address <= at < part.end), None)
    header = home and ProductHeader.parse(home.data[at - home.address :][:HEADER_BYTES])
    if not header:
        raise Usage(f"image {image.name} has no product header at 0x{at:08X}", advice="Build it with one.")
    for what, said, expected in (
        ("product", header.product, (recipe.product,)),
        ("hardware", header.hardware, recipe.hardware),
        ("version", str(header.version), (str(recipe.version),)),
        ("security counter", header.security_counter, (recipe.security_counter,)),
    ):
        if said not in expected:
            raise Usage(
                f"image {image.name} says {what} {said}, the recipe says {', '.join(map(str, expected))}",
                advice="Pack the right file, or correct the recipe.",
            )


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Version and isinstance(value, str):
        return parse_version(value)
    raise ValueError(f"expected a version, got {type(value).__name__}")
