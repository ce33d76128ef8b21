"""Which image for which silicon: every chip, revision and ROM is met once, or the release is not built.

The letters and ROM versions come from the table, so that a new row or revision there breaks no test here.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.choice import check_choice, warnings
from bundles.demo.make import DemoVendor
from bundles.recipe import NotFor, Recipe, RecipeImage, parse_recipe
from tests.bundles.test_recipe import RECIPE
from tests.heads.bundle_kit import make_image
from updater.heads.choosing import choose_image
from updater.heads.manifest import Image, ImageFor
from updater.heads.silicon import the_table
from updater.heads.vendor import Product
from updater.words.errors import Usage, WrongDevice
from updater.words.facts import DeviceFacts, Mode

H743, F405 = 0x450, 0x413


def letters(dev_id: int = H743, *, without: str = "") -> tuple[str, ...]:
    row = the_table().by_dev_id(dev_id)
    assert row is not None
    return tuple(dict.fromkeys(one.letter for one in row.revisions if one.letter not in without))


def roms(dev_id: int = H743, *, without: tuple[int, ...] = ()) -> tuple[int, ...]:
    row = the_table().by_dev_id(dev_id)
    assert row is not None
    return tuple(rom.id for rom in row.roms if rom.id not in without)


def recipe(*images: dict[str, Any], not_for: tuple[dict[str, Any], ...] = ()) -> Recipe:
    """Images a, b, ... for the H743 unless told otherwise."""
    made = (
        RecipeImage(name=name, for_=ImageFor(**({"dev_ids": (H743,)} | chosen)), inputs=())
        for name, chosen in zip("abcdef", images, strict=False)
    )
    gaps = (NotFor(**({"dev_ids": (H743,), "because": "never bought"} | gap)) for gap in not_for)
    whole = parse_recipe(RECIPE.encode())
    return msgspec.structs.replace(whole, images=tuple(made), not_for=tuple(gaps))


def objection(made: Recipe, product: Product | None = None) -> str:
    """Why this recipe is not built; nothing where it is."""
    try:
        check_choice(made, product)
    except Usage as error:
        return error.message if "recipe" in error.advice else f"without advice: {error.message}"
    return ""


def test_one_image_for_all_silicon_has_no_gap_and_no_warning() -> None:
    one = recipe({})
    assert objection(one) == ""
    assert warnings(one) == []


def test_images_that_share_the_revisions_among_them_are_complete() -> None:
    assert objection(recipe({"revisions": ("Y",)}, {"revisions": letters(without="Y")})) == ""


def test_images_that_share_the_roms_among_them_are_complete() -> None:
    fixed = (0x92,)
    assert objection(recipe({"rom_versions": fixed}, {"rom_versions": roms(without=fixed)})) == ""


def test_a_revision_that_no_image_is_for_is_named() -> None:
    title = "STM32H742/743/745/747/750/753/755/757"
    images = {"revisions": ("Y",)}, {"revisions": letters(without="YX")}
    assert objection(recipe(*images)) == f"no image for {title} revision X"


def test_several_revisions_that_no_image_is_for_are_named() -> None:
    assert re.search(r"revision (X, Y|Y, X)$", objection(recipe({"revisions": letters(without="YX")})))


def test_a_rom_that_no_image_is_for_is_named() -> None:
    why = objection(recipe({"rom_versions": roms(without=(0x91, 0xD3))}))
    assert re.search(r"757 with ROM (0xD3, 0x91|0x91, 0xD3)$", why)


def test_one_revision_with_one_rom_that_no_image_is_for_is_named() -> None:
    images = (
        {"revisions": letters(without="V")},
        {"revisions": ("V",), "rom_versions": roms(without=(0x91,))},
    )
    assert objection(recipe(*images)).endswith("757 revision V with ROM 0x91")


def test_a_gap_that_is_meant_is_none() -> None:
    gap = ({"revisions": ("X",)},)
    assert objection(recipe({"revisions": letters(without="X")}, not_for=gap)) == ""
    assert objection(recipe({"revisions": letters(without="XA")}, not_for=gap)).endswith("revision A")


def test_a_whole_chip_may_have_no_image_if_that_is_meant(demo_vendor: DemoVendor) -> None:
    both = msgspec.structs.replace(demo_vendor.vendor.products[0], chips=("stm32h743", "stm32f405"))
    assert objection(recipe({}), both).startswith("no image for STM32F405")
    assert objection(recipe({}, not_for=({"dev_ids": (F405,)},)), both) == ""
    assert objection(recipe({}, {"dev_ids": (F405,)}), both) == ""


def test_without_the_descriptor_only_the_chips_of_the_images_are_looked_at() -> None:
    assert objection(recipe({"dev_ids": (F405,)})) == ""


def test_silicon_that_is_left_out_and_has_an_image_is_a_contradiction() -> None:
    why = objection(recipe({}, not_for=({"revisions": ("X",)},)))
    assert re.search(r"not_for leaves out .* revision X, but image a is for", why)


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ({}, {}, "757$"),
        ({}, {"revisions": ("X",)}, "revision X$"),
        ({"revisions": ("X",)}, {"revisions": ("X",), "rom_versions": (0x91,)}, "revision X with ROM 0x91$"),
    ],
)
def test_two_images_for_the_same_silicon_are_refused_and_the_silicon_is_named(
    one: dict[str, Any], other: dict[str, Any], where: str
) -> None:
    gap = ({"revisions": letters(without="X")},) if one else ()
    assert re.search(f"images a and b are both for .*{where}", objection(recipe(one, other, not_for=gap)))


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"revisions": ("Q",)}, "image a: STM32H742.* has no revision Q; known are .*V"),
        ({"rom_versions": (0x19,)}, "has no ROM version 0x19; known are .*0x91"),
        ({"rom_versions": (0x101,)}, "has no ROM version 0x101"),
        ({"dev_ids": (0xFFF,)}, "image a: the silicon table does not know DEV_ID 0xFFF"),
    ],
)
def test_silicon_that_does_not_exist_is_a_slip_of_the_pen(chosen: dict[str, Any], why: str) -> None:
    assert re.search(why, objection(recipe(chosen)))
    in_gap = recipe({}, not_for=(chosen,))
    assert re.search(why.replace("image a", "not_for"), objection(in_gap))


def test_a_letter_need_not_exist_on_every_chip_of_an_image() -> None:
    """Revision V is the H743's only: on the F405 this image is for the letters that it does have."""
    one = {"dev_ids": (H743, F405), "revisions": (*letters(), *letters(F405, without="".join(letters())))}
    assert objection(recipe(one)) == ""


