"""Building and signing: the same inputs are the same bytes, and nobody signs what he should not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner

from bundles.demo.make import DemoVendor
from bundles.recipe import NotFor, Recipe, parse_recipe
from bundles.release import as_json, build, describe, read_draft, sign
from updater.heads.container import read_container, write_container
from updater.heads.gate import verify_bundle
from updater.heads.manifest import ImageFor
from updater.heads.vendor import Keep, OtpRecord, Recovery, RecoveryKind, Vendor
from updater.words.errors import NotTrusted, Refused, Usage

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RECIPES = Path(__file__).parents[2] / "bundles" / "demo" / "recipes"


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe((RECIPES / "demo-widget-1.1.0.toml").read_bytes())


@pytest.fixture
def unsigned(recipe: Recipe, demo_vendor: DemoVendor) -> bytes:
    return build(recipe, RECIPES, [demo_vendor.root])


def changed(vendor: Vendor, **fields: object) -> Vendor:
    """The vendor with another descriptor of demo-widget."""
    widget = msgspec.structs.replace(vendor.products[0], **fields)
    return msgspec.structs.replace(vendor, products=(widget, *vendor.products[1:]))


def test_two_builds_are_the_same_bytes(recipe: Recipe, unsigned: bytes, demo_vendor: DemoVendor) -> None:
    assert build(recipe, RECIPES, [demo_vendor.root]) == unsigned


def test_an_unsigned_bundle_does_not_pass_the_gate(unsigned: bytes, demo_vendor: DemoVendor) -> None:
    with pytest.raises(NotTrusted, match="0 of the 2 release signatures"):
        verify_bundle(unsigned, embedded_root=demo_vendor.root, now=NOW)


def test_two_signatures_open_the_gate_and_one_does_not(unsigned: bytes, demo_vendor: DemoVendor) -> None:
    once = sign(unsigned, demo_vendor.signer("release-3"))
    with pytest.raises(NotTrusted, match="1 of the 2 release signatures"):
        verify_bundle(once, embedded_root=demo_vendor.root, now=NOW)
    twice = sign(once, demo_vendor.signer("release-1"))
    bundle = verify_bundle(twice, embedded_root=demo_vendor.root, now=NOW)
    assert bundle.signed_by == ("release-1", "release-3")


def test_signing_changes_nothing_that_was_signed(unsigned: bytes, demo_vendor: DemoVendor) -> None:
    signed = sign(unsigned, demo_vendor.signer("release-1"))
    assert read_draft(signed).manifest_sha256 == read_draft(unsigned).manifest_sha256


def test_nobody_signs_twice(unsigned: bytes, demo_vendor: DemoVendor) -> None:
    once = sign(unsigned, demo_vendor.signer("release-1"))
    with pytest.raises(Refused, match="release-1 has signed this bundle already"):
        sign(once, demo_vendor.signer("release-1"))


@pytest.mark.parametrize("name", ["online", "root-1"])
def test_only_a_release_key_signs_releases(unsigned: bytes, demo_vendor: DemoVendor, name: str) -> None:
    with pytest.raises(Refused, match="not one of the release keys"):
        sign(unsigned, demo_vendor.signer(name))


def test_a_strangers_key_does_not_sign(unsigned: bytes) -> None:
    with pytest.raises(Refused, match="not one of the release keys"):
        sign(unsigned, CryptoSigner.generate_ed25519())


def test_a_bundle_whose_bytes_are_not_the_described_ones_is_not_signed(
    unsigned: bytes, demo_vendor: DemoVendor
) -> None:
    members = read_container(unsigned)
    image = next(name for name in members if name.startswith("images/"))
    swapped = write_container(members | {image: b"\0" * len(members[image])})
    with pytest.raises(NotTrusted, match="not those of the manifest"):
        sign(swapped, demo_vendor.signer("release-1"))


def test_what_the_engineer_sees_before_he_signs(unsigned: bytes) -> None:
    words = describe(read_draft(unsigned))
    assert words[:4] == [
        "demo-widget 1.1.0 for hardware A",
        "security counter 1, channels stable, beta",
        "created 2026-03-02, needs updater 0.1.0 or newer",
        "image stm32h743 for dev_id 0x450",
    ]
    assert [line.split()[0] for line in words[4:7]] == ["0x08000000", "0x08000400", "0x08100000"]
    assert words[-1] == "signed by nobody (0 of 2 needed signatures)"


def test_the_json_has_every_field_of_the_contract(demo_vendor: DemoVendor) -> None:
    said = as_json(read_draft(demo_vendor.bundle("demo-gadget-1.1.0")))
    assert set(said) == {
        "type", "exit", "product", "version", "security_counter", "channels", "hardware", "images",
        "otp", "signed_by", "threshold", "root_version", "manifest_sha256",
    }  # fmt: skip
    assert (said["product"], said["signed_by"]) == ("demo-gadget", ["release-1", "release-2"])


def test_a_recipe_without_a_root_is_refused(recipe: Recipe) -> None:
    with pytest.raises(Usage, match="names no root"):
        build(recipe, RECIPES)


@pytest.mark.parametrize(
    ("field", "value"), [("notes", "line\nbreak"), ("hardware", ()), ("product", "Big Product")]
)
def test_what_the_customers_reader_would_refuse_is_not_built(
    recipe: Recipe, demo_vendor: DemoVendor, field: str, value: object
) -> None:
    other = msgspec.structs.replace(recipe, header_address=None, **{field: value})
    with pytest.raises(Usage, match="the recipe breaks a rule"):
        build(other, RECIPES, [demo_vendor.root])


def test_a_recipe_for_a_newer_updater_than_this_is_refused(recipe: Recipe, demo_vendor: DemoVendor) -> None:
    other = msgspec.structs.replace(recipe, min_tool=recipe.min_tool.bump_major())
    with pytest.raises(Usage, match="needs updater 1"):
        build(other, RECIPES, [demo_vendor.root])


def with_images(recipe: Recipe, *chosen: ImageFor) -> Recipe:
    """The same firmware once for each of these."""
    (image,) = recipe.images
    made = tuple(
        msgspec.structs.replace(image, name=f"image-{number}", for_=one) for number, one in enumerate(chosen)
    )
    return msgspec.structs.replace(recipe, images=made)


def test_a_release_with_a_gap_in_its_choice_is_not_built(recipe: Recipe, demo_vendor: DemoVendor) -> None:
    split = with_images(recipe, ImageFor(dev_ids=(0x450,), revisions=("Y", "V")))
    with pytest.raises(Usage, match=r"no image for STM32H74.* revision .*X"):
        build(split, RECIPES, [demo_vendor.root])


def test_a_chip_of_the_product_without_an_image_is_noticed_with_the_descriptor(
    recipe: Recipe, demo_vendor: DemoVendor
) -> None:
    vendor = changed(demo_vendor.vendor, chips=("stm32h743", "stm32f405"))
    assert build(recipe, RECIPES, [demo_vendor.root])
    with pytest.raises(Usage, match="no image for STM32F405"):
        build(recipe, RECIPES, [demo_vendor.root], vendor=vendor)


def test_a_gap_that_is_meant_changes_nothing_in_the_bundle(
    recipe: Recipe, unsigned: bytes, demo_vendor: DemoVendor
) -> None:
    gap = NotFor(dev_ids=(0x413,), because="made until 2025, never sold")
    meant = msgspec.structs.replace(recipe, not_for=(gap,))
    vendor = changed(demo_vendor.vendor, chips=("stm32h743", "stm32f405"))
    assert build(meant, RECIPES, [demo_vendor.root], vendor=vendor) == unsigned


def test_firmware_for_another_chip_is_not_built(recipe: Recipe, demo_vendor: DemoVendor) -> None:
    """The widget's firmware has a part at 0x08100000, where the flash of an STM32F405 ends."""
    smaller = with_images(recipe, ImageFor(dev_ids=(0x413,)))
    with pytest.raises(Usage, match=r"image image-0 has bytes at 0x08100000, which is not in flash"):
        build(smaller, RECIPES, [demo_vendor.root])


