"""Each executable is built once per session; a build takes about half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.exe.build import Built, build
from updater.heads.vendor import Kind


@pytest.fixture(scope="session")
def _builds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Built]]]:
    """Those that the chosen tests need, side by side: a build keeps one core busy."""
    needed = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ThreadPoolExecutor(2) as pool:
        builds: dict[str, Future[Built]] = {}
        if "demo" in needed:
            folder = tmp_path_factory.mktemp("demo-exe")
            builds["demo"] = pool.submit(build, folder, "Updater-Demo", "updater-demo-cli")
        if "product" in needed:
            maker: DemoVendor = request.getfixturevalue("maker")
            folder = tmp_path_factory.mktemp("product-exe")
            vendor = maker.folder / "vendor"
            builds["product"] = pool.submit(build, folder, "Updater", "updater-cli", vendor)
        yield builds


@pytest.fixture(scope="session")
def demo(_builds: dict[str, Future[Built]]) -> Built:
    return _builds["demo"].result()


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> DemoVendor:
    """A product maker with a vendor folder and signed bundles."""
    folder = tmp_path_factory.mktemp("maker") / "vendor"
    made = make_demo(folder, kind=Kind.PRODUCT, url="https://updates.example.com/", now=datetime.now(UTC))
    driver = made.folder / "vendor" / "driver"
    driver.mkdir()
    for name in ("stm32.inf", "stm32.cat"):
        (driver / name).write_text(f"; {name}, as a vendor would supply it\n")
    return made


@pytest.fixture(scope="session")
def product(_builds: dict[str, Future[Built]]) -> Built:
    return _builds["product"].result()
