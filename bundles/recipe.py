"""`release.toml`: what goes into a release, and which firmware files it is made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from semver import Version

from updater.heads.manifest import ImageFor
from updater.words.errors import Usage
from updater.words.facts import HEADER_BYTES, Channel, ProductHeader, Segment, parse_version

from .firmware import merge, read_firmware


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A firmware file, relative to the recipe. Only a .bin needs (and takes) an address."""

    file: str
    address: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] | None = None


class RecipeImage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}
):
    """One program, the silicon it is for, and the files whose bytes make it up."""

    name: str
    for_: ImageFor
    inputs: tuple[Input, ...]


class NotFor(ImageFor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Silicon that deliberately has no image, and why; for the builder only, no manifest has it."""

    because: Annotated[str, Meta(pattern=r"\S")]


class Recipe(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"images": "image"}
):
    """A release. `roots` are the root metadata files from the first to the newest, relative to the recipe.

    `header_address` is where every image carries the product header (`docs/integration.md`), `otp` the file
    with the layout of the product's one-time-programmable memory (`docs/otp.md`), relative to the recipe.
    """

    product: str
    hardware: tuple[str, ...]
    version: Version
    security_counter: int
    channels: tuple[Channel, ...]
    created: date
    min_tool: Version
    notes: str
    images: tuple[RecipeImage, ...]
    not_for: tuple[NotFor, ...] = ()
    roots: tuple[str, ...] = ()
    header_address: int | None = None
    otp: str | None = None
    from_min_version: Version | None = None
    accept_no_recovery: bool = False


def parse_recipe(text: bytes) -> Recipe:
    """Read a recipe. Raises Usage, naming the key that is wrong."""
    try:
        return msgspec.toml.decode(text, type=Recipe, dec_hook=_decode)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Usage(f"the recipe breaks a rule: {error}", advice="Correct the recipe.") from error


def image_segments(recipe: Recipe, image: RecipeImage, folder: Path) -> tuple[Segment, ...]:
    """The image's bytes, sorted and joined. Raises Usage: overlap, unreadable file, wrong header."""
    parts = [
        (entry.file, part)
        for entry in image.inputs
        for part in read_firmware(folder / entry.file, entry.address)
    ]
    segments = merge(parts)
    if not segments:
        raise Usage(f"image {image.name} contains no bytes", advice="Check its inputs.")
    _check_header(recipe, image, segments)
    return segments


def _check_header(recipe: Recipe, image: RecipeImage, segments: Sequence[Segment]) -> None:
    """The bytes themselves must say what the recipe says, or the wrong file was packed."""
    at = recipe.header_address
    if at is None:
        return
    home = next((part for part in segments if part.address <= at < part.end), None)
    header = home and ProductHeader.parse(home.data[at - home.address :][:HEADER_BYTES])
    if not header:
        raise Usage(f"image {image.name} has no product header at 0x{at:08X}", advice="Build it with one.")
    for what, said, expected in (
        ("product", header.product, (recipe.product,)),
        ("hardware", header.hardware, recipe.hardware),
        ("version", str(header.version), (str(recipe.version),)),
        ("security counter", header.security_counter, (recipe.security_counter,)),
    ):
        if said not in expected:
            raise Usage(
                f"image {image.name} says {what} {said}, the recipe says {', '.join(map(str, expected))}",
                advice="Pack the right file, or correct the recipe.",
            )


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Version and isinstance(value, str):
        return parse_version(value)
    raise ValueError(f"expected a version, got {type(value).__name__}")
