"""One demo vendor for all tests of the hands, and its site behind a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.hands.web import Web, serve
from updater.heads.vendor import Vendor


@pytest.fixture(scope="session")
def demo_vendor(tmp_path_factory: pytest.TempPathFactory) -> DemoVendor:
    """Made once; whoever changes its site works on a copy."""
    return make_demo(tmp_path_factory.mktemp("demo") / "vendor", now=datetime.now(UTC))


@pytest.fixture
def web(demo_vendor: DemoVendor) -> Iterator[Web]:
    with serve(demo_vendor.site) as running:
        yield running


@pytest.fixture
def vendor(demo_vendor: DemoVendor, web: Web) -> Vendor:
    """The demo vendor's descriptor, with the address at which its site is served now."""
    return msgspec.structs.replace(demo_vendor.vendor, repository=web.url)
