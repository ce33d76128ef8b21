"""Which of a bundle's images is the one for this silicon. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from updater.heads.manifest import Image, ImageFor
from updater.heads.silicon import Behaviour
from updater.words.errors import WrongDevice
from updater.words.facts import DeviceFacts


def choose_image(images: Iterable[Image], facts: DeviceFacts, behaviour: Behaviour) -> tuple[Image, str]:
    """The one image for this silicon, and why. A restriction on something unknown is not met.

    Raises `WrongDevice` when none fits.
    """
    images = tuple(images)
    dev_id = behaviour.chip.dev_id.value
    letter, rom = facts.revision, facts.rom_version
    fitting = [one for one in images if one.for_.fits(dev_id=dev_id, revision=letter, rom_version=rom)]
    if len(fitting) == 1:
        (image,) = fitting
        if len(images) == 1:
            return image, "the bundle has this one image"
        return image, f"of {len(images)} images it is the one for {_silicon_words(image.for_, facts)}"
    known = f"{behaviour.chip.title}, {_silicon_words(None, facts)}"
    if not fitting:
        raise WrongDevice(f"the bundle has no image for this device's chip ({known})")
    raise WrongDevice(f"the bundle has {len(fitting)} images for this device's chip ({known})")


def _silicon_words(wanted: ImageFor | None, facts: DeviceFacts) -> str:
    parts = []
    if wanted is None or wanted.revisions:
        parts.append(f"revision {facts.revision}" if facts.revision else "revision unknown")
    if wanted is None or wanted.rom_versions:
        rom = facts.rom_version
        parts.append(f"ROM 0x{rom:02X}" if rom is not None else "ROM version unknown")
    return ", ".join(parts) or "this chip"
