"""Firmware files: what a compiler made becomes plain segments (address and bytes).

Only this side reads .hex, .elf and DfuSe files; what customers run writes raw segments and parses none
of these. A damaged file is refused here, in words, and never half read.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from intelhex import IntelHex, IntelHexError

from updater.heads.dfufile import parse_dfuse
from updater.words.errors import Usage
from updater.words.facts import Segment

from .files import read_file

_HEX_TYPE = slice(7, 9)  # of a record in text: a colon, length, address, type
_HEX_END = "01"


def read_firmware(file: Path, address: int | None = None) -> list[Segment]:
    """The segments of one file, by its suffix. Raises Usage.

    .bin at `address`; Intel HEX, ELF and DfuSe .dfu carry their own addresses and take none.
    """
    suffix = file.suffix.lower()
    if suffix not in (".bin", *_READERS):
        raise Usage(f"{file}: only .bin, .hex, .elf and .dfu are read", advice="Convert the file.")
    if (suffix == ".bin") != (address is not None):
        what = "needs an address" if suffix == ".bin" else "carries its own addresses"
        raise Usage(f"{file}: a {suffix} file {what}", advice="Correct the recipe.")
    data = read_file(file)
    if address is not None:
        return [Segment(address=address, data=data)]
    try:
        return _READERS[suffix](data)
    except (IntelHexError, ELFError, ValueError) as error:
        raise Usage(f"{file} cannot be read: {error}", advice="Build the firmware again.") from error


def merge(parts: Sequence[tuple[str, Segment]]) -> tuple[Segment, ...]:
    """Sorted by address, neighbours joined; each part comes with the file it is from.

    Raises Usage when two of them claim the same address.
    """
    merged: list[Segment] = []
    before = ""
    for file, part in sorted((one for one in parts if one[1].data), key=lambda one: one[1].address):
        last = merged[-1] if merged else None
        if last is not None and part.address < last.end:
            twice = f"{file} fills" if file == before else f"{before} and {file} both fill"
            raise Usage(
                f"{twice} the bytes from 0x{part.address:08X}{' twice' if file == before else ''}",
                advice="Take one of them out, or move it.",
            )
        if last is not None and part.address == last.end:
            merged[-1] = Segment(address=last.address, data=last.data + part.data)
        else:
            merged.append(part)
        before = file
    return tuple(merged)


def _hex_segments(data: bytes) -> list[Segment]:
    """Intel HEX. Start-address records (03, 05) are for debuggers: read over, nothing is flashed for them."""
    text = data.decode("ascii")
    _check_hex_end(text)
    content = IntelHex()
    content.loadhex(io.StringIO(text))
    return [
        Segment(address=start, data=bytes(content.tobinarray(start=start, end=end - 1)))
        for start, end in content.segments()
    ]


def _check_hex_end(text: str) -> None:
    """The library stops at the first end-of-file record and does not miss one: half a file would pass."""
    kinds = [line.strip()[_HEX_TYPE] for line in text.splitlines() if line.strip()]
    if _HEX_END not in kinds:
        raise ValueError("it has no end-of-file record: the file is cut off")
    if kinds.index(_HEX_END) != len(kinds) - 1:
        raise ValueError("records follow its end-of-file record: are these two files in one?")


def _elf_segments(data: bytes) -> list[Segment]:
    """LOAD segments by physical address: where the bytes lie in flash, not where they run."""
    elf = ELFFile(io.BytesIO(data))
    header = elf.header
    if (elf.elfclass, elf.little_endian, header["e_machine"]) != (32, True, "EM_ARM"):
        raise ValueError(f"it is not for a 32-bit little-endian ARM ({header['e_machine']})")
    if header["e_type"] != "ET_EXEC":
        raise ValueError(f"it is not a linked program ({header['e_type']})")
    loads = [part for part in elf.iter_segments("PT_LOAD") if part["p_filesz"]]
    return [Segment(address=part["p_paddr"], data=_elf_bytes(part, header["e_ehsize"])) for part in loads]


def _elf_bytes(part: Any, header_bytes: int) -> bytes:
    """What the file holds of one LOAD segment; zeros that only RAM gets are not in it."""
    if part["p_offset"] < header_bytes:  # ld does this where pages are larger than the gap before the code
        raise ValueError("a LOAD segment takes in the ELF header itself: link with -z max-page-size=4")
    data: bytes = part.data()
    if len(data) != part["p_filesz"]:
        raise ValueError("a LOAD segment is longer than the file: it is cut off")
    return data


_READERS = {".hex": _hex_segments, ".elf": _elf_segments, ".dfu": parse_dfuse}
