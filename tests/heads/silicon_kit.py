"""The silicon table for tests: its files, its rows, and what a ROM shows of itself."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from updater.heads.dfu.layout import parse_layout
from updater.heads.silicon import Chip, Silicon, parse_silicon, the_table
from updater.words.facts import RomFacts

TEXTS = {
    entry.name: entry.read_text(encoding="utf-8")
    for entry in sorted(files("updater.heads.silicon").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".toml")
}
RAW: dict[str, dict[str, Any]] = {name: tomllib.loads(text) for name, text in TEXTS.items()}
TABLE = the_table()

OLD_KIND, NEW_KIND = "STM32  BOOTLOADER", "DFU in FS Mode"


def row(chip_id: str) -> Chip:
    found = TABLE.by_id(chip_id)
    assert found is not None
    return found


def altered(file: str, old: str, new: str) -> Silicon:
    """The table as it would be loaded with these words changed, once, in one of its files.

    Of the other files only the quirks need the rest, whose chips they name.
    """
    assert old in TEXTS[file], f"{file} has no {old!r}"
    text = TEXTS[file].replace(old, new, 1)
    return parse_silicon(*(TEXTS | {file: text}).values()) if file == "quirks.toml" else parse_silicon(text)


def words(w0: int, w1: int, w2: int) -> bytes:
    """The twelve bytes of a UID given as three 32-bit words, as references print it."""
    return b"".join(word.to_bytes(4, "little") for word in (w0, w1, w2))


def old_rom(flash: str, *, serial: str | None = "325E35633334") -> RomFacts:
    """What a ROM of the older kind (F0 to F7, L0, L4) shows: bcdDevice 2200, blocks of 2048 bytes."""
    return RomFacts(
        serial=serial,
        product_string=OLD_KIND,
        bcd_device=0x2200,
        transfer_size=2048,
        regions=(parse_layout(flash, 0),),
    )


def new_rom(flash: str, *, serial: str | None = "20653172574B", bcd_device: int = 0x0200) -> RomFacts:
    """What a ROM of the newer kind (G, H, U, L5, WB, C) shows: bcdDevice 0200, blocks of 1024 bytes."""
    return RomFacts(
        serial=serial,
        product_string=NEW_KIND,
        bcd_device=bcd_device,
        transfer_size=1024,
        regions=(parse_layout(flash, 0),),
    )
