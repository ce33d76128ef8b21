"""Recipes: read strictly, and the firmware must be what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundles.recipe import image_segments, parse_recipe
from updater.words.errors import Usage

RECIPE = """
product = "acme-x1"
hardware = ["A", "B"]
version = "1.2.3"
security_counter = 4
channels = ["stable"]
created = 2026-05-01
min_tool = "0.1.0"
notes = "Fewer crashes."
header_address = 0x08000400

[[image]]
name = "x1"
for = { dev_ids = [0x450] }
inputs = [{ file = "fw.bin", address = 0x08000000 }]
"""
HEADER = (
    b"FWID" + b"\x01\x00" + b"\x2c\x00"
    + b"acme-x1".ljust(16, b"\0") + b"B".ljust(8, b"\0")
    + b"\x01\x00\x02\x00\x03\x00\x00\x00" + b"\x04\x00\x00\x00"
)  # fmt: skip
FIRMWARE = b"\x55" * 0x400 + HEADER


def test_a_recipe_is_read() -> None:
    recipe = parse_recipe(RECIPE.encode())
    assert (recipe.product, str(recipe.version), recipe.security_counter) == ("acme-x1", "1.2.3", 4)
    assert recipe.images[0].for_.dev_ids == (0x450,)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("security_counter = 4", "security_countr = 4", "security_countr"),
        ("security_counter = 4", "", "security_counter"),
        ("security_counter = 4", "security_counter = '4'", "security_counter"),
        ('version = "1.2.3"', 'version = "1.2"', "version"),
        ('channels = ["stable"]', 'channels = ["nightly"]', "channels"),
        ("dev_ids = [0x450]", "dev_ids = [0x450], rev = 1", "rev"),
        ("dev_ids = [0x450]", "dev_ids = [0x450], revisions = ['v']", "revisions"),
        ("dev_ids = [0x450]", "dev_ids = [0x450], because = 'no'", "because"),
        ("address = 0x08000000", "address = -4", "address"),
        ("address = 0x08000000", "address = 0x1_0000_0000", "address"),
        ("[[image]]", "not_for = [{ dev_ids = [0x450] }]\n[[image]]", "because"),
        ("[[image]]", "not_for = [{ dev_ids = [0x450], because = ' ' }]\n[[image]]", "because"),
        ("[[image]]", "[[image]", "breaks a rule"),
    ],
)
def test_a_recipe_with_a_slip_is_refused_and_the_key_is_named(old: str, new: str, where: str) -> None:
    with pytest.raises(Usage, match=where):
        parse_recipe(RECIPE.replace(old, new).encode())


def test_a_recipe_may_say_which_silicon_has_no_image_and_why() -> None:
    gap = 'not_for = [{ dev_ids = [0x450], revisions = ["X"], because = "never bought" }]\n[[image]]'
    (left_out,) = parse_recipe(RECIPE.replace("[[image]]", gap).encode()).not_for
    assert (left_out.dev_ids, left_out.revisions, left_out.because) == ((0x450,), ("X",), "never bought")


def test_two_inputs_make_one_image(tmp_path: Path) -> None:
    both = 'inputs = [{ file = "fw.bin", address = 0x08000000 }, { file = "more.bin", address = 0x0800042C }]'
    recipe = parse_recipe(re.sub("inputs = .*", both, RECIPE).encode())
    (tmp_path / "fw.bin").write_bytes(FIRMWARE)
    (tmp_path / "more.bin").write_bytes(b"more")
    (segment,) = image_segments(recipe, recipe.images[0], tmp_path)
    assert (segment.address, segment.data) == (0x08000000, FIRMWARE + b"more")


def test_an_image_without_a_byte_is_refused(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE.encode())
    (tmp_path / "fw.bin").write_bytes(b"")
    with pytest.raises(Usage, match="image x1 contains no bytes"):
        image_segments(recipe, recipe.images[0], tmp_path)


def test_the_header_in_the_firmware_must_be_the_recipes(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE.encode())
    (tmp_path / "fw.bin").write_bytes(FIRMWARE)
    assert image_segments(recipe, recipe.images[0], tmp_path)[0].data == FIRMWARE


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"acme-x1", b"acme-x2", "says product acme-x2, the recipe says acme-x1"),
        (b"B\0", b"C\0", "says hardware C, the recipe says A, B"),
        (b"\x01\x00\x02\x00\x03\x00", b"\x01\x00\x02\x00\x04\x00", r"says version 1\.2\.4"),
        (b"\x04\x00\x00\x00", b"\x03\x00\x00\x00", "says security counter 3, the recipe says 4"),
        (b"FWID", b"\xff\xff\xff\xff", "no product header at 0x08000400"),
    ],
)
def test_the_wrong_firmware_file_is_noticed(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    recipe = parse_recipe(RECIPE.encode())
    (tmp_path / "fw.bin").write_bytes(FIRMWARE[:0x400] + HEADER.replace(old, new))
    with pytest.raises(Usage, match=why):
        image_segments(recipe, recipe.images[0], tmp_path)
