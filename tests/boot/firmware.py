"""The demo firmware: where it is, how to build it, how to look into an image."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from intelhex import IntelHex

from tests.tools import need, unavailable

SOURCES = Path(__file__).parents[2] / "bundles" / "demo" / "firmware"
IMAGES = SOURCES / "images"
NAMES = ("demo-gadget-1.0.0", "demo-gadget-1.1.0", "demo-widget-1.0.0", "demo-widget-1.1.0")


def committed(name: str) -> Path:
    """The image of this name in the repository."""
    return IMAGES / f"{name}.hex"


def need_the_compiler() -> None:
    """Another compiler makes other bytes, which says nothing about the sources."""
    need("make", "arm-none-eabi-gcc", "arm-none-eabi-objcopy")
    expected = (IMAGES / "compiler.txt").read_text("ascii").strip()
    answer = subprocess.run(["arm-none-eabi-gcc", "--version"], check=True, capture_output=True, text=True)
    found = answer.stdout.splitlines()[0]
    if found != expected:
        unavailable(f"the committed images were built with {expected}; here is {found}")


def build(out: Path, sources: Path = SOURCES, cflags: str = "") -> None:
    """Build all four images into a folder."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "-C", str(sources), f"OUT={out}", f"EXTRA_CFLAGS={cflags}"]
    subprocess.run(command, check=True, capture_output=True, env=settings)


def flash_image(hex_file: Path, raw_file: Path) -> Path:
    """Turn an Intel HEX file into what the flash holds from 0x08000000, unwritten bytes erased (0xFF)."""
    image = IntelHex(str(hex_file))
    image.padding = 0xFF
    raw_file.write_bytes(bytes(image.tobinarray(start=0x08000000)))
    return raw_file


def content(image: IntelHex, address: int, length: int) -> bytes:
    """Bytes of an image; an address that the image leaves out is an error."""
    return bytes(image.gets(address, length))
