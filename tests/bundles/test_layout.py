"""A recipe's OTP layout: checked against every chip of the release, and signed with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bundles.demo.make import DemoVendor
from bundles.layout import layout_words
from bundles.recipe import Recipe, parse_recipe
from bundles.rehearse import _signed_by_nobody
from bundles.release import as_json, build, compare, describe, read_draft, sign
from tests.bundles.conftest import NOW
from tests.heads.test_otplayout import GOLDEN
from updater.heads.container import LAYOUT, read_container, write_container
from updater.heads.gate import verify_bundle
from updater.words.errors import NotTrusted, Usage

RECIPES = Path(__file__).parents[2] / "bundles" / "demo" / "recipes"
GOOD = """
schema = 1
product = "demo-gadget"
lock = [1]
[[field]]
name = "serial"
type = "u32"
offset = 0x20
csv = "Serial"
"""


def recipe(folder: Path, layout: str = GOOD, product: str = "demo-gadget") -> Recipe:
    """The demo's recipe, with this layout beside it."""
    (folder / "layout.toml").write_bytes(layout.encode())
    plain = parse_recipe((RECIPES / f"{product}-1.1.0.toml").read_bytes())
    return msgspec.structs.replace(plain, otp=str(folder / "layout.toml"))


def test_the_layout_is_in_the_bundle_and_under_the_signatures(
    tmp_path: Path, demo_vendor: DemoVendor
) -> None:
    built = build(recipe(tmp_path), RECIPES, [demo_vendor.root], vendor=demo_vendor.vendor)
    for name in ("release-1", "release-2"):
        built = sign(built, demo_vendor.signer(name))
    bundle = verify_bundle(built, embedded_root=demo_vendor.root, now=NOW)
    assert bundle.layout == GOOD.encode()
    assert LAYOUT not in bundle.files
    draft = read_draft(built)
    words = describe(draft)
    at = next(n for n, line in enumerate(words) if line.startswith(f"OTP layout {len(GOOD)} bytes sha256 "))
    assert words[at + 1 : at + 3] == [
        "  0x0020 4 bytes: serial, u32 from column Serial",
        "  blocks that may be locked: 1",
    ]
    assert draft.manifest.otp is not None
    assert as_json(draft)["otp"] == {"length": len(GOOD), "sha256": draft.manifest.otp.sha256}
    changed = write_container(read_container(built) | {LAYOUT: GOOD.replace("u32", "u16").encode()})
    with pytest.raises(NotTrusted, match=r"otp\.toml is not what was signed"):
        verify_bundle(changed, embedded_root=demo_vendor.root, now=NOW)
    with pytest.raises(NotTrusted, match="not those of the manifest"):
        read_draft(changed)


def test_a_rebuild_with_another_layout_is_another_release(tmp_path: Path, demo_vendor: DemoVendor) -> None:
    one = build(recipe(tmp_path), RECIPES, [demo_vendor.root])
    assert build(recipe(tmp_path), RECIPES, [demo_vendor.root]) == one
    other = build(recipe(tmp_path, GOOD.replace("u32", "u16")), RECIPES, [demo_vendor.root])
    assert compare(one, other) == ["otp.toml: the bytes differ, first at byte 82"]
    without = build(msgspec.structs.replace(recipe(tmp_path), otp=None), RECIPES, [demo_vendor.root])
    assert compare(one, without) == ["otp.toml: only in the bundle"]


def test_a_rehearsal_keeps_the_layout(tmp_path: Path, demo_vendor: DemoVendor) -> None:
    built = build(recipe(tmp_path), RECIPES, [demo_vendor.root])
    home, own = _signed_by_nobody(built, demo_vendor.vendor, NOW)
    assert verify_bundle(own, embedded_root=home.embedded_root, now=NOW).layout == GOOD.encode()


def test_who_signs_reads_of_every_field_what_it_burns() -> None:
    assert layout_words(GOLDEN.encode())[:6] == [
        "  0x0000 1 byte: format, u8, always 1",
        "  0x0001 2 bytes: batch, u16, asked",
        "  0x0003 1 byte: filler, bytes, always ff",
        "  0x0004 4 bytes: serial, u32 from column Serial",
        "  0x0008 8 bytes: model, text from column Model",
        "  0x0010 4 bytes: check, crc-32 over 0x0000 to 0x000F",
    ]
    assert layout_words(b"schema = 2") == [
        "  CANNOT BE READ: the layout is wrong: Expected `int` <= 1 - at `$.schema`"
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"demo-gadget"', '"demo-widget"', "is a layout for demo-widget, but the recipe is for demo-gadget"),
        ("0x20", "0x1FE", "has serial at offsets 0x1FE to 0x201, but this chip has 512 bytes"),
        ("lock = [1]", "lock = [16]", "block 16 to lock, but this chip has blocks 0 to 15"),
        ("lock = [1]", "lock = [2]", "block 2 to lock, and no field of it lies there"),
        ("u32", "u31", "the layout is wrong"),
        ("schema = 1", "schema = 2", "the layout is wrong"),
        ("csv", "column", "the layout is wrong"),
    ],
)
def test_a_layout_that_cannot_be_burnt_is_refused_at_the_desk(
    tmp_path: Path, demo_vendor: DemoVendor, old: str, new: str, why: str
) -> None:
    with pytest.raises(Usage, match=why):
        build(recipe(tmp_path, GOOD.replace(old, new)), RECIPES, [demo_vendor.root])


def test_a_layout_for_a_chip_without_otp_memory_is_refused_at_the_desk(
    tmp_path: Path, demo_vendor: DemoVendor
) -> None:
    widget = recipe(tmp_path, GOOD.replace("gadget", "widget"), "demo-widget")
    with pytest.raises(Usage, match=r"cannot be burnt into a STM32H74.*no one-time-programmable memory"):
        build(widget, RECIPES, [demo_vendor.root], vendor=demo_vendor.vendor)


def test_a_layout_that_is_too_large_or_not_there_is_refused(tmp_path: Path, demo_vendor: DemoVendor) -> None:
    with pytest.raises(Usage, match="larger than 65,536 bytes"):
        build(recipe(tmp_path, GOOD + "#" * 65_536), RECIPES, [demo_vendor.root])
    missing = msgspec.structs.replace(recipe(tmp_path), otp="nowhere.toml")
    with pytest.raises(Usage, match="does not exist"):
        build(missing, RECIPES, [demo_vendor.root])
