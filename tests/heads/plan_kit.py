"""Plans for tests: a product, a device, a chip's behaviour and a bundle, good unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from semver import Version

from tests.heads.bundle_kit import make_bundle, make_image, make_manifest, open_bundle
from updater.heads.manifest import Bundle, Image, ManifestSegment
from updater.heads.plan import Plan
from updater.heads.silicon import BankMode, Behaviour, the_table
from updater.heads.vendor import DfuDetach, Header, Product, Recovery, RecoveryKind
from updater.words.facts import DeviceFacts, IdentityFrom, Mode

H743, F405 = "stm32h743", "stm32f405"
DEV_IDS = (0x450, 0x413, 0x451, 0x415, 0x467, 0x470, 0x419)
"""Of the chips that these tests plan for."""
FLASH = 0x0800_0000
KIB = 1024
BUTTON = Recovery(kind=RecoveryKind.BOOT_BUTTON, steps="Hold the button while you plug it in.")


def program(length: int, *, sp: int = 0x2000_1000, reset: int = 0x0800_0201) -> bytes:
    """A vector table, and behind it bytes that tell their own place."""
    body = b"".join((0x5A00_0000 | at).to_bytes(4, "little") for at in range(8, length + 4, 4))
    return (sp.to_bytes(4, "little") + reset.to_bytes(4, "little") + body)[:length]


def widget(**changes: Any) -> Product:
    values: dict[str, Any] = {
        "id": "demo-widget",
        "number": 1,
        "title": "Demo Widget",
        "usb": ("1209:0001",),
        "chips": (H743, F405),
        "hardware": ("A", "B"),
        "ways": (DfuDetach(),),
        "header": Header(address=0x0800_0400),
        "recovery": BUTTON,
    }
    return Product(**values | changes)


def facts(**changes: Any) -> DeviceFacts:
    values: dict[str, Any] = {
        "name": "Demo Widget",
        "port": "1-2",
        "usb": "1209:0001",
        "mode": Mode.APPLICATION,
        "product": "demo-widget",
        "hardware": "A",
        "version": Version(1, 0, 0),
        "identity": IdentityFrom.APPLICATION,
        "revision": "V",
        "rom_version": 0x92,
    }
    return DeviceFacts(**values | changes)


def real_behaviour(
    chip: str,
    rom_version: int | None = None,
    revision: str | None = None,
    bank_mode: BankMode | None = None,
) -> Behaviour:
    """What to do with this chip by the table as it is."""
    row = the_table().by_id(chip)
    assert row is not None
    return the_table().behaviour(row, rom_version=rom_version, revision=revision, bank_mode=bank_mode)


def behaviour(chip: str, rom_version: int | None = None, revision: str | None = None) -> Behaviour:
    """What to do with the largest part of this chip: its size is not in doubt here."""
    real = real_behaviour(chip, rom_version, revision)
    sizes = msgspec.structs.replace(real.chip.sizes_kib, value=real.chip.sizes_kib.value[-1:])
    return replace(real, chip=msgspec.structs.replace(real.chip, sizes_kib=sizes))


FIXED = behaviour(H743, 0x92, "V")
FAULTY = behaviour(H743, 0x91, "V")
OLD = behaviour(F405)


def bundle(*images: tuple[Image, bytes]) -> Bundle:
    """A bundle through the real gate, each image with one file."""
    manifest = make_manifest(images=tuple(image for image, _ in images))
    files = {image.segments[0].file: data for image, data in images}
    return open_bundle(make_bundle(manifest, files=files))


def one_image(data: bytes, *, address: int = FLASH, dev_ids: tuple[int, ...] = DEV_IDS) -> Bundle:
    return bundle((make_image("main", data, address=address, dev_ids=dev_ids), data))


BASE = one_image(program(KIB))


def with_segments(*segments: tuple[int, bytes]) -> Bundle:
    """The same bundle with its image made of these bytes at these addresses."""
    parts = tuple(
        ManifestSegment(address=at, length=len(data), sha256="0" * 64, file=f"images/{number}.bin")
        for number, (at, data) in enumerate(segments)
    )
    image = make_image("main", b"", dev_ids=DEV_IDS)
    image = Image(name=image.name, for_=image.for_, segments=parts)
    files = {f"images/{number}.bin": memoryview(data) for number, (_, data) in enumerate(segments)}
    return replace(BASE, manifest=make_manifest(images=(image,)), files=files)


def contents(plan: Plan, **changed: bytes) -> dict[int, bytes]:
    """What the sectors hold when all is written, except the named ones ("s1" is the second)."""
    held = {step.sector.address: step.content_with(*step.body) for step in plan.sectors}
    first = plan.sectors[0]
    held[first.sector.address] = first.content_with(*first.body, plan.granule)
    return held | {plan.sectors[int(name[1:])].sector.address: data for name, data in changed.items()}


def addresses(plan: Plan) -> list[str]:
    return [hex(step.sector.address) for step in plan.sectors]
