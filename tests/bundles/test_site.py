"""The site: nothing is visible half-done, nothing changes its meaning, nothing lives too long."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from semver import Version
from tuf.api.metadata import Metadata

from bundles.demo.make import DemoVendor
from bundles.pages import write_pages
from bundles.recipe import parse_recipe
from bundles.release import build, sign
from bundles.site import Site
from tests.bundles.conftest import NOW
from updater.words.errors import NotTrusted, Refused, StorageFailed, Usage
from updater.words.facts import Channel

RECIPES = Path(__file__).parents[2] / "bundles" / "demo" / "recipes"


def expires(site: Site, name: str) -> timedelta:
    return Metadata.from_file(str(site.folder / "metadata" / name)).signed.expires - NOW


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_layout_is_the_one_that_clients_ask_for(demo_vendor: DemoVendor) -> None:
    site = demo_vendor.site
    assert (site / "metadata/1.root.json").read_bytes() == demo_vendor.root
    for product in ("demo-widget", "demo-gadget"):
        bundle = demo_vendor.bundle(f"{product}-1.1.0")
        assert (site / f"files/{product}-1.1.0.fwb").read_bytes() == bundle
        current = list((site / "targets/stable" / product).glob("*.1.1.0.fwb"))
        assert [path.read_bytes() for path in current] == [bundle]
        assert len(current[0].name.split(".")[0]) == 64
        for version in ("1.0.0", "1.1.0", "latest"):
            assert (site / f"u/{product}/stable/{version}/index.html").is_file()


def test_a_bundle_that_too_few_have_signed_is_not_published(site: Site, demo_vendor: DemoVendor) -> None:
    recipe_file = RECIPES / "demo-widget-1.1.0.toml"
    unsigned = build(parse_recipe(recipe_file.read_bytes()), RECIPES, [demo_vendor.root])
    before = files(site.folder)
    with pytest.raises(NotTrusted, match="1 of the 2"):
        site.set_current(Channel.BETA, sign(unsigned, demo_vendor.signer("release-1")))
    assert files(site.folder) == before


def test_the_signers_decide_for_which_channels_a_release_is(site: Site, demo_vendor: DemoVendor) -> None:
    recipe = parse_recipe((RECIPES / "demo-widget-1.1.0.toml").read_bytes())
    recipe = msgspec.structs.replace(recipe, channels=(Channel.BETA,))
    bundle = build(recipe, RECIPES, [demo_vendor.root])
    for name in ("release-1", "release-2"):
        bundle = sign(bundle, demo_vendor.signer(name))
    with pytest.raises(Refused, match="its signers did not release demo-widget"):
        site.set_current(Channel.STABLE, bundle)
    site.set_current(Channel.BETA, bundle)


def test_a_version_number_never_gets_other_content(site: Site, demo_vendor: DemoVendor) -> None:
    recipe = parse_recipe((RECIPES / "demo-widget-1.1.0.toml").read_bytes())
    bundle = build(msgspec.structs.replace(recipe, notes="Something else."), RECIPES, [demo_vendor.root])
    for name in ("release-1", "release-2"):
        bundle = sign(bundle, demo_vendor.signer(name))
    with pytest.raises(Refused, match="published already, with other content"):
        site.set_current(Channel.STABLE, bundle)


def test_more_signatures_may_be_added_to_a_version(site: Site, demo_vendor: DemoVendor) -> None:
    more = sign(demo_vendor.bundle("demo-widget-1.1.0"), demo_vendor.signer("release-3"))
    assert site.set_current(Channel.STABLE, more).version == Version(1, 1, 0)


def test_only_new_files_appear_until_the_timestamp_is_written(site: Site, demo_vendor: DemoVendor) -> None:
    """What a client sees before `publish`, and after a crash in it, is the old state."""
    before = files(site.folder)
    site.set_current(Channel.BETA, demo_vendor.bundle("demo-widget-1.1.0"))
    after = files(site.folder)
    assert {name: after[name] for name in before} == before
    site.publish(unrehearsed=True)
    published = files(site.folder)
    assert [name for name in after if published[name] != after[name]] == [
        os.path.join("metadata", "timestamp.json")
    ]


def test_the_timestamp_is_the_last_file_that_publishing_writes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = os.replace

    def watch(source: Path, target: Path) -> None:
        order.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    site.publish()
    assert order[-2:] == ["2.snapshot.json", "timestamp.json"]


def test_lifetimes_are_short_where_the_key_lives_on_a_server(site: Site, demo_vendor: DemoVendor) -> None:
    site.set_current(Channel.BETA, demo_vendor.bundle("demo-widget-1.1.0"))
    site.publish(unrehearsed=True)
    assert expires(site, "timestamp.json") == timedelta(days=14)
    assert expires(site, "2.snapshot.json") == timedelta(days=30)
    newest = max((site.folder / "metadata").glob("*.beta-?.json"), key=lambda path: path.stat().st_mtime_ns)
    assert expires(site, newest.name) == timedelta(days=90)


def test_daily_publishing_keeps_a_quiet_channel_alive(site: Site, demo_vendor: DemoVendor) -> None:
    site.set_current(Channel.BETA, demo_vendor.bundle("demo-widget-1.1.0"))
    names = {path.name for path in (site.folder / "metadata").glob("*.beta-?.json")}
    dataclasses.replace(site, now=NOW + timedelta(days=40)).publish(unrehearsed=True)
    assert {path.name for path in (site.folder / "metadata").glob("*.beta-?.json")} == names
    dataclasses.replace(site, now=NOW + timedelta(days=50)).publish(unrehearsed=True)
    assert len({path.name for path in (site.folder / "metadata").glob("*.beta-?.json")} - names) >= 1


def test_another_key_than_the_roots_online_key_cannot_publish(site: Site, demo_vendor: DemoVendor) -> None:
    with pytest.raises(Refused, match="not the online key"):
        dataclasses.replace(site, online=demo_vendor.signer("release-1")).publish()


def test_a_site_with_an_expired_root_is_not_published(site: Site) -> None:
    with pytest.raises(Refused, match=r"root\.json expired on 2999-12-31"):
        dataclasses.replace(site, now=NOW.replace(year=3001)).publish()


def test_an_alarm_is_given_sixty_days_before_people_have_to_sign_again(site: Site) -> None:
    assert site.expiring() == []
    late = dataclasses.replace(site, now=NOW.replace(year=2999, month=11))
    assert late.expiring() == [
        "root.json expires on 2999-12-31: renew it before, or customers get no updates.",
        "targets.json expires on 2999-12-31: renew it before, or customers get no updates.",
    ]


def test_targets_without_enough_signatures_begin_no_site(demo_vendor: DemoVendor, tmp_path: Path) -> None:
    targets = Metadata.from_file(str(demo_vendor.site / "metadata/1.targets.json"))
    targets.signatures.popitem()
    site = Site(folder=tmp_path / "new", online=demo_vendor.signer("online"), now=NOW)
    with pytest.raises(NotTrusted, match="the targets file, version 1, does not have enough signatures"):
        site.create([demo_vendor.root], targets.to_bytes())
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_site_is_named(demo_vendor: DemoVendor, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="is no update site"):
        Site(folder=tmp_path, online=demo_vendor.signer("online"), now=NOW).publish()


def test_a_damaged_timestamp_is_named_before_anything_is_written(site: Site) -> None:
    (site.folder / "metadata/timestamp.json").write_bytes(b"{")
    before = files(site.folder)
    with pytest.raises(NotTrusted, match=r"timestamp\.json is not TUF timestamp metadata"):
        site.publish()
    assert files(site.folder) == before


def test_a_site_is_not_begun_over_another(site: Site, demo_vendor: DemoVendor) -> None:
    with pytest.raises(Usage, match="holds a site already"):
        site.create([demo_vendor.root], b"")


def test_a_full_disk_is_a_storage_failure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageFailed, match="No space left on device"):
        site.publish()


def test_landing_pages_carry_the_link_the_code_and_the_file(site: Site, demo_vendor: DemoVendor) -> None:
    assert write_pages(site, demo_vendor.vendor) == 6
    html = (site.folder / "u/demo-widget/stable/latest/index.html").read_text(encoding="utf-8")
    assert 'href="demo-update://v1/demo-widget/stable/latest"' in html
    assert 'href="../../../../files/demo-widget-1.1.0.fwb"' in html
    assert "<script" not in html
    assert "http://" not in html


def test_texts_of_a_landing_page_are_escaped(site: Site, demo_vendor: DemoVendor) -> None:
    rude = msgspec.structs.replace(demo_vendor.vendor, name='<b>&"Rude"')
    write_pages(site, rude)
    html = (site.folder / "u/demo-gadget/stable/1.0.0/index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;&quot;Rude&quot;" in html


def test_a_product_that_vendor_toml_does_not_know_gets_no_page(site: Site, demo_vendor: DemoVendor) -> None:
    fewer = msgspec.structs.replace(demo_vendor.vendor, products=demo_vendor.vendor.products[:1])
    with pytest.raises(Usage, match="no product 'demo-gadget'"):
        write_pages(site, fewer)
