"""A rehearsal finds what would go wrong in the field, and its record is worth what its signature is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bundles import stage
from bundles.demo.make import DemoVendor
from bundles.recipe import NotFor, Recipe, parse_recipe
from bundles.record import Record, check_record, record_of, sign_off
from bundles.rehearse import OnPart, parts, rehearse
from bundles.release import build, read_draft, sign
from bundles.root import load_root
from bundles.site import Site
from tests.bundles.conftest import NOW
from updater.heads.silicon import Silicon, the_table
from updater.heads.vendor import ByHand, Keep
from updater.story.job import Hands
from updater.words.errors import NotTrusted, Refused, Usage
from updater.words.facts import Channel

RECIPES = Path(__file__).parents[2] / "bundles" / "demo" / "recipes"


def recipe(name: str = "demo-widget-1.1.0") -> Recipe:
    return parse_recipe((RECIPES / f"{name}.toml").read_bytes())


def for_one_silicon() -> Recipe:
    """The widget's release, for revision V with ROM 0x91 only."""
    plain = recipe()
    (row,) = (row for row in the_table().chip if row.dev_id.value == 0x450)
    letters = tuple(one.letter for one in row.revisions if one.letter != "V")
    roms = tuple(rom.id for rom in row.roms if rom.id != 0x91)
    (image,) = plain.images
    chosen = msgspec.structs.replace(image.for_, revisions=("V",), rom_versions=(0x91,))
    others = (
        NotFor(dev_ids=(0x450,), revisions=letters, because="not made"),
        NotFor(dev_ids=(0x450,), revisions=("V",), rom_versions=roms, because="not made"),
    )
    return msgspec.structs.replace(
        plain, images=(msgspec.structs.replace(image, for_=chosen),), not_for=others
    )


@pytest.fixture(scope="module")
def unsigned(demo_vendor: DemoVendor) -> bytes:
    return build(for_one_silicon(), RECIPES, [demo_vendor.root], vendor=demo_vendor.vendor)


@pytest.fixture(scope="module")
def rehearsed(unsigned: bytes, demo_vendor: DemoVendor) -> list[OnPart]:
    return list(rehearse(unsigned, demo_vendor.vendor, NOW))


@pytest.fixture
def record(unsigned: bytes, rehearsed: list[OnPart]) -> Record:
    return record_of(read_draft(unsigned), rehearsed, NOW)


def signed(bundle: bytes, demo_vendor: DemoVendor) -> bytes:
    for name in ("release-1", "release-2"):
        bundle = sign(bundle, demo_vendor.signer(name))
    return bundle


def test_every_silicon_that_the_manifest_allows_is_on_the_stage(demo_vendor: DemoVendor) -> None:
    manifest = read_draft(demo_vendor.bundle("demo-widget-1.1.0")).manifest
    product = demo_vendor.vendor.product("demo-widget")
    assert product is not None
    (row,) = (row for row in the_table().chip if row.dev_id.value == 0x450)
    met = {(part.revision, part.rom_version) for part, _ in parts(manifest, product)}
    assert met == {(one.letter, rom.id) for one in row.revisions for rom in row.roms}


def test_a_good_release_gets_through_every_fault_of_the_lab(rehearsed: list[OnPart]) -> None:
    (one,) = rehearsed
    assert one.wrong == []
    assert (one.part.chip.id, one.part.revision, one.part.rom_version) == ("stm32h743", "V", 0x91)
    kinds = {trial.split(" ")[0] for trial in one.trials}
    assert kinds == {
        "update", "first", "cut-after", "stall-at", "status-at", "flip-write", "stick-busy-at", "no-leave",
        "wrong-identity", "late-arrival",
    }  # fmt: skip
    assert one.commands > len(one.trials), "after a fault the same command was given again"


