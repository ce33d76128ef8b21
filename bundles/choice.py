"""Which image for which silicon: of every chip, each revision and ROM is met by exactly one image.

A gap shows in the field only, on the one customer's board that has that silicon; so it is refused at the
desk, unless the recipe says of it that it is meant (`not_for`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as combinations
from typing import NamedTuple

from updater.heads.manifest import ImageFor
from updater.heads.silicon import Chip
from updater.heads.vendor import Product
from updater.words.errors import Usage

from .descriptor import chips_made_with
from .placement import chips_of
from .recipe import Recipe


class Met(NamedTuple):
    """Silicon that an updater can meet: None where the table knows no revision or ROM of the chip."""

    dev_id: int
    revision: str | None
    rom_version: int | None


def check_choice(recipe: Recipe, product: Product | None = None) -> None:
    """Raises Usage for overlaps and gaps, and for a letter or ROM that no chip has.

    The chips are those that the images name, and with a `product` all that it is made with.
    """
    for image in recipe.images:
        _refuse_unknown(f"image {image.name}", image.for_, chips_of(f"image {image.name}", image.for_))
    for gap in recipe.not_for:
        _refuse_unknown("not_for", gap, chips_of("not_for", gap))
    for chip in chips_met(recipe, product):
        _check_chip(recipe, chip)


def warnings(recipe: Recipe) -> list[str]:
    """What the choice costs in the field, in words: who cannot be told apart gets nothing."""
    sentences = []
    for chip in chips_met(recipe, None):
        chosen = [image.for_ for image in recipe.images if chip.dev_id.value in image.for_.dev_ids]
        if any(one.revisions for one in chosen):
            sentences.append(_revision_warning(chip))
        if any(one.rom_versions for one in chosen):
            sentences.append(
                f"{chip.title}: the image depends on the ROM version. A device whose bootloader ID cannot be "
                "read, because it is read-protected for example, will be refused."
            )
    return sentences


def _revision_warning(chip: Chip) -> str:
    sentence = (
        f"{chip.title}: the image depends on the revision. "
        "A device whose revision cannot be read, or is newer than this release, will be refused."
    )
    if chip.serial.value == "idcode":
        return f"{sentence} This chip's bootloader shows it over USB."
    return (
        f"{sentence} This chip's bootloader does not show it over USB, only a running application can: a "
        "device that is found in its bootloader, after a cut-off update for example, will be refused."
    )


def chips_met(recipe: Recipe, product: Product | None) -> Sequence[Chip]:
    """The chips that the images name, and with a `product` all that it is made with. Raises Usage."""
    named = [chip for image in recipe.images for chip in chips_of(f"image {image.name}", image.for_)]
    made_with = chips_made_with(product) if product is not None else ()
    rows = {chip.dev_id.value: chip for chip in (*named, *made_with)}
    return [rows[dev_id] for dev_id in sorted(rows)]


def _refuse_unknown(who: str, chosen: ImageFor, chips: Sequence[Chip]) -> None:
    """A typo would match nothing, ever."""
    letters = dict.fromkeys(one.letter for chip in chips for one in chip.revisions)
    roms = dict.fromkeys(rom.id for chip in chips for rom in chip.roms)
    titles = " and ".join(chip.title for chip in chips)
    for kind, strangers, known in (
        ("revision", [one for one in chosen.revisions if one not in letters], ", ".join(letters)),
        (
            "ROM version",
            [_hex(one) for one in chosen.rom_versions if one not in roms],
            ", ".join(map(_hex, roms)),
        ),
    ):
        if strangers:
            raise Usage(
                f"{who}: {titles} has no {kind} {strangers[0]}; known are {known or 'none'}",
                advice="Correct the recipe.",
            )


def _check_chip(recipe: Recipe, chip: Chip) -> None:
    every = [Met(chip.dev_id.value, *one) for one in combinations(letters_of(chip), roms_of(chip))]
    found: dict[tuple[tuple[str, ...], bool], list[Met]] = {}
    for one in every:
        images = tuple(image.name for image in recipe.images if image.for_.fits(**one._asdict()))
        left_out = any(gap.fits(**one._asdict()) for gap in recipe.not_for)
        found.setdefault((images, left_out), []).append(one)
    for (images, left_out), some in found.items():
        where = f"{chip.title}{_words(some, every)}"
        if len(images) > 1:
            raise Usage(
                f"images {' and '.join(images)} are both for {where}",
                advice="Correct `for` in the recipe: exactly one image must fit.",
            )
        if images and left_out:
            raise Usage(
                f"not_for leaves out {where}, but image {images[0]} is for it",
                advice="Correct `for` or `not_for` in the recipe.",
            )
        if not images and not left_out:
            raise Usage(
                f"no image for {where}",
                advice="Add an image, or say under not_for in the recipe why this silicon has none.",
            )


def letters_of(chip: Chip) -> list[str | None]:
    """The revisions that the table knows of a chip; [None] where it knows none."""
    return list(dict.fromkeys(one.letter for one in chip.revisions)) or [None]


def roms_of(chip: Chip) -> list[int | None]:
    """The ROM versions that the table knows of a chip; [None] where it knows none."""
    return list(dict.fromkeys(rom.id for rom in chip.roms)) or [None]


def _words(some: Sequence[Met], every: Sequence[Met]) -> str:
    """Which of a chip's combinations these are, as shortly as it can be said; nothing for all of them."""
    if len(some) == len(every):
        return ""
    roms = {one.rom_version for one in every}
    by_roms: dict[tuple[int, ...], list[str]] = {}
    for letter in dict.fromkeys(one.revision for one in some):
        has = tuple(one.rom_version for one in some if one.revision == letter and one.rom_version is not None)
        by_roms.setdefault(has, []).append(letter or "")
    parts = []
    for has, letters in by_roms.items():
        revision = f" revision {', '.join(letters)}" if len(letters) * len(roms) < len(every) else ""
        with_rom = f" with ROM {', '.join(map(_hex, has))}" if 0 < len(has) < len(roms) else ""
        parts.append(revision + with_rom)
    return ";".join(parts)


def _hex(rom: int) -> str:
    return f"0x{rom:02X}"
