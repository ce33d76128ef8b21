"""Out of a bundle again: one image as a DfuSe file, for factory tools that know nothing of bundles.

Such a file carries no signature, chooses no silicon and knows no safe order; it is not for customers.
"""

from __future__ import annotations

from updater.heads.container import images_of, read_container
from updater.heads.dfufile import format_dfuse
from updater.heads.manifest import Image, Manifest
from updater.words.errors import Usage
from updater.words.facts import Segment

from .placement import as_elements


def pick_image(manifest: Manifest, name: str | None) -> Image:
    """The image of that name, or the only one. Raises Usage."""
    names = ", ".join(image.name for image in manifest.images)
    if name is None and len(manifest.images) > 1:
        raise Usage(f"the bundle has {len(manifest.images)} images", advice=f"Choose with --image: {names}.")
    for image in manifest.images:
        if name in (None, image.name):
            return image
    raise Usage(f"the bundle has no image {name!r}", advice=f"It has {names}.")


def export_dfuse(bundle: bytes, manifest: Manifest, image: Image, *, bcd_device: int = 0) -> bytes:
    """One image of a bundle as a DfuSe file.

    Factory tools write what they are given, and a ROM that is given a part of a program unit fails or
    corrupts it (AN2606 table 7, and its limitations of the L47x): gaps are filled with the value of erased
    flash.
    """
    files = images_of(read_container(bundle))
    segments = [Segment(address=part.address, data=files[part.file]) for part in image.segments]
    name = f"{manifest.product} {manifest.version} {image.name}"
    return format_dfuse(as_elements(image.name, image.for_, segments), name=name, bcd_device=bcd_device)
