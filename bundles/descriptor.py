"""A release against vendor.toml: what the plan would refuse in the field is refused at the desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from updater.errors import Refused, Usage
from updater.facts import Sector, Segment
from updater.silicon import the_table
from updater.vendor import Keep, Product, RecoveryKind, Vendor

from .recipe import Recipe, RecipeImage


def check_descriptor(recipe: Recipe, image: RecipeImage, segments: Sequence[Segment], vendor: Vendor) -> None:
    """Raises Usage where recipe and vendor.toml disagree, Refused for what no device should be given."""
    product = vendor.product(recipe.product)
    if product is None:
        raise Usage(f"vendor.toml has no product {recipe.product!r}", advice="Add it, or correct the recipe.")
    if unknown := set(recipe.hardware) - set(product.hardware):
        raise Usage(f"vendor.toml has no hardware {min(unknown)!r}", advice="Add it, or correct the recipe.")
    if product.header is not None and recipe.header_address != product.header.address:
        raise Usage(
            f"vendor.toml says the product header is at 0x{product.header.address:08X}, the recipe does not",
            advice="Set header_address in the recipe.",
        )
    if product.recovery.kind is RecoveryKind.NONE and not recipe.accept_no_recovery:
        raise Refused(
            f"{recipe.product} has no way to recover from an update that was cut off",
            advice="Describe one under `recovery` in vendor.toml.",
        )
    _refuse_foreign_chips(image, product)
    _refuse_kept(image, segments, product)


def _refuse_foreign_chips(image: RecipeImage, product: Product) -> None:
    """An image for a chip that the product is not made with would never find a device."""
    table = the_table()
    made_with = {chip.dev_id.value for name in product.chips if (chip := table.by_id(name)) is not None}
    if foreign := set(image.for_.dev_ids) - made_with:
        raise Usage(
            f"image {image.name} is for DEV_ID 0x{min(foreign):03X}, but {product.id} is made with "
            f"{', '.join(product.chips)}",
            advice="Correct dev_ids in the recipe, or chips in vendor.toml.",
        )


def _refuse_kept(image: RecipeImage, segments: Sequence[Segment], product: Product) -> None:
    """Flash is erased by sector: what lies in the same sector as an image goes with it."""
    for keep in product.keep:
        for sector in _places(image, keep):
            for part in segments:
                if part.address < sector.end and sector.address < part.end:
                    raise Refused(
                        f"image {image.name} needs the sector at 0x{sector.address:08X} erased, where "
                        f"vendor.toml keeps the data at 0x{keep.address:08X}",
                        advice="Move the firmware or the data.",
                    )


def _places(image: RecipeImage, keep: Keep) -> Iterator[Sector]:
    """The sectors that a keep region touches; the region itself where the silicon is not in the table."""
    table = the_table()
    for dev_id in image.for_.dev_ids:
        chip = table.by_dev_id(dev_id)
        if chip is None:
            yield Sector(address=keep.address, size=keep.length)
            continue
        for sector in chip.flash.sectors:
            if sector.address < keep.end and keep.address < sector.end:
                yield sector