def test_the_demo_fits_its_own_descriptor(recipe: Recipe, demo_vendor: DemoVendor) -> None:
    unchecked = build(recipe, RECIPES, [demo_vendor.root])
    assert build(recipe, RECIPES, [demo_vendor.root], vendor=demo_vendor.vendor) == unchecked


def test_an_image_that_shares_a_sector_with_kept_data_is_refused(
    recipe: Recipe, demo_vendor: DemoVendor
) -> None:
    """Not one byte overlaps, but the H743 erases 128 KiB at a time."""
    vendor = changed(demo_vendor.vendor, keep=(Keep(address=0x0801F000, length=0x1000),))
    with pytest.raises(Refused, match=r"0x08000000 erased, where vendor\.toml keeps the data at 0x0801F000"):
        build(recipe, RECIPES, [demo_vendor.root], vendor=vendor)


def test_kept_data_in_a_sector_of_its_own_is_fine(recipe: Recipe, demo_vendor: DemoVendor) -> None:
    vendor = changed(demo_vendor.vendor, keep=(Keep(address=0x08020000, length=0x1000),))
    unchecked = build(recipe, RECIPES, [demo_vendor.root])
    assert build(recipe, RECIPES, [demo_vendor.root], vendor=vendor) == unchecked


def test_an_otp_record_where_the_chip_has_no_such_memory_is_refused(
    recipe: Recipe, demo_vendor: DemoVendor
) -> None:
    vendor = changed(demo_vendor.vendor, otp_record=OtpRecord(address=0x1FF0F000))
    with pytest.raises(Usage, match=r"OTP record of demo-widget at 0x1FF0F000, but no known .* STM32H74"):
        build(recipe, RECIPES, [demo_vendor.root], vendor=vendor)


