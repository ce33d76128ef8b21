"""Where the parts of an image lie: in program units, in sectors, and outside of what is kept."""

from __future__ import annotations

from collections.abc import Iterable

from updater.heads.geometry import RealFlash
from updater.words.errors import Refused, WrongDevice
from updater.words.facts import Sector, Segment

ERASED = 0xFF
"""What a byte of erased flash reads as."""


def padded(part: Segment, unit: int) -> Segment:
    """The segment grown to whole program units with the value of erased flash."""
    before, after = part.address % unit, -part.end % unit
    data = bytes([ERASED]) * before + part.data + bytes([ERASED]) * after
    return Segment(address=part.address - before, data=data)


def check_flash(segments: Iterable[Segment], flash: RealFlash) -> None:
    """Raises `WrongDevice` for a part outside of the flash, in a hole of it, or in another part's unit."""
    end = 0
    for part in segments:
        if part.address < flash.start or part.end > flash.end:
            raise WrongDevice(
                f"the image has a part from 0x{part.address:08X} to 0x{part.end:08X}, "
                f"but this chip's flash is from 0x{flash.start:08X} to 0x{flash.end:08X}"
            )
        covered = sum(
            min(part.end, s.end) - max(part.address, s.address)
            for s in flash.sectors
            if overlaps(s, part.address, part.end)
        )
        if covered != len(part.data):
            raise WrongDevice(f"the image's part at 0x{part.address:08X} lies in a gap between two banks")
        if part.address < end:
            raise WrongDevice(f"the image has two parts in one program unit at 0x{part.address:08X}")
        end = part.end


def check_keep(touched: Iterable[Sector], keep: tuple[tuple[int, int], ...]) -> None:
    """Raises `Refused` where a sector to be erased holds data (address, length) that the product keeps."""
    for sector in touched:
        for address, length in keep:
            if overlaps(sector, address, address + length):
                raise Refused(
                    f"the update would erase the sector at 0x{sector.address:08X}, "
                    "in which this product keeps its own data",
                    advice="Tell the vendor: this bundle contradicts the product's description.",
                )


def overlaps(sector: Sector, start: int, end: int) -> bool:
    """Whether any byte from `start` up to `end` lies in the sector."""
    return sector.address < end and start < sector.end


def split(segments: list[Segment], granule: int) -> tuple[Segment, list[Segment]]:
    """The commit granule, and the rest: body runs start behind it."""
    first, *others = segments
    head = Segment(address=first.address, data=first.data[:granule])
    rest = Segment(address=head.end, data=first.data[granule:])
    return head, [part for part in (rest, *others) if part.data]
