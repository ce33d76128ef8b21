"""Intel HEX files, read and written. Pure.

The format is Intel's (revision A, 1988): a line is a colon, then in hex digits a count, a 16-bit address, a
record type, the bytes, and a sum that makes all of them 0 modulo 256. Types: 00 data, 01 the end, 02 and 04
the upper part of the addresses, 03 and 05 where a program starts, which says nothing of memory.

Not `intelhex`, which the release side uses: it keeps a dictionary entry for every byte, and takes 2.4 s and
some 390 MiB for the 2 MiB that a large chip has (measured with 2.3.0; this module: docs/decisions/0017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from updater.words.facts import Segment

_LINE_BYTES = 16
_WINDOW = 0x1_0000
_DATA, _END, _BASE, _START, _UPPER, _START_LINEAR = range(6)
_LONGEST = 0xFF


def format_hex(segments: Iterable[Segment]) -> str:
    """The file's text, ASCII. Addresses up to 32 bits (type 04)."""
    lines = []
    upper = 0
    for part in segments:
        at = part.address
        while at < part.end:
            if at // _WINDOW != upper:
                upper = at // _WINDOW
                lines.append(_record(0, _UPPER, upper.to_bytes(2, "big")))
            until = min(at + _LINE_BYTES, part.end, (upper + 1) * _WINDOW)
            lines.append(_record(at % _WINDOW, _DATA, part.data[at - part.address : until - part.address]))
            at = until
    return "\n".join([*lines, _record(0, _END, b""), ""])


def _record(address: int, kind: int, data: bytes) -> str:
    body = bytes([len(data), address >> 8, address & 0xFF, kind]) + data
    return f":{body.hex().upper()}{-sum(body) & 0xFF:02X}"


def parse_hex(data: bytes) -> list[Segment]:
    """The bytes of a file by address, sorted, neighbours joined.

    Raises ValueError, in words, for anything damaged, for a file without its last line, and where two lines
    say what stands in the same place.
    """
    joined: list[tuple[int, bytearray]] = []
    for address, piece in sorted(_pieces(data)):
        end = joined[-1][0] + len(joined[-1][1]) if joined else -1
        if address < end:
            raise ValueError(f"two of its lines are about address 0x{address:08X}")
        if address == end:
            joined[-1][1].extend(piece)
        else:
            joined.append((address, bytearray(piece)))
    return [Segment(address=address, data=bytes(piece)) for address, piece in joined]


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(address, bytes) of every data line."""
    upper = 0
    ended = False
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        if ended:
            raise ValueError("lines follow its last one: are these two files in one?")
        kind, address, content = _fields(line.strip(), number)
        if kind == _DATA:
            if address + len(content) > _WINDOW:
                raise ValueError(f"line {number} goes beyond its 64 KiB")
            if content:
                yield upper + address, content
        elif kind in (_BASE, _UPPER):
            upper = int.from_bytes(content, "big") * (_WINDOW if kind == _UPPER else 16)
        ended = kind == _END
    if not ended:
        raise ValueError("it has no last line (type 01): the file is cut off")


_CONTENT_BYTES = {_END: 0, _BASE: 2, _START: 4, _UPPER: 2, _START_LINEAR: 4}


def _fields(line: bytes, number: int) -> tuple[int, int, bytes]:
    """Type, address and content of one line, whose sum is right."""
    try:
        body = bytes.fromhex(line[1:].decode("ascii")) if line[:1] == b":" and b" " not in line else b""
    except ValueError:
        body = b""
    if not 5 <= len(body) <= _LONGEST + 5 or body[0] != len(body) - 5:
        raise ValueError(f"line {number} is not one of Intel HEX")
    if sum(body) & 0xFF:
        raise ValueError(f"the sum in line {number} is wrong: the file is damaged")
    kind, content = body[3], body[4:-1]
    if kind not in (_DATA, *_CONTENT_BYTES) or len(content) != _CONTENT_BYTES.get(kind, len(content)):
        raise ValueError(f"line {number} is of a type {kind:02X} that there is not")
    return kind, body[1] << 8 | body[2], content
