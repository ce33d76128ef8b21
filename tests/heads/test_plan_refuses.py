"""What a plan is refused for, with the reason; and which image it takes, with the reason."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.heads.bundle_kit import make_image, make_manifest
from tests.heads.plan_kit import (
    BASE,
    FAULTY,
    FIXED,
    FLASH,
    H743,
    KIB,
    OLD,
    addresses,
    bundle,
    facts,
    one_image,
    program,
    widget,
    with_segments,
)
from updater.heads.manifest import Bundle
from updater.heads.plan import make_plan
from updater.heads.silicon import Behaviour
from updater.heads.vendor import Keep, Recovery, RecoveryKind
from updater.words.errors import DeviceIs, Refused, WrongDevice

# ----------------------------------------------------------------------------------- the image for the chip

FOR_Y, FOR_V = program(KIB), program(2 * KIB)
BY_REVISION = bundle(
    (make_image("old", FOR_Y, revisions=("Y", "X")), FOR_Y),
    (make_image("new", FOR_V, revisions=("V",)), FOR_V),
)
BY_ROM = bundle(
    (make_image("fixed", FOR_Y, rom_versions=(0x92,)), FOR_Y),
    (make_image("faulty", FOR_V, rom_versions=(0x90, 0x91)), FOR_V),
)
BY_CHIP = bundle(
    (make_image("one", FOR_Y, dev_ids=(0x450,)), FOR_Y), (make_image("two", FOR_V, dev_ids=(0x413,)), FOR_V)
)


@pytest.mark.parametrize(
    ("images", "revision", "rom_version", "which", "name", "because"),
    [
        (BY_REVISION, "V", None, FIXED, "new", "of 2 images it is the one for revision V"),
        (BY_REVISION, "Y", 0xD2, FIXED, "old", "of 2 images it is the one for revision Y"),
        (BY_ROM, None, 0x92, FIXED, "fixed", "of 2 images it is the one for ROM 0x92"),
        (BY_ROM, "V", 0x90, FAULTY, "faulty", "of 2 images it is the one for ROM 0x90"),
        (BY_CHIP, None, None, FIXED, "one", "of 2 images it is the one for this chip"),
        (BY_CHIP, None, None, OLD, "two", "of 2 images it is the one for this chip"),
        (BASE, None, None, OLD, "main", "the bundle has this one image"),
    ],
)
def test_the_image_is_the_one_for_the_silicon_and_the_plan_says_why(
    images: Bundle, revision: str | None, rom_version: int | None, which: Behaviour, name: str, because: str
) -> None:
    plan = make_plan(facts(revision=revision, rom_version=rom_version), images, widget(), which)
    assert (plan.image, plan.image_because) == (name, because)


@pytest.mark.parametrize(
    ("images", "revision", "rom_version", "which", "words"),
    [
        (BY_REVISION, None, 0x91, FAULTY, "revision unknown, ROM 0x91"),
        (BY_REVISION, "Z", None, FAULTY, "revision Z, ROM version unknown"),
        (BY_ROM, "V", None, FAULTY, "revision V, ROM version unknown"),
        (BY_ROM, "V", 0xD3, FIXED, "revision V, ROM 0xD3"),
        (BY_REVISION, "V", None, OLD, "STM32F405/407/415/417"),
    ],
)
def test_silicon_that_no_image_is_for_is_the_wrong_device(
    images: Bundle, revision: str | None, rom_version: int | None, which: Behaviour, words: str
) -> None:
    """What is not known does not meet a restriction: nothing is guessed."""
    with pytest.raises(WrongDevice, match="the bundle has no image for this device's chip") as refused:
        make_plan(facts(revision=revision, rom_version=rom_version), images, widget(), which)
    assert words in refused.value.message
    assert (refused.value.exit_status, refused.value.device_is) == (4, DeviceIs.UNTOUCHED)


def test_two_images_for_one_chip_are_never_chosen_between() -> None:
    twice = (make_image("a", dev_ids=(0x450,)), make_image("b", dev_ids=(0x450,)))
    ambiguous = replace(BASE, manifest=make_manifest(images=twice))
    with pytest.raises(WrongDevice, match="the bundle has 2 images for this device's chip"):
        make_plan(facts(), ambiguous, widget(), FIXED)


# --------------------------------------------------------------------------------------------- the refusals


def test_a_chip_that_the_product_is_not_made_with_is_the_wrong_device() -> None:
    with pytest.raises(WrongDevice, match=r"chip is a STM32F405.*, but Demo Widget is not made with one"):
        make_plan(facts(), BASE, widget(chips=(H743,)), OLD)


@pytest.mark.parametrize(
    ("address", "data", "words"),
    [
        (
            FLASH + 0x20_0000 - 32,
            b"\0" * 64,
            "from 0x081FFFE0 to 0x08200020, but this chip's flash is from 0x08000000",
        ),
        (0x0820_0000, b"\0" * 4, "from 0x08200000 to 0x08200020"),
        (0x0830_0000, b"\0" * 4, "to 0x08200000"),
    ],
)
def test_an_image_that_does_not_fit_the_flash_is_refused(address: int, data: bytes, words: str) -> None:
    with pytest.raises(WrongDevice, match=words):
        make_plan(facts(), with_segments((FLASH, program(KIB)), (address, data)), widget(), FIXED)


def test_an_image_for_the_bigger_chip_does_not_fit_the_smaller() -> None:
    big = with_segments((FLASH, program(KIB)), (0x0810_0000, b"\0" * 4))
    assert make_plan(facts(), big, widget(), FIXED)
    with pytest.raises(WrongDevice, match="this chip's flash is from 0x08000000 to 0x08100000"):
        make_plan(facts(), big, widget(), OLD)


def test_two_segments_in_one_program_unit_are_refused() -> None:
    split = with_segments((FLASH, program(KIB)), (FLASH + KIB + 32, b"\1" * 8), (FLASH + KIB + 48, b"\2" * 8))
    with pytest.raises(WrongDevice, match="two parts in one program unit at 0x08000420"):
        make_plan(facts(), split, widget(), FIXED)
    assert make_plan(facts(), split, widget(), OLD)


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ([(FLASH + 0x2_0000, program(KIB))], "does not begin with a vector table at 0x08000000"),
        ([(FLASH + 32, program(KIB))], "does not begin with a vector table at 0x08000000"),
        ([(FLASH, program(KIB, sp=0xFFFF_FFFF))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, sp=0))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, sp=0x0800_1000))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, sp=0x2000_1001))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0x0800_0400))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0xFFFF_FFFF))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0x0800_0C01))], "does not point to a program inside the image"),
        ([(FLASH, program(KIB, reset=0x0900_0001))], "does not point to a program inside the image"),
        ([(FLASH, b"\xff" * KIB)], "does not point to a program inside the image"),
    ],
)
def test_an_image_that_could_not_start_is_refused(segments: list[tuple[int, bytes]], words: str) -> None:
    with pytest.raises(WrongDevice, match=words):
        make_plan(facts(), with_segments(*segments), widget(), FIXED)


@pytest.mark.parametrize("sp", [0x1000_0000, 0x2002_0000, 0x2408_0000, 0x3004_8000, 0x3800_0400])
def test_a_stack_may_lie_in_any_ram(sp: int) -> None:
    assert make_plan(facts(), one_image(program(2 * KIB, sp=sp)), widget(), FIXED)


def test_a_reset_vector_may_point_into_a_later_segment() -> None:
    loader = program(KIB, reset=0x0804_0001)
    assert make_plan(facts(), with_segments((FLASH, loader), (0x0804_0000, b"\1" * 64)), widget(), FIXED)


@pytest.mark.parametrize(
    ("address", "length"),
    [(0x0801_FFFC, 4), (0x0800_8000, 4), (0x0801_0000, 0x4_0000), (0x0800_0000, 0x20_0000)],
)
def test_a_keep_region_in_a_touched_sector_is_refused(address: int, length: int) -> None:
    keep = Keep(address=address, length=length)
    with pytest.raises(
        Refused, match=re.escape("the sector at 0x08000000, in which this product keeps")
    ) as refused:
        make_plan(facts(), BASE, widget(keep=(keep,)), FIXED)
    assert refused.value.exit_status == 6


def test_a_keep_region_in_the_last_touched_sector_is_refused_by_that_sectors_address() -> None:
    keep = Keep(address=0x0805_FFFF, length=1)
    with pytest.raises(Refused, match="0x08040000"):
        make_plan(facts(), one_image(program(300 * KIB)), widget(keep=(keep,)), FIXED)


def test_a_keep_region_that_reaches_into_a_touched_sector_from_below_is_refused() -> None:
    keep = Keep(address=0x0802_0000, length=0x2_0004)
    with pytest.raises(Refused, match="0x08040000"):
        make_plan(
            facts(),
            with_segments((FLASH, program(KIB)), (0x0804_1000, b"\1" * 64)),
            widget(keep=(keep,)),
            FIXED,
        )


def test_a_keep_region_in_the_next_sector_stays_and_stands_in_the_plan() -> None:
    keep = Keep(address=0x0802_0000, length=0x2_0000)
    plan = make_plan(facts(), BASE, widget(keep=(keep,)), FIXED)
    assert plan.keep == ((0x0802_0000, 0x2_0000),)
    assert addresses(plan) == ["0x8000000"]


def test_a_recovery_that_the_chip_has_not_is_refused() -> None:
    with pytest.raises(Refused, match=r"recovers by itself .*, but a STM32H742.* does not do that"):
        make_plan(facts(), BASE, widget(recovery=Recovery(kind=RecoveryKind.EMPTY_CHECK)), FIXED)


@pytest.mark.parametrize("kind", [RecoveryKind.RESIDENT_LOADER, RecoveryKind.NONE])
def test_any_other_recovery_stands_in_the_plan(kind: RecoveryKind) -> None:
    assert make_plan(facts(), BASE, widget(recovery=Recovery(kind=kind)), FIXED).recovery.kind is kind
