"""Each executable is built once per session; a build takes about half a minute."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bundles.demo.make import DemoVendor, make_demo
from tests.exe.build import Built, build
from updater.heads.vendor import Kind


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("demo-exe"), "Updater-Demo", "updater-demo-cli")


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
def product(tmp_path_factory: pytest.TempPathFactory, maker: DemoVendor) -> Built:
    folder = tmp_path_factory.mktemp("product-exe")
    return build(folder, "Updater", "updater-cli", maker.folder / "vendor")