@pytest.mark.parametrize(("address", "fits"), [(0x1FFF7800, True), (0x1FFF79D4, True), (0x1FFF79D5, False)])
def test_an_otp_record_must_lie_in_the_data_as_a_whole(
    demo_vendor: DemoVendor, address: int, fits: bool
) -> None:
    """The F405 has 512 bytes from 0x1FFF7800 on (RM0090); a record has 44."""
    recipe = parse_recipe((RECIPES / "demo-gadget-1.1.0.toml").read_bytes())
    gadget = msgspec.structs.replace(demo_vendor.vendor.products[1], otp_record=OtpRecord(address=address))
    vendor = msgspec.structs.replace(demo_vendor.vendor, products=(gadget,))
    if fits:
        assert build(recipe, RECIPES, [demo_vendor.root], vendor=vendor)
        return
    with pytest.raises(Usage, match="no known one-time-programmable memory"):
        build(recipe, RECIPES, [demo_vendor.root], vendor=vendor)


def test_a_product_without_recovery_needs_the_signers_word(recipe: Recipe, demo_vendor: DemoVendor) -> None:
    vendor = changed(demo_vendor.vendor, recovery=Recovery(kind=RecoveryKind.NONE))
    with pytest.raises(Refused, match="no way to recover"):
        build(recipe, RECIPES, [demo_vendor.root], vendor=vendor)
    accepted = msgspec.structs.replace(recipe, accept_no_recovery=True)
    words = describe(read_draft(build(accepted, RECIPES, [demo_vendor.root], vendor=vendor)))
    assert "ACCEPTS DEVICES WITHOUT A WAY TO RECOVER" in words


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("id", "other", "no product 'demo-widget'"),
        ("hardware", ("B",), "no hardware 'A'"),
        ("chips", ("stm32f405",), "is for DEV_ID 0x450"),
    ],
)
def test_a_recipe_for_what_vendor_toml_does_not_know_is_refused(
    recipe: Recipe, demo_vendor: DemoVendor, field: str, value: object, why: str
) -> None:
    with pytest.raises(Usage, match=why):
        build(recipe, RECIPES, [demo_vendor.root], vendor=changed(demo_vendor.vendor, **{field: value}))


def test_a_recipe_that_forgets_the_vendors_product_header_is_refused(
    recipe: Recipe, demo_vendor: DemoVendor
) -> None:
    careless = msgspec.structs.replace(recipe, header_address=None)
    with pytest.raises(Usage, match="the product header is at 0x08000400"):
        build(careless, RECIPES, [demo_vendor.root], vendor=demo_vendor.vendor)
