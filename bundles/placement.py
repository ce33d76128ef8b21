"""Where an image lies: inside the flash of every chip it is for, with a vector table that can be one.

What the plan would refuse in the field is refused at the desk, by the same silicon table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from updater.heads.manifest import ADDRESS_ALIGNMENT, ImageFor
from updater.heads.silicon import Chip, the_table
from updater.heads.vectors import wrong_with_vectors
from updater.heads.vendor import Product
from updater.words.errors import Usage
from updater.words.facts import Sector, Segment

ERASED = b"\xff"


def chips_of(who: str, chosen: ImageFor) -> tuple[Chip, ...]:
    """The table's rows for an image (or whatever `who` is). Raises Usage for a DEV_ID that has none."""
    rows = []
    for dev_id in chosen.dev_ids:
        row = the_table().by_dev_id(dev_id)
        if row is None:
            raise Usage(
                f"{who}: the silicon table does not know DEV_ID 0x{dev_id:03X}",
                advice="Correct dev_ids in the recipe.",
            )
        rows.append(row)
    return tuple(rows)


def part_sectors(chip: Chip, product: Product | None) -> tuple[Sector, ...]:
    """The sectors of the part that vendor.toml states, or of the chip's largest part.

    Raises Usage for flash of which the table does not know how it is divided: no updater writes to it.
    """
    if chip.geometry is None:
        raise Usage(
            f"no public source says how the flash of an {chip.title} is divided, and no updater writes to it",
            advice="This chip is not supported yet: take it out of the recipe.",
        )
    if product is None:
        return chip.flash.sectors
    sectors = chip.sectors(kib=product.flash_kib, bank_mode=product.bank_mode)
    if not sectors:
        raise Usage(
            f"vendor.toml says that {product.id} has {product.flash_kib or 'all'} KiB of flash in "
            f"{product.bank_mode or 'single'} bank mode, of which the silicon table knows no {chip.title}",
            advice="Correct flash_kib or bank_mode in vendor.toml.",
        )
    return sectors


def place(
    image: str, chosen: ImageFor, segments: Sequence[Segment], product: Product | None = None
) -> tuple[Segment, ...]:
    """The image's segments, as they may stand in a release. Raises Usage.

    With a `product`, its part's flash is what counts, not that of the chip's largest part.

    Two parts with a gap inside one program unit become one part: flash is programmed a unit at a time, and
    the gap would be written with the value of erased flash anyway.
    """
    chips = chips_of(f"image {image}", chosen)
    for chip in chips:
        _refuse_outside(image, segments, chip, part_sectors(chip, product))
    placed = _joined(segments, _same_unit(chips))
    for part in placed:
        if part.address % ADDRESS_ALIGNMENT:
            raise Usage(
                f"image {image} has a part that starts at 0x{part.address:08X}, "
                f"which is not a multiple of {ADDRESS_ALIGNMENT}",
                advice=f"Align that section in the linker script to {ADDRESS_ALIGNMENT} bytes.",
            )
    for chip in chips:
        wrong = wrong_with_vectors(
            _in_whole_units(placed, chip.program_unit_bytes.value),
            flash_start=chip.flash.address,
            granule_bytes=chip.granule_bytes,
        )
        if wrong is not None:
            raise Usage(
                f"image {image} would not start on {chip.title}: {wrong}",
                advice="Check the inputs: an image holds the whole program, from the start of flash.",
            )
    return placed


def as_elements(image: str, chosen: ImageFor, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The same bytes for tools that erase and write one part after the other and know nothing of the chip.

    Every part is filled up to whole program units, and parts in one sector become one: MicroPython's pydfu
    erases the sector again for the second part, and the first would be lost.
    """
    chips = chips_of(f"image {image}", chosen)
    sectors = [sector for chip in chips for sector in chip.flash.sectors]
    return _joined(
        _in_whole_units(_joined(segments, _same_unit(chips)), _unit_bytes(chips)),
        lambda one, other: any(s.address <= one < s.end and s.address <= other < s.end for s in sectors),
    )


def _in_whole_units(segments: Iterable[Segment], unit_bytes: int) -> tuple[Segment, ...]:
    """Every part grown to whole program units with the value of erased flash."""
    return tuple(
        Segment(
            address=part.address - part.address % unit_bytes,
            data=ERASED * (part.address % unit_bytes) + part.data + ERASED * (-part.end % unit_bytes),
        )
        for part in segments
    )


def _unit_bytes(chips: Iterable[Chip]) -> int:
    """Whole units for all of them: program units are powers of two."""
    return max(chip.program_unit_bytes.value for chip in chips)


def _same_unit(chips: Iterable[Chip]) -> Callable[[int, int], bool]:
    unit = _unit_bytes(chips)
    return lambda one, other: one // unit == other // unit


def _joined(segments: Iterable[Segment], together: Callable[[int, int], bool]) -> tuple[Segment, ...]:
    """Neighbours made one where the last byte of the first and the first of the next belong together."""
    joined: list[Segment] = []
    for part in segments:
        last = joined[-1] if joined else None
        if last is not None and together(last.end - 1, part.address):
            data = last.data + ERASED * (part.address - last.end) + part.data
            joined[-1] = Segment(address=last.address, data=data)
        else:
            joined.append(part)
    return tuple(joined)


def _refuse_outside(image: str, segments: Iterable[Segment], chip: Chip, sectors: Sequence[Sector]) -> None:
    start, end = sectors[0].address, sectors[-1].end
    for part in segments:
        first = part.address
        for sector in sectors:  # in order; banks may have a gap between them
            if sector.address <= first < sector.end:
                first = sector.end
        if first >= part.end:
            continue
        advice = "A release writes the flash and nothing else: take these bytes out of the inputs."
        if _is_ram(first):
            advice = "Give them a load address in flash (AT> in the linker script), or take them out."
        where = "which is between its banks" if start <= first < end else _memory_words(chip, first)
        raise Usage(
            f"image {image} has bytes at 0x{first:08X}, {where}; "
            f"the flash of {chip.title} is from 0x{start:08X} to 0x{end:08X}",
            advice=advice,
        )


def _memory_words(chip: Chip, address: int) -> str:
    if _is_ram(address):
        return "which is in RAM"
    for region in chip.regions[1:]:
        if any(sector.address <= address < sector.end for sector in region.sectors):
            return f"which is in {region.name}"
    return "which is not in flash"


def _is_ram(address: int) -> bool:
    """CCM or SRAM, as far as the address alone says it; for the words only."""
    return address >> 24 == 0x10 or 0x2000_0000 <= address < 0x4000_0000