def test_a_split_by_revision_warns_who_will_be_refused() -> None:
    (said,) = warnings(recipe({"revisions": ("Y",)}, {"revisions": letters(without="Y")}))
    assert said.startswith("STM32H742/743/745/747/750/753/755/757: the image depends on the revision.")
    assert "whose revision cannot be read, or is newer than this release, will be refused" in said
    assert said.endswith("This chip's bootloader shows it over USB.")


def test_the_warning_names_the_chips_whose_revision_usb_does_not_show() -> None:
    """Only the H74x has DBGMCU_IDCODE in its ROM's serial (facts 4.1; ST:263112)."""
    images = (
        {"dev_ids": (F405,), "revisions": ("A",)},
        {"dev_ids": (F405,), "revisions": letters(F405, without="A")},
    )
    assert objection(recipe(*images)) == ""
    (said,) = warnings(recipe(*images))
    assert said.startswith("STM32F405")
    assert "does not show it over USB, only a running application can" in said


def test_the_guides_sentence_on_revisions_over_usb_is_true() -> None:
    """docs/publishing.md names the one row whose bootloader shows its revision."""
    assert [row.id for row in the_table().chip if row.serial.value == "idcode"] == ["stm32h743"]


def test_a_split_by_rom_warns_too() -> None:
    (said,) = warnings(recipe({"rom_versions": (0x92,)}, {"rom_versions": roms(without=(0x92,))}))
    assert "the image depends on the ROM version" in said
    assert "will be refused" in said


SOME_LETTERS = st.lists(st.sampled_from(letters()), unique=True, max_size=3).map(tuple)
SOME_ROMS = st.lists(st.sampled_from(roms()), unique=True, max_size=3).map(tuple)
SOME = st.fixed_dictionaries({"revisions": SOME_LETTERS, "rom_versions": SOME_ROMS})


@given(images=st.lists(SOME, min_size=1, max_size=3), gaps=st.lists(SOME, max_size=2))
def test_what_the_builder_lets_pass_leaves_no_device_of_this_chip_without_its_image(
    images: list[dict[str, Any]], gaps: list[dict[str, Any]]
) -> None:
    """Face to face with the plan: each revision and ROM gets one image there, or was left out on purpose."""
    tried = recipe(*images, not_for=tuple(gaps))
    if objection(tried):
        return
    made = [make_image(image.name, **msgspec.structs.asdict(image.for_)) for image in tried.images]
    for letter in letters():
        for rom in roms():
            left_out = any(gap.fits(dev_id=H743, revision=letter, rom_version=rom) for gap in tried.not_for)
            assert planned(made, letter, rom) == (0 if left_out else 1)


def planned(images: list[Image], revision: str, rom_version: int) -> int:
    """How many images the plan finds for a device."""
    chip = the_table().by_dev_id(H743)
    assert chip is not None
    facts = DeviceFacts(
        name="x", port="1-1", usb="0483:df11", mode=Mode.ROM, revision=revision, rom_version=rom_version
    )
    behaviour = the_table().behaviour(chip, rom_version=rom_version, revision=revision)
    try:
        choose_image(images, facts, behaviour)
    except WrongDevice:
        return 0
    return 1
