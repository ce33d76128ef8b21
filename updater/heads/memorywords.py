"""Memory in words: a hex view that fits a screen, option bytes with what they mean, and files. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from updater.heads.dfufile import DfuFile
from updater.heads.memory import Difference, Kind, Memory
from updater.heads.silicon import Option
from updater.words.facts import Segment

_ROW_BYTES = 16
MOST_ROWS = 64
"""So many lines of a hex view are shown; a file takes all."""
_ANY = 0xFFFF


def hex_view(parts: Iterable[Segment]) -> list[str]:
    """Address, 16 bytes and their ASCII in a line; lines that repeat the one before are one asterisk."""
    rows = [row for part in parts for row in _rows(part)]
    if len(rows) <= MOST_ROWS:
        return rows
    return [*rows[:MOST_ROWS], f"... and {len(rows) - MOST_ROWS:,} lines more; --output FILE takes all of it"]


def _rows(part: Segment) -> Iterator[str]:
    """The last line always stands there, so that the end is seen."""
    before, folded = b"", False
    for at in range(0, len(part.data), _ROW_BYTES):
        row = part.data[at : at + _ROW_BYTES]
        if row == before and at + _ROW_BYTES < len(part.data):
            if not folded:
                yield "*"
            folded = True
            continue
        before, folded = row, False
        ascii = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"0x{part.address + at:08X}  {row.hex(' ').upper():<47}  {ascii}"


def option_rows(options: Sequence[Option]) -> list[str]:
    """One line for each option, and what the lines rest on."""
    wide = max((len(one.name) for one in options), default=0)
    rows = [
        f"{one.name:<{wide}}  0x{one.value:0{(one.bits + 3) // 4}X}  "
        f"{one.meaning or 'a value of which this updater does not know the meaning'}"
        for one in options
    ]
    for standing in sorted({one.standing for one in options}):
        sources = dict.fromkeys(one.source for one in options if one.standing == standing)
        rows.append(f"{standing}: {'; '.join(sources)}")
    return rows


_REGION = {
    Kind.FLASH: "flash",
    Kind.OTP: "OTP memory",
    Kind.OPTIONS: "option bytes",
    Kind.ID: "bootloader's ID",
}


def title_of(memory: Memory, product_title: str, chip_title: str) -> str:
    """Which bytes these are."""
    what = f"{_many(memory.size, 'byte')} of the {_REGION[memory.kind]}"
    return f"{product_title}: {what} of its {chip_title}"


def memory_words(memory: Memory, chip_title: str) -> list[str]:
    """What was read, for a person."""
    lines = hex_view(memory.parts)
    if memory.kind is Kind.OPTIONS:
        lines += option_rows(memory.options) or [
            f"What these bytes of a {chip_title} mean is not in the silicon table: here are the bytes alone."
        ]
    if memory.kind is Kind.ID:
        number = int.from_bytes(memory.parts[0].data, "little")
        lines.append(f"This bootloader's ID is 0x{number:02X}.")
    return lines


def difference_words(difference: Difference) -> str:
    """As the message of an error."""
    many = f"{difference.bytes:,} bytes differ" if difference.bytes != 1 else "one byte differs"
    return (
        f"{many} from the file: at 0x{difference.address:08X} the device holds 0x{difference.device:02X}, "
        f"the file says 0x{difference.file:02X}"
    )


def dfu_words(file: DfuFile) -> list[str]:
    """What is in a DFU file, from outside to inside."""
    device = "any device" if file.vendor_id == _ANY else f"{file.vendor_id:04x}:{file.product_id:04x}"
    release = "" if file.bcd_device in (0, _ANY) else f", release {file.bcd_device:04x}"
    lines = [
        f"for          {device}{release}",
        f"CRC          0x{file.crc:08X}, which is right",
    ]
    if file.targets is None:
        return [
            f"A plain DFU file (bcdDFU 0x{file.bcd_dfu:04X}): {file.body_bytes:,} bytes without addresses.",
            *lines,
        ]
    lines.insert(0, f"A DfuSe file (bcdDFU 0x{file.bcd_dfu:04X}) with {_many(len(file.targets), 'target')}.")
    for target in file.targets:
        name = (
            "no name" if target.name is None else "".join(c if c.isprintable() else "?" for c in target.name)
        )
        which = "the flash" if target.alternate == 0 else "not the flash"
        lines.append(f"target       alternate setting {target.alternate} ({which}): {name}")
        lines += [f"  element    {_element(one)}" for one in target.elements]
    return lines


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _element(part: Segment) -> str:
    until = f" to 0x{part.end - 1:08X}" if part.data else ""
    return f"{_many(len(part.data), 'byte')} at 0x{part.address:08X}{until}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"