def test_an_updater_that_has_forgotten_a_quirk_fails_its_rehearsal(
    demo_vendor: DemoVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a rev V the demo firmware reaches into the second bank, where other tools stop at 49 %."""
    bundle = build(for_one_silicon(), RECIPES, [demo_vendor.root])
    monkeypatch.setattr(stage, "Hands", partial(_hands, the_table().without_remedy("bank2-erase-wedge")))
    (one,) = rehearse(bundle, demo_vendor.vendor, NOW)
    with pytest.raises(Refused, match="the rehearsal failed"):
        record_of(read_draft(bundle), [one], NOW)


def _hands(instead: Silicon, **how: Any) -> Hands:
    return Hands(**(how | {"silicon": instead}))


@pytest.mark.faults
@pytest.mark.parametrize(
    "described",
    [
        {"ways": (ByHand(steps="Hold the button."),)},
        {"keep": (Keep(address=0x081E_0000, length=64),)},
    ],
)
def test_other_products_are_rehearsed_as_they_are_described(
    described: dict[str, Any], unsigned: bytes, demo_vendor: DemoVendor
) -> None:
    """One that only hands put into its bootloader, and one with data that an update must not touch."""
    changed = [msgspec.structs.replace(one, **described) for one in demo_vendor.vendor.products]
    vendor = msgspec.structs.replace(demo_vendor.vendor, products=tuple(changed))
    (one,) = rehearse(unsigned, vendor, NOW)
    assert one.wrong == []
    assert len(one.trials) > 15


def test_a_product_that_vendor_toml_does_not_know_is_not_rehearsed(
    unsigned: bytes, demo_vendor: DemoVendor
) -> None:
    fewer = msgspec.structs.replace(demo_vendor.vendor, products=demo_vendor.vendor.products[1:])
    with pytest.raises(Usage, match="no product 'demo-widget'"):
        next(rehearse(unsigned, fewer, NOW))


def test_the_record_holds_for_the_manifest_whoever_signs_the_bundle_later(
    unsigned: bytes, record: Record, demo_vendor: DemoVendor
) -> None:
    root = load_root(demo_vendor.root).signed
    data = sign_off(record, demo_vendor.signer("online"))
    bundle = signed(unsigned, demo_vendor)
    known, by = check_record(data, root, read_draft(bundle).manifest_sha256)
    assert (known, by) == (record, "online")


def test_a_record_of_another_release_or_signed_by_a_stranger_is_nothing_worth(
    record: Record, demo_vendor: DemoVendor
) -> None:
    root = load_root(demo_vendor.root).signed
    with pytest.raises(NotTrusted, match="signed by nobody who may sign it off"):
        check_record(sign_off(record, demo_vendor.signer("root-1")), root, record.manifest_sha256)
    with pytest.raises(Refused, match="is of another demo-widget"):
        check_record(sign_off(record, demo_vendor.signer("release-3")), root, "0" * 64)
    changed = sign_off(record, demo_vendor.signer("online")).replace(b'"payload":"', b'"payload":"e30=')
    with pytest.raises(NotTrusted):
        check_record(changed, root, record.manifest_sha256)


def test_publishing_wants_the_rehearsal_of_what_is_new(
    site: Site, unsigned: bytes, record: Record, demo_vendor: DemoVendor
) -> None:
    bundle = signed(unsigned, demo_vendor)
    site.set_current(Channel.BETA, bundle)
    with pytest.raises(Refused, match=r"demo-widget 1\.1\.0 was not rehearsed"):
        site.publish()
    assert site.changed() == {(Channel.BETA, "demo-widget")}, "refused: nobody sees it yet"
    site.set_current(Channel.BETA, bundle, rehearsal=sign_off(record, demo_vendor.signer("online")))
    site.publish()
    assert [str(one.version) for one in site.releases() if one.channel == Channel.BETA] == ["1.1.0"]
    assert site.changed() == set(), "everybody sees it"
    before = site._published()
    site.publish()
    assert site._published() == before, "published once, it is no news and needs no record"


def test_a_release_without_a_record_is_published_only_by_a_word(site: Site, demo_vendor: DemoVendor) -> None:
    site.set_current(Channel.BETA, demo_vendor.bundle("demo-widget-1.1.0"))
    with pytest.raises(Refused, match="was not rehearsed"):
        site.publish()
    assert site.changed() == {(Channel.BETA, "demo-widget")}
    site.publish(unrehearsed=True)
    assert site.changed() == set()
    assert [str(one.version) for one in site.releases() if one.channel == Channel.BETA] == ["1.1.0"]
