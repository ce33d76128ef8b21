"""A release against vendor.toml: what the plan would refuse in the field is refused at the desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from updater.heads.silicon import Chip, the_table
from updater.heads.vendor import Keep, Product, RecoveryKind, Vendor
from updater.words.errors import Refused, Usage
from updater.words.facts import HEADER_BYTES, Sector, Segment

from .placement import chips_of, part_sectors
from .recipe import Recipe, RecipeImage


def described_product(recipe: Recipe, vendor: Vendor) -> Product:
    """The product in vendor.toml that a release is for.

    Raises Usage where recipe and vendor.toml disagree, Refused for what no device should be given.
    """
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
    for image in recipe.images:
        _refuse_foreign_chips(image, product)
    check_otp_record(product)
    return product


def chips_made_with(product: Product) -> tuple[Chip, ...]:
    """The silicon table's rows for the product's chips."""
    rows = (the_table().by_id(name) for name in product.chips)
    return tuple(row for row in rows if row is not None)


def _refuse_foreign_chips(image: RecipeImage, product: Product) -> None:
    """An image for a chip that the product is not made with would never find a device."""
    made_with = {chip.dev_id.value for chip in chips_made_with(product)}
    if foreign := set(image.for_.dev_ids) - made_with:
        raise Usage(
            f"image {image.name} is for DEV_ID 0x{min(foreign):03X}, but {product.id} is made with "
            f"{', '.join(product.chips)}",
            advice="Correct dev_ids in the recipe, or chips in vendor.toml.",
        )


def check_otp_record(product: Product) -> None:
    """A record that lies in no chip's OTP memory would never be read. Raises Usage."""
    record = product.otp_record
    for chip in chips_made_with(product) if record else ():
        assert record is not None
        if chip.otp is None or not chip.otp.at <= record.address <= chip.otp.end - HEADER_BYTES:
            raise Usage(
                f"vendor.toml has an OTP record of {product.id} at 0x{record.address:08X}, but no known "
                f"one-time-programmable memory of a {chip.title} holds {HEADER_BYTES} bytes there",
                advice="Correct otp_record in vendor.toml; docs/integration.md says where it may lie.",
            )


def refuse_kept(image: RecipeImage, segments: Sequence[Segment], product: Product) -> None:
    """Flash is erased by sector: what lies in the same sector as an image goes with it. Raises Refused."""
    for keep in product.keep:
        for sector in _sectors_of(image, keep, product):
            for part in segments:
                if part.address < sector.end and sector.address < part.end:
                    raise Refused(
                        f"image {image.name} needs the sector at 0x{sector.address:08X} erased, where "
                        f"vendor.toml keeps the data at 0x{keep.address:08X}",
                        advice="Move the firmware or the data.",
                    )


def _sectors_of(image: RecipeImage, keep: Keep, product: Product) -> Iterator[Sector]:
    """The sectors, of all chips that the image is for, which a keep region touches."""
    for chip in chips_of(f"image {image.name}", image.for_):
        for sector in part_sectors(chip, product):
            if sector.address < keep.end and keep.address < sector.end:
                yield sector
