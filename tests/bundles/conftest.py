"""One demo vendor for all tests of the release side."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from bundles.demo.make import DemoVendor, make_demo
from bundles.site import Site
from updater.hands.channel import UpdateSite
from updater.hands.fetch import SiteFetcher
from updater.heads.gate import verify_bundle
from updater.words.facts import Channel

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


Look = Callable[[Site], str]


@pytest.fixture
def look(demo_vendor: DemoVendor, tmp_path: Path) -> Look:
    """Look at a site as one customer's updater does, each time with all it has seen: widget's version."""

    def version(site: Site) -> str:
        vendor = demo_vendor.vendor
        fetcher = cast(SiteFetcher, FolderFetcher(site.folder, vendor.repository))
        client = UpdateSite(vendor, demo_vendor.root, tmp_path / "customer", fetcher=fetcher)
        offer = client.offer("demo-widget", Channel.STABLE, None)
        data = client.download(offer, lambda _event: None)
        bundle = verify_bundle(
            data, embedded_root=demo_vendor.root, known_roots=client.known_roots(), now=NOW
        )
        assert bundle.manifest.version == offer.version
        return str(offer.version)

    return version


class FolderFetcher(FetcherInterface):
    """The network of a test: the files of a folder, and 404 for what is not there."""

    def __init__(self, folder: Path, base: str) -> None:
        self._folder, self._base = folder, base
        self.progress: Callable[[int], None] = lambda _done: None
        self.asked: list[str] = []
        self.sent_bytes = 0

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix(self._base)
        self.asked.append(name)
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            raise DownloadHTTPError("not here", 404) from None
        self.sent_bytes += len(data)
        yield data
