"""What answers like an STM32's ROM bootloader and is none."""

from __future__ import annotations

import re

from updater.heads.silicon.cells import Row, Source, Standing
from updater.words.facts import Shown


class LookalikeFace(Row, frozen=True):
    """What the lab shows when it plays a look-alike."""

    usb: str
    bcd_device: int
    manufacturer: str
    product: str
    serial: str
    alternates: tuple[str, ...]
    transfer_size: int


class Lookalike(Row, frozen=True):
    """Something that answers like an STM32's ROM and is none.

    All that is stated must match: `serial` a pattern for the whole serial, `layout` one that is searched
    for in the first alternate setting's string. `refused` says why the updater does not write to it.
    """

    id: str
    title: str
    usb: str
    refused: str
    standing: Standing
    source: Source
    face: LookalikeFace
    bcd_device: int | None = None
    product_string: str | None = None
    serial: str | None = None
    layout: str | None = None
    leaves_on_zero_download: bool = False

    def is_this(self, usb: str, shown: Shown) -> bool:
        """Whether a device with this "vid:pid" that shows this of itself is this look-alike."""
        return (
            usb == self.usb
            and self.bcd_device in (None, shown.bcd_device)
            and self.product_string in (None, shown.product_string)
            and (self.serial is None or re.fullmatch(self.serial, shown.serial or "") is not None)
            and (self.layout is None or re.search(self.layout, shown.first) is not None)
        )
