"""Draws the updater's icon: `python -m exe.icon` writes exe/updater.ico and updater/icon.png anew.

An arrow that points up, on a round-cornered square. Drawn by numbers so that it needs no drawing program,
no licence, and comes out the same everywhere; a vendor puts an icon of its own in the vendor folder.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ICO, PNG = HERE / "updater.ico", HERE.parent / "updater" / "icon.png"
SIZES = (16, 24, 32, 48, 64, 128, 256)
SAMPLES = 4  # a pixel's edge is divided by so many, against stairs
BLUE, WHITE = (30, 96, 168), (255, 255, 255)


def _inside_square(x: float, y: float, corner: float = 0.2, edge: float = 0.03) -> bool:
    dx = max(edge + corner - x, x - (1 - edge - corner), 0.0)
    dy = max(edge + corner - y, y - (1 - edge - corner), 0.0)
    return dx * dx + dy * dy <= corner * corner


def _inside_arrow(x: float, y: float) -> bool:
    head = 0.16 <= y <= 0.52 and abs(x - 0.5) <= (y - 0.16) * 0.85
    shaft = 0.5 <= y <= 0.68 and abs(x - 0.5) <= 0.115
    base = 0.75 <= y <= 0.84 and abs(x - 0.5) <= 0.28
    return head or shaft or base


def pixels(size: int) -> bytes:
    """Rows of RGBA, each with PNG's filter byte 0 in front."""
    rows = bytearray()
    steps = [(n + 0.5) / SAMPLES for n in range(SAMPLES)]
    for row in range(size):
        rows.append(0)
        for column in range(size):
            points = [((column + dx) / size, (row + dy) / size) for dx in steps for dy in steps]
            covered = sum(_inside_square(x, y) for x, y in points)
            white = sum(_inside_arrow(x, y) for x, y in points)
            share = white / covered if covered else 0.0
            rows += bytes(round(b + (w - b) * share) for b, w in zip(BLUE, WHITE, strict=True))
            rows.append(round(255 * covered / len(points)))
    return bytes(rows)


def png(size: int) -> bytes:
    """The icon as a PNG file (RFC 2083) of this many pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels(size), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def ico(images: dict[int, bytes]) -> bytes:
    """A Windows icon file with these PNG images, by size."""
    out = struct.pack("<HHH", 0, 1, len(images))
    offset = len(out) + 16 * len(images)
    for size, data in images.items():
        out += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(data), offset)
        offset += len(data)
    return out + b"".join(images.values())


if __name__ == "__main__":
    ICO.write_bytes(ico({size: png(size) for size in SIZES}))
    PNG.write_bytes(png(64))
