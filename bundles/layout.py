"""A release's OTP layout: what cannot be burnt on every chip of the release is refused at the desk."""

from __future__ import annotations

from pathlib import Path

from updater.heads.container import LAYOUT_LIMIT_BYTES
from updater.heads.otp.fields import Crc, Field
from updater.heads.otp.layout import parse_layout
from updater.heads.otp.lock import check_layout
from updater.heads.otp.words import count_bytes
from updater.heads.vendor import Product
from updater.words.errors import Refused, Usage, WrongDevice

from .choice import chips_met
from .files import read_file
from .recipe import Recipe


def read_layout(recipe: Recipe, folder: Path, product: Product | None) -> bytes | None:
    """The text of the layout that the recipe names, checked; None where it names none. Raises Usage.

    It must fit every chip that the images are for, and with a `product` every one that it is made with:
    memory that can be burnt, fields inside it, lock blocks that it has.
    """
    if recipe.otp is None:
        return None
    data = read_file(folder / recipe.otp)
    if len(data) > LAYOUT_LIMIT_BYTES:
        raise Usage(
            f"{recipe.otp} is larger than {LAYOUT_LIMIT_BYTES:,} bytes", advice="Name the right file."
        )
    layout = parse_layout(data)
    if layout.product != recipe.product:
        raise Usage(
            f"{recipe.otp} is a layout for {layout.product}, but the recipe is for {recipe.product}",
            advice="Correct `product` in the layout, or `otp` in the recipe.",
        )
    for chip in chips_met(recipe, product):
        try:
            check_layout(layout, chip)
        except (Refused, WrongDevice) as error:
            raise Usage(
                f"{recipe.otp} cannot be burnt into a {chip.title}: {error.message}",
                advice="Correct the layout, or leave `otp` out of the recipe; docs/otp.md has the rules.",
            ) from error
    return data


def layout_words(text: bytes) -> list[str]:
    """What a layout burns, a line for each field, for the one who signs it; never a reason to sign."""
    try:
        layout = parse_layout(text)
    except Usage as error:
        return [f"  CANNOT BE READ: {error.message}"]
    words = [
        f"  0x{field.offset:04X} {count_bytes(field.length)}: {field.name}, {_source(field)}"
        for field in layout.fields
    ]
    locks = ", ".join(map(str, layout.lock)) or "none"
    return [*words, f"  blocks that may be locked: {locks}"]


def _source(field: Field) -> str:
    """The type of a field, and where its value comes from."""
    kind = str(field.__struct_config__.tag)
    if isinstance(field, Crc):
        return f"{field.algorithm} over 0x{field.over.offset:04X} to 0x{field.over.end - 1:04X}"
    if field.constant is not None:
        return f"{kind}, always {field.constant}"
    if field.counter is not None:
        return f"{kind}, counted from {field.counter}"
    if field.csv is not None:
        return f"{kind} from column {field.csv}"
    return f"{kind}, the chip's unique ID" if field.uid else f"{kind}, asked"
