"""The demo vendor that ships with the updater is made from the sources beside it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundles.demo.make import RELEASES, make_demo
from bundles.pages import write_pages
from bundles.recipe import parse_recipe
from bundles.release import build, read_draft
from bundles.site import Site
from updater.heads.vendor import parse_vendor

REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / "bundles/demo/recipes"
SHIPPED = REPOSITORY / "updater/demo"


@pytest.mark.parametrize("release", RELEASES)
def test_a_rebuild_of_the_shipped_demo_has_the_same_manifest(release: str) -> None:
    """When this fails, the demo firmware was changed: make the demo vendor anew (docs/publishing.md)."""
    recipe = parse_recipe((RECIPES / f"{release}.toml").read_bytes())
    rebuilt = read_draft(build(recipe, RECIPES, [(SHIPPED / "root.json").read_bytes()]))
    shipped = read_draft((SHIPPED / "site/files" / f"{release}.fwb").read_bytes())
    assert rebuilt.manifest_sha256 == shipped.manifest_sha256
    assert shipped.signed_by == ("release-1", "release-2")


def test_the_shipped_descriptor_is_the_one_in_the_sources() -> None:
    assert (SHIPPED / "vendor.toml").read_bytes() == (REPOSITORY / "bundles/demo/vendor.toml").read_bytes()


def test_the_shipped_pages_are_those_that_publishing_writes(tmp_path: Path) -> None:
    """When this fails: write_pages over a copy of updater/demo/site needs no key."""
    shutil.copytree(SHIPPED / "site", tmp_path / "site")
    made = make_demo(tmp_path / "made", now=datetime.now(UTC))
    site = Site(folder=tmp_path / "site", online=made.signer("online"), now=datetime.now(UTC))
    write_pages(site, parse_vendor((SHIPPED / "vendor.toml").read_text("utf-8")))
    for page in (SHIPPED / "site").rglob("index.html"):
        assert (tmp_path / "site" / page.relative_to(SHIPPED / "site")).read_bytes() == page.read_bytes()
