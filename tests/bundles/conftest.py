"""One demo vendor for all tests of the release side."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundles.demo.make import DemoVendor, make_demo
from bundles.site import Site

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def demo_vendor(tmp_path_factory: pytest.TempPathFactory) -> DemoVendor:
    """Made once; whoever changes its site works on a copy."""
    return make_demo(tmp_path_factory.mktemp("demo") / "vendor", now=NOW)


@pytest.fixture
def site(demo_vendor: DemoVendor, tmp_path: Path) -> Site:
    """A copy of the demo site, worked on with the usual short lifetimes."""
    shutil.copytree(demo_vendor.site, tmp_path / "site")
    return Site(folder=tmp_path / "site", online=demo_vendor.signer("online"), now=NOW)
